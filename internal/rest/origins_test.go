package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// Origins returns two origins for the first worker, one for the second, and none for the third.
func (r *runner) Origins() (all []connect.OriginUse) {
	for n := range 2 - r.number {
		all = append(all, connect.OriginUse{WorkerID: r.id(), Connectors: []string{"c"}, Usage: limits.Usage{
			Origin: fmt.Sprint("https://sap", n), Sessions: limits.Count{Used: 1, Limit: 2}, PerSecond: 0.5,
			Requests: limits.Count{Used: 1, Limit: 2, Waiting: 3}, Connections: limits.Count{Used: 4},
			Waiting: []string{"why"}, Windows: []string{"when"}, Until: time.Unix(0, 0).UTC()}})
	}
	return all
}

func TestOriginsOfGroup(t *testing.T) {
	t.Parallel()
	silent := false
	urls, _ := runners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if silent && n == 0 && r.URL.Query().Get("own") == "true" {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	read := func(url string) (all Origins) {
		status, body := get(t, "GET", url+"/culvert/origins")
		assert.Equal(t, 200, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &all))
		return all
	}
	until := time.Unix(0, 0).UTC()
	want := Origin{OriginUse: connect.OriginUse{WorkerID: "w0", Connectors: []string{"c"}, Usage: limits.Usage{
		Origin: "https://sap0", Requests: limits.Count{Used: 1, Limit: 2, Waiting: 3},
		Connections: limits.Count{Used: 4},
		Sessions:    limits.Count{Used: 1, Limit: 2}, PerSecond: 0.5, Waiting: []string{"why"},
		Windows: []string{"when"}, Until: until}}}
	for _, url := range urls {
		all := read(url)
		assert.Equal(t, 3, len(all.Origins), url)
		assert.Equal(t, want, all.Origins[0])
		assert.Equal(t, "w1", all.Origins[1].WorkerID, "of one origin by workers")
		assert.Equal(t, "https://sap1", all.Origins[2].Origin)
	}
	silent = true
	all := read(urls[2])
	assert.Equal(t, 1, len(all.Origins))
	assert.Equal(t, 1, len(all.Silent))
	status, body := get(t, "GET", urls[2]+"/culvert/origins?own=true")
	assert.Equal(t, 200, status)
	assert.Equal(t, `{"origins":[]}`, body, "of one that has none")
}
