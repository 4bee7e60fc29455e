package plugin

import (
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

// Values are copied one by one with padding; if rows share bytes, all data is copied as it is.
func TestRowsAreCopiedSeparately(t *testing.T) {
	b := &record.Batch{Topics: []string{"t"}, Data: []byte("unused")}
	put := func(s string) wit.ValueSlice {
		start := len(b.Data)
		b.Data, _ = connectdata.AppendSchemaless(b.Data, s)
		return wit.ValueSlice{Encoding: wit.Schemaless, Start: uint32(start), Size: uint32(len(b.Data) - start)}
	}
	second := wit.Row{Headers: put("h"), Value: put("second")}
	first := wit.Row{Key: put("k"), Value: put("first")}
	third := wit.Row{Key: first.Key, Value: put("third")}
	for _, c := range []struct {
		name   string
		rows   []wit.Row
		padded bool
	}{
		{name: "one by one", rows: []wit.Row{first, second}, padded: true},
		{name: "a key that two rows share", rows: []wit.Row{first, third}},
		{name: "rows without data", rows: []wit.Row{{}, {}}, padded: true},
	} {
		call := &batchCall{batch: b, rows: c.rows, padded: true}
		require.NoError(t, (&Instance{}).checkRows(call))
		assert.True(t, call.padded == c.padded, "%s: expected padded %t, found %t", c.name, c.padded, call.padded)
		rows := make([]byte, len(c.rows)*abi.RowBytes)
		data := make([]byte, call.transferBytes())
		call.write(rows, data)
		end := 0
		for n := range c.rows {
			row := rows[n*abi.RowBytes:]
			assert.Equal(t, uint32(n), binary.LittleEndian.Uint32(row), c.name, n, "number of the row")
			for part, slice := range []wit.ValueSlice{c.rows[n].Key, c.rows[n].Value, c.rows[n].Headers} {
				if slice.Encoding == wit.Absent {
					continue
				}
				entry := row[sliceOffset(part):]
				start := int(binary.LittleEndian.Uint32(entry[8:]))
				size := int(binary.LittleEndian.Uint32(entry[12:]))
				assert.Equal(t, b.Bytes(slice), data[start:start+size], c.name, "row", n)
				assert.True(t, !c.padded || start >= end,
					"%s: row %d: expected data from byte %d on, found it at %d", c.name, n, end, start)
				end = start + size
				if slice == c.rows[n].Value {
					end += valuePadding
				}
			}
		}
		assert.True(t, !c.padded || end <= len(data),
			"%s: expected at least %d bytes with the padding, found %d", c.name, end, len(data))
	}
}

// The result may contain the bytes of each input row once for free, whatever their size. Further rows with the same
// bytes count toward the limit of the result.
func TestRepeatedBytesCountOnce(t *testing.T) {
	registry := record.NewRegistry()
	i := &Instance{schemas: newTranslator(t, registry)}
	i.buffers.topics = []uint32{0}
	check := rowCheck{instance: i, batch: &record.Batch{Registry: registry, Topics: []string{"t"}}, limit: 1000}
	large := wit.Row{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: 5000}}
	small := wit.Row{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: 400}}
	for n, input := range []*wit.Row{&large, &small, &small, &small} {
		row := wit.Row{Value: wit.ValueSlice{Encoding: wit.Unchanged}}
		assert.NoError(t, check.translateRow(n, &row, input), "row", n, "no error within the limit")
	}
	row := wit.Row{Value: wit.ValueSlice{Encoding: wit.Unchanged}}
	var tooLarge *abi.TooLarge
	err := check.translateRow(4, &row, &small)
	assert.True(t, errors.As(err, &tooLarge), "row 4: expected the limit of 1000 bytes to be exceeded, found %v", err)
}
