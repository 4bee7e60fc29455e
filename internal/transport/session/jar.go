package session

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// jar holds the cookies of one origin. It follows every answer, refusals included. Unlike a browser's it returns
// cookies that were marked Secure over http and ignores Domain: all requests of a client go to one origin, and a
// session that is not returned is a session left open in the SAP system (P11). Values travel as they came. Safe for use
// by several goroutines.
type jar struct {
	mu      guard.Mutex
	cookies []cookie
	// generation counts how often the cookies were dropped.
	generation int
}

// How much a service may have sent back with every request: browsers keep 180 cookies of a site of 4 KiB each. Of more
// the oldest go.
const (
	// maxCookies is how many cookies of an origin are kept, and how many of one answer are looked at.
	maxCookies = 500
	// maxCookieBytes is how long name, value and path of one may be; SAP's logon tickets have some kilobytes.
	maxCookieBytes = 16 << 10
	// maxAge is how long a cookie is kept at most, in seconds: 400 days, as in browsers. Some services name a thousand
	// years.
	maxAge = 400 * 24 * 60 * 60
)

// UserContext is the cookie in which SAP systems say which client and language an answer is of.
const UserContext = "sap-usercontext"

// UserContexts are the values of that cookie in the headers of an answer.
func UserContexts(h http.Header) (values []string) {
	lines := h["Set-Cookie"]
	for _, line := range lines[:min(len(lines), maxCookies)] {
		pair, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), UserContext) {
			values = append(values, value)
		}
	}
	return values
}

type cookie struct {
	name, value, path string
	expires           time.Time // zero: with the session
}

// update takes the cookies of an answer to a request for path that was sent in a generation. Answers that were still on
// their way when that was dropped are not followed: a refusal may bring a session of its own, in which the token that
// was fetched meanwhile is unknown.
func (j *jar) update(h http.Header, path string, now time.Time, generation int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if generation == j.generation {
		j.setCookies(h, path, now)
	}
}

// setCookies takes the cookies of an answer; j.mu is held.
func (j *jar) setCookies(h http.Header, path string, now time.Time) {
	lines := h["Set-Cookie"]
	for _, line := range lines[:min(len(lines), maxCookies)] {
		if c, ok := readCookie(line, path, now); ok && len(c.name)+len(c.value)+len(c.path) <= maxCookieBytes {
			j.set(c, now)
		}
	}
}

func (j *jar) set(c cookie, now time.Time) {
	j.cookies = slices.DeleteFunc(j.cookies, func(o cookie) bool { return o.name == c.name && o.path == c.path })
	if c.expires.IsZero() || c.expires.After(now) {
		j.cookies = append(j.cookies, c)
	}
	if n := len(j.cookies) - maxCookies; n > 0 {
		j.cookies = slices.Delete(j.cookies, 0, n)
	}
}

func readCookie(line, path string, now time.Time) (cookie, bool) {
	pair, rest, _ := strings.Cut(line, ";")
	name, value, ok := strings.Cut(pair, "=")
	c := cookie{name: strings.TrimSpace(name), value: strings.TrimSpace(value), path: defaultPath(path)}
	if !ok || (&http.Cookie{Name: c.name}).Valid() != nil || strings.ContainsAny(c.value, "\r\n\x00") {
		return c, false
	}
	lasting := false
	for _, attribute := range strings.Split(rest, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(attribute), "=")
		switch strings.ToLower(k) {
		case "path":
			if strings.HasPrefix(v, "/") {
				c.path = v
			}
		case "max-age":
			n, err := strconv.ParseInt(v, 10, 64)
			if err == nil || errors.Is(err, strconv.ErrRange) { // then n is the nearest that there is
				c.expires, lasting = now.Add(time.Duration(min(max(n, 0), maxAge))*time.Second), true
			}
		case "expires":
			if t, ok := cookieDate(v); ok && !lasting {
				c.expires = t
			}
		}
	}
	return c, true
}

// cookieDateFormats are how services write when a cookie ends: as RFC 6265, section 4.1.1, has it; as Netscape had it, whom
// SAP's ICF and Java's servers follow, with two digits of a year or four; and in the two older ways of RFC 9110, 5.6.7.
var cookieDateFormats = []string{"Mon, 2 Jan 2006 15:04:05 MST", "Mon, 2-Jan-2006 15:04:05 MST", "Mon, 2-Jan-06 15:04:05 MST",
	"Monday, 2-Jan-06 15:04:05 MST", time.ANSIC}

func cookieDate(text string) (t time.Time, ok bool) {
	for _, layout := range cookieDateFormats {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return t, false
}

// defaultPath is the folder of the request's path.
func defaultPath(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// header is the Cookie header for a request for path, "" if there are none, and the generation that they are of. Longer
// paths come first, as RFC 6265 has it.
func (j *jar) header(path string, now time.Time) (header string, generation int) {
	path, _, _ = strings.Cut(path, "?")
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cookies = slices.DeleteFunc(j.cookies, func(c cookie) bool {
		return !c.expires.IsZero() && !c.expires.After(now)
	})
	slices.SortStableFunc(j.cookies, func(a, b cookie) int { return len(b.path) - len(a.path) })
	var b strings.Builder
	for _, c := range j.cookies {
		if !Below(path, c.path) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.name + "=" + c.value)
	}
	return b.String(), j.generation
}

// Below says whether a path is a folder, or in it (RFC 6265, section 5.1.4).
func Below(path, folder string) bool {
	return folder == "/" || path == folder || strings.HasPrefix(path, folder) && (strings.HasSuffix(folder, "/") ||
		path[len(folder)] == '/')
}

// restart begins a new generation with the cookies of the answer that ended the given one, unless somebody has done so
// since. It says whether it did. At once, since others would find no cookies in between and open a session of their
// own.
func (j *jar) restart(generation int, h http.Header, path string, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if generation != j.generation {
		return false
	}
	j.cookies = nil
	j.generation++
	j.setCookies(h, path, now)
	return true
}

func (j *jar) currentGeneration() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.generation
}

// empty says whether there are no cookies at all.
func (j *jar) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.cookies) == 0
}

// opened says whether the service has opened a session. Assumption: it has where it handed out a cookie that ends with
// the session, other than sap-usercontext, which SAP sets on its own.
func (j *jar) opened() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.cookies, func(c cookie) bool {
		return c.expires.IsZero() && !strings.EqualFold(c.name, UserContext)
	})
}
