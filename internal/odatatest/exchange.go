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
	// hasTextNumbers means that Int64 and Decimal are strings in v4.
	hasTextNumbers bool
	isDelta        bool   // the answer has changes
	base           string // address of the service with a slash at the end
	query          *query
	// set is the changeset of a request inside one, target the resource of the request.
	set    *changeset
	target string
}

// serve answers a request to a path below the mount.
func (ex *exchange) serve(path string) {
	ex.method = ex.r.Method
	if tunnelled := ex.r.Header.Get("X-HTTP-Method"); tunnelled != "" && ex.method == http.MethodPost {
		ex.method = strings.ToUpper(tunnelled)
	}
	scheme := "http://"
	if ex.r.TLS != nil {
		scheme = "https://"
	}
	ex.base = scheme + ex.r.Host + ex.mount.path
	if ex.sw.SelfHost != "" {
		ex.base = strings.TrimSuffix(ex.sw.SelfHost, "/") + ex.mount.path
	}
	ex.json = strings.Contains(ex.r.Header.Get("Accept"), "json")
	if ex.answerFault() {
		return
	}
	if f := ex.answer(path); f != nil {
		f.write(ex)
	}
}

// answer does the checks that concern all requests, then finds the resource.
func (ex *exchange) answer(path string) *fault {
	q, f := ex.mount.dialect.parseQuery(withoutIgnored(ex.r.URL.RawQuery, ex.sw.Ignore))
	if f != nil {
		return f
	}
	ex.query = q
	if f := ex.negotiate(); f != nil {
		return f
	}
	if f := ex.logon(); f != nil {
		return f
	}
	if f := ex.protect(); f != nil {
		return f
	}
	if version := ex.r.Header.Get("DataServiceVersion"); strings.HasPrefix(version, "3") || strings.HasPrefix(version,
		"4") {
		return badRequest("Request version '%s' is not supported for the request payload. The only supported "+
			"versions are '1.0', '2.0'.", version)
	}
	if ex.mount.store {
		return ex.serveStoredNotifications(path)
	}
	if ex.mount.catalogue != nil {
		return ex.mount.catalogue(ex, path)
	}
	return ex.route(path)
}

// negotiate chooses the format of the response.
func (ex *exchange) negotiate() *fault {
	if ex.sw.RefuseFormat && ex.query.format != "" {
		return badRequest("The query parameter '$format' begins with a system-reserved '$' character but is not " +
			"recognized.")
	}
	return ex.mount.dialect.negotiate(ex)
}

// negotiate chooses $format first, else the first of JSON and Atom in Accept, else Atom.
func negotiate(ex *exchange) *fault {
	switch ex.query.format {
	case "json":
		ex.json = true
		return nil
	case "atom", "xml":
		ex.json = false
		return nil
	}
	accept := ex.r.Header.Get("Accept")
	if accept == "" {
		ex.json = false
		return nil
	}
	for item := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(strings.TrimSpace(item), ";")
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "application/json":
			ex.json = true
			return nil
		case "application/atom+xml", "application/xml", "application/atomsvc+xml", "text/xml", "*/*", "application/*",
			"multipart/mixed":
			ex.json = false
			return nil
		}
	}
	return &fault{status: http.StatusNotAcceptable, message: "Unsupported media type requested."}
}

// answerFault answers with the faults of the switches if they match this request.
func (ex *exchange) answerFault() bool {
	s := ex.service
	if !ex.isMatched() {
		return false
	}
	if ex.sw.SlowFirstByte > 0 {
		select {
		case <-time.After(ex.sw.SlowFirstByte):
		case <-ex.r.Context().Done():
		}
	}
	if ex.sw.LogonPage > 0 && s.useUp(func(s *Switches) *int { return &s.LogonPage }) {
		ex.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		ex.w.Write([]byte(logonPage))
		return true
	}
	if ex.sw.StatusCount > 0 && s.useUp(func(s *Switches) *int { return &s.StatusCount }) {
		ex.sendRefusal()
		return true
	}
	if ex.isWrite() && s.rollDice(ex.sw.FailBefore) {
		ex.failRequest()
		return true
	}
	return false
}

// isWrite reports whether this is a write from outside, not inside a batch.
func (ex *exchange) isWrite() bool {
	_, ok := ex.w.(*partRecorder)
	return !ok && ex.method != http.MethodGet && ex.method != http.MethodHead
}

// failRequest answers in the service's place, like networks and servers in front of services: alternately by a reset
// and by a page.
func (ex *exchange) failRequest() {
	if ex.service.rollDice(50) {
		resetConnection(ex.w)
		return
	}
	ex.sw.Status = http.StatusBadGateway
	ex.sw.StatusBody = "html"
	ex.sw.StatusMessage = ""
	ex.sendRefusal()
}

// checkLock returns the error for an entity that another user has locked; the client must retry.
func (ex *exchange) checkLock(t *table) *fault {
	if !ex.service.rollDice(ex.sw.EnqueueLocks) {
		return nil
	}
	// Assumption: the text is that of many applications (message MC 601), the status that of SAP Gateway.
	return &fault{status: http.StatusBadRequest, code: "MC/601",
		message: "Object of " + t.name + " is locked by user SMITH"}
}

// isMatched reports whether the switch match applies to this request.
func (ex *exchange) isMatched() bool {
	return ex.sw.Match == "" || strings.Contains(ex.method+" "+ex.r.URL.RequestURI(), ex.sw.Match)
}

const logonPage = `<!DOCTYPE html><html><head><title>Logon</title></head><body><form id="LOGIN_FORM" method="post"><input name="sap-user"/><input type="password" name="sap-password"/></form></body></html>`

// sendRefusal answers as the switches status… specify.
func (ex *exchange) sendRefusal() {
	f := &fault{status: ex.sw.Status, code: ex.sw.StatusCode, message: ex.sw.StatusMessage}
	if f.status == 0 {
		f.status = http.StatusInternalServerError
	}
	if f.message == "" {
		f.message = "The switch status asked for this: " + strconv.Itoa(f.status)
	}
	switch ex.sw.StatusBody {
	case "json", "xml":
		ex.json = ex.sw.StatusBody == "json"
		f.write(ex)
	case "html":
		ex.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		ex.w.WriteHeader(f.status)
		ex.w.Write([]byte("<html><head><title>Application Server Error</title></head><body><h1>" +
			strconv.Itoa(f.status) + " " + http.StatusText(f.status) + "</h1></body></html>"))
	case "empty":
		ex.w.WriteHeader(f.status)
	default:
		f.write(ex)
	}
}

// resetConnection ends the connection with a TCP reset, if possible.
func resetConnection(w http.ResponseWriter) {
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
func (ex *exchange) appendLocal(b []byte, t *table, r *row) []byte {
	return ex.mount.dialect.appendKey(append(b, t.name...), t.typ, r)
}

func (ex *exchange) appendURI(b []byte, t *table, r *row) []byte {
	return ex.appendLocal(append(b, ex.base...), t, r)
}

// link returns an address of the service in the form of the switch links. local has a query string.
func (ex *exchange) link(local string) string {
	switch ex.sw.Links {
	case "relative":
		return local
	case "encoded":
		path, query, _ := strings.Cut(local, "?")
		return path + "?" + strings.ReplaceAll(query, "$", "%24")
	}
	return ex.base + local
}

// setPlainVersion sets the version of a response without rows.
func (ex *exchange) setPlainVersion() {
	ex.w.Header().Set(ex.mount.dialect.versionHeader, ex.mount.dialect.plainVersion)
}

// sendHeader starts the response with an entity or a feed.
func (ex *exchange) sendHeader(status int, kind string) {
	h := ex.w.Header()
	d := ex.mount.dialect
	h.Set(d.versionHeader, d.version)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", d.contentType(ex, kind))
	if ex.mount.sap {
		h.Set("sap-server", "true")
	}
	ex.w.WriteHeader(status)
}

// contentType returns the media type of rows.
func contentType(ex *exchange, kind string) string {
	switch {
	case ex.json:
		return "application/json;charset=utf-8"
	case ex.mount.sap:
		return "application/atom+xml;type=" + kind + "; charset=utf-8"
	}
	return "application/atom+xml;charset=utf-8"
}

// sendText answers with a whole body.
func (ex *exchange) sendText(contentType string, body []byte) {
	ex.w.Header().Set("Content-Type", contentType)
	ex.setPlainVersion()
	ex.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	ex.w.Write(body)
}

// route follows the segments of the path.
func (ex *exchange) route(path string) *fault {
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
		return ex.serveRead(func() *fault { return ex.mount.dialect.serviceDocument(ex) })
	case len(segments) == 1 && first == "$metadata":
		return ex.serveRead(func() *fault { return ex.mount.dialect.metadata(ex) })
	case first == "$batch":
		return ex.serveBatch()
	}
	if ex.mount.odp {
		return ex.serveODP(segments)
	}
	name, predicate := splitKey(segments[0])
	t := ex.service.model.byName[name]
	if t == nil {
		return notFound(name)
	}
	src := source{table: t, path: name}
	if predicate == "" {
		return ex.serveCollection(src, segments[1:])
	}
	key, f := ex.mount.dialect.parseKey(t.typ, predicate)
	if f != nil {
		return f
	}
	r := t.find(key)
	if r == nil && len(segments) == 1 {
		return ex.serveEntity(t, key, nil)
	}
	if r == nil {
		return notFound(segments[0])
	}
	return ex.serveBelow(t, r, segments[1:])
}

// serveRead calls answer for GET and HEAD, and rejects other methods.
func (ex *exchange) serveRead(answer func() *fault) *fault {
	if ex.method != http.MethodGet && ex.method != http.MethodHead {
		return notAllowed()
	}
	return answer()
}

func notAllowed() *fault {
	return &fault{status: http.StatusMethodNotAllowed, message: "Method not allowed for this resource"}
}
