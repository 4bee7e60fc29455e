package plugins

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// forgetfulService is a service that stores the rows of POSTs. It does not answer every fifth POST, and stores the rows
// of half of these.
type forgetfulService struct {
	mu     sync.Mutex
	posts  int
	stored map[string]int // by row
}

func (s *forgetfulService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := r.URL.Query().Get("row")
	if r.Method == http.MethodGet {
		if s.stored[row] == 0 {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	s.posts++
	if s.posts%10 != 5 {
		s.stored[row]++
	}
	if s.posts%5 == 0 {
		panic(http.ErrAbortHandler)
	}
}

// P19: a sink plugin cannot decide whether a POST without a response was executed. Whatever it returns, each row is
// checked, and written once.
func TestPluginIsNotBelievedWithoutResponse(t *testing.T) {
	t.Parallel()
	const rows = 231
	dir := e2etest.CopyPlugins(t)
	e2etest.WriteFile(t, dir, "mad.wasm", guesttest.Bytes(t, "../../testdata/guests/mad"))
	for _, mode := range []string{"retries", "settles"} {
		t.Run(mode, func(t *testing.T) {
			p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: rows})
			service := &forgetfulService{stored: map[string]int{}}
			host, port, err := net.SplitHostPort(e2etest.Serve(t, service))
			require.NoError(t, err)
			p.MustRunOnceWith(dir, p.File("there.properties", e2etest.Source("there", address, "Orders")...),
				p.File("mad.properties", "name=mad", "connector.class=example.MadSink", "topics=Orders",
					"mad.scheme=http", "mad.address="+host, "mad.port="+port, "mad.mode="+mode, "mad.min-backoff=1",
					"mad.max-backoff=2"))
			repeated := 0
			for _, times := range service.stored {
				if times > 1 {
					repeated++
				}
			}
			assert.True(t, repeated <= 0 && len(service.stored) == rows,
				"expected %d rows, each once, found %d, %d of them more than once", rows, len(service.stored), repeated)
		})
	}
}
