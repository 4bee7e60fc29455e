package source

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// stillProducer sends nothing.
type stillProducer struct {
	Output
	batch Batch
}

func (p *stillProducer) NewBatch() Batch { return p.batch }

// keptBatch keeps its records, as kafka's batches do over many uses.
type keptBatch struct {
	records []kgo.Record
	n       int
}

func (b *keptBatch) Add() *kgo.Record {
	if b.n == len(b.records) {
		b.records = append(b.records, kgo.Record{})
	}
	b.n++
	return &b.records[b.n-1]
}
func (b *keptBatch) Headers(n int) []kgo.RecordHeader { return make([]kgo.RecordHeader, n) }
func (b *keptBatch) Len() int                         { return b.n }

// A row costs no allocation on its way through the stages once they are warm.
func TestNoAllocationForARow(t *testing.T) {
	registry := record.NewRegistry()
	nodes := []wit.Node{{Kind: wit.Structure, Name: wit.Ptr("N.Order"), Members: []wit.Member{{Name: "Id", Node: 1},
		{Name: "Name", Node: 2}}},
		{Kind: wit.Int32}, {Kind: wit.Text, Optional: true}}
	schema, err := registry.Intern(nodes)
	require.NoError(t, err)
	f := newFeedOf(NewTask(Options{Registry: registry}), nil)
	batch := &keptBatch{}
	f.pipe.output = &stillProducer{batch: batch}
	f.opened = &openedVersion{feeds: []wit.Feed{{Topic: "t"}}}
	s := &shaper{feed: f, topics: map[string]bool{}}
	json := map[string]string{"schemas.enable": "false"}
	if s.key, err = convert.New(convert.ClassJSON, json, convert.Use{Key: true, Schemas: registry}); err != nil {
		t.Fatal(err)
	}
	if s.value, err = convert.New(convert.ClassJSON, json, convert.Use{Schemas: registry}); err != nil {
		t.Fatal(err)
	}
	c := newChunk(registry)
	position := []wit.Field{wit.TextField("url", "/x")}
	p := &page{feed: f, fetch: &wit.Fetch{Position: &position, RepeatsExactly: true}, chunk: c,
		seen: seen{last: -1, keys: noRows}}
	values := make([]any, enoughRows)
	for i := range values {
		values[i] = datum.Record{int32(i), fmt.Sprint("name ", i)}
	}
	through := func() {
		c.reset("t", &origin{what: "GET /x"})
		batch.n = 0
		p.seen.last = -1
		for i := range values {
			start := uint32(len(c.batch.Data))
			c.batch.Data, err = datum.Append(c.batch.Data, nodes, 0, values[i])
			require.NoError(t, err)
			d := wit.Datum{Form: wit.Structured, Schema: schema.ID, Start: start,
				Size: uint32(len(c.batch.Data)) - start}
			c.batch.Rows = append(c.batch.Rows, wit.Row{Origin: uint32(i), Partition: -1, Timestamp: -1, Key: d,
				Value: d})
		}
		require.NoError(t, p.take(0))
		require.NoError(t, s.work(context.Background(), c))
	}
	through()
	if batch.n != enoughRows || string(batch.records[3].Value) != `{"Id":3,"Name":"name 3"}` {
		t.Fatalf("%d records, %s", batch.n, batch.records[3].Value)
	}
	// datum.Append of the test boxes nothing here: its values are boxed above
	if allocations := testing.AllocsPerRun(20, through); allocations > 5 {
		t.Errorf("expected no allocation for a row, found %.0f for %d rows", allocations, enoughRows)
	}
}
