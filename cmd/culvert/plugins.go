package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func newPlugins() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugins",
		Short: "Show plugins, and choose the versions that a worker runs",
		// Terminal escapes of plugins and services are shown as text.
		PersistentPreRun: func(c *cobra.Command, _ []string) {
			c.SetOut(shown.Writer{To: c.OutOrStdout()})
			c.SetErr(shown.Writer{To: c.ErrOrStderr()})
		},
	}
	c.AddCommand(newPluginsList(), newPluginsShow(), newPluginsCheck(), newPluginsWarm())
	for _, a := range []routeCommand{
		{use: "swap NAME HASH", route: "PUT /culvert/plugins/{name}/swap", message: "will run version %s",
			example: "  culvert plugins swap odata-source 5fe2…c1 --url http://connect.example.com:8083",
			body:    func(args []string) any { return map[string]string{"hash": args[1]} }},
		{use: "rollback NAME", route: "PUT /culvert/plugins/{name}/rollback", message: "will run the version before",
			example: "  culvert plugins rollback odata-source"},
	} {
		r := &remote{}
		swap := r.newRouteCommand(a)
		r.flags(swap)
		c.AddCommand(swap)
	}
	return c
}

func openPlugins(c *cobra.Command, in *installation, builtIn fs.FS) (*plugin.Manager, error) {
	o, w, err := pluginConfig(c, in, "")
	if err != nil {
		return nil, err
	}
	o.Embedded = builtIn
	m, err := setup.OpenPlugins(c.Context(), o, w, record.NewRegistry())
	return m, asUsageError(err)
}

// pluginConfig returns a configuration for commands that use only plugins, without the built-in ones. Nothing is logged
// without --log-level.
func pluginConfig(c *cobra.Command, in *installation, file string) (host.Config, *config.Worker, error) {
	o, err := in.config(config.Files{}, c.ErrOrStderr())
	if err != nil {
		return o, nil, err
	}
	if !c.Flags().Changed("log-level") {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Compiling = compilingReporter(c.ErrOrStderr())
	o.Embedded = nil
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
			m, err := openPlugins(c, &in, builtInPlugins())
			if err != nil {
				return err
			}
			defer m.Close()
			modules := m.Modules()
			if len(modules) == 0 {
				fmt.Fprintln(c.ErrOrStderr(), "no plugins: this program was built without them (`make` builds them "+
					"in), and none are in --plugins")
			}
			return o.print(c.OutOrStdout(), pluginForms(modules), func(out io.Writer) error {
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
		Short: "Compile plugins now, so that the next start of a worker is faster",
		Long: `Compile plugins now and store their code where a worker with the same settings finds it: in cache.dir, else in the data
folder, else in the user's cache folder. FILE is the worker's. Run it as the worker's user. Compiled plugins are not
compiled again.`,
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
			o.Compiling = compilingReporter(c.ErrOrStderr())
			m, err := setup.OpenPlugins(c.Context(), o, w, record.NewRegistry())
			if err != nil {
				return asUsageError(err)
			}
			defer m.Close()
			return asFailure(m.Warm(c.Context()))
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
				return o.print(c.OutOrStdout(), converterForm{Class: d.Class, Kind: "converter",
					Documentation: d.Documentation, Settings: newSettingForms(d.UserSettings())}, nil)
			}
			modules, err := modulesOf(c, &in, args[0])
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), pluginForms(modules), func(out io.Writer) error {
				return showPlugins(out, modules)
			})
		},
	}
	in.flags(c, "warn")
	o.flag(c, "as JSON")
	return c
}

func modulesOf(c *cobra.Command, in *installation, name string) ([]plugin.Info, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return moduleOfFile(c, in, name)
	}
	m, err := openPlugins(c, in, builtInPlugins())
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var names []string
	modules := slices.DeleteFunc(m.Modules(), func(module plugin.Info) bool {
		names = append(names, module.Name)
		return module.Name != name
	})
	if len(modules) > 0 {
		return modules, nil
	}
	hint := "see culvert plugins list"
	if nearest := setting.NearestName(name, names); nearest != "" {
		hint = "the nearest one is " + inLine(nearest)
	}
	return nil, asFailure(fmt.Errorf("no file and no plugin is named %q; %s", name, hint))
}

func moduleOfFile(c *cobra.Command, in *installation, file string) ([]plugin.Info, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, asUsageError(err)
	}
	dir, err := os.MkdirTemp("", "culvert-plugin-")
	if err != nil {
		return nil, asFailure(err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))+".wasm")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		return nil, asFailure(err)
	}
	inCopy := *in
	inCopy.plugins = dir // --plugins accepts only a folder
	m, err := openPlugins(c, &inCopy, nil)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	modules := slices.DeleteFunc(m.Modules(), func(module plugin.Info) bool { return module.Path != copied })
	for i := range modules {
		modules[i].Path = file
		if loadErr := modules[i].Err; loadErr != nil {
			modules[i].Err = errors.New(strings.ReplaceAll(loadErr.Error(), copied, file))
		}
	}
	return modules, nil
}

func listPlugins(out io.Writer, modules []plugin.Info) error {
	var rows [][]string
	for _, m := range modules {
		if m.Err != nil {
			rows = append(rows, []string{"-", "-", shortHash(m.Hash), "-", m.Path, "refused: " + m.Err.Error()})
			continue
		}
		row := []string{inLine(m.Name), inLine(m.Version), shortHash(m.Hash), inLine(m.Contract), inLine(m.Path)}
		for _, c := range m.Components {
			rows = append(rows, append(slices.Clip(row), c.Kind.String(), inLine(c.Name)))
		}
		if len(m.Components) == 0 {
			rows = append(rows, append(row, "-", "-"))
		}
	}
	return printColumns(out, "NAME VERSION HASH CONTRACT FROM KIND CLASS", rows)
}

func shortHash(hash string) string { return hash[:min(len(hash), 12)] }

// Forms of plugins, components and settings in JSON and in text.
type (
	pluginForm struct {
		pluginSummary
		Components []componentForm `json:"components"`
	}
	pluginSummary struct {
		Name          string   `json:"name"`
		Version       string   `json:"version"`
		Hash          string   `json:"hash"`
		Contract      string   `json:"contract"`
		From          string   `json:"from"`
		Documentation string   `json:"documentation"`
		Interfaces    []string `json:"interfaces"`
	}
	// rejectedForm is a file that is refused.
	rejectedForm struct {
		Hash    string `json:"hash"`
		From    string `json:"from"`
		Refused string `json:"refused"`
	}
	componentForm struct {
		Class         string        `json:"class"`
		Kind          string        `json:"kind"`
		Aliases       []string      `json:"aliases"`
		Documentation string        `json:"documentation"`
		Settings      []settingForm `json:"settings"`
	}
	converterForm struct {
		Class         string        `json:"class"`
		Kind          string        `json:"kind"`
		Documentation string        `json:"documentation"`
		Settings      []settingForm `json:"settings"`
	}
	settingForm struct {
		Name          string  `json:"name"`
		Kind          string  `json:"kind"`
		Default       *string `json:"default"`
		Role          string  `json:"role"`
		Documentation string  `json:"documentation"`
	}
)

func pluginForms(modules []plugin.Info) []any {
	forms := []any{}
	for i := range modules {
		if m := &modules[i]; m.Err != nil {
			forms = append(forms, rejectedForm{Hash: m.Hash, From: m.Path, Refused: m.Err.Error()})
		} else {
			forms = append(forms, newPluginForm(m))
		}
	}
	return forms
}

func newPluginForm(m *plugin.Info) pluginForm {
	form := pluginForm{pluginSummary: pluginSummary{Name: m.Name, Version: m.Version, Hash: m.Hash,
		Contract: m.Contract, From: m.Path, Documentation: m.Documentation, Interfaces: m.Interfaces}}
	for _, c := range m.Components {
		form.Components = append(form.Components, componentForm{Class: c.Name, Kind: c.Kind.String(),
			Aliases: c.Aliases, Documentation: c.Documentation, Settings: newSettingForms(c.Settings)})
	}
	return form
}

func newSettingForms(specs []wit.ConfigKey) []settingForm {
	// Indexed by [wit.SettingKind].
	kinds := []string{"text", "password", "short", "int", "long", "double", "boolean", "list", "class"}
	forms := []settingForm{}
	for _, s := range specs {
		forms = append(forms, settingForm{Name: s.Name, Kind: kinds[s.Kind], Default: s.DefaultValue, Role: s.Role(),
			Documentation: s.Documentation})
	}
	return forms
}

// showPlugins prints plugins, each with its components and their settings. A refused plugin is an error.
func showPlugins(out io.Writer, modules []plugin.Info) error {
	for i := range modules {
		if modules[i].Err != nil {
			return modules[i].Err
		}
		p := newPluginForm(&modules[i])
		if err := (output{}).print(out, p.pluginSummary, nil); err != nil {
			return err
		}
		for _, c := range p.Components {
			fmt.Fprintln(out)
			if err := (output{}).print(out, c, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
