// Package inbound bounds the memory and connections that callers of a listener can occupy, all of them together.
package inbound

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// MaxConnections bounds the open connections of a listener; others wait to be accepted. Since headers are bounded
// per connection, it bounds their memory.
const MaxConnections = 512

// Listen opens a TCP listener of at most [MaxConnections].
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, MaxConnections), nil
}

// ErrFull means that the bodies of other requests take all memory; the sender must retry.
var ErrFull = errors.New("there is no room for the body next to those of other requests: send it again")

// Bodies bounds the memory of request bodies, counting buffer capacity as bytes arrive, whatever length senders
// announce. Safe for concurrent use.
type Bodies struct {
	mu    sync.Mutex
	inUse int64 // sum of the capacities of buffers that are not released
}

const firstBuffer = 4 << 10

// Read reads a body while all bodies together take at most so many bytes. release frees its share and must be
// called once, after an error too. The error is [ErrFull], or the reader's.
func (b *Bodies) Read(body io.Reader, together int64) (data []byte, release func(), err error) {
	release = func() { b.Reserve(-int64(cap(data)), together) }
	for {
		if len(data) == cap(data) {
			larger := max(2*cap(data), firstBuffer)
			if !b.Reserve(int64(larger), together) {
				return data, release, ErrFull
			}
			before := int64(cap(data))
			data = append(make([]byte, 0, larger), data...)
			b.Reserve(-before, together)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, release, nil
		case err != nil:
			return data, release, err
		}
	}
}

// drainTime bounds the reading of a body after its early answer.
const drainTime = 5 * time.Second

// AnswerEarly answers before the whole body was read, and drains the body: closing a connection with unread bytes
// resets it, and the sender would not see the answer.
func AnswerEarly(w http.ResponseWriter, r *http.Request, answer func()) {
	c := http.NewResponseController(w) // a writer of a test has none of these
	_ = c.EnableFullDuplex()
	w.Header().Set("Connection", "close")
	answer()
	_ = c.Flush()
	_ = c.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, r.Body)
}

// Reserve reserves bytes and reports whether they fit; negative bytes are released.
func (b *Bodies) Reserve(bytes, together int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > 0 && b.inUse+bytes > together {
		return false
	}
	b.inUse += bytes
	return true
}

// InUse returns the reserved bytes.
func (b *Bodies) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inUse
}
