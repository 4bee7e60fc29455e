package rest

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/inbound"
)

// healthTimeout is how long a worker may take to say that it lives.
const healthTimeout = 10 * time.Second

// Handler answers for the worker.
func Handler(w Worker) http.Handler {
	return serving{worker: w, bodies: new(inbound.Bodies),
		validations: make(chan struct{}, maxValidations)}.handler(func(string) bool { return true })
}

// handler answers at some of the paths; there is nothing at others.
func (s serving) handler(has func(path string) bool) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*exchange)) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			x := exchange{w: rw, r: r, serving: s}
			defer x.release()
			do(&x)
		})
	}
	handle("/", func(x *exchange) { x.framework(http.StatusNotFound) })
	pattern := func(path string) string {
		return strings.TrimSuffix(path, "/") + map[bool]string{true: "/{$}"}[path == "/"]
	}
	for path, options := range optionsOf() {
		if has(path) { // what no route of the path answers
			handle(pattern(path), func(x *exchange) { x.otherMethod(options) })
		}
	}
	for i := range routes {
		if r := &routes[i]; r.serve != nil && has(r.path) {
			handle(r.method+" "+pattern(r.path), func(x *exchange) { x.dispatch(r) })
		}
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		x := exchange{w: rw, r: r, serving: s}
		defer guard.Recover(nil, "REST, "+r.Method+" "+r.URL.Path, nil, func(p *guard.Panic) {
			x.fail(http.StatusInternalServerError, p.Error())
		})
		if h := rw.Header(); h.Get("Cache-Control") == "" { // else response.http.headers.config has said it
			h.Set("Cache-Control", "no-store") // answers may hold passwords and rows
		}
		path, ok := segments(r.URL.EscapedPath())
		if !ok {
			x.fail(http.StatusBadRequest,
				"Bad Request: expected a path without empty segments, encoded separators and control characters")
			return
		}
		mux.ServeHTTP(rw, at(r, path))
	})
}

// at is a request for a path of these segments, in the one form that a mux does not redirect.
func at(r *http.Request, path []string) *http.Request {
	escaped := make([]string, len(path))
	for i, segment := range path {
		if escaped[i] = url.PathEscape(segment); segment == "." || segment == ".." {
			escaped[i] = strings.ReplaceAll(segment, ".", "%2E")
		}
	}
	clean := *r
	clean.RequestURI = ""
	clean.URL = &url.URL{Path: "/" + strings.Join(path, "/"), RawPath: "/" + strings.Join(escaped, "/"),
		RawQuery: r.URL.RawQuery}
	return &clean
}

// otherMethod answers a method that no route of a path has. options is what [optionsOf] has of the path.
func (x *exchange) otherMethod(options string) {
	switch {
	case options == "":
		x.framework(http.StatusNotFound)
	case x.r.Method == http.MethodOptions:
		x.w.Header().Set("Allow", options)
		x.w.Header().Set("Content-Type", "text/plain")
		x.w.Write([]byte(strings.ReplaceAll(options, ",", ", ")))
	default:
		x.framework(http.StatusMethodNotAllowed)
	}
}

// dispatch has a route answer, unless media types are others than its own.
func (x *exchange) dispatch(r *route) {
	x.route = r
	switch {
	case r.media != "": // metrics, in a form of their own
		x.serve()
	case !x.media():
	case x.contentType() == "" && !x.wantsText() && !x.wantsTest():
		x.framework(http.StatusNotAcceptable)
	default:
		x.serve()
	}
}
