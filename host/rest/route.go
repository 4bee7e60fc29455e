package rest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// route is a method at a path: what answers it, and what is said of it. Handlers, answers to OPTIONS, the OpenAPI
// document, the reference page and the Go client read this alone.
type route struct {
	method, path string
	// by is which worker of a cluster answers.
	by answerer
	// serve answers; nil: nobody does, see [Route].
	serve func(*exchange)
	// about says in a sentence what it is for.
	about string
	operation
}

// operation is what goes in and out of a route, as the OpenAPI document says it.
type operation struct {
	// query are its parameters, NAME or NAME=boolean.
	query []string
	// takes and gives are values of the types that are sent and answered, nil for none.
	takes, gives any
	// status is that of success; refuses are others that clients have to expect.
	status  int
	refuses []int
	// media is that of the answer where it is not JSON. Such a route takes no part in what Kafka Connect says of media
	// types and OPTIONS.
	media string
	// text: the configuration that is taken, or else the one that is given, may be a text of properties, too.
	text bool
	// within is how long it may take; 0: [changeTimeout].
	within time.Duration
	// reads: it changes nothing, whatever its method is.
	reads bool
}

// resource is what stands at a path. A mux's own patterns for methods will not do: its answers to other methods are not
// Kafka Connect's.
type resource struct {
	path string
	// allow is what OPTIONS says; "": it is no method here.
	allow  string
	routes []*route
}

// is tells whether a method at a path, by its segments, is the route's.
func (r *route) is(method string, path []string) bool {
	own := strings.Split(r.path, "/")[1:]
	return r.method == method && slices.EqualFunc(own, path, func(own, given string) bool {
		return own == given || strings.HasPrefix(own, "{")
	})
}

// isOwn tells whether the route is none of Kafka Connect's.
func (r *route) isOwn() bool { return strings.HasPrefix(r.path, "/culvert/") }

// methods are those of a resource in the order in which Kafka Connect's REST framework names them.
func (rs *resource) methods() string {
	if rs.routes[0].media != "" {
		return ""
	}
	var allowed []string
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodGet,
		http.MethodOptions, http.MethodPut, http.MethodPatch} {
		serves := func(r *route) bool { return r.method == method || method == "HEAD" && r.method == "GET" }
		if method == http.MethodOptions || slices.ContainsFunc(rs.routes, serves) {
			allowed = append(allowed, method)
		}
	}
	return strings.Join(allowed, ",")
}

// serves is the route that answers a method, nil for none.
func (rs *resource) serves(method string) *route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range rs.routes {
		if r.method == method && r.serve != nil {
			return r
		}
	}
	return nil
}
