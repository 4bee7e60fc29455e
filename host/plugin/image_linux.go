package plugin

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// image is what a module's memory begins with, once for all of its instances: their pages are the image's until they
// write there, when the machine gives them a copy. Of the data of a guest in Go, tables and texts, most is never
// written, and much of it never read. The zero image is ready for use.
type image struct {
	mu    sync.Mutex
	state imageState
	file  *os.File
	// from is where in the memory it begins; content is the image itself, read-only.
	from    int
	content []byte
}

type imageState int

const (
	imageUnmade imageState = iota
	imageMade
	// imageNone: there is nothing worth it, or the machine has no such files.
	imageNone
)

// leastImage is the size in bytes from which on sharing is worth a mapping.
const leastImage = 64 << 10

// share makes the pages of a fresh memory those of the image, which the first one makes. Only where both hold the same
// bytes: so the guest finds what it would find without it. After an error the memory is unusable.
func (m *image) share(memory experimental.LinearMemory, size int) error {
	to, ok := memory.(*mapped)
	if !ok || size > len(to.all) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == imageUnmade {
		m.state = imageNone
		if m.make(to.all[:size]) == nil {
			m.state = imageMade
		}
	}
	if m.state == imageNone || m.from+len(m.content) > size {
		return nil
	}
	place := to.all[m.from : m.from+len(m.content)]
	if !bytes.Equal(place, m.content) {
		return nil
	}
	_, err := unix.MmapPtr(int(m.file.Fd()), 0, unsafe.Pointer(unsafe.SliceData(place)), uintptr(len(place)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("mapping the memory of an instance: %w", err)
	}
	return nil
}

// make makes the image of a memory: from its first page with content to its last.
func (m *image) make(memory []byte) error {
	page := os.Getpagesize()
	zero := make([]byte, page)
	blank := func(at int) bool { return bytes.Equal(memory[at:at+page], zero) }
	from, to := 0, len(memory)-len(memory)%page
	for from < to && blank(from) {
		from += page
	}
	for to > from && blank(to-page) {
		to -= page
	}
	if to-from < leastImage {
		return fmt.Errorf("%d bytes are not worth it", to-from)
	}
	fd, err := unix.MemfdCreate("culvert-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "culvert-image")
	if _, err = file.Write(memory[from:to]); err == nil {
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
	m.file, m.from, m.content = file, from, content
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
