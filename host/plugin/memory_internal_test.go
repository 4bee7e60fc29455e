package plugin

import (
	"testing"

	"github.com/tetratelabs/wazero/experimental"
)

func TestMemoriesGrowAndKeep(t *testing.T) {
	for name, m := range map[string]experimental.LinearMemory{"mapped": allocateMemory(0, 4*pageBytes),
		"heap": &onHeap{most: 4 * pageBytes}} {
		b := m.Reallocate(pageBytes)
		b[pageBytes-1] = 7
		b = m.Reallocate(4 * pageBytes)
		if len(b) != 4*pageBytes || b[pageBytes-1] != 7 || b[pageBytes] != 0 {
			t.Errorf("%s: %d bytes, %d %d", name, len(b), b[pageBytes-1], b[pageBytes])
		}
		if m.Reallocate(5*pageBytes) != nil {
			t.Errorf("%s: grew beyond its limit", name)
		}
		m.Free()
		m.Free()
	}
}
