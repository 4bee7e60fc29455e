package sink

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// numbering is a service that gives each entity a number of its own, and says so by its address. The answer to one
// insert, or batch of inserts, does not come.
type numbering struct {
	inner *odatatest.Service
	// lose is what becomes of the answer to the third request: "lost", "408", or "held", until the client is gone.
	lose string

	mu       sync.Mutex
	requests int
	next     int
	held     chan struct{} // closed when an answer is held
}

var orderID = regexp.MustCompile(`"OrderID":\d{5}`)

func (n *numbering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		n.inner.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	body = orderID.ReplaceAllFunc(body, func([]byte) []byte {
		n.next++
		return fmt.Appendf(nil, `"OrderID":%d`, 50_000+n.next)
	})
	n.requests++
	third := n.requests == 3
	n.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !third {
		n.inner.ServeHTTP(w, r)
		return
	}
	n.inner.ServeHTTP(discarded{http.Header{}}, r)
	switch n.lose {
	case "lost":
		panic(http.ErrAbortHandler)
	case "408":
		w.WriteHeader(http.StatusRequestTimeout)
	default:
		close(n.held)
		<-r.Context().Done()
	}
}

// posts are how many requests came.
func (n *numbering) posts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.requests
}

type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// At a service that numbers what is inserted, a record whose answer was lost is found by no key. What is known of it is
// known to later runs, so that none of them sends it again before an operator has decided.
func TestWhatIsKnownOfADoubtSurvives(t *testing.T) {
	t.Parallel()
	const rows = 40
	for _, c := range []struct {
		lose     string
		settings []string
	}{
		{"lost", []string{"sap.odata.enable.batch=0"}},
		{"408", []string{"sap.odata.max.batch.size=5"}},
		{"held", []string{"sap.odata.max.batch.size=5"}},
	} {
		t.Run(c.lose+" "+c.settings[0], func(t *testing.T) {
			t.Parallel()
			p := e2etest.NewPlace(t)
			n := &numbering{inner: odatatest.New(odatatest.Options{Rows: 1}), lose: c.lose, held: make(chan struct{})}
			address, servers := e2etest.Serve(t, n), e2etest.Embedded(t).Addr()
			e2etest.MakeTopics(t, e2etest.Client(t, servers), "orders")
			var records []*kgo.Record
			for i := range rows {
				records = append(records, &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, 10_000+i),
					Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"ship %d"}`, 10_000+i, i)})
			}
			e2etest.Produce(t, servers, records...)
			lines := append(e2etest.SinkOf("back", address, "orders", "OrderCopies"), "sap.odata.insert.uncertain=check",
				"sap.odata.max.in.flight=1", e2etest.Silent)
			run := func(more ...string) *e2etest.Command {
				return p.Start("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, p.Plain(servers),
					p.File("back.properties", append(append(lines, c.settings...), more...)...))
			}
			first := run()
			if c.lose == "held" {
				first.Eventually("a request without an answer", func() bool {
					select {
					case <-n.held:
						return true
					default:
						return false
					}
				})
				first.Kill()
			} else {
				first.Wait().Exits(1)
			}
			var named string
			for range 2 {
				r := run().Wait().Exits(1)
				_, named, _ = strings.Cut(r.LastLine(), "errors.uncertain.skip=")
				named, _, _ = strings.Cut(named, " ")
				if named == "" || n.posts() != 3 {
					t.Fatalf("expected the record to be named and no request to be sent, found %d requests and %s",
						n.posts()-3, r.LastLine())
				}
			}
			run("errors.uncertain.skip=" + named).Wait().Exits(0)
			found := map[string]int{}
			for _, one := range e2etest.Entities(n.inner, "OrderCopies") {
				found[one["ShipName"]]++
			}
			for i := range rows {
				if name := fmt.Sprintf("ship %d", i); found[name] != 1 {
					t.Errorf("expected %s once, found it %d times", name, found[name])
				}
			}
		})
	}
}
