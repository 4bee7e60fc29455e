package delta

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// maxKeys is how many keys of a load are remembered: some 85 KB in the offset.
const maxKeys = 8000

// keySet are hashes of the keys of rows.
type keySet []uint64

// add remembers a key, and one more than there may be at most.
func (s *keySet) add(h uint64) {
	if len(*s) <= maxKeys {
		*s = append(*s, h)
	}
}

// notKept stands in the offset for keys of which some are not known.
const notKept = "-"

// text is what readKeys reads.
func (s keySet) text() string {
	b := make([]byte, 0, 8*len(s))
	for _, h := range s {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// readKeys reads a set; it is sorted.
func readKeys(text string) (s keySet, ok bool) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b)%8 != 0 || len(b) > 8*maxKeys {
		return nil, false
	}
	for ; len(b) > 0; b = b[8:] {
		s = append(s, binary.LittleEndian.Uint64(b))
	}
	slices.Sort(s)
	return s, true
}

func (s keySet) has(h uint64) bool {
	_, found := slices.BinarySearch(s, h)
	return found
}

// hashOf is FNV-1a: each row of changes comes by here.
func hashOf(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
