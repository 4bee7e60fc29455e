package connectdata

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Texts of every length are UTF-8 if utf8.Valid reports it, wherever a byte that is not ASCII is.
func TestValidText(t *testing.T) {
	parts := [][]byte{{0x80}, {0xc3}, {0xc3, 0xa4}, {0xe2, 0x82, 0xac}, {0xe2, 0x82}, {0xf0, 0x9f, 0x98, 0x80},
		{0xed, 0xa0, 0x80}, {0xff}, {0x7f}, {0}}
	counts := map[bool]int{}
	for size := range 100 {
		plain := slices.Repeat([]byte{'x'}, size)
		for pos := range size + 1 {
			for _, part := range parts {
				text := slices.Insert(slices.Clone(plain), pos, part...)
				want := utf8.Valid(text)
				got := validText(text)
				require.True(t, got == want, "%x: expected %t, found %t", text, want, got)
				counts[want]++
			}
		}
	}
	assert.True(t, counts[true] != 0 && counts[false] != 0, "expected both results, found only %v", counts)
}
