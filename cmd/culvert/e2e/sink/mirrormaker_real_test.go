//go:build real

package sink

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestRealMirrorMaker lets MirrorMaker 2 copy a topic and a sink's offsets, which it translates, to another cluster.
// The sink is killed with two inserts in flight, which are not applied, and continues on the other cluster: nothing is
// lost or written twice.
func TestRealMirrorMaker(t *testing.T) {
	t.Parallel()
	const rows, firstHeld = 26_000, 17_000 // the inserts firstHeld and firstHeld+1 are held
	source := e2etest.StartKafka(t)
	target := e2etest.StartKafka(t)
	p := e2etest.NewPlace(t)
	service := odatatest.New(odatatest.Options{Rows: 1})
	var isHolding atomic.Bool
	isHolding.Store(true)
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		inserts := func(id int) bool { return bytes.Contains(body, fmt.Appendf(nil, `"ship %d"`, id)) }
		if r.Method == http.MethodPost && isHolding.Load() && (inserts(firstHeld) || inserts(firstHeld+1)) {
			<-r.Context().Done()
			return
		}
		service.ServeHTTP(w, r)
	}))
	back := p.File("back.properties", append(e2etest.Sink("back", address, "orders", "OrderCopies"),
		"sap.odata.enable.batch=0", "sap.odata.max.in.flight=8", "sap.odata.max.concurrent.requests=8",
		e2etest.NoReadTimeout, "sap.odata.insert.uncertain=check")...)
	start := func(servers string) *e2etest.Command {
		return p.StartOnce(e2etest.Plugins(t, "odata-sink"), p.WritePlainWorker(servers), back)
	}
	client := e2etest.NewClient(t, source)
	e2etest.CreateTopics(t, client, "orders")
	var records []*kgo.Record
	for n := range rows {
		records = append(records, &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, n+1),
			Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"ship %d"}`, n+1, n)})
	}
	e2etest.Produce(t, source, records...)
	// The sink is killed when everything but the two inserts is written and stored.
	c := start(source)
	admin := kadm.NewClient(client)
	var committed kadm.OffsetResponse
	c.Eventually("all but two records written and stored", func() bool {
		offsets, _ := admin.FetchOffsets(t.Context(), "connect-back")
		committed, _ = offsets.Lookup("orders", 0)
		return slices.Contains(strings.Fields(committed.Metadata), fmt.Sprintf("settled=2-%d", rows-1-firstHeld))
	})
	c.Kill()
	isHolding.Store(false)
	// MirrorMaker starts now, because it copies an offset's metadata only when the translated offset changes, and
	// would copy older metadata before.
	dir := t.TempDir()
	mirror := e2etest.StartPeer(t, "kafka/start-mirror.sh", dir, []string{"TOPICS=orders",
		"GROUPS_COPIED=connect-back"}, source, target, dir)
	admin = kadm.NewClient(e2etest.NewClient(t, target))
	var copied kadm.OffsetResponse
	c.Eventually("a copy of the group and of all records", func() bool {
		offsets, err := admin.FetchOffsets(t.Context(), "connect-back")
		copied, _ = offsets.Lookup("orders", 0)
		return err == nil && copied.Metadata == committed.Metadata && e2etest.EndOffsets(t, target, "orders")[0] == rows
	})
	mirror.Stop()
	t.Logf("the offset %d with %q is copied as %d", committed.At, committed.Metadata, copied.At)
	start(target).Wait().WantCode(0).WantStderrTimes(1, "the metadata of the group's offset is not about this log")
	e2etest.CheckCreatedOnce(t, service.Ledger(), rows)
	start(target).Wait().WantCode(0).WantStderrTimes(0, "is not about this log")
}
