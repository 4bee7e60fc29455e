package components

import (
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
)

// PluginView returns which of a component's settings a version of its plugin may see: all but those that a plugin
// declares as passwords. For a built-in plugin only declarations of built-in plugins count, so that no plugin file can
// hide a setting from it.
func PluginView(plugins *plugin.Manager, info plugin.Info, declared *plugin.Component) config.PluginView {
	if c := component(&info, declared.Kind, declared.Name); c != nil {
		declared = c
	}
	return config.PluginView{Component: declared.Table(), BuiltIn: info.BuiltIn,
		Exposed: plugins.Revealed(info.Name), Secrets: plugins.SecretNames(info.BuiltIn)}
}

// Passwords returns a function that reports whether any component declares a setting as a password. plugins may be nil.
func Passwords(plugins *plugin.Manager) func(key string) bool {
	var secrets *config.Declarations
	if plugins != nil {
		secrets = plugins.SecretNames(false)
	}
	return func(key string) bool {
		for _, prefix := range []string{"transforms.", "predicates."} {
			if remaining, ok := strings.CutPrefix(key, prefix); ok {
				if _, setting, ok := strings.Cut(remaining, "."); ok {
					key = setting
				}
			}
		}
		return config.IsPassword(key, secrets)
	}
}
