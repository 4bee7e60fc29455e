package sink

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/odatatest"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Mirrored is a sink of the topic orders that is killed while two of its inserts are on their way, which are not
// applied, and that goes on at a copy of the topic.
type Mirrored struct {
	*e2etest.Place
	Service *odatatest.Service
	// Rows is how many records the topic has, one for each entity; First is the first one on its way.
	Rows, First int
	// Posts counts the inserts that the service was sent.
	Posts atomic.Int32
	// Zero is a record whose order has the key 0; -1: none has. The service makes numbers for such orders, or, with
	// Numbers, for all. Where it is on its way when the sink is killed, it is applied.
	Zero    int
	Numbers bool
	number  atomic.Int32
	address string
	held    atomic.Bool
	lines   []string
	command *e2etest.Command
}

// NewMirrored makes the service and the sink, whose group is connect-back.
func NewMirrored(t *testing.T, rows, first int, settings ...string) *Mirrored {
	t.Helper()
	m := &Mirrored{Place: e2etest.NewPlace(t), Service: odatatest.New(odatatest.Options{Rows: 1}), Rows: rows,
		First: first, Zero: -1}
	m.held.Store(true)
	m.address = e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			m.Posts.Add(1)
			m.numbered(r)
			if m.held.Load() && (asks(r, first) || asks(r, first+1)) {
				if asks(r, m.Zero) {
					m.Service.ServeHTTP(httptest.NewRecorder(), r)
				}
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

var anyOrderID, zeroID = regexp.MustCompile(`"OrderID":\d+,`), regexp.MustCompile(`"OrderID":0,`)

// numbered puts the service's number in the place of an order's key.
func (m *Mirrored) numbered(r *http.Request) {
	pattern := zeroID
	if m.Numbers {
		pattern = anyOrderID
	}
	body, _ := io.ReadAll(r.Body)
	body = pattern.ReplaceAllFunc(body, func([]byte) []byte {
		return fmt.Appendf(nil, `"OrderID":%d,`, 50_000+m.number.Add(1))
	})
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// Fill makes the topic and puts the records of the orders from one on into it.
func (m *Mirrored) Fill(servers string, from int) {
	m.T.Helper()
	e2etest.MakeTopics(m.T, e2etest.Client(m.T, servers), "orders")
	m.Put(servers, from, m.Rows)
}

// Put puts records into the topic.
func (m *Mirrored) Put(servers string, from, end int) {
	m.T.Helper()
	var records []*kgo.Record
	for n := from; n < end; n++ {
		id := n + 1
		if n == m.Zero {
			id = 0
		}
		records = append(records, &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, id),
			Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"ship %d"}`, id, n)})
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

// Decides adds settings, as an operator does.
func (m *Mirrored) Decides(settings ...string) { m.lines = append(m.lines, settings...) }

// Once lets the sink go on to the end of the topic.
func (m *Mirrored) Once(servers string) e2etest.Result {
	m.T.Helper()
	return m.start(servers).Wait()
}

// Moves stores what the group had with another offset, as MirrorMaker 2 does at another cluster, once the group has no
// members.
func (m *Mirrored) Moves(servers string, to int64, had kadm.Offset) {
	m.T.Helper()
	had.At, had.LeaderEpoch = to, -1
	offsets := kadm.Offsets{}
	offsets.Add(had)
	admin := kadm.NewClient(e2etest.Client(m.T, servers))
	m.Eventually("a group without members", func() bool {
		return admin.CommitAllOffsets(m.T.Context(), "connect-back", offsets) == nil
	})
}
