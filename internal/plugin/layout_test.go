package plugin

import (
	"encoding/binary"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// The offsets of results that are read by hand agree with the reflective codec: each list of a result gets a different
// number of elements.
func TestResultOffsets(t *testing.T) {
	for _, c := range []struct {
		fn      *canon.Func
		size    int
		result  any
		lengths map[int]uint32 // by the offset of the list, or 4 less than the offset of a number
	}{
		{
			fn:   applyFunc,
			size: applyResultSize,
			result: wit.ApplyResult{Schemas: make([]wit.Schema, 1), Topics: make([]string, 2),
				Rows: make([]wit.Row, 3), Data: make([]byte, 4),
				Errors: make([]wit.RowError, 5), Consumed: 6},
			lengths: map[int]uint32{0: 1, 8: 2, 16: 3, 24: 4, 32: 5, 40 - 4: 6},
		},
		{
			fn:      testFunc,
			size:    testResultSize,
			result:  wit.TestResult{Matches: make([]bool, 1), Errors: make([]wit.RowError, 2)},
			lengths: map[int]uint32{0: 1, 8: 2},
		},
		{
			fn:   decodeFunc,
			size: decodeResultSize,
			result: wit.DecodeResult{Schemas: make([]wit.Schema, 1), Rows: make([]wit.Row, 2),
				Data: make([]byte, 3), Errors: make([]wit.RowError, 4), Linked: make([]wit.LinkedRequest, 5),
				Next: &[]wit.OffsetEntry{},
				More: true, WaitMs: 7},
			lengths: map[int]uint32{0: 1, 8: 2, 16: 3, 24: 4, 32: 5, 56 - 4: 7},
		},
		{
			fn:      encodeFunc,
			size:    canon.SizeOf[wit.EncodeResult](),
			result:  wit.EncodeResult{Ready: make([]wit.Delivery, 1)},
			lengths: map[int]uint32{0: 1},
		},
	} {
		image, err := c.fn.Lower(c.result, nil)
		require.NoError(t, err)
		area := image.Blocks[0].Data
		size, align := c.fn.ResultSize()
		assert.True(t, int(size) == payloadOffset+max(c.size, errorSize) && align == 4 && len(area) == int(size),
			"%s: size %d, alignment %d", c.fn.Name, size, align)
		for offset, want := range c.lengths {
			// The length of a list is 4 bytes after its pointer.
			assert.Equal(t, want, binary.LittleEndian.Uint32(area[payloadOffset+offset+4:]), c.fn.Name, offset)
		}
		assert.True(t, c.fn != decodeFunc || (area[payloadOffset+40] == 1 && area[payloadOffset+52] == 1),
			"wrong offset of next or more: %v", area)
	}
	assert.Equal(t, errorSize, canon.SizeOf[wit.Error](), "bytes of an error")
}
