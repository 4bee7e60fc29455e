package session

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/internal/guard"
)

// jar holds the cookies of one origin. Unlike a browser's it ignores Domain and sends Secure cookies over http too, so
// that no session stays open in the SAP system (RATIONALE.md P11). Safe for concurrent use.
type jar struct {
	mu         guard.Mutex
	cookies    []cookie
	generation int
}

const (
	// maxCookies bounds the cookies of an origin; the oldest are dropped.
	maxCookies     = 500
	maxCookieBytes = 16 << 10
	maxAge         = 400 * 24 * 60 * 60 // 400 days in seconds, as in browsers
)

// UserContext is the cookie in which SAP systems return client and language.
const UserContext = "sap-usercontext"

// UserContexts returns the values of [UserContext] in a response's header.
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
	name    string
	value   string
	path    string
	expires time.Time // zero means with the session
	// accepted means that the service has accepted a request since it set this value.
	accepted bool
}

// update sets a response's cookies; accepted marks all cookies. It ignores responses of an older generation.
func (j *jar) update(h http.Header, path string, now time.Time, generation int, accepted bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if generation == j.generation {
		j.setCookies(h, path, now)
		for i := range j.cookies {
			j.cookies[i].accepted = j.cookies[i].accepted || accepted
		}
	}
}

func (j *jar) setCookies(h http.Header, path string, now time.Time) {
	lines := h["Set-Cookie"]
	for _, line := range lines[:min(len(lines), maxCookies)] {
		if c, ok := readCookie(line, path, now); ok && len(c.name)+len(c.value)+len(c.path) <= maxCookieBytes {
			j.set(c, now)
		}
	}
}

// set replaces the cookie with the same name and path. One that has expired only removes it.
func (j *jar) set(c cookie, now time.Time) {
	j.cookies = slices.DeleteFunc(j.cookies, func(o cookie) bool {
		isSame := o.name == c.name && o.path == c.path
		c.accepted = c.accepted || (isSame && o.accepted && o.value == c.value) // an accepted value stays so
		return isSame
	})
	if c.expires.IsZero() || c.expires.After(now) {
		j.cookies = append(j.cookies, c)
	}
	if n := len(j.cookies) - maxCookies; n > 0 {
		j.cookies = slices.Delete(j.cookies, 0, n)
	}
}

// readCookie parses a line of Set-Cookie; path is the path of the request. !ok means that it is invalid.
func readCookie(line, path string, now time.Time) (cookie, bool) {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, ok := strings.Cut(pair, "=")
	path, _, _ = strings.Cut(path, "?")
	folder := path[:max(0, strings.LastIndexByte(path, '/'))] // the default of the attribute Path
	c := cookie{name: strings.TrimSpace(name), value: strings.TrimSpace(value), path: folder}
	if c.path == "" {
		c.path = "/"
	}
	if !ok || (&http.Cookie{Name: c.name}).Valid() != nil || !httpguts.ValidHeaderFieldValue(c.value) {
		return c, false
	}
	hasMaxAge := false
	for _, attribute := range strings.Split(attributes, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(attribute), "=")
		switch strings.ToLower(k) {
		case "path":
			if strings.HasPrefix(v, "/") {
				c.path = v
			}
		case "max-age":
			n, err := strconv.ParseInt(v, 10, 64)
			if err == nil || errors.Is(err, strconv.ErrRange) { // out of range, n is the nearest int64
				c.expires = now.Add(time.Duration(min(max(n, 0), maxAge)) * time.Second)
				hasMaxAge = true
			}
		case "expires":
			for _, layout := range cookieDateFormats {
				if t, err := time.Parse(layout, v); err == nil && !hasMaxAge {
					c.expires = t
					break
				}
			}
		}
	}
	return c, true
}

// cookieDateFormats are the formats of RFC 6265, Netscape (SAP's ICF and Java's servers), and RFC 9110, 5.6.7.
var cookieDateFormats = []string{
	"Mon, 2 Jan 2006 15:04:05 MST",
	"Mon, 2-Jan-2006 15:04:05 MST",
	"Mon, 2-Jan-06 15:04:05 MST",
	"Monday, 2-Jan-06 15:04:05 MST",
	time.ANSIC,
}

// header returns the unexpired cookies for a path, longer paths of cookies first (RFC 6265).
func (j *jar) header(path string, now time.Time) (c Cookies) {
	path, _, _ = strings.Cut(path, "?")
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cookies = slices.DeleteFunc(j.cookies, func(c cookie) bool {
		return !c.expires.IsZero() && !c.expires.After(now)
	})
	slices.SortStableFunc(j.cookies, func(a, b cookie) int { return len(b.path) - len(a.path) })
	var b strings.Builder
	for _, stored := range j.cookies {
		if !Below(path, stored.path) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(stored.name + "=" + stored.value)
		c.Proven = c.Proven || (stored.accepted && stored.isSession())
	}
	c.Header = b.String()
	c.Generation = j.generation
	return c
}

// Below reports whether a path is a folder or in it (RFC 6265, section 5.1.4).
func Below(path, folder string) bool {
	return folder == "/" || path == folder || (strings.HasPrefix(path, folder) && (strings.HasSuffix(folder, "/") ||
		path[len(folder)] == '/'))
}

// sessionCookies returns the values of the cookies that identify a session, by path and name.
func (j *jar) sessionCookies() map[string]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	values := map[string]string{}
	for _, c := range j.cookies {
		if c.isSession() {
			values[c.path+" "+c.name] = c.value
		}
	}
	return values
}

// restart begins a new generation without an empty jar in between. It returns false if generation is not current.
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

func (j *jar) isEmpty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.cookies) == 0
}

// isSession reports whether the cookie identifies a session. Assumption: all without expiry but sap-usercontext do.
func (c cookie) isSession() bool {
	return c.expires.IsZero() && !strings.EqualFold(c.name, UserContext)
}
