package sink

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A service that answers 3 operations of a batch gets smaller batches after its first answers: all rows are inserted,
// each once, and then updated, few of them twice. One warning for a batch names the setting.
func TestMissingPartsOfManyBatches(t *testing.T) {
	t.Parallel()
	const rows, batch = 1_000, 20
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1,
		Switches: odatatest.Switches{BatchAnswers: 3}})
	servers := p.StartBroker()
	for _, mode := range []string{"insert", "merge"} {
		want := map[string]string{}
		records := make([]*kgo.Record, rows)
		for i := range records {
			want[fmt.Sprintf("(%d)", i)] = mode
			records[i] = &kgo.Record{Topic: mode, Key: fmt.Appendf(nil, `{"OrderID":%d}`, i),
				Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":%q}`, i, mode)}
		}
		e2etest.Produce(t, servers, records...)
		r := p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), p.WritePlainWorker(servers), p.File(mode+".properties",
			append(e2etest.Sink(mode, address, mode, "OrderCopies"), "sap.odata.operation.mode="+mode,
				"sap.odata.insert.uncertain=check", fmt.Sprint("sap.odata.max.batch.size=", batch),
				"sap.odata.changesets=one", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")...))
		assert.Equal(t, want, references(s, "OrderCopies"), "after "+mode)
		warnings := 0
		for line := range strings.Lines(r.Stderr) {
			if strings.Contains(line, "sap.odata.max.batch.size") && strings.Contains(line, "WARN") {
				warnings++
			}
		}
		// Batches that were encoded before the first response have the configured size.
		assert.True(t, warnings != 0 && warnings <= rows/batch/4,
			"%s: expected a warning for each of the first batches, found %d", mode, warnings)
		assert.AtMost(t, warnings+10, strings.Count(r.Stderr, "level=WARN"), mode, "no warning for each row")
	}
	updates := 0
	l := s.Ledger()
	for _, w := range l.Writes {
		updates += w.Updated
	}
	e2etest.CheckCreatedOnce(t, l, rows)
	assert.AtMost(t, rows+30*batch, updates, rows, "updates and some repeated ones")
}
