package sink

import (
	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// heldReplay starts a replay in a folder of its own. The answer about its first document is held until free.
func heldReplay(t *testing.T, rows int) (d *documents, first *e2e.Command, free func()) {
	d = newDocuments(t, 1, nil, saidTimes(rows), "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1",
		"sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic")
	d.written(t, 100_000)
	e2e.ReadTopic(t, d.broker, "refused", rows)
	held, goOn := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() {
		close(held)
		<-goOn
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		if d.service.ServeHTTP(answer, r); answer.Code == http.StatusCreated {
			hold()
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(front.Close)
	free = sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(free)
	slow := d.File("slow.properties", e2e.Instead(d.lines,
		"sap.odata.host.port="+front.URL[strings.LastIndex(front.URL, ":")+1:])...)
	first = d.Start("dlq", "replay", "refused", "--plugins", e2e.Plugins(t, "odata-sink", "smt"), "--data",
		d.Subfolder("elsewhere"), d.worker, slow)
	first.Eventually("a document", func() bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	return d, first, free
}

// A replay next to another process's writes nothing and says why, whichever folder each has; started again, it goes on
// where the other one has ended.
func TestReplayNextToAnother(t *testing.T) {
	t.Parallel()
	const rows = 40
	d, first, free := heldReplay(t, rows)
	want := "connector inbox: dead letters are being replayed already"
	if r := d.replay(t); r.Code != 1 || !strings.Contains(r.Stderr, want) || d.service.Count("Inbox") != 1 {
		t.Errorf("expected %q and one document, found exit %d, %d documents\n%s%s", want, r.Code,
			d.service.Count("Inbox"), r.Stdout, r.Stderr)
	}
	free()
	first.MustEnd()
	if r := d.replay(t); r.Code != 0 || d.service.Count("Inbox") != rows {
		t.Errorf("expected %d documents, found %d, exit %d\n%s%s", rows, d.service.Count("Inbox"), r.Code, r.Stdout,
			r.Stderr)
	}
}

// A replay whose process stood still until another one had its turn stores nothing over what that one has stored.
func TestReplayThatStoodStill(t *testing.T) {
	t.Parallel()
	const rows = 40
	d, first, free := heldReplay(t, rows)
	first.Signal(syscall.SIGSTOP)
	free()
	second := d.replay(t)
	first.Signal(syscall.SIGCONT)
	if r := first.Wait(); r.Code != 1 || !strings.Contains(r.Stderr, "group") {
		t.Errorf("the first: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	third := d.replay(t)
	if second.Code != 0 || third.Code != 0 || d.service.Count("Inbox") != rows {
		t.Errorf("expected %d documents, found %d, exits %d and %d\n%s%s\n%s%s", rows, d.service.Count("Inbox"),
			second.Code, third.Code, second.Stdout, second.Stderr, third.Stdout, third.Stderr)
	}
}
