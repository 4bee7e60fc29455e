package transport

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/transport/session"
	"github.com/culvert-project/culvert/wit"
)

// resolve is [origin.resolve] for a request of a guest; a path that is not below the destination's own is put there.
// The destination's query is not in it, since that may hold a key: it is added when the request is built, and shows in
// no message, log or answer.
func (d *destination) resolve(target string) (string, error) {
	line, err := d.origin.resolve(target, "")
	line = d.withoutSecrets(line)
	if path, _, _ := strings.Cut(line, "?"); err == nil && d.config.Prefix != "" && !session.Below(path, d.config.Prefix) {
		line = d.config.Prefix + line
	}
	return line, err
}

// urlOf is the URL of a line, with the secrets of the settings and with the destination's query.
func (d *destination) urlOf(line string) *url.URL {
	return d.origin.urlOf(addQuery(d.withSecrets(line), d.config.Query), d.config.Route.Whole)
}

// addQuery adds what the query does not have, so that links which have it stay as they are.
func addQuery(line string, add url.Values) string {
	path, query, _ := strings.Cut(line, "?")
	for _, name := range slices.Sorted(maps.Keys(add)) {
		if has(query, name) {
			continue
		}
		if query != "" {
			query += "&"
		}
		query += url.Values{name: add[name]}.Encode()
	}
	if len(add) == 0 || query == "" {
		return line
	}
	return path + "?" + query
}

func has(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(pair, "="); key == name || key == url.QueryEscape(name) {
			return true
		}
	}
	return false
}

// resolve turns a request's target into what stands in the request line: path and query, byte for byte as they were
// given, because links of a service are sent back verbatim. Only what a request line cannot hold is percent-encoded.
// `base` is the path and query against which a relative reference (of a redirect) counts; "" refuses relative
// references.
func (o endpoint) resolve(target, base string) (string, error) {
	if strings.ContainsAny(target, "\r\n\x00") {
		return "", faultf(wit.FaultData, "target of a request: expected no line break, found %q", shown(target))
	}
	target, _, _ = strings.Cut(target, "#")
	switch {
	case strings.HasPrefix(target, "//"):
		target = o.scheme + ":" + target
		fallthrough
	case strings.Contains(target, "://") && schemeOf(target) != "":
		before, rest := cutAuthority(target)
		u, err := url.Parse(before)
		switch {
		case strings.Contains(before, "@"):
			return "", faultf(wit.FaultData, "target of a request: expected a URL without user and password in it, "+
				"found %q: who logs on is said by the connector's settings alone", shown(target))
		case err != nil || u.Host == "":
			return "", faultf(wit.FaultData, "target of a request: expected a path or a URL of %s, found %q", o,
				shown(target))
		case !o.same(u):
			return "", faultf(wit.FaultData,
				"target of a request: expected the origin %s, found %q: requests go to the connector's own host only",
				o, shown(target))
		}
		return requestLine(rest), nil
	case strings.HasPrefix(target, "/"):
		return requestLine(target), nil
	case base != "" && schemeOf(target) == "":
		b, err := url.Parse(o.String() + base)
		if err != nil {
			return "", faultf(wit.FaultData, "target of a redirect: %v", err)
		}
		u, err := b.Parse(target)
		if err != nil {
			return "", faultf(wit.FaultData, "target of a redirect: %v", err)
		}
		return requestLine(u.RequestURI()), nil
	}
	return "", faultf(wit.FaultData, "target of a request: expected a path that begins with / or a URL of %s, found %q",
		o, hideUser(shown(target)))
}

// schemeOf is the scheme of an absolute URL, in lower case, "" if there is none.
func schemeOf(target string) string {
	scheme, _, ok := strings.Cut(target, ":")
	if !ok || strings.ContainsAny(scheme, "/?") {
		return ""
	}
	return strings.ToLower(scheme)
}

// cutAuthority cuts an absolute URL in front of its path, which is not looked at.
func cutAuthority(target string) (before, rest string) {
	start := strings.Index(target, "://") + len("://")
	if i := strings.IndexAny(target[start:], "/?"); i >= 0 {
		return target[:start+i], target[start+i:]
	}
	return target, "/"
}

func requestLine(target string) string {
	if strings.HasPrefix(target, "?") {
		target = "/" + target
	}
	var b strings.Builder
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// urlOf makes the URL that sends this request line unchanged; absolute: the origin is to stand
// in front of it, as HTTP proxies want it (what a path may not hold is percent-encoded then).
func (o endpoint) urlOf(line string, absolute bool) *url.URL {
	path, query, has := strings.Cut(line, "?")
	u := &url.URL{Scheme: o.scheme, Host: o.authority(), RawQuery: query, ForceQuery: has && query == ""}
	if absolute || strings.HasPrefix(path, "//") {
		// net/http would take an opaque path with two slashes for an authority, and puts no origin in front of one
		u.Path, u.RawPath = path, path
		if decoded, err := url.PathUnescape(path); err == nil {
			u.Path = decoded
		}
		return u
	}
	u.Opaque = path
	return u
}
