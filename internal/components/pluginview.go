package components

import (
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// PluginView returns which of a component's settings a version of its plugin may see: all but those that a plugin
// declares as passwords. For a built-in plugin only declarations of built-in plugins count, so that no plugin file can
// hide a setting from it.
func PluginView(plugins *plugin.Manager, info plugin.Info, declared wit.Component) config.PluginView {
	if c := component(&info, declared.Kind, declared.Name); c != nil {
		declared = *c
	}
	view := config.PluginView{Component: config.DeclareComponent(declared), BuiltIn: info.BuiltIn,
		Exposed: plugins.Revealed(info.Name)}
	view.OtherComponents = append(Declarations(plugins, info), pastSecrets(plugins, &info))
	return view
}

// Declarations returns the declarations that decide which settings are hidden from a plugin. The zero Info means all
// plugins.
func Declarations(plugins *plugin.Manager, target plugin.Info) (declarations []*config.Declarations) {
	for _, info := range plugins.Modules() {
		if target.BuiltIn && !info.BuiltIn {
			continue
		}
		for _, c := range info.Components {
			declarations = append(declarations, config.DeclareComponent(c))
		}
	}
	return declarations
}

// pastSecrets declares the settings that were passwords in any version that ran, see [plugin.Manager.Secrets].
func pastSecrets(plugins *plugin.Manager, target *plugin.Info) *config.Declarations {
	secrets := config.Declare()
	for _, name := range plugins.Secrets(target) {
		secrets.Declare(wit.ConfigKey{Name: name, Kind: wit.KindPassword})
	}
	return secrets
}

// Passwords returns a function that reports whether any component declares a setting as a password. plugins may be nil.
func Passwords(plugins *plugin.Manager) func(key string) bool {
	var declarations []*config.Declarations
	if plugins != nil {
		declarations = append(Declarations(plugins, plugin.Info{}), pastSecrets(plugins, &plugin.Info{}))
	}
	return func(key string) bool {
		for _, prefix := range []string{"transforms.", "predicates."} {
			if remaining, ok := strings.CutPrefix(key, prefix); ok {
				if _, setting, ok := strings.Cut(remaining, "."); ok {
					key = setting
				}
			}
		}
		return config.IsPassword(key, declarations...)
	}
}
