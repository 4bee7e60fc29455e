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

// Broker starts an embedded broker in a process of its own.
func (p *Place) Broker() (servers string) {
	p.T.Helper()
	_, servers = p.StartBroker()
	return servers
}

// StartBroker is Broker for a broker that the test may stop.
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

// Rounds returns how often a test kills a worker.
func Rounds() int { return OneOf(20, 4) }

// Writer writes to a service directly, past a handler that delays responses.
type Writer struct{ S *odatatest.Service }

// Send reports whether the service applied the write: a product with order details cannot be deleted.
func (w Writer) Send(method, path string, body any) bool {
	raw, _ := json.Marshal(body)
	q := httptest.NewRequest(method, odatatest.SAPPath+path, bytes.NewReader(raw))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("If-Match", "*")
	answer := httptest.NewRecorder()
	w.S.ServeHTTP(answer, q)
	return answer.Code < http.StatusBadRequest
}
