package code

import (
	"testing"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/plugin/binary"
)

func TestMemoriesGrowAndKeepContent(t *testing.T) {
	for name, m := range map[string]experimental.LinearMemory{
		"mapped": allocateMemory(0, 4*binary.PageBytes),
		"heap":   &heapMemory{maximum: 4 * binary.PageBytes},
	} {
		b := m.Reallocate(binary.PageBytes)
		b[binary.PageBytes-1] = 7
		b = m.Reallocate(4 * binary.PageBytes)
		assert.True(t, len(b) == 4*binary.PageBytes && b[binary.PageBytes-1] == 7 && b[binary.PageBytes] == 0,
			"%s: expected 4 pages with 7 and then 0, found %d bytes with %d and %d", name, len(b),
			b[binary.PageBytes-1], b[binary.PageBytes])
		assert.True(t, m.Reallocate(5*binary.PageBytes) == nil,
			"%s: expected no memory beyond the limit of 4 pages", name)
		m.Free()
		m.Free() // a second call has no effect
	}
}
