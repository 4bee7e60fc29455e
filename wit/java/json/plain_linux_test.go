package json

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// Nothing after a text is read, wherever it ends: after these is memory that cannot be.
func TestPlainRunAtTheEndOfMemory(t *testing.T) {
	page := unix.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	if err := unix.Mprotect(memory[page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	defer func(was bool) { vectors = was }(vectors)
	for size := range 97 {
		s := memory[page-size : page : page]
		copy(s, bytes.Repeat([]byte{'x'}, size))
		for _, vectors = range ways {
			if got := Plain(s); got != size {
				t.Errorf("vectors %v: expected %d plain bytes, found %d", vectors, size, got)
			}
			if size > 0 {
				s[size-1] = '"'
				if got := Plain(s); got != size-1 {
					t.Errorf("vectors %v: expected %d plain bytes, found %d", vectors, size-1, got)
				}
				s[size-1] = 'x'
			}
		}
	}
}
