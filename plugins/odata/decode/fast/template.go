package fast

import "unsafe"

// Template matches a text in which runs of bytes are fixed and the gaps between them, each up to a stop, vary.
type Template struct {
	program []uint64
	run     []byte
	Size    int // of all runs, in bytes
}

func (t *Template) Text(b ...byte) {
	t.run = append(t.run, b...)
	t.Size += len(b)
}

// Gap ends the current run. The gap after it ends at one of the stops.
func (t *Template) Gap(s *Stops) {
	t.flush(0)
	t.program = append(t.program, s.Flip, s.Limit, s.Stop)
}

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

func (t *Template) Reset() { t.program, t.run, t.Size = t.program[:0], t.run[:0], 0 }

// Program returns the form that kernels match, or nil for an empty template.
func (t *Template) Program() *uint64 {
	if len(t.program) == 0 {
		return nil
	}
	return &t.program[0]
}

// Match returns the length of the match at src. If the text differs, the result is zero or minus the length that
// matched at least.
func (t *Template) Match(src unsafe.Pointer) int { return Match(src, t.Program()) }

func word(b []byte) uint64 {
	var w uint64
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}
