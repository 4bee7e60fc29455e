package rest

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/shown"
)

const healthTimeout = 10 * time.Second

// Handler returns the REST API of a worker without listeners and access checks.
func Handler(w Worker) http.Handler {
	return common{worker: w, bodies: new(inbound.Bodies), seen: new(seenWorkers), cluster: standalone{},
		validations: make(chan struct{}, maxValidations)}.handler(func(string) bool { return true })
}

// handler returns a handler of the routes for whose path has returns true.
func (c common) handler(has func(path string) bool) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*request)) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			req := request{w: rw, r: r, common: c}
			defer req.release()
			do(&req)
		})
	}
	handle("/", func(req *request) { req.frameworkError(http.StatusNotFound) })
	pattern := func(path string) string {
		if path == "/" {
			return "/{$}" // because / matches all paths
		}
		return path
	}
	for path, options := range allowedMethods() {
		if has(path) { // for methods without a route
			handle(pattern(path), func(req *request) { req.otherMethod(options) })
		}
	}
	for i := range routes {
		if r := &routes[i]; r.serve != nil && has(r.path) {
			handle(r.method+" "+pattern(r.path), func(req *request) { req.dispatch(r) })
		}
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		req := request{w: rw, r: r, common: c}
		defer guard.Recover(nil, "REST, "+r.Method+" "+r.URL.Path, nil, func(p *guard.PanicError) {
			req.fail(http.StatusInternalServerError, p.Error())
		})
		if h := rw.Header(); h.Get("Cache-Control") == "" { // unless response.http.headers.config sets it
			h.Set("Cache-Control", "no-store") // answers may contain passwords and rows
		}
		path, ok := segments(r.URL.EscapedPath())
		if !ok {
			req.fail(http.StatusBadRequest,
				"Bad Request: expected a path without empty segments, encoded separators and control characters")
			return
		}
		mux.ServeHTTP(rw, withPath(r, path))
	})
}

// withPath returns the request with a normalized path, which the mux does not redirect.
func withPath(r *http.Request, path []string) *http.Request {
	escaped := make([]string, len(path))
	for i, segment := range path {
		escaped[i] = url.PathEscape(segment)
		if segment == "." || segment == ".." {
			escaped[i] = strings.ReplaceAll(segment, ".", "%2E")
		}
	}
	clean := *r
	clean.RequestURI = ""
	clean.URL = &url.URL{Path: "/" + strings.Join(path, "/"), RawPath: "/" + strings.Join(escaped, "/"),
		RawQuery: r.URL.RawQuery}
	return &clean
}

func (req *request) otherMethod(options string) {
	switch {
	case options == "":
		req.frameworkError(http.StatusNotFound)
	case req.r.Method == http.MethodOptions:
		req.w.Header().Set("Allow", options)
		req.w.Header().Set("Content-Type", "text/plain")
		req.w.Write([]byte(strings.ReplaceAll(options, ",", ", ")))
	default:
		req.frameworkError(http.StatusMethodNotAllowed)
	}
}

// dispatch calls the handler of a route if the media types match.
func (req *request) dispatch(r *route) {
	req.route = r
	if strings.Contains(r.path, "connectors/{name}") {
		req.logWith("connector", shown.Line(req.name()))
	}
	switch {
	case r.mediaType != "": // metrics, in a form of their own
		req.serve()
	case !req.checkMediaType(): // checkMediaType has answered
	case req.responseType() == "" && !req.wantsText() && !req.wantsTestFile():
		req.frameworkError(http.StatusNotAcceptable)
	default:
		req.serve()
	}
}
