package e2etest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// Broker starts an embedded broker in a process of its own.
func (p *Place) Broker() (servers string) {
	p.T.Helper()
	_, servers = p.StartBroker()
	return servers
}

// StartBroker is Broker that may be stopped.
func (p *Place) StartBroker() (c *Command, servers string) {
	p.T.Helper()
	c = p.BrokerAt(p.Data, "127.0.0.1:0")
	return c, strings.TrimSpace(c.Stdout.String())
}

// BrokerAt is StartBroker with a data folder and a listener.
func (p *Place) BrokerAt(data, listen string) *Command {
	p.T.Helper()
	c := p.StartFor(4*time.Hour, "broker", "--data", data, "--listen", listen)
	c.Eventually("an address", func() bool { return strings.Contains(c.Stdout.String(), "\n") })
	return c
}

// ExactRounds is how often a worker with exactly-once is killed: 200 times with CULVERT_SOAK=1, and so often as
// CULVERT_SOAK says where that is more than once.
func ExactRounds(usual int) int {
	soak := os.Getenv("CULVERT_SOAK")
	if n, err := strconv.Atoi(soak); err == nil && n > 1 {
		return n
	}
	if soak != "" {
		return 200
	}
	return usual
}

// Rounds is how often a worker is killed: 20 times with CULVERT_SOAK=1.
func Rounds() int {
	if os.Getenv("CULVERT_SOAK") != "" {
		return 20
	}
	return 4
}

// Writer writes to a service, past what holds up its answers.
type Writer struct{ S *odatatest.Service }

// Send reports whether the service did it: a product that order details have is not deleted.
func (w Writer) Send(method, path string, body any) bool {
	raw, _ := json.Marshal(body)
	q := httptest.NewRequest(method, odatatest.SAPPath+path, bytes.NewReader(raw))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	answer := httptest.NewRecorder()
	w.S.ServeHTTP(answer, q)
	return answer.Code < http.StatusBadRequest
}

// Holdup is a service whose answers stop in the middle of a feed's body, at a number of bytes since the last stop,
// until it is asked to go on: the moment to kill the one who reads.
type Holdup struct {
	Inner http.Handler

	mu     sync.Mutex
	After  int // bytes until the stop; negative: never
	Held   chan struct{}
	GoOn   chan struct{}
	passed int
}

func (h *Holdup) Arm(after int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.After, h.passed, h.Held, h.GoOn = after, 0, make(chan struct{}), make(chan struct{})
}

func (h *Holdup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "$metadata") {
		h.Inner.ServeHTTP(w, r)
		return
	}
	h.Inner.ServeHTTP(&heldWriter{w, h}, r)
}

type heldWriter struct {
	http.ResponseWriter
	h *Holdup
}

func (w *heldWriter) Write(p []byte) (int, error) {
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

// pass lets n bytes through, or stops before them.
func (h *Holdup) pass(n int, flush func()) {
	h.mu.Lock()
	h.passed += n
	stop := h.After >= 0 && h.passed > h.After
	held, goOn := h.Held, h.GoOn
	if stop {
		h.After = -1
	}
	h.mu.Unlock()
	if stop {
		flush()
		close(held)
		<-goOn
	}
}
