package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
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

// caller has connectors that use origins.
type caller struct {
	standIn
	uses []connect.OriginUse
}

func (c *caller) Origins() []connect.OriginUse { return c.uses }

// A refused logon names the connectors that use it. That of a proxy is one of the services that they call.
func TestRefusedLogonNamesItsConnectors(t *testing.T) {
	t.Parallel()
	const service = "https://sap"
	me := lockouts.Identity{Origin: service, Client: "100", User: "me"}
	proxyUser := lockouts.Identity{Origin: lockouts.ProxyOrigin + "proxy:3128", User: "p"}
	c := &caller{uses: []connect.OriginUse{
		{Usage: limits.Usage{Origin: "https://other"}, Connectors: []string{"d"},
			Logons: map[lockouts.Identity][]string{proxyUser: {"d"}}},
		{Usage: limits.Usage{Origin: service}, Connectors: []string{"a", "b", "c"},
			Logons: map[lockouts.Identity][]string{me: {"a", "c"}, {Origin: service, User: "you"}: {"b"}}},
	}}
	c.parts.Lockouts = lockouts.New()
	for _, user := range []lockouts.Identity{me, proxyUser} {
		user.Secret = "wrong"
		done, err := c.parts.Lockouts.Gate(user).Acquire(t.Context(), func() bool { return true })
		require.NoError(t, err)
		done(http.StatusUnauthorized)
	}
	h := Handler(c.with(c))
	read := func(path string, into any) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), into))
	}
	list := func(logons []Lockout) (users []string) {
		for _, l := range logons {
			users = append(users, fmt.Sprint(l.User, l.Connectors))
		}
		return users
	}
	var all Lockouts
	read("/culvert/lockouts", &all)
	assert.Equal(t, []string{"me[a c]", "p[d]"}, list(all.Logons))
	var origins Origins
	read("/culvert/origins", &origins)
	assert.Equal(t, []string{"p[d]"}, list(origins.Origins[0].Lockouts), origins.Origins[0].Origin)
	assert.Equal(t, []string{"me[a c]"}, list(origins.Origins[1].Lockouts), origins.Origins[1].Origin)
}
