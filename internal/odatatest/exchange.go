package odatatest

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// exchange is one request and its response.
type exchange struct {
	service  *Service
	mount    *mount
	w        http.ResponseWriter
	r        *http.Request
	sw       Switches // when the request arrived
	session  *session
	server   *server
	affinity *http.Cookie // that the dispatcher sets with this answer
	method   string       // X-HTTP-Method applied
	json     bool         // the answer is JSON, else Atom or XML
	base     string       // address of the service with a slash at the end
	query    *query
	// set is the changeset of a request inside one, target the resource of the request.
	set    *changeset
	target string
}

// serve answers a request to a path below the mount.
func (x *exchange) serve(path string) {
	x.method = x.r.Method
	if tunnelled := x.r.Header.Get("X-HTTP-Method"); tunnelled != "" && x.method == http.MethodPost {
		x.method = strings.ToUpper(tunnelled)
	}
	scheme := "http://"
	if x.r.TLS != nil {
		scheme = "https://"
	}
	x.base = scheme + x.r.Host + x.mount.path
	if x.sw.SelfHost != "" {
		x.base = strings.TrimSuffix(x.sw.SelfHost, "/") + x.mount.path
	}
	x.json = strings.Contains(x.r.Header.Get("Accept"), "json")
	if x.dropped() {
		return
	}
	if f := x.answer(path); f != nil {
		f.write(x)
	}
}

// answer does the checks that concern all requests, then finds the resource.
func (x *exchange) answer(path string) *fault {
	q, f := parseQuery(heeded(x.r.URL.RawQuery, x.sw.Ignore))
	if f != nil {
		return f
	}
	x.query = q
	if f := x.negotiate(); f != nil {
		return f
	}
	if f := x.logon(); f != nil {
		return f
	}
	if f := x.protect(); f != nil {
		return f
	}
	if version := x.r.Header.Get("DataServiceVersion"); strings.HasPrefix(version, "3") || strings.HasPrefix(version,
		"4") {
		return badRequest("Request version '%s' is not supported for the request payload. The only supported "+
			"versions are '1.0', '2.0'.", version)
	}
	if x.mount.store {
		return x.stored(path)
	}
	if x.mount.catalogue {
		return x.catalogue(path)
	}
	return x.route(path)
}

// negotiate chooses the format: $format first, else the first of JSON and Atom in Accept, else Atom.
func (x *exchange) negotiate() *fault {
	if x.sw.RefuseFormat && x.query.format != "" {
		return badRequest("The query parameter '$format' begins with a system-reserved '$' character but is not " +
			"recognized.")
	}
	switch x.query.format {
	case "json":
		x.json = true
		return nil
	case "atom", "xml":
		x.json = false
		return nil
	}
	accept := x.r.Header.Get("Accept")
	if accept == "" {
		x.json = false
		return nil
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "application/json":
			x.json = true
			return nil
		case "application/atom+xml", "application/xml", "application/atomsvc+xml", "text/xml", "*/*", "application/*",
			"multipart/mixed":
			x.json = false
			return nil
		}
	}
	return &fault{status: http.StatusNotAcceptable, message: "Unsupported media type requested."}
}

// dropped answers with the faults of the switches if they match this request.
func (x *exchange) dropped() bool {
	s := x.service
	if !x.matched() {
		return false
	}
	if x.sw.SlowFirstByte > 0 {
		select {
		case <-time.After(x.sw.SlowFirstByte):
		case <-x.r.Context().Done():
		}
	}
	if x.sw.LogonPage > 0 && s.take(func(s *Switches) *int { return &s.LogonPage }) {
		x.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		x.w.Write([]byte(logonPage))
		return true
	}
	if x.sw.StatusCount > 0 && s.take(func(s *Switches) *int { return &s.StatusCount }) {
		x.refuse()
		return true
	}
	if x.writes() && s.hits(x.sw.FailBefore) {
		x.interfere()
		return true
	}
	return false
}

// writes reports whether this is a write from outside, not inside a batch.
func (x *exchange) writes() bool {
	_, ok := x.w.(*part)
	return !ok && x.method != http.MethodGet && x.method != http.MethodHead
}

// interfere answers in the service's place, like networks and servers in front of services: alternately by a reset and
// by a page.
func (x *exchange) interfere() {
	if x.service.hits(50) {
		reset(x.w)
		return
	}
	x.sw.Status = http.StatusBadGateway
	x.sw.StatusBody = "html"
	x.sw.StatusMessage = ""
	x.refuse()
}

// locked returns the error for an entity that another user has locked; the client must retry.
func (x *exchange) locked(t *table) *fault {
	if !x.service.hits(x.sw.EnqueueLocks) {
		return nil
	}
	// Assumption: the text is that of many applications (message MC 601), the status that of SAP Gateway.
	return &fault{status: http.StatusBadRequest, code: "MC/601",
		message: "Object of " + t.name + " is locked by user SMITH"}
}

// matched reports whether the switch match applies to this request.
func (x *exchange) matched() bool {
	return x.sw.Match == "" || strings.Contains(x.method+" "+x.r.URL.RequestURI(), x.sw.Match)
}

const logonPage = `<!DOCTYPE html><html><head><title>Logon</title></head><body><form id="LOGIN_FORM" method="post"><input name="sap-user"/><input type="password" name="sap-password"/></form></body></html>`

// refuse answers as the switches status… specify.
func (x *exchange) refuse() {
	f := &fault{status: x.sw.Status, code: x.sw.StatusCode, message: x.sw.StatusMessage}
	if f.status == 0 {
		f.status = http.StatusInternalServerError
	}
	if f.message == "" {
		f.message = "The switch status asked for this: " + strconv.Itoa(f.status)
	}
	switch x.sw.StatusBody {
	case "json", "xml":
		x.json = x.sw.StatusBody == "json"
		f.write(x)
	case "html":
		x.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		x.w.WriteHeader(f.status)
		x.w.Write([]byte("<html><head><title>Application Server Error</title></head><body><h1>" +
			strconv.Itoa(f.status) + " " + http.StatusText(f.status) + "</h1></body></html>"))
	case "empty":
		x.w.WriteHeader(f.status)
	default:
		f.write(x)
	}
}

// reset ends the connection with a TCP reset, if possible.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 and test recorders
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	connection.Close()
}

// appendLocal writes the address of an entity relative to the service.
func (x *exchange) appendLocal(b []byte, t *table, r *row) []byte {
	return appendKey(append(b, t.name...), t.typ, r)
}

func (x *exchange) appendURI(b []byte, t *table, r *row) []byte {
	return x.appendLocal(append(b, x.base...), t, r)
}

// link returns an address of the service in the form of the switch links.
func (x *exchange) link(local string) string {
	if x.sw.Links == "relative" {
		return local
	}
	return x.base + local
}

// send starts the response with an entity or a feed.
func (x *exchange) send(status int, kind string) {
	h := x.w.Header()
	h.Set("DataServiceVersion", "2.0")
	h.Set("Cache-Control", "no-cache")
	switch {
	case x.json:
		h.Set("Content-Type", "application/json;charset=utf-8")
	case x.mount.sap:
		h.Set("Content-Type", "application/atom+xml;type="+kind+"; charset=utf-8")
	default:
		h.Set("Content-Type", "application/atom+xml;charset=utf-8")
	}
	if x.mount.sap {
		h.Set("sap-server", "true")
	}
	x.w.WriteHeader(status)
}

// text answers with a whole body.
func (x *exchange) text(contentType string, body []byte) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("DataServiceVersion", "1.0")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.Write(body)
}

// route follows the segments of the path.
func (x *exchange) route(path string) *fault {
	segments := strings.Split(path, "/")
	for i := range segments {
		s, err := url.PathUnescape(segments[i])
		if err != nil {
			return badRequest("Bad Request - Error in query syntax.")
		}
		segments[i] = s
	}
	switch first := segments[0]; {
	case len(segments) == 1 && first == "":
		return x.reading(x.serviceDocument)
	case len(segments) == 1 && first == "$metadata":
		return x.reading(x.metadata)
	case first == "$batch":
		return x.batch()
	}
	if x.mount.odp {
		return x.odp(segments)
	}
	return x.resource(segments)
}

// reading calls answer for GET and HEAD, and rejects other methods.
func (x *exchange) reading(answer func() *fault) *fault {
	if x.method != http.MethodGet && x.method != http.MethodHead {
		return notAllowed()
	}
	return answer()
}

func notAllowed() *fault {
	return &fault{status: http.StatusMethodNotAllowed, message: "Method not allowed for this resource"}
}
