// Package inbound bounds what those who call a listener of the worker make it hold: the bytes of bodies that have come
// in, of all requests together, and connections. Whoever calls may be a stranger, and there may be many.
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

// MaxConnections is how many connections a listener has at a time; others wait to be accepted. Heads of requests are
// bounded for each, so that this bounds them together.
const MaxConnections = 512

// Listen opens a TCP listener of at most [MaxConnections].
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, MaxConnections), nil
}

// ErrFull is the error of a body for which there is no room next to the others: the sender is to send it again.
var ErrFull = errors.New("there is no room for the body next to those of other requests: send it again")

// Bodies bound the bodies that are held at a time. Room is taken as bytes come in, whatever length a sender announces,
// and is that of the buffers: what is held never exceeds the bound. The zero value holds none; it is safe for use by
// several goroutines.
type Bodies struct {
	mu   sync.Mutex
	inUse int64 // sum of the capacities of buffers that are not released
}

// firstBuffer is the room that a body takes at first; it doubles when it is full.
const firstBuffer = 4 << 10

// Read reads a body to its end while all bodies together take at most so many bytes. release gives its room back, when
// nobody needs the body any more; it is to be called once, after an error too. The error is [ErrFull], or the reader's.
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

// drainTime is for how long what a sender has begun to send is read and dropped after an answer that did not wait for it.
const drainTime = 5 * time.Second

// AnswerEarly gives an answer before the body has come to its end, whatever of it is under way: a connection that is closed
// with bytes unread is reset, and its sender would never see the answer.
func AnswerEarly(w http.ResponseWriter, r *http.Request, answer func()) {
	c := http.NewResponseController(w) // a writer of a test has none of these
	_ = c.EnableFullDuplex()
	w.Header().Set("Connection", "close")
	answer()
	_ = c.Flush()
	_ = c.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, r.Body)
}

// Reserve takes room next to what is held, or gives it back where bytes is negative; false: there is none.
func (b *Bodies) Reserve(bytes, together int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > 0 && b.inUse+bytes > together {
		return false
	}
	b.inUse += bytes
	return true
}

// InUse is how many bytes of room are taken.
func (b *Bodies) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inUse
}
