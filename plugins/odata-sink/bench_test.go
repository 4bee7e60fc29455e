package main

import (
	"fmt"
	"math/big"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	host "github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// order is ten fields of an order.
var order = nodesOf(column{name: "OrderID", kind: wit.Int32}, column{name: "CustomerID", kind: wit.Text,
	optional: true},
	column{name: "EmployeeID", kind: wit.Int32, optional: true},
	column{name: "OrderDate", kind: wit.Int64, logical: wit.NameTimestamp, optional: true},
	column{name: "ShipVia", kind: wit.Int32, optional: true},
	column{name: "Freight", kind: wit.Bytes, logical: wit.NameDecimal, optional: true},
	column{name: "ShipName", kind: wit.Text, optional: true}, column{name: "ShipCity", kind: wit.Text, optional: true},
	column{name: "ShipPostalCode", kind: wit.Text, optional: true},
	column{name: "ShipCountry", kind: wit.Text, optional: true})

// processorTime is what the process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBatchInSandbox encodes batches of 1,000 orders of ten fields and settles their answers, as the host has it
// done, crossing and fences included: processor time a row.
func BenchmarkBatchInSandbox(b *testing.B) {
	const rows = 1000
	registry := record.NewRegistry()
	m, err := host.New(b.Context(), host.Options{Folders: []string{filepath.Dir(guesttest.Build(b, "."))},
		Registry: registry})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	bound, err := m.Bind("c", wit.ComponentSink, Alias, "")
	if err != nil {
		b.Fatal(err)
	}
	defer bound.Close()
	schema, err := registry.Intern(order)
	if err != nil {
		b.Fatal(err)
	}
	batch := &record.Batch{Registry: registry, Topics: []string{"OrderCopies"}}
	origins := record.Origins{Topics: batch.Topics, IDs: make([]wit.RecordID, rows)}
	for i := range uint32(rows) {
		start := uint32(len(batch.Data))
		batch.Data, err = datum.Append(batch.Data, order, 0, datum.Record{int32(i), "ALFKI", int32(5),
			int64(836_438_400_000) + int64(i)*86_400_000, int32(3), big.NewInt(323_800 + int64(i)).Bytes(),
			"Vins et alcools Chevalier", "Köln", fmt.Sprintf("%05d", i), "Germany"})
		if err != nil {
			b.Fatal(err)
		}
		batch.Rows = append(batch.Rows, wit.Row{Origin: i, Offset: int64(i), Timestamp: 1_700_000_000_000,
			Value: wit.Datum{Form: wit.Structured, Schema: schema.ID, Start: start,
				Size: uint32(len(batch.Data)) - start}})
		origins.IDs[i].Offset = int64(i)
	}
	w := &writing{t: &testing.T{}, service: service.New(service.Options{})}
	given := configuration(append(set("00", "OrderCopies"), oneLane, "sap.odata.max.batch.size=1000")...)
	err = bound.Current().Do(b.Context(), func(i *host.Instance) error {
		asked, err := i.OpenSink(b.Context(), Component, given, nil, nil)
		if err != nil {
			return err
		}
		opened, err := i.OpenSink(b.Context(), Component, given, nil,
			[]wit.Response{w.exchange(&asked.Ask.Requests[0])})
		if err != nil {
			return err
		}
		context := opened.Ready.Context
		var answer wit.Response
		var encode, settle time.Duration
		b.ReportAllocs()
		for b.Loop() {
			began := processorTime()
			out, err := i.Encode(b.Context(), context, batch, origins, nil)
			if err != nil || len(out.Ready) != 1 || len(out.Ready[0].Rows) != rows {
				return fmt.Errorf("expected one delivery of %d rows, found %d (%w)", rows, len(out.Ready), err)
			}
			encode += processorTime() - began
			d := &out.Ready[0]
			if answer.Status == 0 {
				b.StopTimer()
				answer = w.exchange(&d.Request)
				b.StartTimer()
			}
			began = processorTime()
			settled, err := i.Settle(b.Context(), context, d.Memo, d.Rows, answer)
			if err != nil || len(settled.Verdicts) != rows || settled.Verdicts[rows-1].Written == nil {
				return fmt.Errorf("expected %d rows to be written, found %d verdicts (%w)", rows, len(settled.Verdicts),
					err)
			}
			settle += processorTime() - began
			if settled.Context != nil { // the first answers teach something
				context = *settled.Context
			}
		}
		all := float64(b.N) * rows
		b.ReportMetric(float64(encode)/all, "encode-ns/row")
		b.ReportMetric(float64(settle)/all, "settle-ns/row")
		b.ReportMetric(float64(encode+settle)/all, "ns/row")
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
