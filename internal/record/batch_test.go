package record_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// A subset of a batch contains the data of its rows, and no bytes of other rows. A copied row shares no memory.
func TestBatchPart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := &record.Batch{Topics: []string{"a", "b"}}
	appendValue := func() wit.ValueSlice {
		d := wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(len(b.Data)), Size: r.Uint32N(9)}
		for range d.Size {
			b.Data = append(b.Data, byte(r.Uint32()))
		}
		return d
	}
	for i := range uint32(20) {
		b.Rows = append(b.Rows, wit.Row{
			RowIndex: i,
			Offset:   int64(i),
			Key:      appendValue(),
			Value:    appendValue(),
			Headers:  appendValue(),
		})
	}
	originalRows := slices.Clone(b.Rows)
	allRows := make([]uint32, len(b.Rows))
	for i := range allRows {
		allRows[i] = uint32(i)
	}
	for _, rows := range [][]uint32{nil, {3}, {19, 0, 7}, allRows} {
		subset := b.Subset(rows)
		size := 0
		for n, row := range rows {
			want := b.Rows[row]
			got := subset.Rows[n]
			for _, pair := range [][2]*wit.ValueSlice{
				{&want.Key, &got.Key},
				{&want.Value, &got.Value},
				{&want.Headers, &got.Headers},
			} {
				wantData := b.Bytes(*pair[0])
				gotData := subset.Bytes(*pair[1])
				assert.True(t, string(wantData) == string(gotData),
					"row %d: expected %x, found %x", row, wantData, gotData)
				size += len(wantData)
				pair[1].Start = pair[0].Start // the position may differ
			}
			assert.Equal(t, want, got, "row", row)
		}
		assert.Equal(t, size, len(subset.Data), rows, "bytes")
	}
	copied := b.CopyRow(7)
	wantData := string(b.Bytes(b.Rows[7].Key)) + string(b.Bytes(b.Rows[7].Value)) + string(b.Bytes(b.Rows[7].Headers))
	clear(b.Data)
	clear(b.Topics)
	assert.True(t, string(copied.Data) == wantData && b.RowBytes(7) == len(wantData) && copied.Topics[1] == "b" &&
		len(copied.Rows) == 1, "expected a separate row with %x, found %+v", wantData, copied)
	assert.Equal(t, originalRows, b.Rows, "the unchanged batch")
}
