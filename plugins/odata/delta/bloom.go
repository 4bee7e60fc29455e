package delta

import (
	"encoding/base64"

	"github.com/culvert-project/culvert/wit"
)

// sieve remembers hashes of keys in a space that stays the same (Bloom's filter): what was added is known, something
// else passes for known the more often the more was added, 1 of 50 after 3,000 keys, 1 of 5 after 10,000.
type sieve []byte

// sieveSize is its size in bytes. It is a power of two, and stands in each offset between two pages of changes.
const sieveSize = 4096

// places are those of a hash's bits.
func places(h uint64) [3]uint64 {
	const bits = sieveSize * 8
	return [3]uint64{h % bits, h >> 16 % bits, h >> 32 % bits}
}

func (s *sieve) add(h uint64) {
	if len(*s) == 0 {
		*s = make(sieve, sieveSize)
	}
	for _, at := range places(h) {
		(*s)[at/8] |= 1 << (at % 8)
	}
}

func (s sieve) knows(h uint64) bool {
	if len(s) == 0 {
		return false
	}
	for _, at := range places(h) {
		if s[at/8]&(1<<(at%8)) == 0 {
			return false
		}
	}
	return true
}

func (s sieve) text() string { return base64.RawStdEncoding.EncodeToString(s) }

// readSieve reads what text wrote, "" for none.
func readSieve(text string) (sieve, error) {
	s, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(s) != 0 && len(s) != sieveSize {
		return nil, &wit.Fault{Kind: wit.FaultIncompatible,
			Message: "offset: the keys of the changes' earlier pages can't be read"}
	}
	return s, nil
}
