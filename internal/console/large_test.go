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

// largeList answers with the first 100 of 1,000 connectors, whose hours are all different. call changes some.
func largeList(call int) rest.ConnectorList {
	random := rand.New(rand.NewPCG(7, 0))
	list := rest.ConnectorList{Counts: map[connect.Condition]int{"running": 1000}, Total: 1000, Next: "8/c",
		LettersOpen: 4711}
	for n := range 100 {
		c := rest.ConnectorSummary{ConnectorState: rest.ConnectorState{Name: fmt.Sprintf("s4-sales-orders-%04d", n),
			Type: "source", State: "running", Tasks: 1, Workers: []string{"w1:8083"}}}
		c.Sets = []string{fmt.Sprintf("SalesOrders%d", n)}
		c.Topics = []string{fmt.Sprintf("s4.sales-orders.%d", n)}
		rate := 100 * random.Float64()
		c.Rows = &rate
		for range 60 {
			rows := random.Int64N(30_000)
			c.Minutes = append(c.Minutes, &rows)
		}
		if n%20 == 0 {
			rate += float64(call)
		}
		list.Connectors = append(list.Connectors, c)
	}
	return list
}

type largeWorker struct {
	*fake
	mu    sync.Mutex
	calls int
}

func (l *largeWorker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.URL.Path == "/culvert/connectors" {
		l.calls++
		l.answers["GET /culvert/connectors"] = largeList(l.calls)
	}
	l.fake.ServeHTTP(w, r)
}

func compressedSize(c http.Handler, target string) int {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Body.Len()
}

// A page of 100 of 1,000 connectors has at most 60 kB, and reads their list once.
func TestPageOfLargeList(t *testing.T) {
	t.Parallel()
	worker := &largeWorker{fake: newFake()}
	c := over(worker)
	size := compressedSize(c, "/console/")
	assert.Equal(t, 1, worker.calls)
	for _, path := range []string{"/console/", "/console/?search=s", "/console/workers"} {
		r := httptest.NewRecorder()
		c.ServeHTTP(r, httptest.NewRequest("GET", path, nil))
		assert.Contains(t, r.Body.String(), `<small class="n">4,711</small>`)
	}
	assert.Equal(t, true, size > 10_000 && size <= 60_000, fmt.Sprint(size))
}

// The first page of a list, rendered and compressed.
func BenchmarkLargeList(b *testing.B) {
	c := over(&largeWorker{fake: newFake()})
	for b.Loop() {
		b.ReportMetric(float64(compressedSize(c, "/console/")), "bytes")
	}
}
