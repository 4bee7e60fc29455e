package connect

import (
	"context"
	"errors"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/source"
)

// sourceChain makes the chain of each feed; nil where there are no transforms.
func (c *connector) sourceChain() func(context.Context) (source.Chain, error) {
	if len(config.List(c.config.Text("transforms"))) == 0 {
		return nil
	}
	return func(context.Context) (source.Chain, error) { return nil, errors.New("transforms are not built yet") }
}
