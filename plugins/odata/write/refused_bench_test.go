package write

import (
	"fmt"
	"testing"

	host "github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// refusedRows are schemaless rows of which each is refused.
func refusedRows(b *testing.B, registry *record.Registry, rows uint32) (*record.Batch, record.Origins) {
	batch := &record.Batch{Registry: registry, Topics: []string{"OrderCopies"}}
	origins := record.Origins{Topics: batch.Topics}
	put := func(v any) wit.Datum {
		start := uint32(len(batch.Data))
		var err error
		batch.Data, err = datum.AppendDynamic(batch.Data, v)
		noError(b, err)
		return wit.Datum{Form: wit.Dynamic, Start: start, Size: uint32(len(batch.Data)) - start}
	}
	for i := range rows {
		batch.Rows = append(batch.Rows, wit.Row{Origin: i, Offset: int64(i), Timestamp: 1_700_000_000_000,
			Key: put(fields("OrderID", int64(i))), Value: put(fields("OrderID", fmt.Sprintf("x%d", i), "ShipCity", "Köln"))})
		origins.IDs = append(origins.IDs, wit.RecordID{Offset: int64(i)})
	}
	return batch, origins
}

// BenchmarkRefusedInSandbox has the host encode 1,000 rows of which each is refused, in processor time a row.
func BenchmarkRefusedInSandbox(b *testing.B) {
	registry := record.NewRegistry()
	batch, origins := refusedRows(b, registry, 1000)
	err := boundTo(b, registry).Current().Do(b.Context(), func(i *host.Instance) error {
		s := &sandboxed{ctx: b.Context(), i: i, w: &writing{t: &testing.T{},
			service: odatatest.New(odatatest.Options{})}}
		if err := s.open(); err != nil {
			return err
		}
		began, n := processorTime(), 0
		for b.Loop() {
			d, err := i.Encode(b.Context(), s.context, batch, origins, nil)
			if err != nil || len(d.Refused) != len(batch.Rows) {
				return fmt.Errorf("found %d refused: %w", len(d.Refused), err)
			}
			n += len(d.Refused)
		}
		b.ReportMetric(float64(processorTime()-began)/float64(n), "cpu-ns/row")
		return nil
	})
	noError(b, err)
}
