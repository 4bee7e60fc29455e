package e2etest

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Holdup is a service whose responses block within a feed's body, at a number of bytes since the last block, until they
// are released: the moment to kill the reader.
type Holdup struct {
	Inner http.Handler

	mu      sync.Mutex
	After   int           // bytes until the block; negative means never
	Held    chan struct{} // closed when a response is blocked
	Release chan struct{} // closed by the test to continue
	passed  int           // bytes since Arm
}

// Arm lets the service block after so many bytes; a negative number means never. It replaces the channels.
func (h *Holdup) Arm(after int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.After = after
	h.passed = 0
	h.Held = make(chan struct{})
	h.Release = make(chan struct{})
}

// Await waits until a response is blocked. c is the command that reads it.
func (h *Holdup) Await(c *Command) {
	c.t.Helper()
	select {
	case <-h.Held:
	case <-time.After(WaitLimit):
		c.t.Fatalf("expected a blocked response, found none; stderr:\n%s", c.Stderr.String())
	}
}

// ServeHTTP answers by Inner.
func (h *Holdup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "$metadata") {
		h.Inner.ServeHTTP(w, r)
		return
	}
	h.Inner.ServeHTTP(&blockingWriter{ResponseWriter: w, h: h}, r)
}

// blockingWriter writes a response in pieces, before each of which the service may block.
type blockingWriter struct {
	http.ResponseWriter
	h *Holdup
}

// Write implements [io.Writer]. It blocks as [Holdup.Arm] specifies.
func (w *blockingWriter) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(4096, len(p)-done)
		w.h.pass(n, func() { w.ResponseWriter.(http.Flusher).Flush() })
		if _, err := w.ResponseWriter.Write(p[done : done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// pass returns before n bytes are written. If After is reached, it first flushes the earlier bytes, closes Held, and
// waits for Release.
func (h *Holdup) pass(n int, flush func()) {
	h.mu.Lock()
	h.passed += n
	block := h.After >= 0 && h.passed > h.After
	held := h.Held
	release := h.Release
	if block {
		h.After = -1
	}
	h.mu.Unlock()
	if block {
		flush()
		close(held)
		<-release
	}
}
