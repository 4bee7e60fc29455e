package porttest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Tap forwards bytes between its own port and an address, and records them.
type Tap struct {
	// At is the address of the tap's port.
	At string

	mu       sync.Mutex
	recorded []byte // bytes of both directions
}

// NewTap opens a tap to an address until the test ends.
func NewTap(t testing.TB, to string) *Tap {
	t.Helper()
	tap := &Tap{}
	tap.At = Serve(t, func(in net.Conn) {
		out, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		var replies sync.WaitGroup
		replies.Go(func() { tap.forward(in, out) })
		tap.forward(out, in)
		replies.Wait()
	})
	return tap
}

// forward copies and records bytes until one side closes, then closes both.
func (t *Tap) forward(to, from net.Conn) {
	io.Copy(io.MultiWriter(t, to), from)
	from.Close()
	to.Close()
}

// Write records bytes of either direction.
func (t *Tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recorded = append(t.recorded, b...)
	return len(b), nil
}

// Seen returns the recorded bytes of both directions.
func (t *Tap) Seen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.recorded)
}
