package binary

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/wasm"
)

// Sections that exceed the address space are rejected like other sections that are too long.
func TestSectionsLargerThanAnyFile(t *testing.T) {
	for _, id := range []byte{0, 1, 11} {
		module := append([]byte("\x00asm\x01\x00\x00\x00"), id)
		module = wasm.AppendU32(module, 1<<32-11)
		module = append(module, 0, 0, 0, 0)
		_, err := Read(module)
		assert.Error(t, err, "truncated", "section", id)
		joinSegments(module)
	}
}
