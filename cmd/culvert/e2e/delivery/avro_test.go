package delivery

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Rows go to a topic as Avro and come back from it: an entity set that is read with AvroConverter and written with it
// holds what was read. The registry is away for its first requests, and a reader that is not ours understands the
// records.
func TestAvro(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	var asked atomic.Int64
	registry.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	said := e2etest.ThroughAvro(t, registry.URL(), registry.URL())
	e2etest.Contains(t, "the log", said, "the schema registry does not answer", "the schema registry answers again")
}
