package e2etest

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/keystore/keystoretest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Filled returns a place with a broker of its own, whose topic Orders has rows in 8 partitions, and the source's
// service.
func Filled(t *testing.T, rows int) (p *Place, from *odatatest.Service, worker string) {
	t.Helper()
	p, s, address := NewPlaceWithDemo(t, odatatest.Options{Rows: rows, PageSize: 5000})
	p.Broker()
	worker = p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false",
		"offset.flush.interval.ms=1000")
	sourceFile := p.File("there.properties", append(Source("there", address, "Orders"),
		"topic.creation.default.partitions=8", "topic.creation.default.replication.factor=1")...)
	p.MustRun("run", "--once", "--plugins", Plugins(t, "odata-sink"), "--data", p.Data, worker, sourceFile)
	return p, s, worker
}

// CopiesOf returns the settings of a sink with 8 tasks that writes Orders into OrderCopies as user me.
func CopiesOf(address string, settings ...string) []string {
	return Instead(SinkOf("back", address, "Orders", "OrderCopies"),
		append([]string{"tasks.max=8", "sap.odata.max.concurrent.requests=8", "sap.odata.enable.batch=0",
			"sap.odata.user.name=me", "sap.odata.user.pwd=" + Password, "sap.odata.max.retries=10",
			"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=5"}, settings...)...)
}

// Copied checks that OrderCopies equals Orders.
func Copied(t *testing.T, s *odatatest.Service) {
	t.Helper()
	Equal(t, "what arrived", Entities(s, "Orders"), Entities(s, "OrderCopies"))
}

// CreatedOnce checks that all rows were created, and none twice.
func CreatedOnce(t *testing.T, l odatatest.Ledger, rows int) {
	t.Helper()
	NoneTwice(t, l)
	if len(l.Writes) != rows {
		t.Errorf("expected %d rows, found %d: %d lost", rows, len(l.Writes), rows-len(l.Writes))
	}
}

// NoneTwice checks that no row was created twice.
func NoneTwice(t *testing.T, l odatatest.Ledger) {
	t.Helper()
	double := 0
	for entity, w := range l.Writes {
		if w.Created != 1 {
			double++
			if double < 5 {
				t.Errorf("expected %s to be created once, found %d times", entity, w.Created)
			}
		}
	}
}

// Stores returns the folder of the sample stores; all have one password.
func Stores(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(Bench.Root, "testdata", "samples", "keystores"))
	NoError(t, err)
	return path
}

const StorePassword = "changeit"

// Localhost returns a certificate that the sample trust stores contain.
func Localhost(t *testing.T) tls.Certificate {
	t.Helper()
	return keystoretest.Certificate(t, keystore.Location{Path: filepath.Join(Stores(t), "client.jks"),
		Password: StorePassword})
}

// Guarded is a service with a list of passwords that can change while it runs.
type Guarded struct {
	inner http.Handler

	mu      sync.Mutex
	takes   map[string]bool
	refused map[string]int
	last    string
}

// NewGuarded returns a service that accepts one password.
func NewGuarded(inner http.Handler, password string) *Guarded {
	return &Guarded{inner: inner, takes: map[string]bool{password: true}, refused: map[string]int{}}
}

func (g *Guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	g.mu.Lock()
	ok := g.takes[password]
	g.last = password
	if !ok {
		g.refused[password]++
	}
	g.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.inner.ServeHTTP(w, r)
}

// Take replaces the accepted passwords.
func (g *Guarded) Take(passwords ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.takes = map[string]bool{}
	for _, p := range passwords {
		g.takes[p] = true
	}
}

// Used reports whether a password was the last one received.
func (g *Guarded) Used(password string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last == password
}

// Refusals returns how often a password was rejected.
func (g *Guarded) Refusals(password string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused[password]
}
