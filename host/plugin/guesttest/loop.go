package guesttest

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// Looping is a module with an endless loop in the place of an exported function: a plugin as before, until it is at
// work.
func Looping(t testing.TB, module []byte, export string) []byte {
	t.Helper()
	l := looper{left: module[8:]}
	out := bytes.Clone(module[:8])
	imports, function, found := 0, 0, false
	for len(l.left) > 0 {
		id := l.take(1)[0]
		content := looper{left: l.take(l.number())}
		whole := content.left
		switch id {
		case 2:
			for n := content.number(); n > 0; n-- {
				content.take(content.number())
				content.take(content.number())
				if kind := content.take(1)[0]; kind != 0 {
					t.Fatalf("expected a module that imports functions only, found an import of kind %d", kind)
				}
				content.number()
				imports++
			}
		case 7:
			for n := content.number(); n > 0; n-- {
				name := content.take(content.number())
				kind, index := content.take(1)[0], content.number()
				if kind == 0 && string(name) == export {
					function, found = index, true
				}
			}
		case 10:
			whole = content.stuck(function - imports)
		}
		out = append(out, section(id, whole)...)
	}
	if !found {
		t.Fatalf("no function %q is exported", export)
	}
	return out
}

// looper reads a module's bytes.
type looper struct{ left []byte }

func (l *looper) take(n int) []byte {
	b := l.left[:n]
	l.left = l.left[n:]
	return b
}

func (l *looper) number() int {
	n, size := binary.Uvarint(l.left)
	l.left = l.left[size:]
	return int(n)
}

// stuck is a code section with one of its bodies replaced.
func (l *looper) stuck(function int) []byte {
	bodies := make([][]byte, l.number())
	for n := range bodies {
		body := l.take(l.number())
		if n == function {
			// no locals; loop, br 0, end, unreachable, end
			body = []byte{0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00, 0x0b}
		}
		bodies[n] = join(number(len(body)), body)
	}
	return vector(bodies)
}
