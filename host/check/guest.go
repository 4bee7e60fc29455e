package check

import (
	"context"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// boundPlugin is the plugin of a connector, for questions about it.
type boundPlugin struct {
	*plugin.Binding
	component string
	// settings are those of the connector that the plugin may see.
	settings []wit.Setting
}

// bind binds the plugin of a component of a connector: the connector's own, or that of a transform or predicate whose
// settings begin with a prefix. Close lets go of it.
func bind(m *plugin.Manager, c *config.Connector, prefix string, info plugin.Info,
	component wit.Component) (boundPlugin, error) {
	b, err := m.Bind(c.Name, component.Kind, component.Name, info.Version)
	if err != nil {
		return boundPlugin{}, err
	}
	guest := Guest(m, b.Current().Module(), component)
	if guest.Prefix = prefix; prefix != "" {
		c = c.StageConfig(prefix)
	}
	return boundPlugin{b, component.Name, guest.Settings(c)}, nil
}

// do calls the plugin.
func (p boundPlugin) do(ctx context.Context, call func(*plugin.Instance) error) error {
	return p.Current().Do(ctx, call)
}

// ask calls the plugin until it needs no more documents, which f fetches.
func (p boundPlugin) ask(ctx context.Context, f transport.Fetcher, call func(i *plugin.Instance, state []byte,
	answers []wit.Response) (*wit.RequestBatch, error)) error {
	return transport.Ask(ctx, f, func(state []byte, answers []wit.Response) (need *wit.RequestBatch, err error) {
		err = p.do(ctx, func(i *plugin.Instance) error {
			need, err = call(i, state, answers)
			return err
		})
		return need, err
	})
}

// Guest decides what a version of a plugin may see of the settings of its component. What comes with the program goes
// by its own declarations, and by those of its versions that ran: another file in the folder can't take a setting away
// from it by calling that a password.
func Guest(m *plugin.Manager, info plugin.Info, own wit.Component) config.PluginView {
	if c := component(&info, own.Kind, own.Name); c != nil {
		own = *c
	}
	g := config.PluginView{Component: config.DeclareComponent(own), BuiltIn: info.BuiltIn,
		Exposed: m.Revealed(info.Name)}
	g.OtherComponents = append(declarations(m, info), secrets(m, &info))
	return g
}

// declarations are those of all components that are loaded, as far as they say for a plugin what is a secret.
func declarations(m *plugin.Manager, of plugin.Info) (all []*config.Declarations) {
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

// secrets declares as passwords what was one in any version that ran.
func secrets(m *plugin.Manager, of *plugin.Info) *config.Declarations {
	var c wit.Component
	for _, name := range m.Secrets(of) {
		c.Settings = append(c.Settings, wit.ConfigKey{Name: name, Kind: wit.KindPassword})
	}
	return config.DeclareComponent(c)
}

// Passwords tells which settings are passwords, by whatever is loaded: the connector's class may be unknown.
func Passwords(m *plugin.Manager) func(key string) bool {
	var declared []*config.Declarations
	if m != nil {
		declared = append(declarations(m, plugin.Info{}), secrets(m, &plugin.Info{}))
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
