package plugin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Values are copied one by one with padding; bytes that several rows share are copied once.
func TestRowsAreCopiedSeparately(t *testing.T) {
	text := func(s string) []byte { b, _ := connectdata.AppendSchemaless(nil, s); return b }
	b := &record.Batch{Topics: []string{"t"}, Data: []byte("unused")}
	put := func(s string) wit.ValueSlice {
		start := len(b.Data)
		b.Data = append(b.Data, text(s)...)
		return wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
	second := wit.Row{Headers: put("h"), Value: put("second")}
	first := wit.Row{Key: put("k"), Value: put("first")}
	third := wit.Row{Key: first.Key, Value: put("third")}
	for _, c := range []struct {
		name   string
		rows   []wit.Row
		spaced bool
	}{
		{name: "one by one", rows: []wit.Row{first, second}, spaced: true},
		{name: "a key that two rows share", rows: []wit.Row{first, third}},
		{name: "rows without data", rows: []wit.Row{{}, {}}, spaced: true},
	} {
		call := &batchCall{batch: b, rows: c.rows, padded: true}
		require.NoError(t, (&Instance{}).checkRows(call))
		if call.padded != c.spaced {
			t.Errorf("%s: expected separate copies: %t", c.name, c.spaced)
		}
		rows := make([]byte, len(c.rows)*abi.RowBytes)
		data := make([]byte, call.transferBytes())
		call.write(rows, data)
		end := 0
		for n := range c.rows {
			row := rows[n*abi.RowBytes:]
			assert.Equal(t, uint32(n), binary.LittleEndian.Uint32(row), c.name, n, "number of the row")
			for i, d := range []wit.ValueSlice{c.rows[n].Key, c.rows[n].Value, c.rows[n].Headers} {
				if d.Encoding == wit.Absent {
					continue
				}
				entry := row[32+16*i:]
				start := int(binary.LittleEndian.Uint32(entry[8:]))
				size := int(binary.LittleEndian.Uint32(entry[12:]))
				if !bytes.Equal(data[start:start+size], b.Bytes(d)) {
					t.Errorf("%s: row %d: expected %q, found %q", c.name, n, b.Bytes(d), data[start:start+size])
				}
				if c.spaced && start < end {
					t.Errorf("%s: row %d: a datum at %d, outside of the %d bytes in use and reserved", c.name, n,
						start, end)
				}
				end = start + size
				if i == 1 {
					end += valuePadding
				}
			}
		}
		if c.spaced && end > len(data) {
			t.Errorf("%s: expected reserved space up to %d, found %d bytes", c.name, end, len(data))
		}
	}
}

// The bytes of an input row are sent once for free, whatever their size; more rows with the same bytes count as the
// guest's own.
func TestRepeatedBytesCountOnce(t *testing.T) {
	registry := record.NewRegistry()
	i := &Instance{schemas: newTranslator(t, registry)}
	i.buffers.topics = []uint32{0}
	check := rowCheck{instance: i, batch: &record.Batch{Registry: registry, Topics: []string{"t"}}, limit: 1000}
	in := []wit.Row{{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: 5000}},
		{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: 400}}}
	again := wit.Row{Key: wit.ValueSlice{Encoding: wit.Absent}, Value: wit.ValueSlice{Encoding: wit.Unchanged},
		Headers: wit.ValueSlice{Encoding: wit.Absent}}
	for n, of := range []int{0, 1, 1, 1, 1} {
		r := again
		err := check.row(n, &r, &in[of])
		var large *abi.TooLarge
		if (n < 4 && err != nil) || (n == 4 && !errors.As(err, &large)) {
			t.Errorf("row %d: found %v", n, err)
		}
	}
}
