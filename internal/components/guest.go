package components

import (
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// PluginView returns what a version of a plugin may see of its component's settings. For a built-in plugin only its own
// declarations count: no plugin file can hide a setting from it by declaring it a password.
func PluginView(plugins *plugin.Manager, info plugin.Info, declared wit.Component) config.PluginView {
	if c := component(&info, declared.Kind, declared.Name); c != nil {
		declared = *c
	}
	g := config.PluginView{Component: config.DeclareComponent(declared), BuiltIn: info.BuiltIn,
		Exposed: plugins.Revealed(info.Name)}
	g.OtherComponents = append(Declarations(plugins, info), secrets(plugins, &info))
	return g
}

// Declarations returns the declarations that decide which settings are secrets to a plugin.
func Declarations(plugins *plugin.Manager, target plugin.Info) (all []*config.Declarations) {
	for _, info := range plugins.Modules() {
		if target.BuiltIn && !info.BuiltIn {
			continue
		}
		for _, c := range info.Components {
			all = append(all, config.DeclareComponent(c))
		}
	}
	return all
}

func secrets(plugins *plugin.Manager, target *plugin.Info) *config.Declarations {
	var c wit.Component
	for _, name := range plugins.Secrets(target) {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: name, Kind: wit.KindPassword})
	}
	return config.DeclareComponent(c)
}

// Passwords returns a function that reports whether any component declares a setting as a password.
func Passwords(plugins *plugin.Manager) func(key string) bool {
	var declared []*config.Declarations
	if plugins != nil {
		declared = append(Declarations(plugins, plugin.Info{}), secrets(plugins, &plugin.Info{}))
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
