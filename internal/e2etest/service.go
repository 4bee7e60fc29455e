package e2etest

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/keystore/keystoretest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// NewFilledPlace returns a place with a broker of its own, whose topic Orders has rows in 8 partitions, and the
// source's service.
func NewFilledPlace(t *testing.T, rows int) (p *Place, source *odatatest.Service, worker string) {
	t.Helper()
	p, s, address := NewPlaceWithDemo(t, odatatest.Options{Rows: rows, PageSize: 5000})
	p.StartBroker()
	worker = p.File("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false",
		"offset.flush.interval.ms=1000")
	sourceFile := p.File("there.properties", append(Source("there", address, "Orders"),
		"topic.creation.default.partitions=8", "topic.creation.default.replication.factor=1")...)
	p.MustRun("run", "--once", "--plugins", Plugins(t, "odata-sink"), "--data", p.Data, worker, sourceFile)
	return p, s, worker
}

// CopySink returns the settings of a sink with 8 tasks that writes Orders into OrderCopies as user me.
func CopySink(address string, settings ...string) []string {
	return WithSettings(Sink("back", address, "Orders", "OrderCopies"),
		append([]string{"tasks.max=8", "sap.odata.max.concurrent.requests=8", "sap.odata.enable.batch=0",
			"sap.odata.user.name=me", "sap.odata.user.pwd=" + Password, "sap.odata.max.retries=10",
			"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=5"}, settings...)...)
}

// CheckCopies checks that OrderCopies equals Orders.
func CheckCopies(t *testing.T, s *odatatest.Service) {
	t.Helper()
	assert.Equal(t, Entities(s, "Orders"), Entities(s, "OrderCopies"), "OrderCopies")
}

// CheckCreatedOnce checks that all rows were created, each once.
func CheckCreatedOnce(t *testing.T, l odatatest.Ledger, rows int) {
	t.Helper()
	CheckNoneTwice(t, l)
	assert.True(t, len(l.Writes) == rows,
		"expected %d rows, found %d: %d lost", rows, len(l.Writes), rows-len(l.Writes))
}

// CheckNoneTwice checks that no row was created twice.
func CheckNoneTwice(t *testing.T, l odatatest.Ledger) {
	t.Helper()
	wrong := 0
	for entity, w := range l.Writes {
		if w.Created != 1 {
			wrong++
			assert.True(t, wrong >= 5, "expected %s to be created once, found %d times", entity, w.Created)
		}
	}
}

// KeyStoreFolder returns the folder of the sample stores. Their password is [StorePassword].
func KeyStoreFolder(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(Bench.Root, "testdata", "samples", "keystores"))
	require.NoError(t, err)
	return path
}

// StorePassword is the password of all sample stores.
const StorePassword = "changeit"

// LocalhostCertificate returns a certificate that the sample trust stores contain.
func LocalhostCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	return keystoretest.Certificate(t, keystore.Location{Path: filepath.Join(KeyStoreFolder(t), "client.jks"),
		Password: StorePassword})
}

// PasswordService is a service with accepted passwords that can change while it runs.
type PasswordService struct {
	inner http.Handler

	mu         sync.Mutex
	isAccepted map[string]bool
	refusals   map[string]int // by password
	last       string         // the last password received
}

// NewPasswordService returns a service that accepts one password.
func NewPasswordService(inner http.Handler, password string) *PasswordService {
	return &PasswordService{inner: inner, isAccepted: map[string]bool{password: true}, refusals: map[string]int{}}
}

func (s *PasswordService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	s.mu.Lock()
	ok := s.isAccepted[password]
	s.last = password
	if !ok {
		s.refusals[password]++
	}
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.inner.ServeHTTP(w, r)
}

// Accept replaces the accepted passwords.
func (s *PasswordService) Accept(passwords ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isAccepted = map[string]bool{}
	for _, p := range passwords {
		s.isAccepted[p] = true
	}
}

// IsLastPassword reports whether a password was the last one received.
func (s *PasswordService) IsLastPassword(password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last == password
}

// Refusals returns the number of times that a password was rejected.
func (s *PasswordService) Refusals(password string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusals[password]
}
