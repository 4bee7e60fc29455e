package fast

import (
	"bytes"
	"fmt"
	"math/bits"
	"math/rand"
	"strconv"
	"testing"
	"unsafe"

	"github.com/culvert-project/culvert/wit/connectdata"
)

// text returns a pointer to a text with its sentinel.
func text(s string) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append([]byte(s), make([]byte, Padding)...)))
}

func row() *Row {
	r := &Row{}
	r.SetTables()
	return r
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
			got, size := digits(row().Powers, text(s+tail), 0)
			if size != n || n < 19 && got != want {
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

// Every stop is found at every place, and nothing else is one.
// Names that differ in one byte only, wherever it is, must not fill consecutive slots of the hash table.
func TestHashSpreadsSimilarNames(t *testing.T) {
	for _, form := range []string{"F%02d",
		"Field%02d", "FIELD%03d", "ZZ%02dNAME", "d:Property%02d", "Amount%02dInDocumentCurrency"} {
		const names, places = 60, 256
		taken, collisions := [places]bool{}, 0
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

// scan is the distance to the next stop.
func scan(src unsafe.Pointer, s *Stops) int {
	for n := 0; ; n += 8 {
		if m := stops(Load(src, n), s.Flip, s.Limit, s.Stop); m != 0 {
			return n + bits.TrailingZeros64(m)>>3
		}
	}
}

func TestStops(t *testing.T) {
	for name, c := range map[string]struct {
		s    *Stops
		stop func(c byte) bool
	}{
		"JSON": {&JSONText, func(c byte) bool { return c < 0x20 || c == '"' || c == '\\' }},
		"Atom": {&Stops{Ones * 0x06, Ones * 0x21, Ones * '<'},
			func(c byte) bool { return c < 0x20 || c == '&' || c == '<' }},
		"skip":       {&AtomSkip, func(c byte) bool { return c == 0 || c == '<' }},
		"quoted":     {&AtomQuoted, func(c byte) bool { return c < 0x20 || c == '"' || c == '<' }},
		"apostrophe": {&AtomApostrophed, func(c byte) bool { return c < 0x20 || c == '\'' || c == '<' }},
	} {
		for b := range 256 {
			for at := range 20 {
				s := bytes.Repeat([]byte{'x'}, at)
				s = append(s, byte(b), 'y', 'z')
				end := len(s)
				if c.stop(byte(b)) {
					end = at
				}
				if got := scan(text(string(s)), c.s); got != end {
					t.Fatalf("%s: byte %#x at %d: expected a stop at %d, found it at %d", name, b, at, end, got)
				}
			}
		}
	}
}

func TestTemplate(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 2000 {
		var tmpl Template
		var doc []byte
		for range r.Intn(4) {
			run := bytes.Repeat([]byte{'a' + byte(r.Intn(3))}, r.Intn(20)+r.Intn(2)*r.Intn(90))
			tmpl.Text(run...)
			doc = append(doc, run...)
			tmpl.Text('"')
			tmpl.Gap(&JSONText)
			tmpl.Text('"')
			doc = fmt.Appendf(doc, "%q", string(bytes.Repeat([]byte{'h'}, r.Intn(20))))
		}
		tmpl.Text([]byte("end")[:r.Intn(3)+1]...)
		doc = append(doc, "end"[:len("end")]...)
		tmpl.Done()
		n := tmpl.Match(text(string(doc) + "behind"))
		if n <= 0 || n > len(doc) {
			t.Fatalf("%q: matched %d", doc, n)
		}
		// with any byte of it other, it must not match over that byte, except inside a hole
		i := r.Intn(n)
		broken := bytes.Clone(doc)
		broken[i] ^= 1
		if tmpl.Match(text(string(broken))) > 0 && doc[i] != 'h' {
			t.Fatalf("%q: matched with another byte at %d", doc, i)
		}
		// where the text ends too early, that is how far it matches, to four words
		if reached := -tmpl.Match(text(string(doc[:i]))); reached > i || reached <= i-32 {
			t.Fatalf("%q: matched %d bytes of a text cut after %d", doc[:i], reached, i)
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
