package components

import (
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// Guest returns what a version of a plugin may see of the settings of its component. A plugin that comes with the
// program is judged by its own declarations and by those of its versions that ran: no plugin file can take a setting
// away from it by declaring it a password.
func Guest(m *plugin.Manager, info plugin.Info, own wit.Component) config.PluginView {
	if c := component(&info, own.Kind, own.Name); c != nil {
		own = *c
	}
	g := config.PluginView{Component: config.DeclareComponent(own), BuiltIn: info.BuiltIn,
		Exposed: m.Revealed(info.Name)}
	g.OtherComponents = append(Declarations(m, info), secrets(m, &info))
	return g
}

// Declarations returns the declarations of all loaded components that decide for a plugin which settings are secrets.
func Declarations(m *plugin.Manager, of plugin.Info) (all []*config.Declarations) {
	for _, info := range m.Modules() {
		if of.BuiltIn && !info.BuiltIn {
			continue
		}
		for _, c := range info.Components {
			all = append(all, config.DeclareComponent(c))
		}
	}
	return all
}

// secrets returns what any version that ran has declared as a password.
func secrets(m *plugin.Manager, of *plugin.Info) *config.Declarations {
	var c wit.Component
	for _, name := range m.Secrets(of) {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: name, Kind: wit.KindPassword})
	}
	return config.DeclareComponent(c)
}

// Passwords reports which settings are passwords to any loaded component: the connector's class may be unknown.
func Passwords(m *plugin.Manager) func(key string) bool {
	var declared []*config.Declarations
	if m != nil {
		declared = append(Declarations(m, plugin.Info{}), secrets(m, &plugin.Info{}))
	}
	return func(key string) bool {
		for _, prefix := range []string{"transforms.", "predicates."} {
			if rest, ok := strings.CutPrefix(key, prefix); ok {
				if _, setting, ok := strings.Cut(rest, "."); ok {
					key = setting
				}
			}
		}
		return config.IsPassword(key, declared...)
	}
}
