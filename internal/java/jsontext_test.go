package java

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// UnescapedPrefix, which reads eight bytes at a time, agrees with the table isUnescaped, wherever the prefix ends.
func TestPlainRun(t *testing.T) {
	byTable := func(s []byte) (n int) {
		for n < len(s) && isUnescaped[s[n]] {
			n++
		}
		return n
	}
	check := func(s []byte) {
		t.Helper()
		want := byTable(s)
		got := UnescapedPrefix(s)
		require.True(t, got == want, "expected a prefix of %d bytes of %q, found %d", want, s, got)
	}
	for size := range 200 {
		for quotePos := range size + 1 {
			s := bytes.Repeat([]byte{'x'}, size)
			if quotePos < size {
				s[quotePos] = '"'
			}
			check(s)
		}
	}

	// Each byte is at each position in a block, alone and before a byte that needs an escape.
	for c := range 256 {
		for _, size := range []int{1, 7, 8, 9, 31, 32, 33, 64, 70} {
			for pos := range size {
				s := bytes.Repeat([]byte{'#'}, size)
				s[pos] = byte(c)
				check(s)
				if pos+1 < size {
					s[pos+1] = '\\'
					check(s)
				}
			}
		}
	}

	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		s := make([]byte, random.IntN(120))
		for i := range s {
			s[i] = byte(0x20 + random.IntN(0x60))
			if random.IntN(40) == 0 {
				s[i] = byte(random.IntN(256))
			}
		}
		check(s)
	}
}
