package requests

import "testing"

// The map finds each number again after it has grown, also if hashes differ only in their high or low bits.
func TestNumbers(t *testing.T) {
	numbers := newNumberMap(1)
	want := map[uint32]int32{}
	for i := range uint32(2000) {
		for _, hash := range []uint32{i, i << 20, i * 2654435769} {
			if found := *numbers.slot(hash); found != want[hash] {
				t.Fatalf("hash %d: expected %d, found %d", hash, want[hash], found)
			}
			want[hash] = int32(i + 1)
			*numbers.slot(hash) = int32(i + 1)
		}
	}
	for hash, number := range want {
		if found := *numbers.slot(hash); found != number {
			t.Errorf("hash %d: expected %d, found %d", hash, number, found)
		}
	}
}
