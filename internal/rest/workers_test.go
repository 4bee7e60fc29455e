package rest

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/history"
)

var historyStart = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

// History has as many rows as the worker's number and one, in one step.
func (r *runner) History(name, timeRange string) (history.History, error) {
	if name != "" && name != "c" {
		_, err := r.Info(name)
		return history.History{}, err
	}
	var recorder history.Recorder
	recorder.Record(historyStart, []history.Sample{{Name: "c",
		Parts: []history.Part{{Task: 0, Counts: history.Counts{Rows: int64(r.number) + 1}}}}},
		map[string]bool{"c": true})
	return recorder.Connector("c", historyStart, timeRange), nil
}

// startRunnersWithSilentOne starts three workers, of which the last one rejects the leader's queries while isSilent is
// set.
func startRunnersWithSilentOne(t *testing.T, isSilent *bool) (urls []string, seats []*seat) {
	t.Helper()
	return startRunners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		rejects := *isSilent && n == 2 && r.URL.Query().Get("own") == "true"
		if rejects {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return rejects
	})
}

// The history of a group is the sum of its workers; a worker that does not answer is named.
func TestHistoryOfGroup(t *testing.T) {
	t.Parallel()
	isSilent := false
	urls, _ := startRunnersWithSilentOne(t, &isSilent)
	for target, steps := range map[string]int{"/culvert/history": 360, "/culvert/connectors/c/history": 360,
		"/culvert/connectors/c/history?range=15m": 90, "/culvert/connectors/c/history?range=24h": 288} {
		for _, test := range []struct {
			isSilent bool
			rows     int64
		}{
			{rows: 6},
			{isSilent: true, rows: 3},
		} {
			isSilent = test.isSilent
			status, body := get(t, "GET", urls[0]+target)
			assert.Equal(t, 200, status)
			var h history.History
			require.NoError(t, json.Unmarshal([]byte(body), &h))
			assert.Equal(t, steps, len(h.Rows))
			assert.Equal(t, test.rows, *h.Rows[steps-1])
			assert.Equal(t, (*int64)(nil), h.Rows[0])
			assert.Equal(t, test.isSilent, len(h.Silent) == 1)
		}
	}
	status, _ := get(t, "GET", urls[0]+"/culvert/connectors/none/history")
	assert.Equal(t, 404, status)
	status, body := get(t, "GET", urls[0]+"/culvert/history?range=1d")
	assert.Equal(t, 400, status)
	assert.Contains(t, body, `range: expected one of 15m, 1h, 24h, found \"1d\"`)
}

func TestFormerWorkersAreDescribed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(after time.Duration) *time.Time { return new(now.Add(after)) }
	for want, former := range map[string]groupview.FormerWorker{
		"lost 0 s ago":   {Since: now},
		"lost 119 s ago": {Since: now.Add(-119 * time.Second)},
		"left 2 min ago": {Since: now.Add(-2 * time.Minute), Left: true},
		"lost 0 s ago, its 12 tasks move in 1:52":     {Since: now, Tasks: 12, Moves: at(112 * time.Second)},
		"lost 0 s ago, its task moves in 0:01":        {Since: now, Tasks: 1, Moves: at(time.Second)},
		"lost 0 s ago, its connectors move in 5:00":   {Since: now, Moves: at(5 * time.Minute)},
		"lost 6 min ago, other workers run its tasks": {Since: now.Add(-6 * time.Minute), Tasks: 2, Moves: at(0)},
	} {
		assert.Equal(t, want, former.Describe(now))
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	isSilent := false
	urls, seats := startRunnersWithSilentOne(t, &isSilent)
	wantCount := 3
	read := func() (workers []WorkerInfo) {
		status, body := get(t, "GET", urls[0]+"/culvert/workers")
		assert.Equal(t, 200, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &workers))
		assert.Equal(t, wantCount, len(workers))
		return workers
	}
	workers := read()
	for i, id := range []string{"w0", "w1", "w2"} {
		assert.Equal(t, id, workers[i].Worker)
		assert.Equal(t, id == "w1", workers[i].Leader)
		assert.Equal(t, "answers", workers[i].State+workers[i].Error)
		assert.Equal(t, true, *workers[i].Memory > 0 && workers[i].Seen != nil)
		assert.Equal(t, i, *workers[i].Tasks)
	}
	isSilent = true
	silentWorker := read()[2]
	assert.Contains(t, silentWorker.State+" "+silentWorker.Error, "silent worker w2: ")
	assert.Equal(t, workers[2].Seen, silentWorker.Seen)
	assert.Equal(t, true, silentWorker.Tasks == nil && silentWorker.Memory == nil && silentWorker.Started == nil)

	members := seats[1].members
	seats[1].set(func(s *seat) { // the silent worker's port is closed, then it is lost
		s.members = append(slices.Clone(members[:2]), groupview.Member{WorkerID: "w2", URL: "http://127.0.0.1:1"})
	})
	assert.Equal(t, "worker w2: it does not answer: connection refused", read()[2].Error)
	seats[1].set(func(s *seat) {
		s.members = members[:2]
		s.former = []groupview.FormerWorker{{WorkerID: "w2", Text: "lost 5 s ago"}}
	})
	lost := read()[2]
	assert.Equal(t, "lost: lost 5 s ago", lost.State+": "+lost.Error)
	assert.Equal(t, workers[2].Seen, lost.Seen)
	seats[1].set(func(s *seat) {
		s.members = members
		s.former = nil
	})

	seats[1].set(func(s *seat) { s.leader = "" }) // it stops leading during the request
	wantCount = 2
	others := read()[0]
	assert.Equal(t, "", others.Worker)
	assert.Contains(t, others.Error, "no known leader")
	seats[1].set(func(s *seat) { s.leader = urls[1] })
	wantCount = 3
	assert.Equal(t, silentWorker.Seen, read()[2].Seen, "still remembered")
}
