package sink

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// While the first batch of a run waits for its response, 150 others of other keys are written. At the end the service
// has all rows: inserts once each, and of the upserts the last one of each key.
func TestSlowFirstBatchIsOvertaken(t *testing.T) {
	t.Parallel()
	const rows, batch, overtaking = 800, 2, 150
	for mode, keys := range map[string]int{"insert": rows, "upsert": rows / 2} {
		t.Run(mode, func(t *testing.T) {
			s := odatatest.New(odatatest.Options{Rows: 1})
			var batches atomic.Int32
			var free func()
			count := func(r *http.Request, _ int) bool {
				if !strings.HasSuffix(r.URL.Path, "/$batch") {
					return false
				}
				if batches.Add(1) == overtaking {
					free()
				}
				return true
			}
			address, _, release := holdFirst(t, s, count)
			free = release
			p := e2etest.NewPlace(t)
			servers := p.StartBroker()
			want := map[string]string{}
			records := make([]*kgo.Record, rows)
			for i := range records {
				id := i % keys
				want[fmt.Sprintf("(%d)", id)] = fmt.Sprint(i)
				records[i] = &kgo.Record{Topic: "Orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, id),
					Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"%d"}`, id, i)}
			}
			e2etest.Produce(t, servers, records...)
			p.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), p.WritePlainWorker(servers), p.File("back.properties",
				append(e2etest.Sink("back", address, "Orders", "OrderCopies"), "sap.odata.operation.mode="+mode,
					fmt.Sprint("sap.odata.max.batch.size=", batch), "sap.odata.flush.trigger.size=20")...))
			assert.Equal(t, want, references(s, "OrderCopies"), "rows")
			e2etest.CheckCreatedOnce(t, s.Ledger(), keys)
		})
	}
}
