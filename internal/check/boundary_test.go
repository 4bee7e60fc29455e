package check

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
)

// transaction.boundary=interval is accepted with a warning that it is treated as poll.
func TestIntervalBoundaryWarns(t *testing.T) {
	for boundary, want := range map[string]string{"poll": "", "connector": "",
		"interval": "interval is treated as poll",
		"Interval": "interval is treated as poll"} {
		w, problems := config.NewWorker("w", []config.Entry{config.NewEntry("bootstrap.servers", "h:1", "x", 1),
			config.NewEntry("group.id", "g", "x", 2),
			config.NewEntry("exactly.once.source.support", "enabled", "x", 3)}, nil, nil)
		require.NoError(t, problems.Err())
		connector, _ := config.NewConnector("c", []config.Entry{config.NewEntry("name", "c", "y", 1),
			config.NewEntry("transaction.boundary", boundary, "y", 2)}, nil)
		found := (&Checker{Worker: w}).checkBoundary(connector)
		if want == "" {
			assert.Equal(t, 0, len(found), boundary)
			continue
		}
		if len(found) != 1 || !found[0].Warning || found[0].Line != 2 {
			t.Fatalf("%s: expected a warning at line 2, found %v", boundary, found)
		}
		assert.Error(t, found[0], want)
	}
}
