package sink

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// T12: of a service that answers 30 % of writes with 400 "locked by …", and is asked for half the deletes twice, no
// record becomes a dead letter: locks are waited for, and what is gone is as good as deleted. In batches and without.
func TestLocksAndSecondDeletesAreNoDeadLetters(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"batches": {"sap.odata.max.batch.size=7"},
		"single":  {"sap.odata.enable.batch=0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			s, address := e2etest.Demo(t, odatatest.Options{Rows: 1, Switches: odatatest.Switches{EnqueueLocks: 30}})
			broker := e2etest.Embedded(t).Addr()
			var records []*kgo.Record
			const orders = 60
			add := func(order int, value string) {
				r := &kgo.Record{Topic: "Changes", Partition: 0, Key: fmt.Appendf(nil, `{"OrderID":%d}`, order)}
				if value != "" {
					r.Value = []byte(value)
				}
				records = append(records, r)
			}
			for order := 1; order <= orders; order++ {
				add(order, fmt.Sprintf(`{"OrderID":%d,"ShipName":"first"}`, order))
				add(order, fmt.Sprintf(`{"OrderID":%d,"ShipName":"second"}`, order))
				if order%2 == 0 {
					add(order, "")
				}
				if order%4 == 0 {
					add(order, "")
				}
			}
			client := e2etest.Client(t, broker, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1))
			e2etest.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
			worker := p.Plain(broker)
			lines := append(e2etest.Instead(e2etest.SinkOf("locks", address, "Changes", "OrderCopies"), "sap.odata.max.retries=200",
				"sap.odata.min.retry.backoff.ms=1",
				"sap.odata.max.retry.backoff.ms=2", "sap.odata.operation.mode=upsert", "sap.odata.enable.delete=1",
				"errors.tolerance=all",
				"errors.deadletterqueue.topic.name=letters"), settings...)
			r := p.MustOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File("locks.properties", lines...))
			if strings.Contains(r.Stderr, "record skipped") {
				t.Errorf("expected no skipped record\n%s", r.Stderr)
			}
			for partition, end := range e2etest.EndsOn(t, broker, "letters") {
				if end != 0 {
					t.Errorf("expected no dead letters, found %d in partition %v\n%s", end, partition, r.Stderr)
				}
			}
			found := references(s, "OrderCopies")
			for order := 1; order <= orders; order++ {
				want := "second"
				if order%2 == 0 {
					want = ""
				}
				if name := found[fmt.Sprintf("(%d)", order)]; name != want {
					t.Errorf("order %d: expected %q, found %q", order, want, name)
				}
			}
			if s.Ledger().Statuses[400] == 0 && name == "single" {
				t.Error("expected the service to refuse some for locks")
			}
		})
	}
}
