package check

import (
	"context"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// boundPlugin is a plugin with the settings of one connector, transform or predicate.
type boundPlugin struct {
	*plugin.Binding
	component string
	settings  []wit.Setting // only settings that the plugin may see
}

// bind binds the plugin of a connector, or with a prefix, of one of its transforms or predicates. The caller closes the
// bound plugin.
func bind(plugins *plugin.Manager, connector *config.Connector, prefix string, info plugin.Info,
	component wit.Component) (boundPlugin, error) {
	b, err := plugins.Bind(connector.Name, component.Kind, component.Name, info.Version)
	if err != nil {
		return boundPlugin{}, err
	}
	guest := components.PluginView(plugins, b.Current().Module(), component)
	guest.Prefix = prefix
	if prefix != "" {
		connector = connector.StageConfig(prefix)
	}
	return boundPlugin{b, component.Name, guest.Settings(connector)}, nil
}

func (p boundPlugin) do(ctx context.Context, call func(*plugin.Instance) error) error {
	return p.Current().Do(ctx, call)
}

// fetchingCall is a call of a plugin that may request documents. answers has the documents of the previous call's
// requests, state what that call returned to be passed on. It returns no requests when it is done.
type fetchingCall func(i *plugin.Instance, state []byte, answers []wit.Response) (*wit.RequestBatch, error)

// callWithFetch repeats a call of the plugin with the documents that f fetches, until it requests no more.
func (p boundPlugin) callWithFetch(ctx context.Context, f transport.Fetcher, call fetchingCall) error {
	return transport.CallWithFetch(ctx, f, func(state []byte, answers []wit.Response) (*wit.RequestBatch, error) {
		var requests *wit.RequestBatch
		err := p.do(ctx, func(i *plugin.Instance) (err error) {
			requests, err = call(i, state, answers)
			return err
		})
		return requests, err
	})
}
