package code

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// image is what the memories of a module's instances hold when they begin, once for all: their pages are the image's
// until they write there, when the machine gives them a copy. Of the data of a guest in Go, tables and texts, most is
// never written, and so is much of what its runtime and its packages make before the first call. The zero image is
// ready for use.
type image struct {
	mu    sync.Mutex
	state imageState
	file  *os.File
	// from is where in the memory it begins; content is the image itself, read-only; filled tells which of its blocks
	// hold anything.
	from    int
	content []byte
	filled  []bool
}

type imageState int

const (
	imageUnmade imageState = iota
	// imageWaits: there was one memory, which has nobody to share with yet.
	imageWaits
	imageMade
	// imageNone: there is nothing worth it, or the machine has no such files.
	imageNone
)

const (
	// imageBlock is the size in bytes from which on sharing is worth a mapping.
	imageBlock = 64 << 10
	// maxImage is how much of a memory, in bytes, may be kept for others to share: no instance is charged for it.
	maxImage = 16 << 20
)

// share makes the pages of a memory those of the image, which the second one makes: for one alone it would be work and
// memory for nothing. Only where both hold the same bytes: so the guest finds what it would find without it. After an
// error the memory is unusable.
func (m *image) share(memory experimental.LinearMemory, size int) error {
	to, ok := memory.(*mapped)
	if !ok || size > len(to.all) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.state {
	case imageUnmade:
		m.state = imageWaits
	case imageWaits:
		m.state = imageNone
		if m.make(to.all[:size]) == nil {
			m.state = imageMade
		}
	}
	if m.state != imageMade || m.from+len(m.content) > size {
		return nil
	}
	place := to.all[m.from : m.from+len(m.content)]
	same := func(block int) bool {
		at := block * imageBlock
		return m.filled[block] && bytes.Equal(place[at:at+imageBlock], m.content[at:at+imageBlock])
	}
	for first := 0; first < len(m.filled); first++ {
		next := first
		for next < len(m.filled) && same(next) {
			next++
		}
		if next == first {
			continue
		}
		at := first * imageBlock
		_, err := unix.MmapPtr(int(m.file.Fd()), int64(at), unsafe.Pointer(unsafe.SliceData(place[at:])),
			uintptr((next-first)*imageBlock), unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
		if err != nil {
			return fmt.Errorf("mapping the memory of an instance: %w", err)
		}
		first = next
	}
	return nil
}

// make makes the image of a memory: from its first block with content to its last. Blocks without any take no room.
func (m *image) make(memory []byte) error {
	zero := make([]byte, imageBlock)
	blank := func(at int) bool { return bytes.Equal(memory[at:at+imageBlock], zero) }
	from, to := 0, len(memory)-len(memory)%imageBlock
	for from < to && blank(from) {
		from += imageBlock
	}
	for to > from && blank(to-imageBlock) {
		to -= imageBlock
	}
	if to == from || to-from > maxImage {
		return fmt.Errorf("%d bytes are not worth it, or too many", to-from)
	}
	fd, err := unix.MemfdCreate("culvert-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "culvert-image")
	filled := make([]bool, (to-from)/imageBlock)
	err = file.Truncate(int64(to - from))
	for block := range filled {
		if at := from + block*imageBlock; err == nil && !blank(at) {
			filled[block] = true
			_, err = file.WriteAt(memory[at:at+imageBlock], int64(at-from))
		}
	}
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS,
			unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	var content []byte
	if err == nil {
		content, err = unix.Mmap(int(file.Fd()), 0, to-from, unix.PROT_READ, unix.MAP_PRIVATE)
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	m.file, m.from, m.content, m.filled = file, from, content, filled
	return nil
}

// close lets go of the image. Memories that share it keep it.
func (m *image) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == imageMade {
		_ = unix.Munmap(m.content)
		_ = m.file.Close()
	}
	m.state, m.content = imageNone, nil
}
