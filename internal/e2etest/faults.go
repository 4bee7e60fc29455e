package e2etest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// StartBroker starts an embedded broker in a process of its own and returns its address.
func (p *Place) StartBroker() (servers string) {
	p.T.Helper()
	_, servers = p.StartBrokerCommand()
	return servers
}

// StartBrokerCommand is [Place.StartBroker] for a broker that the test may stop.
func (p *Place) StartBrokerCommand() (c *Command, servers string) {
	p.T.Helper()
	c = p.StartBrokerAt(p.Data, "127.0.0.1:0")
	return c, strings.TrimSpace(c.Stdout.String())
}

// StartBrokerAt is [Place.StartBrokerCommand] with a data folder and a listener.
func (p *Place) StartBrokerAt(data, listen string) *Command {
	p.T.Helper()
	c := p.StartFor(4*time.Hour, "broker", "--data", data, "--listen", listen)
	c.Eventually("an address", func() bool { return strings.Contains(c.Stdout.String(), "\n") })
	return c
}

// Rounds returns the number of times that a test kills a worker.
func Rounds() int { return LongOrShort(20, 4) }

// Writer writes to a service directly, not through the handlers in front of it.
type Writer struct{ S *odatatest.Service }

// Send sends a write and reports whether the service applied it: a product with order details cannot be deleted.
func (w Writer) Send(method, path string, body any) bool {
	raw, _ := json.Marshal(body)
	q := httptest.NewRequest(method, odatatest.SAPPath+path, bytes.NewReader(raw))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	answer := httptest.NewRecorder()
	w.S.ServeHTTP(answer, q)
	return answer.Code < http.StatusBadRequest
}
