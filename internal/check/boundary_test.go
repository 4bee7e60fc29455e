package check

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
)

// transaction.boundary=interval is accepted with a warning that it is treated as poll.
func TestIntervalBoundaryWarns(t *testing.T) {
	worker, problems := config.NewWorker("w", []config.Entry{
		config.NewEntry("bootstrap.servers", "h:1", "w", 1),
		config.NewEntry("group.id", "g", "w", 2),
		config.NewEntry("exactly.once.source.support", "enabled", "w", 3),
	}, nil, nil)
	require.NoError(t, problems.Err())
	for boundary, want := range map[string]string{ // "" means no warning
		"poll":      "",
		"connector": "",
		"interval":  "interval is treated as poll",
		"Interval":  "interval is treated as poll",
	} {
		connector := resolved.Resolver{Worker: worker}.ResolveAs(
			resolvedtest.Connector(t, "name=c\ntransaction.boundary="+boundary), resolvedtest.Shop())
		problems := (&Checker{Worker: worker}).checkBoundary(connector)
		if want == "" {
			assert.Equal(t, 0, len(problems), boundary)
			continue
		}
		require.True(t, len(problems) == 1 && problems[0].Warning && problems[0].Line == 2,
			"%s: expected a warning at line 2, found %v", boundary, problems)
		assert.Error(t, problems[0], want)
	}
}
