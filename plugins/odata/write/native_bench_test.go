package write

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// BenchmarkBatchNative is BenchmarkBatchInSandbox without the sandbox, for profiles.
func BenchmarkBatchNative(b *testing.B) {
	const rows = 1000
	w := open(&testing.T{}, odatatest.New(odatatest.Options{}),
		append(set("00", "OrderCopies"), oneLane, "sap.odata.max.batch.size=1000")...)
	all := ordersIn(b, record.NewRegistry(), rows)
	w.schemas = []wit.Schema{{ID: all.Rows[0].Value.Schema, Nodes: order}}
	origins := make([]wit.RecordID, rows)
	for i := range origins {
		origins[i].Offset = int64(i)
	}
	encode := func(b *testing.B) *wit.Delivery {
		out, err := w.p.Encode(w.context, w.schemas, all.Topics, all.Rows, all.Data, origins, all.Topics, nil)
		if err != nil || len(out.Ready) != 1 || len(out.Ready[0].Rows) != rows {
			b.Fatal(len(out.Ready), err)
		}
		w.schemas = nil
		return &out.Ready[0]
	}
	d := encode(b)
	answer := w.exchange(&d.Request)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode(b)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
	})
	b.Run("settle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			settled, err := w.p.Settle(w.context, d.Memo, d.Rows, answer)
			if err != nil || len(settled.Verdicts) != rows || settled.Verdicts[rows-1].Written == nil {
				b.Fatal(err)
			}
			if settled.Context != nil {
				w.context = *settled.Context
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
	})
}

func orderOf(i uint32) datum.Record {
	return datum.Record{int32(i), "ALFKI", int32(5),
		int64(836_438_400_000) + int64(i)*86_400_000, int32(3), big.NewInt(323_800 + int64(i)).Bytes(),
		"Vins et alcools Chevalier", "Köln", fmt.Sprintf("%05d", i), "Germany"}
}
