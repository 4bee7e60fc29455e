//go:build real

package sink

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Mirrored is a sink of the topic orders that is killed while two of its inserts are on their way, which are not
// applied, and that goes on at a copy of the topic.
type Mirrored struct {
	*e2etest.Place
	Service *odatatest.Service
	// Rows is how many records the topic has, one for each entity; First is the first one on its way.
	Rows, First int
	// Posts counts the inserts that the service was sent.
	Posts   atomic.Int32
	address string
	held    atomic.Bool
	lines   []string
	command *e2etest.Command
}

// NewMirrored makes the service and the sink, whose group is connect-back.
func NewMirrored(t *testing.T, rows, first int, settings ...string) *Mirrored {
	t.Helper()
	service := odatatest.New(odatatest.Options{Rows: 1})
	m := &Mirrored{Place: e2etest.NewPlace(t), Service: service, Rows: rows, First: first}
	m.held.Store(true)
	m.address = e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			m.Posts.Add(1)
			if m.held.Load() && (asks(r, first) || asks(r, first+1)) {
				<-r.Context().Done()
				return
			}
		}
		m.Service.ServeHTTP(w, r)
	}))
	m.lines = e2etest.Instead(append(e2etest.SinkOf("back", m.address, "orders", "OrderCopies"), "sap.odata.enable.batch=0",
		"sap.odata.max.in.flight=8", "sap.odata.max.concurrent.requests=8", e2etest.Silent), settings...)
	return m
}

// asks reports whether a request is to insert an order.
func asks(r *http.Request, id int) bool {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return bytes.Contains(body, fmt.Appendf(nil, `"ship %d"`, id))
}

// Fill makes the topic and puts the records of the orders from one on into it.
func (m *Mirrored) Fill(servers string, from int) {
	m.T.Helper()
	e2etest.MakeTopics(m.T, e2etest.Client(m.T, servers), "orders")
	var records []*kgo.Record
	for n := from; n < m.Rows; n++ {
		records = append(records, &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, n+1),
			Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"ship %d"}`, n+1, n)})
	}
	e2etest.Produce(m.T, servers, records...)
}

func (m *Mirrored) start(servers string) *e2etest.Command {
	m.T.Helper()
	m.command = m.Start("run", "--once", "--plugins", e2etest.Plugins(m.T, "odata-sink"), "--data", m.Data, m.Plain(servers),
		m.File("back.properties", m.lines...))
	return m.command
}

// Killed runs the sink until all else is written and stored, kills it, and returns what its group has.
func (m *Mirrored) Killed(servers string) kadm.Offset {
	m.T.Helper()
	c, admin := m.start(servers), kadm.NewClient(e2etest.Client(m.T, servers))
	var at kadm.Offset
	c.Eventually("all but two records written and stored", func() bool {
		at = m.Stored(admin)
		return slices.Contains(strings.Fields(at.Metadata), fmt.Sprintf("settled=2-%d", m.Rows-1-m.First))
	})
	c.Kill()
	m.held.Store(false)
	m.T.Logf("killed with the offset %d and %q", at.At, at.Metadata)
	return at
}

// Stored returns what the sink's group has, with an empty offset where it has nothing.
func (m *Mirrored) Stored(admin *kadm.Client) kadm.Offset {
	all, _ := admin.FetchOffsets(m.T.Context(), "connect-back")
	at, _ := all.Lookup("orders", 0)
	return at.Offset
}

// Eventually polls until done answers true, after the sink has ended.
func (m *Mirrored) Eventually(what string, done func() bool) {
	m.T.Helper()
	m.command.Eventually(what, done)
}

// Once lets the sink go on to the end of the topic.
func (m *Mirrored) Once(servers string) e2etest.Result {
	m.T.Helper()
	return m.start(servers).Wait()
}
