package connectjson

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/culvert-project/culvert/wit/connectdata"
)

// TestWholeNumberEqualsDatum compares wholeNumber with connectdata.Number for random numbers of all sizes, also for
// numbers that are too long, with and without bytes after them.
func TestWholeNumberEqualsDatum(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		in := bytes.Repeat([]byte{0x80}, random.IntN(12)) // the bit means that the number continues
		for i := range in {
			in[i] |= byte(random.Uint32())
		}
		for range random.IntN(10) {
			in = append(in, byte(random.Uint32()))
		}
		start := random.IntN(len(in) + 1)
		want, wantSize := connectdata.Number(in[start:])
		if got, size := wholeNumber(in, start); got != want || size != wantSize {
			t.Fatalf("% x from %d: expected %d of %d bytes, found %d of %d", in, start, want, wantSize, got, size)
		}
	}
}
