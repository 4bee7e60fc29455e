// Package inbound bounds the connections of a listener and the memory of all request bodies.
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

// MaxConnections bounds the open connections of a listener; others wait to be accepted.
const MaxConnections = 512

// Listen listens on a TCP address, with at most [MaxConnections] open connections.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, MaxConnections), nil
}

// ErrFull is the error of [Bodies.Read] if a body does not fit in the memory that the other bodies leave.
var ErrFull = errors.New("the bodies of other requests use all memory: retry later")

// Bodies bounds the memory of request bodies: their buffers, which grow as bytes arrive. Safe for concurrent use.
type Bodies struct {
	mu    sync.Mutex
	inUse int64 // capacity of unreleased buffers
}

const firstBuffer = 4 << 10

// Read reads a body while all bodies together use at most limit bytes. The caller must call release once. After an
// error the memory is free already, so that draining the connection (see [AnswerEarly]) holds none.
func (b *Bodies) Read(body io.Reader, limit int64) (data []byte, release func(), err error) {
	data, err = b.read(body, limit)
	release = func() { b.Reserve(-int64(cap(data)), limit) }
	if err != nil {
		release()
		return nil, func() {}, err
	}
	return data, release, nil
}

// read reads a body. The capacity of data is reserved, after an error too.
func (b *Bodies) read(body io.Reader, limit int64) (data []byte, err error) {
	for {
		if len(data) == cap(data) {
			larger := max(2*cap(data), firstBuffer)
			if !b.Reserve(int64(larger), limit) {
				return data, ErrFull
			}
			oldSize := int64(cap(data))
			data = append(make([]byte, 0, larger), data...)
			b.Reserve(-oldSize, limit)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return data, err
		}
	}
}

const drainTime = 5 * time.Second

// AnswerEarly answers, then drains the body: closing a connection with unread bytes would lose the answer.
func AnswerEarly(w http.ResponseWriter, r *http.Request, answer func()) {
	c := http.NewResponseController(w) // errors are ignored: writers of tests do not support it
	_ = c.EnableFullDuplex()           // otherwise the server reads the body before it answers
	w.Header().Set("Connection", "close")
	answer()
	_ = c.Flush()
	_ = c.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, r.Body)
}

// Reserve counts bytes and reports whether they fit within limit. A negative number returns bytes and always fits.
func (b *Bodies) Reserve(bytes, limit int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > 0 && b.inUse+bytes > limit {
		return false
	}
	b.inUse += bytes
	return true
}

// InUse returns the bytes that are counted now.
func (b *Bodies) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inUse
}
