package rest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// route is a method at a path, with its handler and description. The mux, responses to OPTIONS, the OpenAPI document,
// the reference page and the Go client are derived from it.
type route struct {
	method  string
	path    string
	target  targetKind
	serve   func(*request) // nil if only OPTIONS lists the route
	summary string
	operation
}

// operation is the description of a route for the OpenAPI document.
type operation struct {
	query         []string // the parameters, as NAME or NAME=boolean
	requestBody   any      // a value of the body's type, nil means no body
	responseBody  any      // a value of the body's type, nil means no body
	status        int      // the success status, zero for 200
	otherStatuses []int    // others that clients must expect
	// mediaType is set if the response is not JSON. Kafka Connect's rules for media types and OPTIONS then do not
	// apply.
	mediaType string
	// allowsText means that the configuration in the request, or else in the response, may be properties text.
	allowsText  bool
	event       string        // the kind of the event that a successful answer records; "" means no event
	timeout     time.Duration // zero means [changeTimeout]
	readOnly    bool          // nothing is changed, whatever the method
	duringStart bool          // the route does not wait until the worker has started
}

func (r *route) matches(method string, path []string) bool {
	pattern := strings.Split(r.path, "/")[1:]
	return r.method == method && slices.EqualFunc(pattern, path, func(part, segment string) bool {
		return part == segment || strings.HasPrefix(part, "{")
	})
}

// isCulvertRoute reports whether Kafka Connect does not have the route.
func (r *route) isCulvertRoute() bool { return strings.HasPrefix(r.path, "/culvert/") }

// changesConnector reports whether the route changes what Kafka Connect's routes return about connectors.
func (r *route) changesConnector() bool {
	return r.method != http.MethodGet && strings.HasPrefix(r.path, "/connectors")
}

// allowedMethods returns the response to OPTIONS by path, in Kafka Connect's order; "" if OPTIONS is not allowed.
func allowedMethods() map[string]string {
	methods := map[string][]string{}
	for i := range routes {
		r := &routes[i]
		switch pathMethods := methods[r.path]; {
		case r.mediaType != "":
			methods[r.path] = pathMethods // an entry without methods: OPTIONS is not allowed
		case r.method == http.MethodGet:
			methods[r.path] = append(pathMethods, r.method, http.MethodHead)
		default:
			methods[r.path] = append(pathMethods, r.method)
		}
	}
	options := map[string]string{}
	for path, pathMethods := range methods {
		var allowed []string
		for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodGet,
			http.MethodOptions, http.MethodPut, http.MethodPatch} {
			if slices.Contains(pathMethods, method) || (len(pathMethods) > 0 && method == http.MethodOptions) {
				allowed = append(allowed, method)
			}
		}
		options[path] = strings.Join(allowed, ",")
	}
	return options
}
