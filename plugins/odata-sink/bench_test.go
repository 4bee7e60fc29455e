package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	host "github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var orderNodes = nodesOf(column{name: "OrderID", kind: wit.Int32}, column{name: "CustomerID", kind: wit.String,
	optional: true},
	column{name: "EmployeeID", kind: wit.Int32, optional: true},
	column{name: "OrderDate", kind: wit.Int64, logical: wit.NameTimestamp, optional: true},
	column{name: "ShipVia", kind: wit.Int32, optional: true},
	column{name: "Freight", kind: wit.Bytes, logical: wit.NameDecimal, optional: true},
	column{name: "ShipName", kind: wit.String, optional: true}, column{name: "ShipCity", kind: wit.String,
		optional: true},
	column{name: "ShipPostalCode", kind: wit.String, optional: true},
	column{name: "ShipCountry", kind: wit.String, optional: true})

// processorTime returns the CPU time of the process.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// benchmarkCases are the kinds of batches to measure. With omitsLocation the responses have no Location.
var benchmarkCases = []struct {
	name       string
	settings   []string
	silent     bool
	updates    bool
	schemaless bool
	variant    int // of variants
}{
	{name: "JSON"},
	{name: "v4", variant: 1},
	{name: "v4 JSON batch", variant: 2},
	{name: "without schemas", schemaless: true},
	{name: "RequestIDs", settings: []string{"sap.odata.insert.uncertain=repeatable"}},
	{name: "Atom", settings: []string{"sap.odata.request.format=atom"}},
	{name: "no Location", silent: true},
	{name: "ETags", settings: []string{"sap.odata.operation.mode=merge", "sap.odata.etag=use"}, updates: true},
}

// BenchmarkBatchInSandbox encodes batches of 1,000 orders with ten fields and handles the responses in the sandbox.
func BenchmarkBatchInSandbox(b *testing.B) {
	registry := record.NewRegistry()
	bound := bindSink(b, registry)
	orders := ordersIn(b, registry, 1000)
	maps := mapsIn(b, registry, 1000)
	for _, way := range benchmarkCases {
		b.Run(way.name, func(b *testing.B) {
			rows := orders
			if way.schemaless {
				rows = maps
			}
			err := bound.Current().Do(b.Context(), func(instance *host.Instance) error {
				guest := &guestWriter{ctx: b.Context(), instance: instance, batch: rows, omitsLocation: way.silent,
					variant: way.variant, harness: &harness{t: &testing.T{}, class: variants[way.variant].class,
						service: odatatest.New(odatatest.Options{})}}
				if way.updates { // existing entities
					if err := errors.Join(guest.open(), guest.write(b)); err != nil {
						return err
					}
					guest.answers = nil
					guest.encodeTime = 0
					guest.handleTime = 0
				}
				if err := guest.open(way.settings...); err != nil {
					return err
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := guest.write(b); err != nil {
						return err
					}
				}
				all := float64(b.N) * float64(len(rows.Rows))
				b.ReportMetric(float64(guest.encodeTime)/all, "encode-ns/row")
				b.ReportMetric(float64(guest.handleTime)/all, "settle-ns/row")
				b.ReportMetric(float64(guest.encodeTime+guest.handleTime)/all, "ns/row")
				return nil
			})
			require.NoError(b, err)
		})
	}
}

// bindSink starts the sink in the sandbox.
func bindSink(t testing.TB, registry *record.Registry) *host.Binding {
	t.Helper()
	m, err := host.New(t.Context(), host.Options{Folders: []string{filepath.Dir(guesttest.Build(t,
		"."))},
		Registry: registry, CacheDir: guesttest.Code(t)})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	bound, err := m.Bind("c", wit.ComponentSink, sinkconfig.V2.Alias, "")
	if err != nil {
		t.Fatalf("%v (%v)", err, m.Modules())
	}
	t.Cleanup(bound.Close)
	return bound
}

// mapsIn returns the orders as a JSON converter with schemas.enable=false reads them.
func mapsIn(t testing.TB, registry *record.Registry, rows uint32) *record.Batch {
	t.Helper()
	w := &harness{t: &testing.T{}}
	batch := &record.Batch{Registry: registry, Topics: []string{"OrderCopies"}}
	for i := range rows {
		value := w.schemaless(connectdata.Map{{Key: "OrderID", Value: int64(i)}, {Key: "CustomerID", Value: "ALFKI"},
			{Key: "EmployeeID", Value: int64(5)}, {Key: "ShipVia", Value: int64(3)},
			{Key: "Freight", Value: fmt.Sprintf("%d.25", i)}, {Key: "ShipName", Value: "Vins et alcools Chevalier"},
			{Key: "ShipCity", Value: "Köln"}, {Key: "ShipPostalCode", Value: fmt.Sprintf("%05d", i)},
			{Key: "ShipCountry", Value: "Germany"}, {Key: "OrderDate", Value: "2024-01-02T03:04:05"}})
		row := wit.Row{RowIndex: i, Offset: int64(i), Timestamp: 1_700_000_000_000, Value: value}
		batch.Rows = append(batch.Rows, row)
	}
	batch.Data = w.data
	return batch
}

func ordersIn(b testing.TB, registry *record.Registry, rows uint32) *record.Batch {
	return structBatch(b, registry, "OrderCopies", orderNodes, rows, orderOf)
}

// structBatch returns a batch of rows with one schema.
func structBatch(t testing.TB, registry *record.Registry, topic string, nodes []wit.SchemaNode, rows uint32,
	value func(uint32) connectdata.Struct) *record.Batch {
	t.Helper()
	schema, err := registry.Intern(nodes)
	require.NoError(t, err)
	batch := &record.Batch{Registry: registry, Topics: []string{topic}}
	for i := range rows {
		start := uint32(len(batch.Data))
		batch.Data, err = connectdata.Append(batch.Data, nodes, 0, value(i))
		require.NoError(t, err)
		batch.Rows = append(batch.Rows, wit.Row{RowIndex: i, Offset: int64(i), Timestamp: 1_700_000_000_000,
			Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
				Size: uint32(len(batch.Data)) - start}})
	}
	return batch
}

// guestWriter writes a batch on an instance and measures the CPU time. Each response of the service is reused.
type guestWriter struct {
	ctx           context.Context
	instance      *host.Instance
	batch         *record.Batch
	harness       *harness
	context       []byte
	answers       []wit.Response
	omitsLocation bool
	variant       int // of variants
	encodeTime    time.Duration
	handleTime    time.Duration
}

func (g *guestWriter) open(settings ...string) error {
	context, err := openIn(g.ctx, g.instance, g.harness, variantSettings(g.variant, append(append(set("00", "OrderCopies"),
		oneOrderingKey, "sap.odata.max.batch.size=1000"), settings...))...)
	if err == nil {
		g.context = context
	}
	return err
}

// openIn opens a sink on an instance, and returns its context.
func openIn(ctx context.Context, instance *host.Instance, run *harness, settings ...string) ([]byte, error) {
	config := configuration(settings...)
	class := cmp.Or(run.class, sinkconfig.V2).Class
	inquiry, err := instance.OpenSink(ctx, class, config, nil, nil)
	if err != nil {
		return nil, err
	}
	opened, err := instance.OpenSink(ctx, class, config, nil,
		[]wit.Response{run.exchange(&inquiry.Pending.Requests[0])})
	if err != nil {
		return nil, err
	}
	return opened.Ready.Context, nil
}

// write writes all rows.
func (g *guestWriter) write(b *testing.B) error {
	rows := len(g.batch.Rows)
	origins := record.RecordIDs{Topics: g.batch.Topics, IDs: make([]wit.RecordID, rows)}
	for i := range origins.IDs {
		origins.IDs[i].Offset = int64(i)
	}
	var hints []wit.Hint
	for step := 0; ; step++ {
		start := processorTime()
		out, err := g.instance.Encode(g.ctx, g.context, g.batch, origins, hints)
		if err != nil || len(out.Ready) != 1 || len(out.Ready[0].Rows) != rows {
			return fmt.Errorf("expected one delivery of %d rows, found %d (%w)", rows, len(out.Ready), err)
		}
		g.encodeTime += processorTime() - start
		delivery := &out.Ready[0]
		if step == len(g.answers) {
			b.StopTimer()
			answer := g.harness.exchange(&delivery.Request)
			if g.omitsLocation {
				answer.Body = location.ReplaceAll(answer.Body, nil)
			}
			g.answers = append(g.answers, answer)
			b.StartTimer()
		}
		start = processorTime()
		result, err := g.instance.HandleResponse(g.ctx, g.context, delivery.State, delivery.Rows, g.answers[step])
		if err != nil || len(result.Results) != rows {
			return fmt.Errorf("expected results of %d rows, found %d (%w)", rows, len(result.Results), err)
		}
		g.handleTime += processorTime() - start
		if result.Context != nil { // the first responses are learned from
			g.context = *result.Context
		}
		hints = hints[:0]
		for n, rowResult := range result.Results {
			switch {
			case rowResult.Retry != nil:
				hints = append(hints, wit.Hint{Row: delivery.Rows[n], Text: rowResult.Retry.Hint})
			case rowResult.Written == nil:
				return fmt.Errorf("row %d: %w", n, rowResult.Rejected)
			}
		}
		if len(hints) == 0 {
			return nil
		}
	}
}

var location = regexp.MustCompile("(?i)\r\nlocation: [^\r]*")

func orderOf(i uint32) connectdata.Struct {
	return connectdata.Struct{int32(i), "ALFKI", int32(5),
		int64(836_438_400_000) + int64(i)*86_400_000, int32(3), big.NewInt(323_800 + int64(i)).Bytes(),
		"Vins et alcools Chevalier", "Köln", fmt.Sprintf("%05d", i), "Germany"}
}
