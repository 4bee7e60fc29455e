package rest

import (
	"bytes"
	"cmp"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/base/inbound"
)

const consolePath = "/console/"

// Pages gives a console access to REST's routes with the user's request, so that it has no rights of its own.
type Pages struct {
	// API is the REST API behind the checks of Host, origin and logon, which the request has passed.
	API http.Handler
	// Rights returns the rights of a request for a page.
	Rights func(*http.Request) Rights
	// Starting returns what the start of the worker waits for, nil once API answers. Nil means that it has started.
	Starting func() error

	bodies *inbound.Bodies
	held   *heldAnswers
}

// Rights is what REST shows and permits to a request because of its connection, its Host and the options. A route has
// the same answer for requests with equal rights.
type Rights struct {
	ReadOnlyReason  string // why the console may only read; "" if it may change things
	ShapeOnlyReason string // why no values of records are shown; "" if they are
	HidesSecrets    bool   // passwords in configurations are masked
}

// A form's bytes exist several times in a page and its calls of routes, for which maxForms leaves memory.
const (
	copiesPerForm = 5
	maxForms      = 24 << 20
)

// Form reads a form of at most maximum bytes within the memory budget of bodies. The caller calls release once, after
// the page is rendered. If ok is false, Form has answered.
func (p Pages) Form(w http.ResponseWriter, r *http.Request, maximum int64) (form url.Values, release func(), ok bool) {
	refuse := func(status int, why string) { http.Error(w, why, status) }
	bodies := cmp.Or(p.bodies, new(inbound.Bodies))
	data, releaseBody, ok := readAll(bodies, w, r, maximum, refuse)
	if !ok {
		return nil, releaseBody, false
	}
	copies := int64(len(data)) * (copiesPerForm - 1)
	if !bodies.Reserve(copies, maxForms) {
		w.Header().Set("Retry-After", "10")
		refuse(http.StatusServiceUnavailable, inbound.ErrFull.Error())
		return nil, releaseBody, false
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "expected a form: "+err.Error())
		ok = false
	}
	return r.PostForm, func() {
		bodies.Reserve(-copies, maxForms)
		releaseBody()
	}, ok
}

// Send sends a page or a part of one. The caller has set its content type.
func (p Pages) Send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	release, err := p.held.hold(len(body), r.Method == http.MethodPost)
	defer release()
	if err != nil {
		w.Header().Del("Content-Encoding")
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func isPage(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, consolePath) }

func (s *Server) withPages(api http.Handler, shared common) http.Handler {
	if s.options.Console == nil {
		return api
	}
	rights := func(r *http.Request) Rights {
		req := &request{common: shared, r: r}
		return Rights{ReadOnlyReason: s.pageReadOnlyReason(r), ShapeOnlyReason: req.shapeOnlyReason(),
			HidesSecrets: req.hidesSecrets()}
	}
	pages := s.options.Console(Pages{API: forPages(api), Rights: rights, bodies: &s.bodies, held: &s.held,
		Starting: func() error { return shared.worker.Now().Starting }})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acceptedOn, _ := r.Context().Value(listenerKey{}).(listener)
		switch path := r.URL.Path; {
		case acceptedOn.isAdmin:
			api.ServeHTTP(w, r)
		case isPage(r):
			pages.ServeHTTP(w, r)
		case path == strings.TrimSuffix(consolePath, "/"), path == "/" && r.Method == http.MethodGet && acceptsHTML(r):
			// Relative, since a proxy may serve the worker below another path.
			w.Header().Set("Location", "."+consolePath)
			w.WriteHeader(http.StatusSeeOther)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// acceptsHTML reports whether Accept names HTML, as browsers do and clients of Kafka Connect do not.
func acceptsHTML(r *http.Request) bool {
	return slices.ContainsFunc(headerElements(r.Header.Values("Accept")), func(element string) bool {
		kind, _, err := mime.ParseMediaType(element)
		return err == nil && kind == "text/html"
	})
}

// pageReadOnlyReason returns why the console may only read. REST itself allows changes to anyone who reaches a listener
// without logon, as Kafka Connect does; the console must not invite them.
func (s *Server) pageReadOnlyReason(r *http.Request) string {
	switch {
	case s.options.ReadOnly:
		return "rest.read.only=true"
	case ReadOnlyReason(r.Context()) != "":
		return ReadOnlyReason(r.Context())
	case s.users == nil && !localOrCertified(r):
		return "other machines can reach this worker and no logon is required: set rest.basic.auth.file to require " +
			"one, or listeners=http://127.0.0.1:8083 to accept only this machine"
	}
	return ""
}

func localOrCertified(r *http.Request) bool {
	acceptedOn, _ := r.Context().Value(listenerKey{}).(net.Listener)
	return isLoopback(acceptedOn) || hasClientCertificate(r)
}

func hasClientCertificate(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }
