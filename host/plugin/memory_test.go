package plugin_test

import (
	"context"
	"testing"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
)

// A guest whose calls make garbage keeps to a constant memory on one instance, 6.5 MiB here: its collector gets to run.
func TestGuestCollectsItsGarbage(t *testing.T) {
	with(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		in := batch(t, reg, 500, 100)
		for n := range 150 { // each creates more than 100 KB of garbage
			if _, err := i.Encode(ctx, nil, in, originsOf(in), nil); err != nil {
				t.Fatal(n, err)
			}
			if got := i.Module().Metrics.MemoryBytes; got > 12<<20 {
				t.Fatalf("call %d: memory has grown to %d bytes", n, got)
			}
		}
	})
}
