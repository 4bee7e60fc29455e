package check

import (
	"context"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// boundPlugin is a plugin with the settings of one connector, transform or predicate.
type boundPlugin struct {
	*plugin.Binding
	component string
	settings  []wit.Setting // only settings that the plugin may see
}

// bind binds the plugin of a connector or, if stage is not nil, of a transform or predicate. The caller closes it.
func bind(connector *resolved.Connector, stage *resolved.Stage) (boundPlugin, error) {
	class := &connector.Class
	if stage != nil {
		class = &stage.Class
	}
	b, err := connector.Plugins.BindVersion(connector.Name, class.Component.Kind, class.Component.Name,
		class.Module.Version)
	if err != nil {
		return boundPlugin{}, err
	}
	var view resolved.View
	if stage != nil {
		view = connector.StageView(stage, b.Current().Module())
	} else {
		view = connector.View(b.Current().Module())
	}
	return boundPlugin{Binding: b, component: class.Component.Name, settings: view.Settings()}, nil
}

func (p boundPlugin) do(ctx context.Context, call func(*plugin.Instance) error) error {
	return p.Current().Do(ctx, call)
}

// fetchingCall is a call of a plugin that may request documents. state and answers come from the requests that the
// previous call returned: the state as it is, the answers in their order. Without requests the call is complete.
type fetchingCall func(i *plugin.Instance, state []byte, answers []wit.Response) (*wit.RequestBatch, error)

// callWithFetch repeats a call of the plugin with the documents that fetcher fetches, until it requests no more.
func (p boundPlugin) callWithFetch(ctx context.Context, fetcher transport.Fetcher, call fetchingCall) error {
	return transport.CallWithFetch(ctx, fetcher, func(state []byte, answers []wit.Response) (*wit.RequestBatch, error) {
		var requests *wit.RequestBatch
		err := p.do(ctx, func(i *plugin.Instance) (err error) {
			requests, err = call(i, state, answers)
			return err
		})
		return requests, err
	})
}
