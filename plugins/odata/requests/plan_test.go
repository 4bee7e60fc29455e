package requests

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The map finds each number again after it has grown, also if hashes differ only in their high or low bits.
func TestNumbers(t *testing.T) {
	numbers := newNumberMap(1)
	want := map[uint32]int32{}
	for i := range uint32(2000) {
		for _, hash := range []uint32{i, i << 20, i * 2654435769} {
			require.Equal(t, want[hash], *numbers.slot(hash), "hash", hash)
			want[hash] = int32(i + 1)
			*numbers.slot(hash) = int32(i + 1)
		}
	}
	for hash, number := range want {
		assert.Equal(t, number, *numbers.slot(hash), "hash", hash)
	}
}
