package console

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
)

// largeList returns the first 100 of 1,000 connectors, whose hours are all different. Some rates depend on call.
func largeList(call int) rest.ConnectorList {
	random := rand.New(rand.NewPCG(7, 0))
	list := rest.ConnectorList{
		Counts:      map[connect.Condition]int{"running": 1000},
		Total:       1000,
		Next:        "8/c",
		LettersOpen: 4711,
	}
	for n := range 100 {
		rate := 100 * random.Float64()
		c := rest.ConnectorSummary{
			ConnectorState: rest.ConnectorState{
				Name:    fmt.Sprintf("s4-sales-orders-%04d", n),
				Type:    "source",
				State:   "running",
				Tasks:   1,
				Workers: []string{"w1:8083"},
			},
			Activity: connect.Activity{
				Sets:   []string{fmt.Sprintf("SalesOrders%d", n)},
				Topics: []string{fmt.Sprintf("s4.sales-orders.%d", n)},
				Rows:   &rate,
			},
		}
		for range 60 {
			c.Minutes = append(c.Minutes, new(random.Int64N(30_000)))
		}
		if n%20 == 0 {
			rate += float64(call)
		}
		list.Connectors = append(list.Connectors, c)
	}
	return list
}

// largeWorker is a worker with 1,000 connectors.
type largeWorker struct {
	*fakeAPI
	mu    sync.Mutex
	calls int // number of requests for the list
}

func (l *largeWorker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.URL.Path == "/culvert/connectors" {
		l.calls++
		l.responses["GET /culvert/connectors"] = largeList(l.calls)
	}
	l.fakeAPI.ServeHTTP(w, r)
}

// compressedSize returns the size of a page in bytes, as a browser gets it.
func compressedSize(console http.Handler, target string) int {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	console.ServeHTTP(w, r)
	return w.Body.Len()
}

// A page of 100 of 1,000 connectors has at most 60 kB, and reads their list once.
func TestPageOfLargeListIsSmall(t *testing.T) {
	t.Parallel()
	worker := &largeWorker{fakeAPI: newFakeAPI()}
	console := newConsole(worker)
	size := compressedSize(console, "/console/")
	assert.Equal(t, 1, worker.calls, "reads of the list")
	for _, path := range []string{"/console/", "/console/?search=s", "/console/workers"} {
		w := httptest.NewRecorder()
		console.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		assert.Contains(t, w.Body.String(), `<small class="n">4,711</small>`)
	}
	assert.True(t, size > 10_000 && size <= 60_000, "expected 10,001 to 60,000 bytes, found %d", size)
}

// BenchmarkLargeList measures the first page of a list, rendered and compressed.
func BenchmarkLargeList(b *testing.B) {
	console := newConsole(&largeWorker{fakeAPI: newFakeAPI()})
	for b.Loop() {
		b.ReportMetric(float64(compressedSize(console, "/console/")), "bytes")
	}
}
