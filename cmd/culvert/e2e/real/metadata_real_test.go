//go:build real

package real

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestRealCommitMetadata lets sinks commit to Apache Kafka brokers whose offset.metadata.max.bytes is smaller than by
// default: with a smaller limit all rows are written once; below the required size the task fails and names the setting
// before anything is written.
func TestRealCommitMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit string
		fails bool
	}{
		{limit: "64", fails: true},
		{limit: "500"},
	} {
		t.Run(c.limit, func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			more := filepath.Join(t.TempDir(), "broker.properties")
			require.NoError(t, os.WriteFile(more, []byte("offset.metadata.max.bytes="+c.limit+"\n"), 0o600))
			port := e2etest.FreePort(t)
			controller := e2etest.FreePort(t)
			dir := t.TempDir()
			e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + controller,
				"BROKER_PROPS=" + more}, port, dir)
			s, address := e2etest.StartDemo(t, odatatest.Options{Rows: 300, PageSize: 100})
			worker := p.File("worker.properties", "bootstrap.servers=127.0.0.1:"+port, "listeners=")
			run := func(settings ...string) e2etest.Result {
				return p.StartFor(rightsLimit, "run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"),
					"--data", p.Data, worker, p.File("connector.properties", append(settings,
						e2etest.NoReadTimeout)...)).Wait()
			}
			r := run(e2etest.Source("there", address, "Orders")...)
			require.Equal(t, 0, r.Code, "exit", r.Stderr)
			sink := append(e2etest.Sink("back", address, "Orders", "OrderCopies"), "sap.odata.max.batch.size=7",
				"sap.odata.flush.trigger.size=50")
			for range 2 { // the second run finds what the first one has stored, and ends the same
				r := run(sink...)
				switch {
				case c.fails && (r.Code != 1 || !strings.Contains(r.LastLine(), "offset.metadata.max.bytes")):
					t.Fatalf("expected exit 1 and offset.metadata.max.bytes, found %d\n%s", r.Code, r.Stderr)
				case c.fails && len(s.Ledger().Writes) > 0:
					t.Fatalf("expected no write, found %d", len(s.Ledger().Writes))
				case !c.fails && r.Code != 0:
					t.Fatalf("expected exit 0, found %d\n%s", r.Code, r.Stderr)
				}
			}
			if c.fails {
				return
			}
			diff := cmp.Diff(e2etest.Entities(s, "Orders"), e2etest.Entities(s, "OrderCopies"))
			assert.True(t, diff == "", "Orders and OrderCopies differ\n%s", diff)
			e2etest.CheckNoneTwice(t, s.Ledger())
		})
	}
}
