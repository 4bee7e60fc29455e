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
	// target is which worker of a cluster answers.
	target target
	// serve answers; nil: nobody does, see [Route].
	serve func(*request)
	// about says in a sentence what it is for.
	about string
	operation
}

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

func (r *route) is(method string, path []string) bool {
	own := strings.Split(r.path, "/")[1:]
	return r.method == method && slices.EqualFunc(own, path, func(own, given string) bool {
		return own == given || strings.HasPrefix(own, "{")
	})
}

// isOwn reports whether the route is none of Kafka Connect's.
func (r *route) isOwn() bool { return strings.HasPrefix(r.path, "/culvert/") }

// optionsOf is what OPTIONS says of each path: its methods in the order in which Kafka Connect's REST framework names
// them; "" where OPTIONS is no method.
func optionsOf() map[string]string {
	methods := map[string][]string{}
	for i := range routes {
		r := &routes[i]
		switch all := methods[r.path]; {
		case r.media != "":
			methods[r.path] = all
		case r.method == http.MethodGet:
			methods[r.path] = append(all, r.method, http.MethodHead)
		default:
			methods[r.path] = append(all, r.method)
		}
	}
	options := map[string]string{}
	for path, all := range methods {
		var allowed []string
		for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodGet,
			http.MethodOptions, http.MethodPut, http.MethodPatch} {
			if slices.Contains(all, method) || len(all) > 0 && method == http.MethodOptions {
				allowed = append(allowed, method)
			}
		}
		options[path] = strings.Join(allowed, ",")
	}
	return options
}
