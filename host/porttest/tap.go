package porttest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Tap forwards bytes between a port of its own and an address, and records them.
type Tap struct {
	// At is the address of the tap's own port.
	At   string
	mu   sync.Mutex
	seen []byte
}

// NewTap opens a tap to an address. The tap and its connections are closed when the test ends.
func NewTap(t testing.TB, to string) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &Tap{At: l.Addr().String()}
	var open sync.Map
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				open.Store(pair[0], nil)
				running.Go(func() {
					io.Copy(io.MultiWriter(tap, pair[1]), pair[0])
					in.Close()
					out.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(conn, _ any) bool {
			conn.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
	return tap
}

// Write records bytes.
func (t *Tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = append(t.seen, b...)
	return len(b), nil
}

// Seen returns all bytes so far, of both directions.
func (t *Tap) Seen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.seen)
}
