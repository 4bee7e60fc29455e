package guest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Hot results are patched at the offsets to which the reflective codec would write.
func TestOffsetsInHotResults(t *testing.T) {
	rows, data := make([]wit.Row, 3), make([]byte, 5)
	for _, c := range []struct {
		f              *canon.Func
		ok             any
		size           uint32
		rowsAt, dataAt uint32
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

// A result in which all rows were written is zero except for the list's address and length, and so is the list.
func TestOffsetsInWrittenResult(t *testing.T) {
	f := canon.Function(wit.InterfaceSink, "HandleResponse")
	if size, _ := f.ResultSize(); size != ResponseResultSize {
		t.Errorf("%d bytes, expected %d", size, ResponseResultSize)
	}
	im, err := f.Lower(wit.ResponseResult{Results: []wit.RowResult{{Written: wit.Set}, {Written: wit.Set}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, list := im.Blocks[0].Data, im.Blocks[1].Data
	if n := binary.LittleEndian.Uint32(root[ResponseResultsOffset+4:]); n != 2 {
		t.Errorf("unexpected length %d", n)
	}
	root[ResponseResultsOffset+4] = 0
	if len(im.Blocks) != 2 || im.Fixups[0].At != ResponseResultsOffset ||
		len(bytes.Trim(append(root, list...), "\x00")) > 0 {
		t.Errorf("expected zeros, found %v and %v", root, list)
	}
	if size := canon.SizeOf[wit.RowResult](); len(list) != 2*size {
		t.Errorf("found %d bytes for two results of %d", len(list), size)
	}
}

// Headers are read as canon lowers them.
func TestHeadersInMemory(t *testing.T) {
	for _, want := range [][]wit.Header{nil, {{Name: "Location", Value: "/Set(1)"}},
		{{Name: "a", Value: "Köln"}, {Name: "", Value: ""}, {Name: "b", Value: "2"}}} {
		im, err := canon.Lower(want)
		if err != nil {
			t.Fatal(err)
		}
		var memory []byte
		view := func(ptr, size uint32) ([]byte, bool) { return memory[ptr : ptr+size], true }
		at, err := im.Place(memoryFunc(view), func(size, align uint32) (uint32, error) {
			for uint32(len(memory))%align != 0 {
				memory = append(memory, 0)
			}
			ptr := uint32(len(memory))
			memory = append(memory, make([]byte, size)...)
			return ptr, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		list := binary.LittleEndian.Uint32(memory[at[0]:])
		got := headers(memory[list:][:len(want)*headerSize],
			func(ptr, size uint32) []byte { return memory[ptr:][:size] })
		if !slices.Equal(got, want) {
			t.Errorf("expected %q, found %q", want, got)
		}
	}
	if size := canon.SizeOf[wit.Header](); size != headerSize {
		t.Errorf("%d bytes, expected %d", headerSize, size)
	}
}

type memoryFunc func(ptr, size uint32) ([]byte, bool)

func (m memoryFunc) View(ptr, size uint32) ([]byte, bool) { return m(ptr, size) }

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
