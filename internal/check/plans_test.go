package check_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
)

// The cost of a check grows linearly with the entity sets of a connector and with the other connectors. No plugin limit
// bounds this work, so the end of the context must stop it.
func TestCheckCostIsLinear(t *testing.T) {
	b := checktest.New(t, map[string][]byte{"odata-source": guesttest.Bytes(t, "../../plugins/odata-source")})
	// source returns a source that reads setCount entity sets into the topic t. Their names begin with setPrefix.
	source := func(name string, setCount int, setPrefix string) *resolved.Connector {
		lines := []string{"name=" + name, "connector.class=ODataSource", "sap.odata.host.address=127.0.0.1",
			"sap.odata.host.port=1"}
		for n := range setCount {
			prefix := fmt.Sprintf("sap.odata#%03d.", n)
			lines = append(lines, prefix+"service=/s", fmt.Sprint(prefix, "entityset=", setPrefix, n), prefix+"topic=t")
		}
		return b.Connector(t, lines...)
	}
	newChecker := func(connectors ...*resolved.Connector) *check.Checker {
		checker := b.Checker.WithConnectors(connectors)
		return &checker
	}

	// The cost is measured in allocations: the lookup of a declaration allocates.
	costOfSets := func(n int) float64 {
		first := source("first", n, "X")
		second := source("second", n, "X")
		return testing.AllocsPerRun(1, func() {
			warnings := newChecker(first, second).Check(t.Context(), second)
			if warnings.Err() != nil || len(warnings) != n {
				t.Fatalf("expected a warning for each of %d sets, found %d: %v", n, len(warnings), warnings.Err())
			}
		})
	}
	if cost, costOfFourTimes := costOfSets(40), costOfSets(160); costOfFourTimes < 2*cost || costOfFourTimes > 5*cost {
		t.Errorf("expected four times the sets to cost about four times as much, found %v and %v allocations",
			cost, costOfFourTimes)
	}

	// The last of the connectors conflicts with the first of three that read the same set, after n others. Their plans
	// are cached by the first of the two runs.
	last := source("last", 1, "X")
	costOfConnectors := func(n int) (*check.Checker, float64) {
		var connectors []*resolved.Connector
		for len(connectors) < n {
			other := fmt.Sprint("other", len(connectors))
			connectors = append(connectors, source(other, 1, other))
		}
		checker := newChecker(append(connectors, source("first", 1, "X"), source("twin", 1, "X"), last)...)
		return checker, testing.AllocsPerRun(1, func() {
			warnings := checker.Check(t.Context(), last)
			if len(warnings) != 1 || !strings.Contains(warnings[0].Text,
				"connector first reads the same data into topic t") {
				t.Fatalf("expected one warning of connector first among %d, found %s", n, resolvedtest.Lines(warnings))
			}
		})
	}
	const fewConnectors, manyConnectors = 10, 50
	few, costOfFew := costOfConnectors(fewConnectors)
	many, costOfMany := costOfConnectors(manyConnectors)
	cost := (costOfMany - costOfFew) / (manyConnectors - fewConnectors)
	assert.AtMost(t, 10, cost, "another connector with a cached plan to cost almost nothing: allocations")

	// The check looks at the context once for each connector, and ends with it.
	ctx := &countingContext{Context: t.Context()}
	few.Check(ctx, last)
	callsOfFew := ctx.calls.Swap(0)
	many.Check(ctx, last)
	callsOfMany := ctx.calls.Swap(0)
	assert.True(t, callsOfMany == callsOfFew+manyConnectors-fewConnectors,
		"expected one check of the context for each of %d more connectors, found %d and %d",
		manyConnectors-fewConnectors, callsOfFew, callsOfMany)
	ctx.lastCall.Store(callsOfMany - 25) // between two connectors
	problems := resolvedtest.Lines(many.Check(ctx, last))
	assert.True(t, strings.Contains(problems, "the check was canceled: context canceled"),
		"expected a problem about the canceled check, found %q", problems)
}

// countingContext is a context that counts the calls of Err, and ends at one of them.
type countingContext struct {
	context.Context
	calls    atomic.Int64
	lastCall atomic.Int64 // the number of the call at which the context ends. Zero means that it does not end.
}

func (c *countingContext) Err() error {
	calls := c.calls.Add(1)
	if last := c.lastCall.Load(); last > 0 && calls >= last {
		return context.Canceled
	}
	return c.Context.Err()
}
