//go:build linux

package code

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// sharing is a memory that was filled and then shares what it can with an image.
func sharing(t *testing.T, shared *image, size int, fill func([]byte)) []byte {
	t.Helper()
	m := allocateMemory(0, uint64(2*size)).(*mapped)
	t.Cleanup(m.Free)
	b := m.Reallocate(uint64(size))
	fill(b)
	want := bytes.Clone(b)
	require.NoError(t, shared.share(m, len(b)))
	if !bytes.Equal(b, want) {
		t.Error("sharing has changed a memory")
	}
	return b
}

// Memories that begin alike share their pages, keep their content, and never see what another one writes. One that
// differs in a byte shares nothing.
func TestMemoriesShareWhatTheyBeginWith(t *testing.T) {
	const size, from, to = 4 * imageBlock, imageBlock, 3 * imageBlock
	var shared image
	fresh := func(change byte) []byte {
		return sharing(t, &shared, size, func(b []byte) {
			for i := from; i < to; i++ {
				b[i] = byte(i%251) + 1
			}
			b[from+100] += change
		})
	}
	alone := fresh(0)
	first, second, other := fresh(0), fresh(0), fresh(1)
	for name, c := range map[string]struct {
		memory []byte
		shares bool
	}{
		"one that was alone": {alone, false}, "first": {first, true}, "second": {second, true},
		"one that differs": {other, false},
	} {
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

// imaged reports whether the page at the beginning of b is an image's.
func imaged(t *testing.T, b []byte) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	for line := range strings.Lines(string(maps)) {
		var low, high uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &low, &high); err == nil && low <= at && at < high {
			return strings.Contains(line, "culvert-image")
		}
	}
	return false
}

// Memories that differ in one place share what is around it; places with nothing in them are not the image's.
func TestMemoriesShareWhatIsEqual(t *testing.T) {
	const blocks = 6
	var shared image
	fresh := func(change byte) []byte {
		return sharing(t, &shared, blocks*imageBlock, func(b []byte) {
			for _, block := range []int{0, 1, 3, 5} {
				b[block*imageBlock+10] = byte(block) + 1
			}
			b[3*imageBlock+20] = change
		})
	}
	fresh(0)
	for change, want := range [][]bool{
		{true, true, false, true, false, true},
		{true, true, false, false, false, true},
	} {
		b := fresh(byte(change))
		for block, shares := range want {
			if got := imaged(t, b[block*imageBlock:]); got != shares {
				t.Errorf("memory %d, block %d: expected that it shares: %v, found %v", change, block, shares, got)
			}
		}
	}
}

// What is empty, too large, or not the machine's, stays as it is.
func TestMemoriesThatShareNothing(t *testing.T) {
	for _, last := range []int{0, maxImage} {
		shared := image{state: imageWaits}
		m := allocateMemory(0, maxImage+imageBlock).(*mapped)
		defer m.Free()
		b := m.Reallocate(maxImage + imageBlock)
		if last > 0 {
			b[0], b[last] = 1, 1
		}
		if err := shared.share(m, len(b)); err != nil || shared.state != imageNone || imaged(t, b) {
			t.Errorf("content up to %d: %v, state %d", last, err, shared.state)
		}
	}
	heap := &onHeap{most: imageBlock}
	heap.Reallocate(imageBlock)[0] = 1
	assert.NoError(t, (&image{state: imageWaits}).share(heap, imageBlock))
}
