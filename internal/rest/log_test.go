package rest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/logging"
)

// logger is a worker with a log and an ID.
type logger struct{ standIn }

func (l *logger) worker() Worker { return l.as(l) }

// as returns the worker with another herder. It redacts secrets that became known after they were logged.
func (l *logger) as(h Herder) Worker {
	w := l.with(h)
	w.Redact = func(text string) string { return strings.ReplaceAll(text, "geheim", "*") }
	return w
}

func newLogger(id string) (*logger, *slog.Logger) {
	l := &logger{standIn{parts: Parts{ID: id, Recent: &logging.Recent{}}}}
	return l, logging.WithRecent(logging.New(slog.NewTextHandler(io.Discard, nil), slog.LevelInfo), l.parts.Recent)
}

func pageOf(t *testing.T, url string) (status int, page LogPage, text string) {
	t.Helper()
	status, text = get(t, "GET", url)
	if status == 200 {
		require.NoError(t, json.Unmarshal([]byte(text), &page))
	}
	return status, page, text
}

// The log is read page by page. An invalid query is rejected with what is expected.
func TestLog(t *testing.T) {
	worker, log := newLogger("a:1")
	w := serveRequest(worker, "GET", "/culvert/log", "")
	assert.True(t, strings.Contains(w.Body.String(), `"lines":[]`), "a log without lines: found %s", w.Body)
	log.Info("one geheim")
	log.With("connector", "orders").Warn("two")
	server := httptest.NewServer(Handler(worker.worker()))
	defer server.Close()
	status, page, body := pageOf(t, server.URL+"/culvert/log")
	assert.True(t, status == 200 && page.WorkerID == "a:1" && page.Last == 2 && len(page.Lines) == 2 &&
		page.Lines[0].Text == "one *" && page.Lines[0].Message == "one *" && !strings.Contains(body, "geheim") &&
		page.Lines[1].Connector == "orders" && page.Lines[1].Level == "WARN" && page.Lines[1].Number == 2,
		"expected the two lines, the first one redacted, found %d %+v", status, page)
	status, page, body = pageOf(t, server.URL+"/culvert/log?after=2")
	assert.True(t, status == 200 && page.Last == 2 && strings.Contains(body, `"lines":[]`), "found %d %s", status, body)
	_, page, _ = pageOf(t, server.URL+"/culvert/log?after=0&limit=1")
	assert.True(t, page.Last == 1 && len(page.Lines) == 1, "found %+v", page)
	for id, want := range map[string]int{"a:1": 200, "b:1": 404, "": 200} {
		status, _, body := pageOf(t, server.URL+"/culvert/log?worker="+id)
		assert.Equal(t, want, status, body)
	}
	for query, want := range map[string]string{
		"level=LOUD": "expected one of OFF, FATAL",
		"limit=0":    "from 1 to 1000",
		"limit=1001": "from 1 to 1000",
		"after=x":    "after: expected a number",
		"after=-1":   "after: expected",
	} {
		status, _, body := pageOf(t, server.URL+"/culvert/log?"+query)
		assert.True(t, status == 400 && strings.Contains(body, want),
			"%s: expected 400 with %q, found %d %s", query, want, status, body)
	}
}

// A page whose name resolves to this machine reads no log, neither its own worker's nor another one's.
func TestForeignHostsReadNoLog(t *testing.T) {
	worker, log := newLogger("a:1")
	log.Info("one")
	for _, o := range []Options{{}, {Cluster: &seat{url: "http://a:1", leader: "http://a:1"}}} {
		o.Listeners = []string{"http://:0"}
		s := startServerFor(t, o, slog.New(slog.DiscardHandler), worker)
		for _, target := range []string{"/culvert/log", "/culvert/log?worker=b:1"} {
			status, body := askWithHost(t, s, "GET "+target, "evil.example")
			assert.True(t, status == 403 && strings.Contains(body, "rest.allowed.hosts"),
				"%s: expected 403, found %d %s", target, status, body)
		}
		status, body := askWithHost(t, s, "GET /culvert/log", "localhost")
		assert.True(t, status == 200 && strings.Contains(body, "one"), "expected 200, found %d %s", status, body)
	}
}

// In a group each worker shows its own log, and the log of a named worker by way of the leader.
func TestLogOfGroup(t *testing.T) {
	ids := []string{"w0:1", "w1:1", "w2:1"}
	var workers []Worker
	for _, id := range ids {
		worker, log := newLogger(id)
		log.Info("of " + id)
		workers = append(workers, worker.worker())
	}
	urls, seats := startGroup(t, workers, 0, func(http.ResponseWriter, *http.Request, int) bool { return false })
	for from, url := range urls {
		for to, id := range ids {
			status, page, body := pageOf(t, url+"/culvert/log?worker="+id)
			assert.True(t, status == 200 && page.WorkerID == id && len(page.Lines) == 1 &&
				page.Lines[0].Text == "of "+id, "worker %d, log of %d: found %d %s", from, to, status, body)
		}
		_, page, _ := pageOf(t, url+"/culvert/log")
		assert.True(t, page.WorkerID == ids[from], "worker %d: found the log of %s", from, page.WorkerID)
		status, _, body := pageOf(t, url+"/culvert/log?worker=nobody")
		assert.True(t, status == 404 && strings.Contains(body, "nobody"),
			"worker %d, log of an unknown worker: found %d %s", from, status, body)
	}
	// A wrong address of a member does not cause endless forwarding.
	seats[0].members[2].URL = urls[0]
	status, _, body := pageOf(t, urls[0]+"/culvert/log?worker=w2:1")
	assert.Equal(t, http.StatusConflict, status, body)
}
