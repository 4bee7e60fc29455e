package main

import (
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// BenchmarkEncode writes 500 order lines a turn, natively.
func BenchmarkEncode(b *testing.B) {
	p := newPlugin()
	s := service.New(service.Options{})
	w := &writing{service: s}
	given := configuration(set("00", "Order_DetailCopies")...)
	asked, err := p.Open(Component, given, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	opened, err := p.Open(Component, given, nil, []wit.Response{w.exchange(&asked.Ask.Requests[0])})
	if err != nil {
		b.Fatal(err)
	}
	var rows []wit.Row
	var data []byte
	for i := range uint32(500) {
		start := uint32(len(data))
		if data, err = datum.Append(data, detail, 0, detailOf(1, int32(i))); err != nil {
			b.Fatal(err)
		}
		rows = append(rows, wit.Row{Origin: i, Value: wit.Datum{Form: wit.Structured, Schema: 1, Start: start,
			Size: uint32(len(data)) - start}})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Encode(opened.Ready.Context, []wit.Schema{{ID: 1, Nodes: detail}}, []string{"Order_DetailCopies"}, rows, data, nil,
			nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/row")
}
