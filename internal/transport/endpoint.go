package transport

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/base/loopback"
	"github.com/culvert-project/culvert/wit"
)

// endpoint is an origin: scheme, host and port.
type endpoint struct {
	scheme string
	host   string
	port   int
}

// String returns the origin as a URL, without a default port.
func (e endpoint) String() string { return e.scheme + "://" + e.authority() }

func (e endpoint) authority() string {
	host := e.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if e.port == defaultPort(e.scheme) {
		return host
	}
	return host + ":" + strconv.Itoa(e.port)
}

// matches reports whether a URL has this origin. All loopback names are equal.
func (e endpoint) matches(u *url.URL) bool {
	port := defaultPort(strings.ToLower(u.Scheme))
	if p := u.Port(); p != "" {
		port, _ = strconv.Atoi(p)
	}
	if !strings.EqualFold(u.Scheme, e.scheme) || port != e.port {
		return false
	}
	return strings.EqualFold(u.Hostname(), e.host) || (loopback.Is(u.Hostname()) && loopback.Is(e.host))
}

func withoutBrackets(address string) string {
	address = strings.TrimSpace(address)
	if inner, ok := strings.CutSuffix(address, "]"); ok && strings.HasPrefix(inner, "[") {
		return inner[1:]
	}
	return address
}

func defaultPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

// addQuery adds missing parameters only, so that links which contain them stay unchanged.
func addQuery(line string, parameters url.Values) string {
	path, query, _ := strings.Cut(line, "?")
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if hasParameter(query, name) {
			continue
		}
		if query != "" {
			query += "&"
		}
		query += url.Values{name: parameters[name]}.Encode()
	}
	if len(parameters) == 0 || query == "" {
		return line
	}
	return path + "?" + query
}

func hasParameter(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(pair, "="); key == name || key == url.QueryEscape(name) {
			return true
		}
	}
	return false
}

// resolve returns a target's path and query, byte for byte, since links of a service must be sent back verbatim; only
// invalid bytes are percent-encoded. base resolves relative redirects; "" rejects relative targets.
func (e endpoint) resolve(target, base string) (string, error) {
	if strings.ContainsAny(target, "\r\n\x00") {
		return "", errorf(wit.ErrorData, "target of a request: expected no line break, found %q", printable(target))
	}
	target, _, _ = strings.Cut(target, "#")
	switch {
	case strings.HasPrefix(target, "//"):
		target = e.scheme + ":" + target
		fallthrough
	case strings.Contains(target, "://") && schemeOf(target) != "": // a URL, which must have this origin
		authority, line := cutAuthority(target)
		u, err := url.Parse(authority)
		switch {
		case strings.Contains(authority, "@"):
			return "", errorf(wit.ErrorData, "target of a request: expected a URL without user and password in it, "+
				"found %q: credentials are configured by the connector's settings only", printable(target))
		case err != nil || u.Host == "":
			return "", errorf(wit.ErrorData, "target of a request: expected a path or a URL of %s, found %q", e,
				printable(target))
		case !e.matches(u):
			return "", errorf(wit.ErrorData,
				"target of a request: expected the origin %s, found %q: requests go to the connector's own host only",
				e, printable(target))
		}
		return requestLine(line), nil
	case strings.HasPrefix(target, "/"):
		return requestLine(target), nil
	case base != "" && schemeOf(target) == "": // a relative redirect
		baseURL, err := url.Parse(e.String() + base)
		if err != nil {
			return "", errorf(wit.ErrorData, "target of a redirect: %v", err)
		}
		u, err := baseURL.Parse(target)
		if err != nil {
			return "", errorf(wit.ErrorData, "target of a redirect: %v", err)
		}
		return requestLine(u.RequestURI()), nil
	}
	return "", errorf(wit.ErrorData, "target of a request: expected a path that begins with / or a URL of %s, found %q",
		e, redactUser(printable(target)))
}

func schemeOf(target string) string {
	scheme, _, ok := strings.Cut(target, ":")
	if !ok || strings.ContainsAny(scheme, "/?") {
		return ""
	}
	return strings.ToLower(scheme)
}

func cutAuthority(target string) (authority, line string) {
	start := strings.Index(target, "://") + len("://")
	if i := strings.IndexAny(target[start:], "/?"); i >= 0 {
		return target[:start+i], target[start+i:]
	}
	return target, "/"
}

// requestLine percent-encodes the bytes that a request line cannot contain.
func requestLine(target string) string {
	if strings.HasPrefix(target, "?") {
		target = "/" + target
	}
	var b strings.Builder
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// urlOf returns a URL that sends a request line unchanged. absolute adds the origin, for HTTP proxies.
func (e endpoint) urlOf(line string, absolute bool) *url.URL {
	path, query, hasQuery := strings.Cut(line, "?")
	u := &url.URL{Scheme: e.scheme, Host: e.authority(), RawQuery: query, ForceQuery: hasQuery && query == ""}
	if absolute || strings.HasPrefix(path, "//") {
		// With an opaque path net/http adds no origin, and takes // for the start of an authority.
		u.Path = path
		u.RawPath = path
		if decoded, err := url.PathUnescape(path); err == nil {
			u.Path = decoded
		}
		return u
	}
	u.Opaque = path
	return u
}
