package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

func newPlugins() *cobra.Command {
	c := &cobra.Command{
		Use:              "plugins",
		Short:            "Look at plugins, and choose the versions that a worker runs",
		PersistentPreRun: func(c *cobra.Command, _ []string) { escaped(c) },
	}
	c.AddCommand(newPluginsList(), newPluginsShow(), newPluginsCheck(), newPluginsWarm())
	for _, a := range []act{
		{use: "swap NAME HASH", route: "PUT /culvert/plugins/{name}/swap", did: "will run version %s",
			example: "  culvert plugins swap odata-source 5fe2…c1 --url http://connect.example.com:8083",
			body:    func(args []string) any { return map[string]string{"hash": args[1]} }},
		{use: "rollback NAME", route: "PUT /culvert/plugins/{name}/rollback", did: "will run the version before",
			example: "  culvert plugins rollback odata-source"},
	} {
		r := &remote{}
		swap := r.act(a)
		r.flags(swap)
		swap.ValidArgsFunction = nil // which completes names of connectors
		c.AddCommand(swap)
	}
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
	o, err := in.config(config.Files{}, c.ErrOrStderr())
	if err != nil {
		return o, nil, err
	}
	if !c.Flags().Changed("log-level") {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Embedded, o.Compiling = nil, compiling(c.ErrOrStderr())
	w, err := in.worker(file)
	return o, w, err
}

func newPluginsList() *cobra.Command {
	var in installation
	var o output
	c := &cobra.Command{
		Use:     "list",
		Short:   "List plugins: built-in ones, those of CULVERT_PLUGIN_PATH and of --plugins",
		Example: "  culvert plugins list\n  culvert plugins list --plugins ./plugins --json",
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
			return o.print(c.OutOrStdout(), described(modules), func(out io.Writer) error {
				return listPlugins(out, modules)
			})
		},
	}
	in.flags(c, "warn")
	o.flag(c, "as JSON")
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
	var o output
	c := &cobra.Command{
		Use:   "show FILE|NAME",
		Short: "Show a plugin with its components and their settings, or a converter",
		Example: "  culvert plugins show odata-source\n  culvert plugins show ./my.wasm --json\n" +
			"  culvert plugins show AvroConverter",
		RunE: func(c *cobra.Command, args []string) error {
			if d, err := convert.Find(args[0], false); err == nil {
				return o.print(c.OutOrStdout(), componentShown{d.Class, "converter", nil, d.Documentation,
					settingsShown(d.Own())}, nil)
			}
			modules, err := modulesOf(c, in, args[0])
			if err != nil {
				return err
			}
			all := described(modules)
			return o.print(c.OutOrStdout(), all, func(out io.Writer) error { return showPlugins(out, all) })
		},
	}
	in.flags(c, "warn")
	o.flag(c, "as JSON")
	return c
}

// modulesOf are the modules of a file, or those with a name.
func modulesOf(c *cobra.Command, in installation, name string) ([]plugin.Info, error) {
	info, err := os.Stat(name)
	isFile := err == nil && !info.IsDir()
	if isFile {
		in.plugins = filepath.Dir(name)
	}
	m, err := openPlugins(c, &in, !isFile)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var found []plugin.Info
	for _, module := range m.Modules() {
		if module.Name == name || isFile && module.Path == filepath.Clean(name) {
			found = append(found, module)
		}
	}
	if len(found) == 0 {
		return nil, failed(fmt.Errorf("no .wasm file and no plugin is named %q; see culvert plugins list", name))
	}
	return found, nil
}

// listPlugins prints a row for each component of each plugin.
func listPlugins(out io.Writer, modules []plugin.Info) error {
	var rows [][]string
	for _, m := range modules {
		if m.Err != nil {
			rows = append(rows, []string{"-", "-", short(m.Hash), "-", m.Path, "refused: " + m.Err.Error()})
			continue
		}
		for _, c := range m.Components {
			rows = append(rows, []string{inLine(m.Name), inLine(m.Version), short(m.Hash), inLine(m.Contract),
				inLine(m.Path), c.Kind.String(), inLine(c.Name)})
		}
	}
	return columns(out, "NAME VERSION HASH CONTRACT FROM KIND CLASS", rows)
}

// short is the part of a hash that is enough for people.
func short(hash string) string { return hash[:min(len(hash), 12)] }

// The forms in which plugins, components and settings are shown, as JSON or for people.
type (
	pluginShown struct {
		Name          string           `json:"name,omitempty"`
		Version       string           `json:"version,omitempty"`
		Hash          string           `json:"hash"`
		Contract      string           `json:"contract,omitempty"`
		From          string           `json:"from"`
		Documentation string           `json:"documentation,omitempty"`
		Interfaces    []string         `json:"interfaces,omitempty"`
		Components    []componentShown `json:"components,omitempty"`
		// Refused says why the file is refused.
		Refused string `json:"refused,omitempty"`
	}
	componentShown struct {
		Class         string         `json:"class"`
		Kind          string         `json:"kind"`
		Aliases       []string       `json:"aliases,omitempty"`
		Documentation string         `json:"documentation"`
		Settings      []settingShown `json:"settings"`
	}
	settingShown struct {
		Name          string  `json:"name"`
		Kind          string  `json:"kind"`
		Default       *string `json:"default"`
		Role          string  `json:"role"`
		Documentation string  `json:"documentation"`
	}
)

func described(modules []plugin.Info) []pluginShown {
	list := []pluginShown{}
	for _, m := range modules {
		if m.Err != nil {
			list = append(list, pluginShown{Hash: m.Hash, From: m.Path, Refused: m.Err.Error()})
			continue
		}
		p := pluginShown{Name: m.Name, Version: m.Version, Hash: m.Hash, Contract: m.Contract, From: m.Path,
			Documentation: m.Documentation, Interfaces: m.Interfaces}
		for _, c := range m.Components {
			p.Components = append(p.Components, componentShown{c.Name, c.Kind.String(), c.Aliases, c.Documentation,
				settingsShown(c.Settings)})
		}
		list = append(list, p)
	}
	return list
}

func settingsShown(specs []wit.SettingSpec) []settingShown {
	kinds := []string{"text", "password", "short", "int", "long", "double", "boolean", "list", "class"}
	list := []settingShown{}
	for _, s := range specs {
		list = append(list, settingShown{s.Name, kinds[s.Kind], s.DefaultValue, s.Role(), s.Documentation})
	}
	return list
}

// showPlugins prints plugins, each with its components and their settings.
func showPlugins(out io.Writer, all []pluginShown) error {
	for _, p := range all {
		if p.Refused != "" {
			return errors.New(p.Refused)
		}
		components := p.Components
		p.Components = nil
		if err := (output{}).print(out, p, nil); err != nil {
			return err
		}
		for _, c := range components {
			fmt.Fprintln(out)
			if err := (output{}).print(out, c, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
