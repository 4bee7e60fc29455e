package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A replay beside another process's writes nothing and says why, whichever folder each has; started again, it goes on
// where the other one has ended.
func TestReplayBesideAnother(t *testing.T) {
	t.Parallel()
	const rows = 40
	d := newDocuments(t, 1, nil, saidTimes(rows), "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1",
		"sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic")
	d.written(t, 100_000)
	readTopic(t, d.broker, "refused", rows)
	held, goOn := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() {
		close(held)
		<-goOn
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			hold()
		}
		d.service.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	free := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(free)
	slow := d.file("slow.properties", instead(d.lines,
		"sap.odata.host.port="+front.URL[strings.LastIndex(front.URL, ":")+1:])...)
	first := d.start("dlq", "replay", "refused", "--plugins", plugins(t, "odata-sink", "smt"), "--data",
		d.subfolder("elsewhere"), d.worker, slow)
	first.eventually("a request on its way", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	want := "connector inbox: dead letters are being replayed already"
	if r := d.replay(t); r.code != 1 || !strings.Contains(r.stderr, want) || d.service.Count("Inbox") != 0 {
		t.Errorf("expected %q and no documents, found exit %d, %d documents\n%s%s", want, r.code,
			d.service.Count("Inbox"), r.stdout, r.stderr)
	}
	free()
	if r := first.wait(); r.code != 0 {
		t.Errorf("the first: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := d.replay(t); r.code != 0 || d.service.Count("Inbox") != rows {
		t.Errorf("expected %d documents, found %d, exit %d\n%s%s", rows, d.service.Count("Inbox"), r.code, r.stdout,
			r.stderr)
	}
}
