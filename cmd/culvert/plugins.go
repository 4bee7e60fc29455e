package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/wit"
)

func newPlugins() *cobra.Command {
	c := &cobra.Command{
		Use:              "plugins",
		Short:            "Look at plugins, and choose the versions that a worker runs",
		Args:             cobra.NoArgs,
		RunE:             func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRun: func(c *cobra.Command, _ []string) { sayOthers(c) },
	}
	c.AddCommand(newPluginsList(), newPluginsShow(), newPluginsCheck(), newPluginsWarm(), newPluginsSwap(),
		newPluginsRollback())
	return c
}

func newPluginsSwap() *cobra.Command {
	const route = "PUT /culvert/plugins/{name}/swap"
	r := &remote{}
	c := about(route, &cobra.Command{
		Use:     "swap NAME HASH",
		Example: "  culvert plugins swap odata-source 5fe2…c1 --url http://connect.example.com:8083",
		Args:    these("NAME", "HASH"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.did(c, args[0], "is to be version "+args[1], r.call(c.Context(), route,
				map[string]string{"hash": args[1]}, nil, args[0]))
		},
	})
	r.flags(c)
	return c
}

func newPluginsRollback() *cobra.Command {
	const route = "PUT /culvert/plugins/{name}/rollback"
	r := &remote{}
	c := about(route, &cobra.Command{
		Use: "rollback NAME", Example: "  culvert plugins rollback odata-source", Args: one("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return r.did(c, args[0], "is to be the version before", r.call(c.Context(), route, nil, nil, args[0]))
		},
	})
	r.flags(c)
	return c
}

// openPlugins opens the plugins that are built in, and those of the folders.
func openPlugins(c *cobra.Command, in *installation, embedded bool) (*plugin.Manager, error) {
	o, w, err := alone(c, in, "")
	if err != nil {
		return nil, err
	}
	if embedded {
		o.Embedded = builtIn()
	}
	m, err := host.OpenPlugins(c.Context(), o, w, record.NewRegistry())
	return m, wrong(err)
}

// alone is a configuration for plugins alone, with the worker of a file, "" for none; nothing is logged unless it was
// asked for.
func alone(c *cobra.Command, in *installation, file string) (host.Config, *config.Worker, error) {
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError + 4}))
	if c.Flags().Changed("log-level") {
		var err error
		if log, err = in.logger(c.ErrOrStderr()); err != nil {
			return host.Config{}, nil, err
		}
	}
	w, err := in.worker(file)
	o := host.Config{Data: in.data, Logger: log, Compiling: compiling(c.ErrOrStderr())}
	if in.plugins != "" {
		o.Plugins = []string{in.plugins}
	}
	return o, w, err
}

func newPluginsList() *cobra.Command {
	var in installation
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List plugins: built-in ones, those of CULVERT_PLUGIN_PATH and of --plugins",
		Example: "  culvert plugins list\n  culvert plugins list --plugins ./plugins --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := openPlugins(c, &in, true)
			if err != nil {
				return err
			}
			defer m.Close()
			modules := m.Modules()
			if len(modules) == 0 {
				fmt.Fprintln(c.ErrOrStderr(), "no plugins: this program was built without them (`make` builds them "+
					"in), and none are in --plugins")
			}
			if asJSON {
				return failed(printJSON(c.OutOrStdout(), described(modules)))
			}
			return failed(listPlugins(c.OutOrStdout(), modules))
		},
	}
	in.flags(c, "warn")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func newPluginsWarm() *cobra.Command {
	var in installation
	c := &cobra.Command{
		Use:   "warm [FILE]",
		Short: "Compile plugins now, so that a worker's next start need not",
		Long: `Compile plugins now and keep their code where a worker with the same settings looks for it: in cache.dir, else in the data folder,
else in the user's cache folder. FILE is the worker's. Run it as the worker's user. What is compiled already stays as it is.`,
		Example: "  culvert plugins warm --config /etc/culvert --data /var/lib/culvert",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := in.read(args, "", c.ErrOrStderr())
			if err != nil {
				return err
			}
			w, err := in.worker(o.Files.Worker)
			if err != nil {
				return err
			}
			o.Compiling = compiling(c.ErrOrStderr())
			m, err := host.OpenPlugins(c.Context(), o, w, record.NewRegistry())
			if err != nil {
				return wrong(err)
			}
			defer m.Close()
			return failed(m.Warm(c.Context()))
		},
	}
	in.flags(c, "warn")
	in.folderFlag(c)
	return c
}

func newPluginsShow() *cobra.Command {
	var in installation
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE|NAME",
		Short: "Show a plugin with its components and their settings, or a converter",
		Example: "  culvert plugins show odata-source\n  culvert plugins show ./my.wasm --json\n" +
			"  culvert plugins show AvroConverter",
		Args: one("FILE or NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if d, err := convert.Find(args[0], false); err == nil {
				return failed(showConverter(c.OutOrStdout(), d, asJSON))
			}
			modules, err := modulesOf(c, &in, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return failed(printJSON(c.OutOrStdout(), described(modules)))
			}
			for _, m := range modules {
				if m.Err != nil {
					return failed(m.Err)
				}
				showPlugin(c.OutOrStdout(), m)
			}
			return nil
		},
	}
	in.flags(c, "warn")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// showConverter prints what a converter declares.
func showConverter(w io.Writer, d convert.Declaration, asJSON bool) error {
	if asJSON {
		return printJSON(w, map[string]any{"class": d.Class, "kind": "converter", "documentation": d.Documentation,
			"settings": settingsShown(d.Own())})
	}
	if _, err := fmt.Fprintf(w, "converter %s\n  %s\n\n", d.Class, d.Documentation); err != nil {
		return err
	}
	return showSettings(w, d.Own())
}

// modulesOf is the module of a file, or those with a name.
func modulesOf(c *cobra.Command, in *installation, name string) ([]plugin.Info, error) {
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		return moduleOfFile(c, in, name)
	}
	m, err := openPlugins(c, in, true)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var found []plugin.Info
	for _, module := range m.Modules() {
		if module.Name == name {
			found = append(found, module)
		}
	}
	if len(found) == 0 {
		return nil, failed(fmt.Errorf("no file and no plugin is named %q; see culvert plugins list", name))
	}
	return found, nil
}

// moduleOfFile loads one file, through a folder that holds nothing else.
func moduleOfFile(c *cobra.Command, in *installation, file string) ([]plugin.Info, error) {
	dir, err := os.MkdirTemp("", "culvert-plugin-")
	if err != nil {
		return nil, failed(err)
	}
	defer os.RemoveAll(dir)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, wrong(err)
	}
	only := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)) + ".wasm"
	if err := os.WriteFile(filepath.Join(dir, only), data, 0o600); err != nil {
		return nil, failed(err)
	}
	alone := *in
	alone.plugins = dir
	m, err := openPlugins(c, &alone, false)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var found []plugin.Info
	for _, module := range m.Modules() {
		if !strings.HasPrefix(module.Path, dir) {
			continue
		}
		if module.Err != nil {
			module.Err = errors.New(strings.ReplaceAll(module.Err.Error(), filepath.Join(dir, only), file))
		}
		module.Path = file
		found = append(found, module)
	}
	return found, nil
}

// listPlugins prints a line for each plugin, and then one for each of its components.
func listPlugins(w io.Writer, modules []plugin.Info) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVERSION\tHASH\tCONTRACT\tFROM")
	for _, m := range modules {
		if m.Err != nil {
			fmt.Fprintf(t, "-\t-\t%.12s\t-\t%s\trefused: %s\n", m.Hash, inLine(m.Path), shown.Line(m.Err.Error()))
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%.12s\t%s\t%s\n", inLine(m.Name), inLine(m.Version), m.Hash, inLine(m.Contract),
			inLine(m.Path))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range modules {
		if m.Err != nil {
			continue
		}
		fmt.Fprintf(w, "\n%s %s\n", inLine(m.Name), inLine(m.Version))
		for _, c := range m.Components {
			fmt.Fprintf(w, "  %-14s  %s\n", c.Kind, inLine(c.Name))
		}
	}
	return nil
}

func showPlugin(w io.Writer, m plugin.Info) {
	fmt.Fprintf(w, "%s %s\n  %s\n  hash %s, contract %s, from %s\n  interfaces: %s\n", inLine(m.Name),
		inLine(m.Version), shown.Line(m.Documentation), m.Hash,
		inLine(m.Contract), inLine(m.Path), strings.Join(m.Interfaces, ", "))
	for _, c := range m.Components {
		fmt.Fprintf(w, "\n%s %s", c.Kind, inLine(c.Name))
		if len(c.Aliases) > 0 {
			fmt.Fprintf(w, " (%s)", shown.Line(strings.Join(c.Aliases, ", ")))
		}
		fmt.Fprintf(w, "\n  %s\n\n", shown.Line(c.Documentation))
		showSettings(w, c.Settings)
	}
}

func showSettings(w io.Writer, specs []wit.SettingSpec) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, s := range specs {
		value := ""
		if s.DefaultValue != nil {
			value = *s.DefaultValue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", inLine(s.Name), kindName(s.Kind), inLine(value),
			shown.Line(s.Documentation))
	}
	return t.Flush()
}

func kindName(k wit.SettingKind) string {
	return [...]string{"text", "password", "short", "int", "long", "double", "boolean", "list", "class"}[k]
}

// described is what --json shows.
func described(modules []plugin.Info) []map[string]any {
	list := []map[string]any{}
	for _, m := range modules {
		if m.Err != nil {
			list = append(list, map[string]any{"from": m.Path, "hash": m.Hash, "refused": m.Err.Error()})
			continue
		}
		var components []map[string]any
		for _, c := range m.Components {
			components = append(components, map[string]any{"class": c.Name, "kind": c.Kind.String(),
				"aliases":       c.Aliases,
				"documentation": c.Documentation, "settings": settingsShown(c.Settings)})
		}
		list = append(list, map[string]any{"name": m.Name, "version": m.Version, "hash": m.Hash, "contract": m.Contract,
			"from":          m.Path,
			"documentation": m.Documentation, "interfaces": m.Interfaces, "components": components})
	}
	return list
}

func settingsShown(specs []wit.SettingSpec) []map[string]any {
	list := []map[string]any{}
	for _, s := range specs {
		list = append(list, map[string]any{"name": s.Name, "kind": kindName(s.Kind), "default": s.DefaultValue,
			"role":          s.Role(),
			"documentation": s.Documentation})
	}
	return list
}
