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

func invalidError(kind, text, reason string) error {
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
		return o.Scheme + "://" + bracketHost(o.Host)
	}
	return o.Scheme + "://" + bracketHost(o.Host) + ":" + strconv.Itoa(o.Port)
}

func bracketHost(host string) string {
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
	if link == "" {
		return "", invalidError("the service's link", link, "it is empty")
	}
	target := request
	if base != "" {
		target = resolveReference(target, base)
	}
	scheme, authority, pathAndQuery := splitReference(resolveReference(target, link))
	if authority == "" {
		if scheme != "" {
			return "", invalidError("the service's link", link, "expected http or https, found "+scheme)
		}
		return encodeTarget(pathAndQuery), nil
	}
	if scheme == "" {
		scheme = o.Scheme
	}
	if scheme != "http" && scheme != "https" {
		return "", invalidError("the service's link", link, "expected http or https, found "+scheme)
	}
	host, port, ok := splitHostPort(authority, scheme)
	if !ok {
		return "", invalidError("the service's link", link, "expected a host and a port, found "+quote(authority))
	}
	if (o.Host != "" || len(o.Aliases) > 0) && !o.matches(scheme, host, port) && !o.matchesAlias(host, port) {
		return "", &ForeignError{link, scheme + "://" + authority, o}
	}
	return encodeTarget(pathAndQuery), nil
}

// matches reports whether a link with this scheme, host and port goes to the origin. Loopback names are equal.
func (o Origin) matches(scheme, host string, port int) bool {
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

// splitAlias returns the host and, if it has one, the port of an alias.
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
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "::1" ||
		(strings.HasPrefix(host, "127.") && strings.Count(host, ".") == 3 && strings.Trim(host, "0123456789.") == "")
}

// resolveReference resolves a reference on a URL or on path and query (RFC 3986 section 5.2).
func resolveReference(base, reference string) string {
	if i := strings.IndexByte(reference, '#'); i >= 0 {
		reference = reference[:i]
	}
	scheme, authority, pathAndQuery := splitReference(reference)
	if scheme != "" || authority != "" {
		return reference
	}
	baseScheme, baseAuthority, basePath := splitReference(base)
	prefix := ""
	if baseAuthority != "" {
		prefix = "//" + baseAuthority
		if baseScheme != "" {
			prefix = baseScheme + ":" + prefix
		}
	}
	path := basePath
	query := ""
	if i := strings.IndexByte(basePath, '?'); i >= 0 {
		path = basePath[:i]
		query = basePath[i:]
	}
	switch {
	case pathAndQuery == "":
		return prefix + path + query
	case pathAndQuery[0] == '?':
		return prefix + path + pathAndQuery
	case pathAndQuery[0] == '/':
		return prefix + pathAndQuery
	}
	path = path[:strings.LastIndexByte(path, '/')+1]
	if path == "" {
		path = "/"
	}
	return prefix + removeDotSegments(path, pathAndQuery)
}

// removeDotSegments resolves . and .. at the start of a reference in a folder, whose path ends with a slash.
func removeDotSegments(folder, pathAndQuery string) string {
	query := ""
	if i := strings.IndexByte(pathAndQuery, '?'); i >= 0 {
		query = pathAndQuery[i:]
		pathAndQuery = pathAndQuery[:i]
	}
	for {
		switch {
		case pathAndQuery == "." || pathAndQuery == "..":
			pathAndQuery += "/"
		case strings.HasPrefix(pathAndQuery, "./"):
			pathAndQuery = pathAndQuery[2:]
		case strings.HasPrefix(pathAndQuery, "../"):
			pathAndQuery = pathAndQuery[3:]
			folder = folder[:strings.LastIndexByte(strings.TrimSuffix(folder, "/"), '/')+1]
			if folder == "" {
				folder = "/"
			}
		default:
			return folder + pathAndQuery + query
		}
	}
}

// splitReference splits a reference into scheme, authority and the rest, which starts with '/' after an authority.
func splitReference(reference string) (scheme, authority, pathAndQuery string) {
	pathAndQuery = reference
	if i := strings.IndexAny(pathAndQuery, ":/?#"); i > 0 && pathAndQuery[i] == ':' && isScheme(pathAndQuery[:i]) {
		scheme = strings.ToLower(pathAndQuery[:i])
		pathAndQuery = pathAndQuery[i+1:]
	}
	if !strings.HasPrefix(pathAndQuery, "//") {
		return scheme, "", pathAndQuery
	}
	pathAndQuery = pathAndQuery[2:]
	end := strings.IndexAny(pathAndQuery, "/?#")
	if end < 0 {
		end = len(pathAndQuery)
	}
	authority = pathAndQuery[:end]
	pathAndQuery = pathAndQuery[end:]
	if !strings.HasPrefix(pathAndQuery, "/") {
		pathAndQuery = "/" + pathAndQuery
	}
	return scheme, authority, pathAndQuery
}

// isScheme reports whether a text before a colon is a scheme. It is false for an entity set with a key such as
// `Set(a:b)`.
func isScheme(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || strings.IndexByte("+-.0123456789", text[i]) < 0) {
			return false
		}
	}
	return text != ""
}

// splitHostPort splits an authority. ok is false for one with a user, with an invalid port or without a host.
func splitHostPort(authority, scheme string) (host string, port int, ok bool) {
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
	mustEscape := func(c byte) bool { return c <= ' ' || c >= 0x7f }
	i := 0
	for i < len(target) && !mustEscape(target[i]) {
		i++
	}
	if i == len(target) {
		return target
	}
	out := append([]byte(nil), target[:i]...)
	for ; i < len(target); i++ {
		if c := target[i]; mustEscape(c) {
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
