package connect

import (
	"context"
	"errors"

	"github.com/culvert-project/culvert/host/plugin"
)

// sinkRoles are those that a sink's task acts on.
var sinkRoles []string

// sink runs a task of a sink.
func (t *task) sink(ctx context.Context, binding *plugin.Binding, once bool) error {
	return errors.New("sinks are not built yet")
}
