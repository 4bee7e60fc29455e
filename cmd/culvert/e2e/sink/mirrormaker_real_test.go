//go:build real

package sink

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealMirrorMaker has MirrorMaker 2 copy a topic and a sink's offsets, which it translates, to another cluster. The
// sink is killed while inserts are on their way, and goes on there: nothing is lost, and nothing is written twice.
func TestRealMirrorMaker(t *testing.T) {
	t.Parallel()
	const rows, first = 26_000, 17_000
	var servers []string
	for range 2 {
		servers = append(servers, e2etest.Kafka(t))
	}
	here, there := servers[0], servers[1]
	m := NewMirrored(t, rows, first, "sap.odata.insert.uncertain=check")
	m.Fill(here, 0)
	had := m.Killed(here)
	// From here on only: MirrorMaker copies what stands with an offset when that offset, translated, has become another
	// one, so that it may be an old text else.
	dir := t.TempDir()
	mirror := e2etest.StartPeer(t, "kafka/start-mirror.sh", dir, []string{"TOPICS=orders", "GROUPS_COPIED=connect-back"}, here,
		there, dir)
	admin := kadm.NewClient(e2etest.Client(t, there))
	var copied kadm.OffsetResponse
	m.Eventually("a copy of the group and of all records", func() bool {
		all, err := admin.FetchOffsets(t.Context(), "connect-back")
		copied, _ = all.Lookup("orders", 0)
		return err == nil && copied.Metadata == had.Metadata && e2etest.EndsOn(t, there, "orders")[0] == rows
	})
	mirror.Stop()
	t.Logf("the offset %d is copied as %d", had.At, copied.At)
	m.Once(there).Exits(0).SaysTimes(1, "what stands with the group's offset is not about this log")
	e2etest.CreatedOnce(t, m.Service.Ledger(), rows)
	m.Once(there).Exits(0).SaysTimes(0, "is not about this log")
}
