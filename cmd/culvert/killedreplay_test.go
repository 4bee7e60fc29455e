package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A replay that is killed goes on where it was: each letter arrives, and what is remembered of it is true. Inserts
// whose answer the killed one did not get are looked up.
func TestReplayThatIsKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := service.New(service.Options{Rows: 12})
	var mu sync.Mutex
	armed := false
	held, goOn := make(chan struct{}), make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		mu.Lock()
		stop := armed && r.Method == http.MethodPost
		armed = armed && !stop
		mu.Unlock()
		if stop { // it is written, and its answer does not come
			close(held)
			<-goOn
		}
	}))
	t.Cleanup(front.Close)
	t.Cleanup(sync.OnceFunc(func() { close(goOn) }))
	address := strings.TrimPrefix(front.URL, "http://")
	broker := embedded(t).Addr()
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
	back := p.file("back.properties", append(sinkOf("back", address, "Orders", "OrderCopies"), "errors.tolerance=all", silent,
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"sap.odata.insert.uncertain=check")...)
	for _, args := range [][]string{{p.file("there.properties", source("there", address, "Orders")...)}, {back}} {
		if r := p.run(append([]string{"run", "--once", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker}, args...)...); r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
		s.Set("match", "POST")
		s.Set("status", "400")
		s.Set("status-count", "1000")
	}
	readTopic(t, broker, "refused", 12)
	s.Set("status-count", "0")
	replay := func() *command {
		return p.start("dlq", "replay", "refused", "--plugins", plugins(t, "odata-sink"), "--data", p.data, worker, back)
	}
	mu.Lock()
	armed = true
	mu.Unlock()
	killed := replay()
	killed.eventually("a letter on its way", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	if err := killed.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.wait()
	if r := replay().wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if diff := cmp.Diff(entities(s, "Orders"), entities(s, "OrderCopies")); diff != "" {
		t.Errorf("what arrived (-expected +found)\n%s", diff)
	}
	createdOnce(t, s.Ledger(), 12)
	if r := replay().wait(); r.code != 0 || r.stdout != "0 replayed, 0 of them refused again\n" {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
