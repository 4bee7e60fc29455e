package check_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// looks is a context that ends at a given call of its Err method.
type looks struct {
	context.Context
	count atomic.Int64
	last  atomic.Int64
}

func (l *looks) Err() error {
	if n := l.count.Add(1); l.last.Load() > 0 && n >= l.last.Load() {
		return context.Canceled
	}
	return l.Context.Err()
}

// The cost of a check grows linearly with the entity sets of a connector and with the other connectors. No plugin limit
// bounds this work, so the end of the context must stop it.
func TestCheckCostIsLinear(t *testing.T) {
	b := checktest.New(t, map[string][]byte{"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")})
	source := func(name string, sets int, set string) *config.Connector {
		lines := []string{"name=" + name, "connector.class=ODataSource", "sap.odata.host.address=127.0.0.1",
			"sap.odata.host.port=1"}
		for n := range sets {
			prefix := fmt.Sprintf("sap.odata#%03d.", n)
			lines = append(lines, prefix+"service=/s", fmt.Sprint(prefix, "entityset=", set, n), prefix+"topic=t")
		}
		return b.Connector(t, lines...)
	}
	among := func(connectors ...*config.Connector) *check.Checker {
		k := b.Checker.WithConnectors(connectors)
		return &k
	}
	// The cost is measured in allocations: the lookup of a declaration allocates.
	ofSets := func(n int) float64 {
		first := source("first", n, "X")
		second := source("second", n, "X")
		return testing.AllocsPerRun(1, func() {
			if warned := among(first, second).Check(t.Context(), second); warned.Err() != nil || len(warned) != n {
				t.Fatalf("expected a warning for each of %d sets, found %d: %v", n, len(warned), warned.Err())
			}
		})
	}
	if few, many := ofSets(40), ofSets(160); many < 2*few || many > 5*few {
		t.Errorf("expected four times the sets to cost about four times as much, found %v and %v "+
			"allocations", few, many)
	}

	last := source("last", 1, "X")
	ofConnectors := func(n int) (*check.Checker, float64) {
		var connectors []*config.Connector
		for len(connectors) < n {
			other := fmt.Sprint("other", len(connectors))
			connectors = append(connectors, source(other, 1, other))
		}
		k := among(append(connectors, source("first", 1, "X"), source("twin", 1, "X"), last)...)
		return k, testing.AllocsPerRun(1, func() {
			warned := k.Check(t.Context(), last)
			if len(warned) != 1 || !strings.Contains(warned[0].Text,
				"connector first reads the same data into topic t") {
				t.Fatalf("expected one warning of connector first among %d, found %s", n, checktest.Text(warned))
			}
		})
	}
	small, few := ofConnectors(10)
	large, many := ofConnectors(50)
	if count := (many - few) / 40; count > 10 {
		t.Errorf("expected the check with a known plan to cost almost nothing, found %v allocations", count)
	}

	ctx := &looks{Context: t.Context()}
	small.Check(ctx, last)
	looked := ctx.count.Swap(0)
	large.Check(ctx, last)
	if all := ctx.count.Load(); all != looked+40 {
		t.Errorf("expected one check of the context for each of 40 more connectors, found %d and %d", looked, all)
	}
	ctx.last.Store(ctx.count.Swap(0) - 25)
	ended := checktest.Text(large.Check(ctx, last))
	if !strings.Contains(ended, "the check was canceled: context canceled") {
		t.Errorf("expected a problem about the canceled check, found %q", ended)
	}
}
