package fast

import (
	"math/bits"
	"unsafe"
)

// copyGo copies text from src to dst until a stop, which is not copied. n is the number of bytes; ascii is below 0x80 in all
// bytes if the text is.
func copyGo(dst, src unsafe.Pointer, s *Stops) (n int, ascii uint64) {
	for {
		x := Load(src, n)
		Store(dst, n, x)
		m := s.In(x)
		if m != 0 {
			k := bits.TrailingZeros64(m) &^ 7
			return n + k>>3, ascii | x&(1<<k-1)
		}
		ascii |= x
		n += 8
	}
}

// scanGo returns the distance to the next stop.
func scanGo(src unsafe.Pointer, s *Stops) int {
	for n := 0; ; n += 8 {
		if m := s.In(Load(src, n)); m != 0 {
			return n + bits.TrailingZeros64(m)>>3
		}
	}
}

// matchGo returns the length of what matches a template, 0 if it does not.
func matchGo(src unsafe.Pointer, program *uint64) int {
	p, n := unsafe.Pointer(program), 0
	for {
		head := Load(p, 0)
		words, rest := int(head&0xffffff), int(head>>32&0xff)
		p = unsafe.Add(p, 8)
		for ; words > 0; words-- {
			if Load(src, n) != Load(p, 0) {
				return 0
			}
			p = unsafe.Add(p, 8)
			n += 8
		}
		if (Load(src, n)^Load(p, 0))&Load(p, 8) != 0 {
			return 0
		}
		n += rest
		if head>>63 != 0 {
			return n
		}
		n += scanGo(unsafe.Add(src, n), (*Stops)(unsafe.Add(p, 16)))
		p = unsafe.Add(p, 40)
	}
}

// Template is text with holes: runs that must be there to the byte, and between them holes that go on to a stop.
type Template struct {
	program []uint64
	run     []byte
	// Size of its runs, in bytes.
	Size int
}

// Text adds to the current run.
func (t *Template) Text(b ...byte) {
	t.run = append(t.run, b...)
	t.Size += len(b)
}

// Hole ends the current run: what follows goes on to one of the stops.
func (t *Template) Hole(s *Stops) {
	t.flush(0)
	t.program = append(t.program, s.Flip, s.Limit, s.Stop)
}

// Done ends the template.
func (t *Template) Done() { t.flush(1 << 63) }

func (t *Template) flush(flag uint64) {
	words := len(t.run) / 8
	rest := len(t.run) % 8
	t.program = append(t.program, flag|uint64(rest)<<32|uint64(words))
	for i := range words {
		t.program = append(t.program, word(t.run[8*i:8*i+8]))
	}
	t.program = append(t.program, word(t.run[8*words:]), 1<<(8*rest)-1)
	t.run = t.run[:0]
}

// Reset empties a template, keeping its memory.
func (t *Template) Reset() { t.program, t.run, t.Size = t.program[:0], t.run[:0], 0 }

// Learned tells whether there is anything to match.
func (t *Template) Learned() bool { return len(t.program) > 0 }

// Match returns the length of the text at src that the template matches, 0 if it does not.
func (t *Template) Match(src unsafe.Pointer) int { return Match(src, unsafe.SliceData(t.program)) }

// word is up to eight bytes as a number, the first one lowest.
func word(b []byte) uint64 {
	var w uint64
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// Words is a text as three words and their masks, to be compared without loops; ok is false for texts over 24 bytes.
func Words(b []byte) (words, masks [3]uint64, ok bool) {
	if len(b) > 24 {
		return words, masks, false
	}
	for i := range 3 {
		part := b[min(len(b), 8*i):min(len(b), 8*i+8)]
		words[i] = word(part)
		if len(part) == 8 {
			masks[i] = ^uint64(0)
		} else {
			masks[i] = 1<<(8*len(part)) - 1
		}
	}
	return words, masks, true
}
