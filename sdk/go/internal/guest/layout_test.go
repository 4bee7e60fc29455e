package guest

import (
	"encoding/binary"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// The results of frequent calls have the sizes and offsets with which package canon, by reflection, lowers them.
func TestOffsetsInHotResults(t *testing.T) {
	rows := make([]wit.Row, 3)
	data := make([]byte, 5)
	for _, c := range []struct {
		f          *canon.Func
		result     any
		size       uint32
		rowsOffset uint32
		dataOffset uint32
	}{
		{
			f:          canon.Function(wit.InterfaceSource, "Decode"),
			result:     wit.DecodeResult{Rows: rows, Data: data},
			size:       DecodeResultSize,
			rowsOffset: DecodeRowsOffset,
			dataOffset: DecodeDataOffset,
		},
		{
			f:          canon.Function(wit.InterfaceTransform, "Apply"),
			result:     wit.ApplyResult{Rows: rows, Data: data, Consumed: 7},
			size:       ApplyResultSize,
			rowsOffset: ApplyRowsOffset,
			dataOffset: ApplyDataOffset,
		},
	} {
		if size, _ := c.f.ResultSize(); size != c.size {
			t.Errorf("%s: expected %d bytes, found %d", c.f.Export(), c.size, size)
		}
		lowered, err := c.f.Lower(c.result, nil)
		require.NoError(t, err)
		b := lowered.Blocks[0].Data
		if n := binary.LittleEndian.Uint32(b[c.rowsOffset+4:]); n != 3 {
			t.Errorf("%s: expected 3 rows at %d, found %d", c.f.Export(), c.rowsOffset, n)
		}
		if n := binary.LittleEndian.Uint32(b[c.dataOffset+4:]); n != 5 {
			t.Errorf("%s: expected 5 bytes of data at %d, found %d", c.f.Export(), c.dataOffset, n)
		}
		if c.f.Name == "apply" && binary.LittleEndian.Uint32(b[ApplyConsumedOffset:]) != 7 {
			t.Errorf("%s: expected 7 consumed rows at %d", c.f.Export(), ApplyConsumedOffset)
		}
	}
}
