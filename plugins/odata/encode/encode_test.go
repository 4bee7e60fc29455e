package encode

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/culvert-project/culvert/wit/datum"
)

func at(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// roomy is a text with bytes after it that are none of it.
func roomy(text string) []byte {
	return append([]byte(text), bytes.Repeat([]byte{'"'}, Room)...)[:len(text)]
}

// written is what a field of a kind makes of a value, "" where it is left to the caller.
func written(f Field, value []byte) string {
	name := roomy(`,"A":`)
	f.Before, f.Size = at(name), len(name)
	in, out := roomy(string(value)), make([]byte, 4096)
	s := Object{In: at(in), End: len(in), Out: at(out), Limit: len(out) - Room, Fields: unsafe.Pointer(&f), Count: 1,
		Keys: &Place{}}
	if Members(&s) != Done || s.At != len(in) {
		return ""
	}
	return string(out[len(name):s.O])
}

// rounds is how many values of each kind are tried; in Wasm the tests are short.
func rounds() int {
	if testing.Short() {
		return 2_000
	}
	return 20_000
}

func whole() Field { return Field{Least: math.MinInt64, Most: math.MaxInt64, Unit: 1} }

// edges are numbers about which their digits change in length or are zeros.
var edges = []int64{0, 9, 10, -1, -10, 7, 70, 700, 7000, 70_000, 99_999_999, 100_000_000, 100_000_001, -100_000_000,
	9_999_999_999_999_999, 10_000_000_000_000_000, 12_340_000_000_000_000, 1_000_000_000_000_000_000,
	math.MaxInt64, math.MinInt64}

func TestNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range rounds() {
		v := int64(r.Uint64()) >> r.IntN(64)
		if n < len(edges) {
			v = edges[n]
		}
		value := datum.AppendNumber(nil, v)
		want := strconv.FormatInt(v, 10)
		f := whole()
		if f.Kind = Number; written(f, value) != want {
			t.Fatalf("expected %s, found %s", want, written(f, value))
		}
		if f.Kind = Quoted; written(f, value) != `"`+want+`"` {
			t.Fatalf("expected %s in quotes, found %s", want, written(f, value))
		}
		if f.Kind, f.Least = Number, int(v)+1; v < math.MaxInt64 && written(f, value) != "" {
			t.Fatalf("%d is out of range, found %s", v, written(f, value))
		}
	}
}

func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	f := whole()
	for range rounds() {
		m := time.Unix(r.Int64N(253_402_300_799+62_135_596_800)-62_135_596_800, 0).UTC()
		ms := strconv.FormatInt(m.UnixMilli(), 10)
		for kind, text := range map[uint64]string{Instant: "2006-01-02T15:04:05",
			InstantOffset: "2006-01-02T15:04:05Z"} {
			want := `"\/Date(` + ms + `)\/"`
			if kind == InstantOffset {
				want = `"\/Date(` + ms + `+0000)\/"`
			}
			f.Kind = kind
			if found := written(f, datum.AppendText(nil, m.Format(text))); found != want {
				t.Fatalf("%v: expected %s, found %s", m, want, found)
			}
			f.Kind = Date + kind - Instant
			if found := written(f, datum.AppendNumber(nil, m.UnixMilli())); found != want {
				t.Fatalf("%v: expected %s, found %s", m, want, found)
			}
		}
	}
	f.Kind = Instant
	for _, text := range []string{"2023-02-29T00:00:00", "2100-02-29T00:00:00", "2024-04-31T00:00:00",
		"2024-13-01T00:00:00", "2024-00-01T00:00:00", "2024-01-00T00:00:00",
		"2024-01-32T00:00:00", "2024-01-01T24:00:00", "2024-01-01T00:60:00", "2024-01-01T00:00:60",
		"2024-01-01 00:00:00", "2024-01-01T00:00:0x", "0000-01-01T00:00:00",
		"2024-01-01T00:00:00z", "2024-01-01T00:00:00.5", "2024:01-01T00-00:00", ""} {
		if found := written(f, datum.AppendText(nil, text)); found != "" {
			t.Errorf("%s became %s", text, found)
		}
	}
}

// A text that needs nothing but quotes around it is written, every other one is left to the caller.
func TestTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	f := whole()
	f.Kind = Text
	parts := []string{"a", "Köln", "日本", "😀", " ", "/", "\x7f", "abcdefgh", "\"", "\\", "\n", "\x00", "\xc3",
		"\xed\xa0\x80", "\xf8"}
	plain := 0
	for range rounds() {
		var b []byte
		for range r.IntN(6) {
			b = append(b, parts[r.IntN(len(parts))]...)
		}
		want := `"` + string(b) + `"`
		if !utf8.Valid(b) || bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' }) {
			want = ""
		} else {
			plain++
		}
		if found := written(f, datum.AppendText(nil, string(b))); found != want {
			t.Fatalf("%q: expected %q, found %q", b, want, found)
		}
	}
	if plain < rounds()/20 {
		t.Errorf("expected more plain texts than %d", plain)
	}
}

func TestFind(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const text = "_abcdefg"
	found := 0
	for range rounds() {
		var b []byte
		for range r.IntN(30) {
			b = append(b, []string{"_", "a", "_abc", text, "_abcdefh", "`"}[r.IntN(6)]...)
		}
		b = b[:max(0, len(b)-r.IntN(9))]
		in := roomy(string(b))
		want := 0
		if bytes.Contains(b, []byte(text)) {
			want = 1
			found++
		}
		// What begins in the text and goes on after it may be found, too: who asks looks again.
		got := Find(at(in), len(in), Load(at([]byte(text)), 0))
		if got < want || got > want && !bytes.Contains(in[:len(in)+8], []byte(text)) {
			t.Fatalf("%q: expected %d, found %d", b, want, got)
		}
	}
	if found < rounds()/20 {
		t.Errorf("the text stood in %d", found)
	}
}

func TestGather(t *testing.T) {
	var want []byte
	var pieces []Piece
	for _, n := range []int{0, 1, 7, 8, 9, 63, 511, 512, 513, 5000, 0, 3} {
		text := roomy(string(bytes.Repeat([]byte{byte('a' + n%26)}, n)))
		want = append(want, text...)
		pieces = append(pieces, Piece{at(text), n})
	}
	out := make([]byte, len(want)+3+Room)
	if end := Gather(at(out), 3, &pieces[0], len(pieces)); end != len(want)+3 || !bytes.Equal(out[3:end], want) {
		t.Errorf("expected %q, found %q", want, out[3:end])
	}
}

// What is said of each answer to a batch, in a changeset of its own or all in one.
func TestNext(t *testing.T) {
	const outer = "--batch_of_some_length"
	head := func(n int) string {
		return "Content-Type: multipart/mixed; boundary=set_" + strconv.Itoa(n) + "\r\nContent-ID: 99\r\n\r\n--set_" +
			strconv.Itoa(n) + "\r\n"
	}
	const done = "\r\nHTTP/1.1 201 Created\r\n"
	goOver := func(text string) (s Answers, ok bool) {
		in := []byte(text)
		s = Answers{Text: at(in), End: len(in), Outer: at([]byte(outer)), OuterSize: len(outer)}
		return s, Next(&s) == 1
	}
	const end = "--set_0\r\nContent-Type: the next one\r\n\r\n"
	for text, want := range map[string][5]string{
		done + "\r\n": {},
		"Content-ID: 7\r\ncontent-type: a/b\r\n" + done + "CONTENT-LENGTH:3\r\n" +
			"Location:  x \r\nContent-Id: 8\r\n\r\n--x\r\n": {
			"7", "7", "x", "", "--x"},
		"Location: y\r\nContent-Length: 5\r\nRepeatabilityResult: y\r\n" + done +
			"Content-ID: 012\r\n\r\n\r\n": {"-1", "012"},
		"Content-Identity: 7\r\n" + done + "Locations: x\r\nContent-ID: x\r\n\r\n": {"-1", "x"},
		done + "RequestID: 1\r\nRepeatabilityCreation: 2\r\nRepeatability\r\nrepeatabilityResult: accepted\r\n" +
			"RepeatabilityResult: 3\r\n\r\n": {3: "accepted"},
	} {
		s, ok := goOver(head(0) + text + end)
		value := func(from, to int) string {
			if from == 0 {
				return ""
			}
			return (head(0) + text)[from:to]
		}
		found := [5]string{strconv.Itoa(s.Number), value(s.IDFrom, s.IDTo), value(s.LocationFrom, s.LocationTo),
			value(s.RepeatedFrom, s.RepeatedTo), value(s.BodyFrom, s.BodyTo)}
		if want[0] == "" {
			want[0] = "-1"
		}
		if at := len(head(0)+text) + len("--set_0\r\n"); !ok || s.At != at || s.First != 1 || found != want {
			t.Errorf("%q: expected %q, found %q, %t to %d", text, want, found, ok, s.At)
		}
	}
	for _, text := range []string{"Content-ID : 7\r\n", "Location\u00a0: x\r\n", " folded: x\r\n", "a: b\n",
		"a: \tb\r\n", "--x\r\n", "ümlaut: x\r\n", "a: b\rc\r\n", "sap-message: x\r\n", "Content-Length: 1\r\n",
		"Content-Length: -1\r\n", "Content-Length: 99999999999999999999\r\n", "Location: x\u00a0\r\n",
		"RepeatabilityResult : accepted\r\n", "Repeatability-Result: rejected\r\n"} {
		if _, ok := goOver(head(0) + done + text + "\r\n" + end); ok {
			t.Errorf("%q is taken for common", text)
		}
	}
	for _, line := range []string{"HTTP/1.1 202 Accepted", "HTTP/1.1 206 Partial", "HTTP/1.1 209 ",
		"HTTP/1.1 302 Found", "HTTP/1.1 2011", "HTTP/1.0 201 Created", "HTTP/1.1 20x"} {
		if _, ok := goOver(head(0) + "\r\n" + line + "\r\n\r\n" + end); ok {
			t.Errorf("%q is taken for common", line)
		}
	}
	// Two changesets, and what stands after the last one; cut off anywhere, all of it is never there.
	whole := head(0) + done + "\r\n" + "--set_0\r\n" + done + "\r\n--set_0--\r\n\r\n" + outer + "\r\n" + head(1) + done +
		"Content-Length: 2\r\n\r\n{}\r\n--set_1--\r\n\r\n" + outer + "--"
	for size := range len(whole) + 1 {
		in := slices.Clip([]byte(whole[:size]))
		s := Answers{Text: at(in), End: size, Outer: at([]byte(outer)), OuterSize: len(outer)}
		firsts := uint64(0)
		count := 0
		for s.Complete == 0 && Next(&s) == 1 {
			firsts += s.First
			count++
		}
		if all := s.Complete != 0; all != (size == len(whole)) || all && (count != 3 || firsts != 2 || s.At != size) {
			t.Errorf("%d bytes of %d: complete %t, with %d answers in %d parts", size, len(whole), all, count, firsts)
		}
	}
}
