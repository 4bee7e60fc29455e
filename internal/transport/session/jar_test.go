package session

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

var jarCases = map[string]struct {
	cookies []string
	path    string
	later   time.Duration
	want    string
}{
	"as they came, secure ones too": {
		cookies: []string{"a=\"1=2%\"; secure; HttpOnly; Domain=other", "b=2"},
		path:    "/svc/x",
		want:    "a=\"1=2%\"; b=2",
	},
	"the later value": {cookies: []string{"a=1", "a=2"}, path: "/svc/x", want: "a=2"},
	"by path, longer first": {
		cookies: []string{"a=1; path=/", "a=2; path=/svc", "c=3; path=/other"},
		path:    "/svc/x?y",
		want:    "a=2; a=1",
	},
	"no path of half a name": {cookies: []string{"a=1; path=/sv"}, path: "/svc"},
	"deleted by Max-Age":     {cookies: []string{"a=1", "a=; Max-Age=0"}, path: "/svc/x"},
	"deleted by Expires":     {cookies: []string{"a=1", "a=; expires=Thu, 01-Jan-1970 00:00:00 GMT"}, path: "/svc/x"},
	"run out": {
		cookies: []string{"a=1; max-age=10", "b=2; max-age=100"},
		path:    "/svc/x",
		later:   time.Minute,
		want:    "b=2",
	},
	"Max-Age before Expires": {
		cookies: []string{"a=1; max-age=100; expires=Thu, 01 Jan 1970 00:00:00 GMT"},
		path:    "/svc/x",
		later:   time.Minute,
		want:    "a=1",
	},
	"Max-Age of a thousand years": {
		cookies: []string{"a=1; max-age=31536000000"},
		path:    "/svc/x",
		later:   399 * 24 * time.Hour,
		want:    "a=1",
	},
	"Max-Age of 400 days at most": {
		cookies: []string{"a=1; max-age=31536000000"},
		path:    "/svc/x",
		later:   400 * 24 * time.Hour,
	},
	"Max-Age beyond all numbers": {
		cookies: []string{"a=1; max-age=" + strings.Repeat("9", 30)},
		path:    "/svc/x",
		want:    "a=1",
	},
	"Max-Age below all numbers": {
		cookies: []string{"a=1", "a=1; max-age=-" + strings.Repeat("9", 30)},
		path:    "/svc/x",
	},
	"deleted by a weekday in full": {
		cookies: []string{"a=1", "a=; Expires=Sunday, 06-Nov-94 08:49:37 GMT"},
		path:    "/svc/x",
	},
	"deleted by two digits of a year": {
		cookies: []string{"a=1", "a=; Expires=Sun, 06-Nov-94 08:49:37 GMT"},
		path:    "/svc/x",
	},
	"a weekday in full, to come": {
		cookies: []string{"a=1; Expires=Monday, 01-Jan-24 00:01:00 GMT"},
		path:    "/svc/x",
		later:   time.Minute - 1,
		want:    "a=1",
	},
	"a weekday in full, run out": {
		cookies: []string{"a=1; Expires=Monday, 01-Jan-24 00:01:00 GMT"},
		path:    "/svc/x",
		later:   time.Minute,
	},
	"deleted by a date of C": {cookies: []string{"a=1", "a=; Expires=Sun Nov  6 08:49:37 1994"}, path: "/svc/x"},
	"no date counts as none": {
		cookies: []string{"a=1; Expires=Sun, 31-Feb-94 08:49:37 GMT"},
		path:    "/svc/x",
		want:    "a=1",
	},
	"nothing that is not a cookie":   {cookies: []string{"a", "=b", "x y=1", ""}, path: "/svc/x"},
	"without a path: its own folder": {cookies: []string{"a=1"}, path: "/other"},
}

func TestJar(t *testing.T) {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range jarCases {
		t.Run(name, func(t *testing.T) {
			var j jar
			j.update(http.Header{"Set-Cookie": c.cookies}, "/svc/request?x=/y", now, 0, true)
			assert.Equal(t, c.want, j.header(c.path, now.Add(c.later)).Header)
		})
	}
}

// The number of cookies and their size are bounded, and the newest are kept.
func TestCookiesAreBounded(t *testing.T) {
	now := time.Now()
	j := &jar{}
	for answer := range 20 {
		h := http.Header{}
		for i := range 50_000 {
			h.Add("Set-Cookie", fmt.Sprintf("c%d-%d=x", answer, i))
		}
		h.Add("Set-Cookie", "long="+strings.Repeat("x", maxCookieBytes))
		j.update(h, "/a", now, 0, true)
	}
	header := j.header("/a", now).Header
	n := strings.Count(header, "=")
	assert.True(t, n == maxCookies && strings.Contains(header, "c19-499=x") && !strings.Contains(header, "long"),
		"expected the %d newest cookies, found %d: %.200s", maxCookies, n, header)
}

// A concurrent reader finds the cookies of the old or the new session, not none.
func TestNewSessionIsStoredAtomically(t *testing.T) {
	var j jar
	h := http.Header{"Set-Cookie": {"SID=1; Path=/"}}
	j.update(h, "/", time.Now(), 0, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 10_000 {
			assert.True(t, j.restart(n, h, "/", time.Now()), "expected generation %d to be the current one", n)
		}
	}()
	for {
		header := j.header("/", time.Now()).Header
		require.True(t, header == "SID=1" && !j.isEmpty(), "expected the cookie SID=1, found %q", header)
		select {
		case <-done:
			return
		default:
		}
	}
}
