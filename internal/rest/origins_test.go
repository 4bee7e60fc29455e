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
func (r *runner) Origins() (uses []connect.OriginUse) {
	for n := range 2 - r.number {
		uses = append(uses, connect.OriginUse{WorkerID: r.id(), Connectors: []string{"c"}, Usage: limits.Usage{
			Origin: fmt.Sprint("https://sap", n), Sessions: limits.Count{Used: 1, Limit: 2}, PerSecond: 0.5,
			Requests: limits.Count{Used: 1, Limit: 2, Waiting: 3}, Connections: limits.Count{Used: 4},
			Waiting: []string{"why"}, Windows: []string{"when"}, Until: time.Unix(0, 0).UTC()}})
	}
	return uses
}

func TestOriginsOfGroup(t *testing.T) {
	t.Parallel()
	isSilent := false
	urls, _ := startRunners(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if isSilent && n == 0 && r.URL.Query().Get("own") == "true" {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	read := func(url string) (origins Origins) {
		status, body := get(t, "GET", url+"/culvert/origins")
		assert.Equal(t, 200, status, body)
		require.NoError(t, json.Unmarshal([]byte(body), &origins))
		return origins
	}
	until := time.Unix(0, 0).UTC()
	want := Origin{OriginUse: connect.OriginUse{WorkerID: "w0", Connectors: []string{"c"}, Usage: limits.Usage{
		Origin: "https://sap0", Requests: limits.Count{Used: 1, Limit: 2, Waiting: 3},
		Connections: limits.Count{Used: 4},
		Sessions:    limits.Count{Used: 1, Limit: 2}, PerSecond: 0.5, Waiting: []string{"why"},
		Windows: []string{"when"}, Until: until}}}
	for _, url := range urls {
		origins := read(url)
		assert.Equal(t, 3, len(origins.Origins), url)
		assert.Equal(t, want, origins.Origins[0])
		assert.Equal(t, "w1", origins.Origins[1].WorkerID, "of one origin by workers")
		assert.Equal(t, "https://sap1", origins.Origins[2].Origin)
	}
	isSilent = true
	origins := read(urls[2])
	assert.Equal(t, 1, len(origins.Origins))
	assert.Equal(t, 1, len(origins.Silent))
	status, body := get(t, "GET", urls[2]+"/culvert/origins?own=true")
	assert.Equal(t, 200, status)
	assert.Equal(t, `{"origins":[]}`, body, "of one that has none")
}
