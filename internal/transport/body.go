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

// body reads an answer's body: it times out, decompresses, and detects truncation.
type body struct {
	inner           io.ReadCloser
	gzipReader      *gzip.Reader // created with the first read
	isGzipped       bool
	unknownEncoding string // an unsupported encoding, or ""
	timeout         *readTimeout
	parent          context.Context // of the caller, without the timeout
	request         string          // for messages
	received        *atomic.Int64   // counts bytes on the wire
	read            int64           // decoded bytes
	err             error           // of all further reads
	release         func()          // frees the request's slot, idempotent
	onBroken        func(error)     // called if the body ends early
}

// decode prepares decompression and removes headers that become invalid. An unsupported encoding fails in Read only:
// the status is valid, and the body may be empty.
func (b *body) decode(h http.Header) {
	switch encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); encoding {
	case "", "identity": // nothing to decode
	case "gzip", "x-gzip":
		b.isGzipped = true
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
	b.timeout.start()
	n, err := b.readDecoded(p)
	b.timeout.stop()
	b.read += int64(n)
	if err != nil {
		b.err = b.classifyEnd(err)
		b.timeout.cancel(nil)
		b.release()
	}
	return n, b.err
}

// readDecoded reads and decompresses, without a timeout.
func (b *body) readDecoded(p []byte) (int, error) {
	if !b.isGzipped {
		n, err := (*wireBody)(b).Read(p)
		if n > 0 && b.unknownEncoding != "" {
			return 0, errorf(wit.ErrorData, "%s: expected a body with Content-Encoding gzip or identity, found %q",
				b.request, b.unknownEncoding)
		}
		return n, err
	}
	if b.gzipReader == nil {
		var err error
		if b.gzipReader, err = gzip.NewReader((*wireBody)(b)); err != nil {
			return 0, err // io.EOF for an empty body
		}
	}
	return b.gzipReader.Read(p)
}

// classifyEnd returns the error of all further reads: io.EOF of a complete body, the caller's cause, a data error if
// another attempt cannot help, else a transient one.
func (b *body) classifyEnd(err error) error {
	if err == io.EOF {
		return err
	}
	if b.parent.Err() != nil {
		return context.Cause(b.parent)
	}
	if _, ok := errors.AsType[*wit.Error](err); ok {
		return err // of an unknown encoding
	}
	if cause := context.Cause(b.timeout.ctx); cause != nil {
		err = cause // nothing was received for too long
	}
	if errors.Is(err, gzip.ErrHeader) {
		return errorf(wit.ErrorData, "%s: expected a gzip body as its Content-Encoding says, found after %d bytes: %v",
			b.request, b.read, err)
	}
	brokenErr := errorf(wit.ErrorTransient, "%s: the response ended early, after %d bytes: %v", b.request, b.read, err)
	b.onBroken(brokenErr)
	return brokenErr
}

func (b *body) Close() error {
	b.timeout.stop()
	err := b.inner.Close()
	b.timeout.cancel(nil)
	b.release() // before b.err is set, which it logs: an early close is no fault
	if b.err == nil {
		b.err = errors.New(b.request + ": the body was closed before its end")
	}
	return err
}

// wireBody is a body as it is received, before decompression.
type wireBody body

func (w *wireBody) Read(p []byte) (int, error) {
	n, err := w.inner.Read(p)
	w.received.Add(int64(n))
	return n, err
}

// readTimeout cancels an exchange that received nothing for too long. net/http calls it from other goroutines.
type readTimeout struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer

	mu          sync.Mutex
	limit       time.Duration
	isAnswering bool // the answer has begun
}

func newReadTimeout(ctx context.Context, limit time.Duration) *readTimeout {
	t := &readTimeout{limit: limit}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	t.timer = time.AfterFunc(time.Hour, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cancel(fmt.Errorf("nothing was received for %v", t.limit))
	})
	t.timer.Stop() // until restart or start
	return t
}

// restart starts the timer again when a part of the request was sent. After beginAnswer it does nothing.
func (t *readTimeout) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isAnswering {
		t.timer.Reset(t.limit)
	}
}

// beginAnswer stops the timer and sets the limit for reads of the body.
func (t *readTimeout) beginAnswer(limit time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isAnswering = true
	t.limit = limit
	t.timer.Stop()
}

// start begins a read of the answer's body, stop ends it. After beginAnswer the limit needs no lock.
func (t *readTimeout) start() { t.timer.Reset(t.limit) }

func (t *readTimeout) stop() { t.timer.Stop() }

// uploadBody is a request's body; each read restarts the read timeout.
type uploadBody struct {
	*bytes.Reader
	timeout *readTimeout
	sent    *atomic.Int64 // counts bytes
}

func (u *uploadBody) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	u.timeout.restart()
	u.sent.Add(int64(n))
	return n, err
}

// WriteTo hides bytes.Reader's method, which would write the whole body without restarting the timeout.
func (u *uploadBody) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{u}) }

func (u *uploadBody) Close() error { return nil }
