package record_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// A part of a batch contains the data of its rows, and no bytes of other rows.
func TestBatchPart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := &record.Batch{Topics: []string{"a", "b"}}
	put := func() wit.ValueSlice {
		d := wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(len(b.Data)), Size: r.Uint32N(9)}
		for range d.Size {
			b.Data = append(b.Data, byte(r.Uint32()))
		}
		return d
	}
	for i := range uint32(20) {
		b.Rows = append(b.Rows, wit.Row{RowIndex: i, Offset: int64(i), Key: put(), Value: put(), Headers: put()})
	}
	whole := *b
	all := make([]uint32, len(b.Rows))
	for i := range all {
		all[i] = uint32(i)
	}
	for _, rows := range [][]uint32{nil, {3}, {19, 0, 7}, all} {
		part := b.Subset(rows)
		size := 0
		for n, row := range rows {
			of := b.Rows[row]
			got := part.Rows[n]
			for _, d := range [][2]wit.ValueSlice{{of.Key, got.Key}, {of.Value, got.Value}, {of.Headers, got.Headers}} {
				if want, found := b.Bytes(d[0]), part.Bytes(d[1]); string(want) != string(found) {
					t.Errorf("row %d: expected %x, found %x", row, want, found)
				}
				size += int(d[0].Size)
			}
			got.Key.Start, got.Value.Start, got.Headers.Start = of.Key.Start, of.Value.Start, of.Headers.Start
			if d := cmp.Diff(of, got); d != "" {
				t.Error(d)
			}
		}
		if len(part.Data) != size {
			t.Errorf("%v: %d bytes, expected %d", rows, len(part.Data), size)
		}
	}
	one := b.CopyRow(7)
	want := string(b.Bytes(b.Rows[7].Key)) + string(b.Bytes(b.Rows[7].Value)) + string(b.Bytes(b.Rows[7].Headers))
	clear(b.Data)
	clear(b.Topics)
	if string(one.Data) != want || b.RowBytes(7) != len(want) || one.Topics[1] != "b" || len(one.Rows) != 1 {
		t.Errorf("expected a separate row with %x, found %+v", want, one)
	}
	if d := cmp.Diff(whole.Rows, b.Rows); d != "" {
		t.Error("the original batch was changed:", d)
	}
}
