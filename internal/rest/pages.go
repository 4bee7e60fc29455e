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
	"strings"

	"github.com/culvert-project/culvert/internal/base/inbound"
)

const consolePath = "/console/"

// Pages are what a console asks by. It has no way to the worker but the routes of REST, with the request of whoever
// asks for a page: what that one may not do, the console does not do either.
type Pages struct {
	// API answers requests as REST does. The requests have been let in: Host, origin and logon were looked at.
	API http.Handler
	// ReadOnlyReason says why a request may only read by the console, "" where it may do more.
	ReadOnlyReason func(*http.Request) string

	bodies *inbound.Bodies
}

// A page is made of a form, with texts that are escaped and sent on to routes: its bytes are held so many times. Forms
// together leave some of the room of bodies to the routes that their pages ask.
const (
	copiesPerForm = 5
	maxForms      = 24 << 20
)

// Form reads a form of at most so many bytes, next to the bodies that REST is sent. release gives back their room and
// is to be called once, when the page is made. Where the form cannot be read, Form has answered, and ok is false.
func (p Pages) Form(w http.ResponseWriter, r *http.Request, maximum int64) (form url.Values, release func(), ok bool) {
	refuse := func(status int, why string) { http.Error(w, why, status) }
	bodies := cmp.Or(p.bodies, new(inbound.Bodies))
	data, body, ok := readAll(bodies, w, r, maximum, refuse)
	if !ok {
		return nil, body, false
	}
	copies := int64(len(data)) * (copiesPerForm - 1)
	if !bodies.Reserve(copies, maxForms) {
		w.Header().Set("Retry-After", "10")
		refuse(http.StatusServiceUnavailable, inbound.ErrFull.Error())
		return nil, body, false
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "expected a form: "+err.Error())
		ok = false
	}
	return r.PostForm, func() {
		bodies.Reserve(-copies, maxForms)
		body()
	}, ok
}

func isPage(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, consolePath) }

func (s *Server) withPages(api http.Handler) http.Handler {
	if s.options.Console == nil {
		return api
	}
	pages := s.options.Console(Pages{API: api, ReadOnlyReason: s.pageReadOnlyReason, bodies: &s.bodies})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acceptedOn, _ := r.Context().Value(listenerKey{}).(listener)
		switch path := r.URL.Path; {
		case acceptedOn.admin:
			api.ServeHTTP(w, r)
		case isPage(r):
			pages.ServeHTTP(w, r)
		case path == strings.TrimSuffix(consolePath, "/"), path == "/" && r.Method == http.MethodGet && acceptsHTML(r):
			// Relative, since a proxy may have the worker below a path of its own.
			w.Header().Set("Location", "."+consolePath)
			w.WriteHeader(http.StatusSeeOther)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// acceptsHTML reports whether Accept names HTML, as that of browsers does and that of no client of Kafka Connect's.
func acceptsHTML(r *http.Request) bool {
	return slices.ContainsFunc(headerElements(r.Header.Values("Accept")), func(one string) bool {
		kind, _, err := mime.ParseMediaType(one)
		return err == nil && kind == "text/html"
	})
}

// pageReadOnlyReason says why a request may only read by the console. REST itself lets everybody change things who
// reaches a listener without logons, as Kafka Connect does; pages that invite to it are no part of that.
func (s *Server) pageReadOnlyReason(r *http.Request) string {
	switch {
	case s.options.ReadOnly:
		return "rest.read.only=true"
	case ReadOnlyReason(r.Context()) != "":
		return ReadOnlyReason(r.Context())
	case s.users == nil && !localOrCertified(r):
		return "other machines reach this worker, and nobody has to log on: rest.basic.auth.file has users log on, " +
			"listeners=http://127.0.0.1:8083 has this machine alone reach it"
	}
	return ""
}

func localOrCertified(r *http.Request) bool {
	by, _ := r.Context().Value(listenerKey{}).(net.Listener)
	return isLoopback(by) || hasClientCertificate(r)
}

func hasClientCertificate(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }
