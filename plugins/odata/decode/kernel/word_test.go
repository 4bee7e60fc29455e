package kernel

import (
	"bytes"
	"fmt"
	"math/bits"
	"strconv"
	"testing"
	"unsafe"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// text returns a pointer to a text with its sentinel.
func text(s string) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append([]byte(s), make([]byte, Padding)...)))
}

func newStruct() *Struct {
	s := &Struct{}
	s.Init()
	return s
}

func isGUID(s string) bool { return notGUID(text(s), 0) == 0 }

func TestDigits(t *testing.T) {
	for _, s := range []string{"", "0", "7", "12345678", "123456789", "1234567890123456", "12345678901234567",
		"123456789012345678", "1234567890123456789", "00012", "12:34"} {
		for _, tail := range []string{"", ",", "\"", "/", ":", "\xff", "a1"} {
			n := 0
			for n < len(s) && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			want, _ := strconv.ParseUint(s[:n], 10, 64)
			got, size := readDigits(newStruct().Powers, text(s+tail), 0)
			assert.True(t, size == n && (n >= 19 || got == want),
				"%q: expected %d of %d digits, found %d of %d", s+tail, want, n, got, size)
		}
	}
}

func TestPutNumber(t *testing.T) {
	p := unsafe.Pointer(unsafe.SliceData(make([]byte, 2*Padding)))
	for shift := range 64 {
		for _, v := range []int64{1 << shift, 1<<shift - 1, -(1 << shift), -(1 << shift) - 1} {
			n := putNumber(p, 0, int(v))
			if got := unsafe.Slice((*byte)(p), n); !bytes.Equal(got, connectdata.AppendNumber(nil, v)) {
				t.Errorf("%d: %x, not %x", v, got, connectdata.AppendNumber(nil, v))
			}
			n = putUnscaled(p, 0, int(v))
			if got := unsafe.Slice((*byte)(p), n); !bytes.Equal(got, connectdata.AppendDecimal64(nil, v)) {
				t.Errorf("decimal %d: %x, not %x", v, got, connectdata.AppendDecimal64(nil, v))
			}
		}
	}
}

func TestGUID(t *testing.T) {
	const good = "01234567-89AB-cdef-0123-456789abcdef"
	assert.True(t, isGUID(good), "a valid GUID is rejected")
	for i := range good {
		for _, c := range []byte{0, '/', ':', '@', 'G', '`', 'g', '-', ' ', 0x80, 0xb1, 0xff} {
			bad := good[:i] + string(c) + good[i+1:]
			assert.True(t, bad == good || len(bad) != 36 || !isGUID(bad), "expected %q to be rejected", bad)
			raw := []byte(good)
			raw[i] = c
			assert.True(t, string(raw) == good || !isGUID(string(raw)), "expected %q to be rejected", raw)
		}
	}
}

// Names that differ in one byte only, wherever it is, must not fill consecutive slots of the hash table.
func TestHashSpreadsSimilarNames(t *testing.T) {
	const (
		names         = 60
		slots         = 256
		maxCollisions = names / 3 // random slots have about 7
	)
	for _, pattern := range []string{"F%02d", "Field%02d", "FIELD%03d", "ZZ%02dNAME", "d:Property%02d",
		"Amount%02dInDocumentCurrency"} {
		isUsed := [slots]bool{}
		collisions := 0
		for i := range names {
			name := fmt.Sprintf(pattern, i)
			slot := Hash(text(name), 0, len(name)) % slots
			for isUsed[slot] {
				slot = (slot + 1) % slots
				collisions++
			}
			isUsed[slot] = true
		}
		assert.AtMost(t, maxCollisions, collisions, pattern, "collisions of", names, "names")
	}
}

// Each stop is found at each offset, and no other byte.
func TestStops(t *testing.T) {
	for name, test := range map[string]struct {
		flip   uint64
		limit  uint64
		stop   uint64
		isStop func(c byte) bool
	}{
		"JSON":   {Ones * 0x02, Ones * 0x21, Ones * '\\', func(c byte) bool { return c < 0x20 || c == '"' || c == '\\' }},
		"Atom":   {Ones * 0x06, Ones * 0x21, Ones * '<', func(c byte) bool { return c < 0x20 || c == '&' || c == '<' }},
		"text":   {0, Ones, Ones * '<', func(c byte) bool { return c == 0 || c == '<' }},
		"quoted": {Ones * 0x02, Ones * 0x21, Ones * '<', func(c byte) bool { return c < 0x20 || c == '"' || c == '<' }},
		"relation": {Ones * 0x02, Ones * 0x21, Ones * '/',
			func(c byte) bool { return c < 0x20 || c == '"' || c == '/' }},
	} {
		for b := range 256 {
			for at := range 40 {
				s := bytes.Repeat([]byte{'x'}, at)
				s = append(s, byte(b), 'y', 'z')
				end := len(s)
				if test.isStop(byte(b)) {
					end = at
				}
				if got := find(text(string(s)), 0, test.flip, test.limit, test.stop); got != end {
					t.Fatalf("%s: byte %#x at %d: expected a stop at %d, found it at %d", name, b, at, end, got)
				}
			}
		}
	}
}

// Each byte that ends a name is found at each offset, and no byte that a name may have.
func TestEndsName(t *testing.T) {
	for b := range 256 {
		for at := range 8 {
			s := bytes.Repeat([]byte{'x'}, 8)
			s[at] = byte(b)
			ends := bytes.IndexByte([]byte(" \n\t\r/>=<\"'&?!\x00"), byte(b)) >= 0
			mask := endsName(Load(text(string(s)), 0))
			if found := mask != 0 && bits.TrailingZeros64(mask)>>3 == at; ends && !found {
				t.Fatalf("byte %#x at %d: does not end a name", b, at)
			} else if (mask != 0 && b >= '0' && b <= '9') || (mask != 0 && b >= 'A' && b != '?') {
				t.Fatalf("byte %#x at %d ends a name", b, at)
			}
		}
	}
}

// Patterns of every length match their text and no text that differs in one byte: start tags with a type are longer
// than the words that mismatch compares first.
func TestPatternsAreComparedWhole(t *testing.T) {
	long := "<d:RequiredDeliveryDateOfTheWholeOrder m:type=\"Edm.DateTimeOffset\" m:null=\"true\"/>....."
	for size := 1; size <= PatternSize+1; size++ {
		pattern := NewPattern([]byte(long[:size]))
		matches := func(s string) bool {
			p := text(s)
			return mismatch(p, 0, &pattern, ^uint64(0)) == 0
		}
		got := matches(long)
		assert.True(t, got == (size <= PatternSize), "%d bytes: matches its text: %v", size, got)
		for i := range size {
			other := []byte(long)
			other[i] ^= 1
			assert.True(t, !matches(string(other)), "%d bytes: matches a text that differs at %d", size, i)
		}
	}
}
