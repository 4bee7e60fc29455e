package source

import (
	"context"

	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// VersionsOf makes a binding what a task runs.
func VersionsOf(b *plugin.Binding) Versions { return Bound(b, nil) }

// StoredIn is the offsets that a worker's store has of a connector.
func StoredIn(s *offset.Store, connector string) func(context.Context, []wit.Field) ([]wit.Field, error) {
	return func(ctx context.Context, partition []wit.Field) ([]wit.Field, error) {
		fields, _, err := s.Get(ctx, connector, partition)
		return fields, err
	}
}
