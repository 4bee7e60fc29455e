package uri

import (
	"errors"
	"strconv"
	"strings"
)

// Origin is the target of a connector's requests, with the other names that its service uses in links.
type Origin struct {
	// Scheme is http or https. An empty Host means that only the host program knows the target (a BTP destination);
	// then every link keeps its path and query, unless there are aliases.
	Scheme string
	Host   string
	// Port of the service. Zero means the scheme's port.
	Port int
	// Aliases are hosts, `name` or `name:port`, whose links keep path and query but go to the origin.
	Aliases []string
}

// ForeignError reports a link to another origin.
type ForeignError struct {
	Link   string
	Host   string
	Origin Origin
}

func (e *ForeignError) Error() string {
	return "the service's link " + quote(e.Link) + " leads to " + e.Host + ", expected " + e.Origin.String() +
		"; if the service calls itself so, name that host in the setting sap.odata.link.hosts"
}

func invalid(kind, text, reason string) error {
	return errors.New(kind + " " + quote(text) + ": " + reason)
}

func quote(text string) string {
	const maxQuote = 300
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "") + "..."
	}
	return strconv.Quote(text)
}

// String returns `scheme://host:port`, without the scheme's default port.
func (o Origin) String() string {
	if o.Port == 0 || o.Port == defaultPort(o.Scheme) {
		return o.Scheme + "://" + bracketed(o.Host)
	}
	return o.Scheme + "://" + bracketed(o.Host) + ":" + strconv.Itoa(o.Port)
}

func bracketed(host string) string {
	if strings.IndexByte(host, ':') >= 0 && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

func defaultPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

// Resolve turns a link of a response into path and query on the origin, as written in the link. base is the xml:base in
// force, or empty; request is the URL, or the path and query, of the request. A link to another origin returns a
// *[ForeignError].
func (o Origin) Resolve(link, base, request string) (string, error) {
	target := request
	for _, reference := range [...]string{base, link} {
		if reference == "" && reference != link {
			continue
		}
		target = join(target, reference)
	}
	if link == "" {
		return "", invalid("the service's link", link, "it is empty")
	}
	scheme, authority, rest := splitReference(target)
	if authority == "" {
		if scheme != "" {
			return "", invalid("the service's link", link, "expected http or https, found "+scheme)
		}
		return encodeTarget(rest), nil
	}
	if scheme == "" {
		scheme = o.Scheme
	}
	if scheme != "http" && scheme != "https" {
		return "", invalid("the service's link", link, "expected http or https, found "+scheme)
	}
	host, port, ok := hostPort(authority, scheme)
	if !ok {
		return "", invalid("the service's link", link, "expected a host and a port, found "+quote(authority))
	}
	if (o.Host != "" || len(o.Aliases) > 0) && !o.equals(scheme, host, port) && !o.matchesAlias(host, port) {
		return "", &ForeignError{link, scheme + "://" + authority, o}
	}
	return encodeTarget(rest), nil
}

// equals compares origins. Loopback names with the same port are equal.
func (o Origin) equals(scheme, host string, port int) bool {
	originPort := o.Port
	if originPort == 0 {
		originPort = defaultPort(o.Scheme)
	}
	if scheme != o.Scheme || port != originPort {
		return false
	}
	return strings.EqualFold(host, strings.Trim(o.Host, "[]")) || (isLoopback(host) && isLoopback(o.Host))
}

// matchesAlias reports whether the host of a link is one of the aliases, each `name`, `name:port` or `[address]:port`.
func (o Origin) matchesAlias(host string, port int) bool {
	for _, alias := range o.Aliases {
		name, aliasPort, hasPort := splitAlias(strings.TrimSpace(alias))
		if strings.EqualFold(strings.Trim(name, "[]"), host) && (!hasPort || aliasPort == port) {
			return true
		}
	}
	return false
}

func splitAlias(alias string) (name string, port int, hasPort bool) {
	colon := strings.LastIndexByte(alias, ':')
	if strings.HasPrefix(alias, "[") {
		hasPort = colon > 0 && colon > strings.IndexByte(alias, ']')
	} else { // more colons are an IPv6 address
		hasPort = colon > strings.LastIndexByte(alias, ']') && strings.Count(alias, ":") == 1
	}
	if !hasPort {
		return alias, 0, false
	}
	port, err := strconv.Atoi(alias[colon+1:])
	return alias[:colon], port, err == nil
}

func isLoopback(host string) bool {
	host = strings.ToLower(strings.Trim(host, "[]"))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "::1" || (strings.HasPrefix(host,
		"127.") && isDotted(host))
}

func isDotted(host string) bool {
	return strings.Count(host, ".") == 3 && strings.Trim(host, "0123456789.") == ""
}

// join resolves a reference on a URL or on path and query (RFC 3986 section 5.2).
func join(base, reference string) string {
	if i := strings.IndexByte(reference, '#'); i >= 0 {
		reference = reference[:i]
	}
	scheme, authority, rest := splitReference(reference)
	if scheme != "" || authority != "" {
		return reference
	}
	onScheme, onAuthority, onRest := splitReference(base)
	prefix := ""
	if onAuthority != "" {
		prefix = "//" + onAuthority
		if onScheme != "" {
			prefix = onScheme + ":" + prefix
		}
	}
	path := onRest
	query := ""
	if i := strings.IndexByte(onRest, '?'); i >= 0 {
		path = onRest[:i]
		query = onRest[i:]
	}
	switch {
	case rest == "":
		return prefix + path + query
	case rest[0] == '?':
		return prefix + path + rest
	case rest[0] == '/':
		return prefix + rest
	}
	path = path[:strings.LastIndexByte(path, '/')+1]
	if path == "" {
		path = "/"
	}
	return prefix + removeDotSegments(path, rest)
}

func removeDotSegments(folder, rest string) string {
	query := ""
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		query = rest[i:]
		rest = rest[:i]
	}
	for {
		switch {
		case rest == "." || rest == "..":
			rest += "/"
		case strings.HasPrefix(rest, "./"):
			rest = rest[2:]
		case strings.HasPrefix(rest, "../"):
			rest = rest[3:]
			folder = folder[:strings.LastIndexByte(strings.TrimSuffix(folder, "/"), '/')+1]
			if folder == "" {
				folder = "/"
			}
		default:
			return folder + rest + query
		}
	}
}

// splitReference splits a reference into scheme, authority and the rest, which starts with '/' after an authority.
func splitReference(reference string) (scheme, authority, rest string) {
	rest = reference
	if i := strings.IndexAny(rest, ":/?#"); i > 0 && rest[i] == ':' && hasScheme(rest[:i]) {
		scheme = strings.ToLower(rest[:i])
		rest = rest[i+1:]
	}
	if !strings.HasPrefix(rest, "//") {
		return scheme, "", rest
	}
	rest = rest[2:]
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority = rest[:end]
	rest = rest[end:]
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return scheme, authority, rest
}

// hasScheme is false for an entity set with a key such as `Set(a:b)`.
func hasScheme(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || strings.IndexByte("+-.0123456789", text[i]) < 0) {
			return false
		}
	}
	return text != ""
}

func hostPort(authority, scheme string) (host string, port int, ok bool) {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		return "", 0, false
	}
	host = authority
	port = defaultPort(scheme)
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		n, err := strconv.Atoi(authority[i+1:])
		if (err != nil && authority[i+1:] != "") || n < 0 || n > 65535 {
			return "", 0, false
		}
		host = authority[:i]
		if authority[i+1:] != "" {
			port = n
		}
	}
	host = strings.Trim(host, "[]")
	return host, port, host != ""
}

// encodeTarget escapes what a request line cannot contain and keeps the rest as the service wrote it.
func encodeTarget(target string) string {
	bad := func(c byte) bool { return c <= ' ' || c >= 0x7f }
	i := 0
	for i < len(target) && !bad(target[i]) {
		i++
	}
	if i == len(target) {
		return target
	}
	out := append([]byte(nil), target[:i]...)
	for ; i < len(target); i++ {
		if c := target[i]; bad(c) {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

const upperHex = "0123456789ABCDEF"

// EncodeQuery percent-encodes what a request line cannot contain in a part of a query written by a user.
func EncodeQuery(query string) string { return strings.ReplaceAll(encodeTarget(query), "#", "%23") }
