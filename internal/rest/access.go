package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// isHealthCheck reports whether a request is exempt from access checks: load balancers and kubelets call `/health` by
// any address and without logon, and it reveals nothing.
func isHealthCheck(r *http.Request) bool {
	path, ok := segments(r.URL.EscapedPath())
	return ok && slices.Equal(path, []string{"health"})
}

// requireUser rejects requests without a valid logon, unless u is nil.
func requireUser(next http.Handler, u *users) http.Handler {
	if u == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isHealthCheck(r) || u.authenticate(r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="culvert", charset="UTF-8"`)
		writeError(w, http.StatusUnauthorized, "Expected a user and password from rest.basic.auth.file")
	})
}

// rejectChanges rejects changes if REST is read-only, or the request is.
func rejectChanges(next http.Handler, readOnly bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		why := ReadOnlyReason(r.Context())
		if readOnly {
			why = "REST is read-only (rest.read.only=true)"
		}
		if why != "" && isChange(r) {
			writeError(w, http.StatusForbidden, why)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// allowOrigins implements CORS for the given origins. Credentials are not allowed: a page must have its own.
func allowOrigins(next http.Handler, origins, methods []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if isPage(r) || !isFromOrigin(origins, r) { // pages of other origins must not read the console
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" { // not a preflight request
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(methods, ","))
		w.Header().Set("Access-Control-Allow-Headers", "X-Requested-With,Content-Type,Accept,Origin,Authorization")
		w.Header().Set("Access-Control-Max-Age", "1800") // seconds
		w.WriteHeader(http.StatusOK)
	})
}

func isFromOrigin(origins []string, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin != "" && (slices.Contains(origins, "*") || slices.Contains(origins, origin))
}

type header struct {
	action string // set, add, setDate or addDate
	name   string
	value  string
}

// parseHeaders parses response.http.headers.config: `ACTION NAME: VALUE`, separated by commas; an element with commas
// is quoted. The value of setDate and addDate is in milliseconds from now.
func parseHeaders(text string) (headers []header, err error) {
	const expected = "expected `ACTION NAME: VALUE` with one of set, add, setDate, addDate, several separated by commas"
	invalidElement := func(element string) error { return invalid("response.http.headers.config", element, expected) }
	for _, element := range quotedList(text) {
		action, field, _ := strings.Cut(element, " ")
		name, value, ok := strings.Cut(field, ":")
		h := header{action: action, name: strings.TrimSpace(name), value: strings.TrimSpace(value)}
		switch h.action {
		case "set", "add": // any value is valid
		case "setDate", "addDate":
			if _, err := time.ParseDuration(h.value + "ms"); err != nil {
				return nil, invalidElement(element)
			}
		default:
			return nil, invalidElement(element)
		}
		if !ok || h.name == "" || strings.ContainsAny(h.name, " \t\r\n\"(),/:;<=>?@[\\]{}") ||
			strings.ContainsAny(h.value, "\r\n\x00") {
			return nil, invalidElement(element)
		}
		headers = append(headers, h)
	}
	return headers, nil
}

// quotedList splits a list at the commas outside of quotes, which it removes. Empty elements are omitted.
func quotedList(text string) (list []string) {
	var b strings.Builder
	inQuotes := false
	endElement := func() {
		if element := strings.TrimSpace(b.String()); element != "" {
			list = append(list, element)
		}
		b.Reset()
	}
	for _, r := range text {
		switch {
		case r == '"':
			inQuotes = !inQuotes
		case r == ',' && !inQuotes:
			endElement()
		default:
			b.WriteRune(r)
		}
	}
	endElement()
	return list
}

func addHeaders(next http.Handler, headers []header) http.Handler {
	if len(headers) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, h := range headers {
			value := h.value
			if strings.HasSuffix(h.action, "Date") {
				delay, _ := time.ParseDuration(h.value + "ms") // parseHeaders has checked it
				value = time.Now().Add(delay).UTC().Format(http.TimeFormat)
			}
			if strings.HasPrefix(h.action, "set") { // also setDate
				w.Header().Set(h.name, value)
			} else {
				w.Header().Add(h.name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// ErrExtensions returns the error of rest.extension.classes, which cannot be supported.
func ErrExtensions(classes string) error {
	return setting.Problem{Setting: "rest.extension.classes", Code: setting.CodeUnsupported,
		Text: fmt.Sprintf("not built: Java classes cannot be run, found %s. For users with "+
			"passwords set rest.basic.auth.file, to let nobody change anything rest.read.only=true", classes)}
}
