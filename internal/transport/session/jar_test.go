package session

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestJar(t *testing.T) {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		cookies []string
		path    string
		later   time.Duration
		want    string
	}{
		"as they came, secure ones too": {[]string{"a=\"1=2%\"; secure; HttpOnly; Domain=other", "b=2"}, "/svc/x", 0,
			"a=\"1=2%\"; b=2"},
		"the later value": {[]string{"a=1", "a=2"}, "/svc/x", 0, "a=2"},
		"by path, longer first": {[]string{"a=1; path=/", "a=2; path=/svc", "c=3; path=/other"}, "/svc/x?y", 0,
			"a=2; a=1"},
		"no path of half a name": {[]string{"a=1; path=/sv"}, "/svc", 0, ""},
		"deleted by Max-Age":     {[]string{"a=1", "a=; Max-Age=0"}, "/svc/x", 0, ""},
		"deleted by Expires": {[]string{"a=1", "a=; expires=Thu, 01-Jan-1970 00:00:00 GMT"}, "/svc/x", 0,
			""},
		"run out": {[]string{"a=1; max-age=10", "b=2; max-age=100"}, "/svc/x", time.Minute,
			"b=2"},
		"Max-Age before Expires": {[]string{"a=1; max-age=100; expires=Thu, 01 Jan 1970 00:00:00 GMT"},
			"/svc/x", time.Minute, "a=1"},
		"Max-Age of a thousand years": {[]string{"a=1; max-age=31536000000"}, "/svc/x", 399 * 24 * time.Hour, "a=1"},
		"Max-Age of 400 days at most": {[]string{"a=1; max-age=31536000000"}, "/svc/x", 400 * 24 * time.Hour, ""},
		"Max-Age beyond all numbers":  {[]string{"a=1; max-age=" + strings.Repeat("9", 30)}, "/svc/x", 0, "a=1"},
		"Max-Age below all numbers":   {[]string{"a=1", "a=1; max-age=-" + strings.Repeat("9", 30)}, "/svc/x", 0, ""},
		"deleted by a weekday in full": {[]string{"a=1", "a=; Expires=Sunday, 06-Nov-94 08:49:37 GMT"}, "/svc/x", 0,
			""},
		"deleted by two digits of a year": {[]string{"a=1", "a=; Expires=Sun, 06-Nov-94 08:49:37 GMT"}, "/svc/x", 0,
			""},
		"a weekday in full, to come": {[]string{"a=1; Expires=Monday, 01-Jan-24 00:01:00 GMT"}, "/svc/x",
			time.Minute - 1, "a=1"},
		"a weekday in full, run out": {[]string{"a=1; Expires=Monday, 01-Jan-24 00:01:00 GMT"}, "/svc/x", time.Minute,
			""},
		"deleted by a date of C":         {[]string{"a=1", "a=; Expires=Sun Nov  6 08:49:37 1994"}, "/svc/x", 0, ""},
		"no date counts as none":         {[]string{"a=1; Expires=Sun, 31-Feb-94 08:49:37 GMT"}, "/svc/x", 0, "a=1"},
		"nothing that is not a cookie":   {[]string{"a", "=b", "x y=1", ""}, "/svc/x", 0, ""},
		"without a path: its own folder": {[]string{"a=1"}, "/other", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var j jar
			j.update(http.Header{"Set-Cookie": c.cookies}, "/svc/request?x=/y", now, 0, true)
			if got := j.header(c.path, now.Add(c.later)).Header; got != c.want {
				t.Errorf("expected %q, found %q", c.want, got)
			}
		})
	}
}

// The number of cookies is bounded, the newest are kept, and the time is linear.
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
	if n := strings.Count(header, "="); n != maxCookies || !strings.Contains(header, "c19-499=x") ||
		strings.Contains(header, "long") {
		t.Errorf("expected the %d newest cookies, found %d: %.200s", maxCookies, n, header)
	}
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
			if !j.restart(n, h, "/", time.Now()) {
				t.Errorf("expected session %d to end", n)
			}
		}
	}()
	for {
		if header := j.header("/", time.Now()).Header; header != "SID=1" || j.empty() {
			t.Fatalf("found %q", header)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
