//go:build linux

package plugin

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// Memories that begin alike share their pages, keep their content, and never see what another one writes. One that
// differs in a byte shares nothing.
func TestMemoriesShareWhatTheyBeginWith(t *testing.T) {
	const size, from, to = 4 * leastImage, leastImage, 3 * leastImage
	var shared image
	fresh := func(change byte) []byte {
		m := allocateMemory(0, 2*size).(*mapped)
		t.Cleanup(m.Free)
		b := m.Reallocate(size)
		for i := from; i < to; i++ {
			b[i] = byte(i%251) + 1
		}
		b[from+100] += change
		want := bytes.Clone(b)
		if err := shared.share(m, size); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Error("sharing has changed a memory")
		}
		return b
	}
	first, second, other := fresh(0), fresh(0), fresh(1)
	for name, c := range map[string]struct {
		memory []byte
		shares bool
	}{"first": {first, true}, "second": {second, true}, "one that differs": {other, false}} {
		if got := imaged(t, c.memory[from:]); got != c.shares {
			t.Errorf("%s: expected that it shares: %v, found %v", name, c.shares, got)
		}
	}
	before := second[from]
	for i := range first {
		first[i] = 255
	}
	third := fresh(0)
	if second[from] != before || third[from] != before || second[0] != 0 || third[to] != 0 {
		t.Error("a memory sees what another one has written")
	}
	shared.close()
	shared.close()
	if second[from] != before || second[to-1] != third[to-1] {
		t.Error("a memory has lost its content with the image")
	}
	if fresh(0); shared.file != nil && shared.state != imageNone {
		t.Error("an image that was closed is used")
	}
}

// imaged tells whether the page at the beginning of b is an image's.
func imaged(t *testing.T, b []byte) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	for line := range strings.Lines(string(maps)) {
		var low, high uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &low, &high); err == nil && low <= at && at < high {
			return strings.Contains(line, "culvert-image")
		}
	}
	return false
}

// What is too small, or not the machine's, stays as it is.
func TestSmallMemoriesShareNothing(t *testing.T) {
	var shared image
	m := allocateMemory(0, 4*pageBytes).(*mapped)
	defer m.Free()
	b := m.Reallocate(4 * pageBytes)
	b[pageBytes] = 1
	if err := shared.share(m, len(b)); err != nil || shared.state != imageNone || imaged(t, b[pageBytes:]) {
		t.Errorf("%v, state %d", err, shared.state)
	}
	heap := &onHeap{most: leastImage}
	heap.Reallocate(leastImage)
	if err := new(image).share(heap, leastImage); err != nil {
		t.Error(err)
	}
}
