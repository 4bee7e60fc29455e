package guest

import (
	"encoding/binary"
	"testing"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Hot results are patched at the offsets to which the reflective codec would write.
func TestOffsetsInHotResults(t *testing.T) {
	rows := make([]wit.Row, 3)
	data := make([]byte, 5)
	for _, c := range []struct {
		f      *canon.Func
		ok     any
		size   uint32
		rowsAt uint32
		dataAt uint32
	}{
		{canon.Function(wit.InterfaceSource, "Decode"), wit.DecodeResult{Rows: rows, Data: data}, DecodeResultSize,
			DecodeRowsOffset,
			DecodeDataOffset},
		{canon.Function(wit.InterfaceTransform, "Apply"), wit.ApplyResult{Rows: rows, Data: data, Consumed: 7},
			ApplyResultSize,
			ApplyRowsOffset, ApplyDataOffset},
	} {
		if size, _ := c.f.ResultSize(); size != c.size {
			t.Errorf("%s: %d bytes, expected %d", c.f.Export(), size, c.size)
		}
		im, err := c.f.Lower(c.ok, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := im.Blocks[0].Data
		if n := binary.LittleEndian.Uint32(b[c.rowsAt+4:]); n != 3 {
			t.Errorf("%s: unexpected length of rows %d", c.f.Export(), n)
		}
		if n := binary.LittleEndian.Uint32(b[c.dataAt+4:]); n != 5 {
			t.Errorf("%s: unexpected length of data %d", c.f.Export(), n)
		}
		if c.f.Name == "apply" && binary.LittleEndian.Uint32(b[ApplyConsumedOffset:]) != 7 {
			t.Errorf("%s: consumed is not at %d", c.f.Export(), ApplyConsumedOffset)
		}
	}
}

func TestArenaUsesOneChunk(t *testing.T) {
	var a arena
	for range 3 {
		for range 10 {
			b := a.alloc(50_001)
			b[50_000] = 1
		}
		a.released = true
	}
	if len(a.fullChunks) != 0 || len(a.chunk) < 500_010 || len(a.chunk) > 2_000_000 {
		t.Errorf("found %d more chunks than the one of %d bytes", len(a.fullChunks), len(a.chunk))
	}
}
