package transport

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// body reads an answer's body: it limits pauses, decompresses, and verifies the end.
type body struct {
	inner           io.ReadCloser
	gzipReader      *gzip.Reader
	gzipped         bool
	unknownEncoding string // the encoding, where we cannot unpack it
	timeout         *readTimeout
	parent          context.Context
	request         string
	received        *atomic.Int64
	read            int64
	err             error
	release         func() // says that the request is over
	onBroken        func(error)
}

// decode prepares decompression and removes the headers that it invalidates. An unknown encoding fails in Read: the
// status is valid nevertheless, and an empty body needs no decoding.
func (b *body) decode(h http.Header) {
	switch encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		b.gzipped = true
		h.Del("Content-Encoding")
		h.Del("Content-Length")
	default:
		b.unknownEncoding = encoding
	}
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.timeout.reading()
	n, err := b.readDecoded(p)
	b.timeout.waiting()
	b.read += int64(n)
	if err != nil {
		b.err = b.classifyEnd(err)
		b.timeout.cancel(nil)
		b.release()
	}
	return n, b.err
}

func (b *body) readDecoded(p []byte) (int, error) {
	if !b.gzipped {
		n, err := (*wireBody)(b).Read(p)
		if n > 0 && b.unknownEncoding != "" {
			return 0, errorf(wit.ErrorData, "%s: expected a body in gzip or as it is, found Content-Encoding %q",
				b.request, b.unknownEncoding)
		}
		return n, err
	}
	if b.gzipReader == nil {
		var err error
		if b.gzipReader, err = gzip.NewReader((*wireBody)(b)); err != nil {
			// an empty body is also an empty body in gzip
			return 0, err
		}
	}
	return b.gzipReader.Read(p)
}

// classifyEnd returns io.EOF for a complete body, else a fault.
func (b *body) classifyEnd(err error) error {
	if err == io.EOF {
		return err
	}
	if b.parent.Err() != nil {
		return context.Cause(b.parent)
	}
	if _, ok := errors.AsType[*wit.Error](err); ok {
		return err
	}
	if cause := context.Cause(b.timeout.ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, gzip.ErrHeader) {
		return errorf(wit.ErrorData, "%s: the answer broke off after %d bytes: %v", b.request, b.read, err)
	}
	fault := errorf(wit.ErrorTransient, "%s: the answer broke off after %d bytes: %v", b.request, b.read, err)
	b.onBroken(fault)
	return fault
}

func (b *body) Close() error {
	b.timeout.waiting()
	err := b.inner.Close()
	b.timeout.cancel(nil)
	b.release()
	if b.err == nil {
		b.err = errors.New(b.request + ": the body was closed before its end")
	}
	return err
}

// wireBody is the body before decompression.
type wireBody body

func (w *wireBody) Read(p []byte) (int, error) {
	n, err := w.inner.Read(p)
	w.received.Add(int64(n))
	return n, err
}

// readTimeout cancels an exchange that received nothing for too long. It holds a timer, not a goroutine. Hooks of
// net/http call it from other goroutines, some of them after the answer arrived.
type readTimeout struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer

	mu       sync.Mutex
	limit    time.Duration
	answered bool
}

// newReadTimeout returns a timeout that is not running yet.
func newReadTimeout(ctx context.Context, limit time.Duration) *readTimeout {
	s := &readTimeout{limit: limit}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.timer = time.AfterFunc(time.Hour, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancel(fmt.Errorf("nothing came for %v", s.limit))
	})
	s.timer.Stop()
	return s
}

// sending restarts the timer while the request is written.
func (s *readTimeout) sending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.answered {
		s.timer.Reset(s.limit)
	}
}

// answerBegan stops the timer and sets the limit for reads of the body.
func (s *readTimeout) answerBegan(limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered, s.limit = true, limit
	s.timer.Stop()
}

func (s *readTimeout) reading() { s.timer.Reset(s.limit) }

func (s *readTimeout) waiting() { s.timer.Stop() }

// upload is a request's body; each write restarts the read timeout.
type uploadBody struct {
	*bytes.Reader
	timeout *readTimeout
	sent    interface{ Add(int64) int64 }
}

func (u *uploadBody) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	u.timeout.sending()
	u.sent.Add(int64(n))
	return n, err
}

// WriteTo hides the method of bytes.Reader, which would write the whole body at once, without restarting the
// timeout.
func (u *uploadBody) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{u})
}

func (u *uploadBody) Close() error { return nil }
