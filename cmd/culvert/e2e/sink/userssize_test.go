package sink

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Each mode writes 25,000 records, all to one service; upserts update half of the rows and insert the others.
func TestWritesAtUsersSize(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 1})
	servers := p.StartBroker()
	rowModes := map[string]string{} // the mode that has last written each row
	want := odatatest.Write{}
	batches := 0
	for _, mode := range []string{"insert", "update", "merge", "patch", "upsert", "dynamic", "delete"} {
		settings := []string{"sap.odata.operation.mode=" + mode, "sap.odata.enable.batch=1"}
		switch mode {
		case "dynamic":
			settings = append(settings, "sap.odata.operation.mode.property=Does")
		case "delete":
			settings[0] = "sap.odata.enable.delete=1"
		}
		records := make([]*kgo.Record, rows)
		for i := range records {
			operation := mode
			id := i
			if mode == "dynamic" {
				operation = []string{"I", "U", "M", "D"}[i%4]
			}
			if mode == "upsert" && i%2 == 1 {
				operation = "insert"
				id = 2*rows + i
			}
			// Dynamic mode inserts new rows, which delete mode deletes in place of the rows that are deleted already.
			if operation == "I" || (mode == "delete" && i%4 == 3) {
				id = rows + i/4*4
			}
			r := &kgo.Record{Topic: mode, Key: fmt.Appendf(nil, `{"OrderID":%d}`, id)}
			switch mode {
			case "dynamic":
				r.Value = fmt.Appendf(nil, `{"OrderID":%d,"ShipName":%q,"Does":%q}`, id, mode, operation)
			case "delete": // a tombstone has no value
			default:
				r.Value = fmt.Appendf(nil, `{"OrderID":%d,"ShipName":%q}`, id, mode)
			}
			key := fmt.Sprintf("(%d)", id)
			rowModes[key] = mode
			switch operation {
			case "insert", "I":
				want.Created++
			case "delete", "D":
				want.Deleted++
				delete(rowModes, key)
			default:
				want.Updated++
			}
			records[i] = r
		}
		e2etest.Produce(t, servers, records...)
		p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), p.WritePlainWorker(servers), p.File(mode+".properties",
			append(e2etest.Sink(mode, address, mode, "OrderCopies"), settings...)...))
		assert.Equal(t, rowModes, references(s, "OrderCopies"), "after "+mode)
		var write odatatest.Write
		l := s.Ledger()
		for _, w := range l.Writes {
			write = odatatest.Write{Created: write.Created + w.Created, Updated: write.Updated + w.Updated,
				Deleted: write.Deleted + w.Deleted}
		}
		assert.Equal(t, want, write, "writes after "+mode)
		assert.True(t, l.Batches != batches, "%s: expected batches, found none", mode)
		batches = l.Batches
	}
}
