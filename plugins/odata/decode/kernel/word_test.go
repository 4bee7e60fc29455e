package kernel

import (
	"bytes"
	"fmt"
	"math/bits"
	"strconv"
	"testing"
	"unsafe"

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
		"123456789012345678",
		"1234567890123456789", "00012", "12:34"} {
		for _, tail := range []string{"", ",", "\"", "/", ":", "\xff", "a1"} {
			n := 0
			for n < len(s) && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			want, _ := strconv.ParseUint(s[:n], 10, 64)
			got, size := digits(newStruct().Powers, text(s+tail), 0)
			if size != n || (n < 19 && got != want) {
				t.Errorf("%q: expected %d of %d digits, found %d of %d", s+tail, want, n, got, size)
			}
		}
	}
}

func TestPutNumber(t *testing.T) {
	p := unsafe.Pointer(unsafe.SliceData(make([]byte, 2*Padding)))
	for shift := range 64 {
		for _, v := range []int64{1 << shift, 1<<shift - 1, -(1 << shift), -(1 << shift) - 1} {
			n := number(p, 0, int(v))
			if got := unsafe.Slice((*byte)(p), n); !bytes.Equal(got, connectdata.AppendNumber(nil, v)) {
				t.Errorf("%d: %x", v, got)
			}
			n = unscaled(p, 0, int(v))
			if got := unsafe.Slice((*byte)(p), n); !bytes.Equal(got, connectdata.AppendDecimal64(nil, v)) {
				t.Errorf("decimal %d: %x, not %x", v, got, connectdata.AppendDecimal64(nil, v))
			}
		}
	}
}

func TestGUID(t *testing.T) {
	const good = "01234567-89AB-cdef-0123-456789abcdef"
	if !isGUID(good) {
		t.Error("a valid GUID is rejected")
	}
	for i := range good {
		for _, c := range []byte{0, '/', ':', '@', 'G', '`', 'g', '-', ' ', 0x80, 0xb1, 0xff} {
			if bad := good[:i] + string(c) + good[i+1:]; bad != good && len(bad) == 36 && isGUID(bad) {
				t.Errorf("expected %q to be rejected", bad)
			}
			raw := []byte(good)
			if raw[i] = c; string(raw) != good && isGUID(string(raw)) {
				t.Errorf("expected %q to be rejected", raw)
			}
		}
	}
}

// Names that differ in one byte only, wherever it is, must not fill consecutive slots of the hash table.
func TestHashSpreadsSimilarNames(t *testing.T) {
	for _, form := range []string{"F%02d",
		"Field%02d", "FIELD%03d", "ZZ%02dNAME", "d:Property%02d", "Amount%02dInDocumentCurrency"} {
		const names, places = 60, 256
		taken := [places]bool{}
		collisions := 0
		for i := range names {
			name := fmt.Sprintf(form, i)
			at := Hash(text(name), 0, len(name)) % places
			for taken[at] {
				at = (at + 1) % places
				collisions++
			}
			taken[at] = true
		}
		if collisions > names/3 {
			t.Errorf("%s: expected about 7 collisions of %d names, found %d", form, names, collisions)
		}
	}
}

// Every stop is found at every place, and nothing else is one.
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

// Every byte that ends a name does, wherever it is, and no other byte that a name may have.
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

// Marks of every length match their text and nothing else: start tags with a type are longer than the words compared
// first.
func TestPatternsAreComparedWhole(t *testing.T) {
	long := "<d:RequiredDeliveryDateOfTheWholeOrder m:type=\"Edm.DateTimeOffset\" m:null=\"true\"/>....."
	for size := 1; size <= PatternSize+1; size++ {
		mark := NewPattern([]byte(long[:size]))
		all := func(s string) bool {
			p := text(s)
			return mismatch(p, 0, &mark, ^uint64(0)) == 0
		}
		if got := all(long); got != (size <= PatternSize) {
			t.Errorf("%d bytes: matches its text: %v", size, got)
		}
		for i := range size {
			other := []byte(long)
			other[i] ^= 1
			if all(string(other)) {
				t.Errorf("%d bytes: matches a text that differs at %d", size, i)
			}
		}
	}
}
