package rest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/events"
)

// feedOwner is a worker whose Snapshot succeeds if it has the feeds.
type feedOwner struct {
	standIn
	hasFeeds bool
}

func (f *feedOwner) Snapshot(string, string, string) error {
	if f.hasFeeds {
		return nil
	}
	return connect.ErrNoFeed
}

// Each worker of a group returns the events of all workers, with the senders of the requests, and names silent workers.
func TestEventsOfGroup(t *testing.T) {
	t.Parallel()
	var workers []Worker
	var recorders []*events.Recorder
	for n := range 3 {
		id := fmt.Sprint("w", n)
		recorder := events.New(id, strings.Clone)
		recorders = append(recorders, recorder)
		herder := &feedOwner{hasFeeds: n == 2}
		herder.connectors = map[string]*standInConnector{"a": {}}
		herder.parts = Parts{ID: id, Events: recorder, Started: time.Unix(int64(n), 0)}
		workers = append(workers, herder.with(herder))
	}
	silent := false
	urls, seats := startGroup(t, workers, 0, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if silent && n == 2 {
			w.WriteHeader(http.StatusBadGateway)
		}
		return silent && n == 2
	})
	seats[0].owners = map[string]string{"a": urls[1]} // a follower knows only the leader
	seats[1].owners = map[string]string{"a": urls[2]}
	seats[2].owners = map[string]string{"a": urls[2]}
	send := func(method, url string) (status int, body string) {
		r := newRequest(t, method, url, "")
		r.SetBasicAuth("anna", "secret")
		answer, body := exchange(t, http.DefaultClient, r)
		return answer.StatusCode, body
	}
	status, body := send("POST", urls[0]+"/connectors/a/restart")
	assert.Equal(t, 204, status, body)
	status, body = send("PUT", urls[2]+"/connectors/a/pause")
	assert.Equal(t, 202, status, body)
	status, body = send("POST", urls[0]+"/culvert/connectors/a/feeds/f/snapshot")
	assert.Equal(t, 202, status, body)
	recorders[1].Record(t.Context(), events.Event{Connector: "a", Kind: "failed", Reason: "the row x"})
	lines := func(url string) (text string) {
		status, body := send("GET", url+"/culvert/connectors/a/events")
		assert.Equal(t, 200, status, body)
		var list ConnectorEvents
		require.NoError(t, json.Unmarshal([]byte(body), &list))
		for _, e := range list.Events {
			text += fmt.Sprintf("%s %s by %q on %s; ", e.Kind, e.Text+e.Reason, e.By, e.Worker)
		}
		return text + strings.Join(list.Silent, "") + list.Since.Format(time.TimeOnly)
	}
	const snapshot = `snapshot requested feed f by "anna at 127.0.0.1" on w1; `
	const restarted = `restarted  by "anna at 127.0.0.1" on w2; `
	for _, url := range urls {
		assert.Equal(t, `failed the row x by "" on w1; `+snapshot+`paused  by "anna at 127.0.0.1" on w2; `+restarted+"00:00:02",
			lines(url))
	}
	silent = true
	assert.Equal(t, `failed the row x by "" on w1; `+snapshot+restarted+
		"worker w2: expected status 200 with JSON, found 502 00:00:01", lines(urls[0]))
	status, body = send("GET", urls[0]+"/culvert/connectors/none/events")
	assert.Equal(t, 404, status, body)
	recorders[0].Record(t.Context(), events.Event{Connector: "none", Kind: "deleted"})
	status, body = send("GET", urls[0]+"/culvert/connectors/none/events")
	assert.Equal(t, 200, status, body)
}

// Rejected requests and those that only read leave no event.
func TestOnlyChangesLeaveEvents(t *testing.T) {
	t.Parallel()
	recorder := events.New("w", strings.Clone)
	s := startServerFor(t, Options{}, slog.New(slog.DiscardHandler), &standIn{parts: Parts{ID: "w", Events: recorder},
		connectors: map[string]*standInConnector{"a": {tasks: []connect.TaskStatus{{ID: 3}}}}})
	for _, c := range []struct{ method, path, want string }{
		{"PUT", "/connectors/none/pause", ""},
		{"GET", "/connectors/a/status", ""},
		{"POST", "/connectors/a/tasks/3/restart", "restarted task 3"},
	} {
		exchange(t, http.DefaultClient, newRequest(t, c.method, s.URLs()[0]+c.path, ""))
		found := ""
		for _, name := range []string{"a", "none"} {
			for _, e := range recorder.List(name) {
				found += e.Kind + " " + e.Text
			}
		}
		assert.Equal(t, c.want, found, c.method, c.path)
	}
}
