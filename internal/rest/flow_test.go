package rest

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	core "github.com/culvert-project/culvert/internal/run/task"
)

func TestFlowOf(t *testing.T) {
	t.Parallel()
	task := func(period, fetch time.Duration, rows float64) connect.TaskMetrics {
		return connect.TaskMetrics{Progress: &connect.Progress{InternalProgress: connect.InternalProgress{
			Flow: core.Flow{Period: period, Rows: rows, Bytes: 10 * rows,
				Stages: []core.Stage{{Name: "fetch", Busy: fetch, Calls: 3}, {Name: "decode"}}}}}}
	}
	metrics := connect.Metrics{Name: "c", Type: "source", Tasks: []connect.TaskMetrics{
		task(time.Minute, time.Minute, 5),
		task(30*time.Second, 15*time.Second, 1),
		{Progress: &connect.Progress{}}, // it has not run
		{Error: "another worker has it"},
	}}
	want := Flow{Name: "c", Type: "source", Seconds: 45, Tasks: 2, Rows: 6, Bytes: 60, Stages: []StageTime{
		{Stage: "wait"}, {Stage: "fetch", Share: 75.0 / 90, BusySeconds: 75, Calls: 6}, {Stage: "decode"},
		{Stage: "transform"}, {Stage: "produce"}}}
	assert.Equal(t, want, newFlow(metrics))
	assert.Equal(t, 7, len(newFlow(connect.Metrics{Type: "sink"}).Stages), "stages of a sink that has not run")

	f := newFlow(connect.Metrics{Name: "c", Type: "source"})
	f.add(want)
	f.add(Flow{})
	f.add(Flow{Tasks: 2, Seconds: 45, Stages: []StageTime{{Stage: "fetch", BusySeconds: 15, Calls: 1},
		{Stage: "unknown"}}})
	assert.Equal(t, StageTime{Stage: "fetch", Share: 0.5, BusySeconds: 90, Calls: 7}, f.Stages[1],
		"with the stages of another worker")
	assert.Equal(t, 5, len(f.Stages))
}

// A group's flow contains all workers, whichever worker gets the request. Workers that do not respond are named.
func TestFlowOfGroup(t *testing.T) {
	t.Parallel()
	isSilent := false
	urls, _ := startRunners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if isSilent && n == 2 && r.URL.Query().Get("own") == "true" {
			w.Write([]byte("[]"))
			return true
		}
		return false
	})
	read := func(url string) (f Flow) {
		status, body := get(t, "GET", url+"/culvert/connectors/c/flow")
		assert.Equal(t, 200, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &f))
		return f
	}
	for _, url := range urls {
		f := read(url)
		assert.Equal(t, 3, f.Tasks, url)
		assert.Equal(t, 33.0, f.Rows, "10 + 11 + 12")
		assert.Equal(t, 0.5, f.Stages[1].Share)
		assert.Equal(t, 0, len(f.Silent))
	}
	isSilent = true
	f := read(urls[0])
	assert.Equal(t, 2, f.Tasks)
	assert.Equal(t, []string{"worker w2: expected a response of this route, found something else"}, f.Silent)
	status, _ := get(t, "GET", urls[0]+"/culvert/connectors/none/flow")
	assert.Equal(t, 404, status)
}
