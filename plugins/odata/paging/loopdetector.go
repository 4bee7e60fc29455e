package paging

import (
	"math/bits"
	"strconv"
	"strings"
)

// LoopDetector detects repeated links or pages in constant space. It stores the last maxRecent steps, which detect
// short loops at once, and the step whose number is the last power of two (Brent's algorithm), for longer loops.
type LoopDetector struct {
	steps      int    // visits so far
	checkpoint string // hash of the step whose number is the last power of two
	recent     string // hashes of the last steps
}

const (
	maxRecent = 64 // hashes in LoopDetector.recent
	hashSize  = 8  // characters of an encoded hash
)

// visit is [LoopDetector.Visit] for a hash.
func (l *LoopDetector) visit(h hash) (isRepeated bool) {
	encoded := encodeHash(h)
	isRepeated = encoded == l.checkpoint
	for recent := l.recent; recent != ""; recent = recent[hashSize:] {
		isRepeated = isRepeated || recent[:hashSize] == encoded
	}
	if isRepeated {
		return true
	}
	l.steps++
	if bits.OnesCount(uint(l.steps)) == 1 {
		l.checkpoint = encoded
	}
	l.recent = l.recent[max(0, len(l.recent)-(maxRecent-1)*hashSize):] + encoded
	return false
}

// Visit reports whether a URL was visited before, and records it if not.
func (l *LoopDetector) Visit(text string) (isRepeated bool) { return l.visit(hashOf(text)) }

func (l *LoopDetector) String() string {
	return strconv.Itoa(l.steps) + "." + l.checkpoint + "." + l.recent
}

// parse reads what String returned. It returns false for any other text; the detector must not be used then.
func (l *LoopDetector) parse(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[1]) != hashSize || len(parts[2])%hashSize != 0 ||
		len(parts[2]) > maxRecent*hashSize {
		return false
	}
	steps, err := strconv.Atoi(parts[0])
	l.steps = steps
	l.checkpoint = parts[1]
	l.recent = parts[2]
	return err == nil && steps > 0
}

// hash is an FNV-1a hash of texts with their lengths. Offsets store 48 bits of it.
type hash uint64

const (
	emptyHash  hash   = 14695981039346656037 // FNV-1a's offset basis
	hashFactor uint64 = 1099511628211        // FNV-1a's prime
)

// add adds a text, after its length.
func (h *hash) add(b []byte) {
	x := uint64(*h)
	for n := len(b); ; n >>= 8 {
		x = (x ^ uint64(n&0xff)) * hashFactor
		if n < 256 {
			break
		}
	}
	for _, c := range b {
		x = (x ^ uint64(c)) * hashFactor
	}
	*h = hash(x)
}

func hashOf[T string | []byte](s T) hash {
	h := emptyHash
	h.add([]byte(s))
	return h
}

func (h hash) bits48() uint64 { return uint64(h^h>>48) & (1<<48 - 1) }

func encodeHash(h hash) string { return packHashes([]uint64{h.bits48()}) }
