package rest

import (
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/shown"
)

// isChange reports whether a request changes something, by its method or its route.
func isChange(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	path, _ := segments(r.URL.EscapedPath())
	return !slices.ContainsFunc(routes, func(o route) bool { return o.readOnly && o.matches(r.Method, path) })
}

// logChanges logs each successful change with its sender, which it passes on to events. authenticated means that the
// user name was verified.
func logChanges(next http.Handler, log *slog.Logger, authenticated bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isChange(r) {
			next.ServeHTTP(w, r)
			return
		}
		sender, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			sender = r.RemoteAddr
		}
		response := &loggedResponse{ResponseWriter: w, status: http.StatusOK}
		if user, _, ok := r.BasicAuth(); ok && authenticated {
			sender = user + " at " + sender
		}
		next.ServeHTTP(response, r.WithContext(events.WithSender(r.Context(), sender)))
		if response.status >= http.StatusMultipleChoices {
			return
		}
		attributes := []any{"request", shown.LineUpTo(r.Method+" "+r.URL.RequestURI(), loggedRequestChars),
			"by", shown.Line(sender), "status", response.status}
		log.Info("changed by REST", append(attributes, response.attributes...)...)
	})
}

const loggedRequestChars = 300 // of method and path

// loggedResponse records what the log line of a change contains.
type loggedResponse struct {
	http.ResponseWriter
	status     int   // 200 until WriteHeader is called
	attributes []any // added by handlers, see [request.logWith]
}

func (l *loggedResponse) WriteHeader(status int) {
	l.status = status
	l.ResponseWriter.WriteHeader(status)
}

// logWith adds attributes to the log line of a change; other requests have none.
func (req *request) logWith(attributes ...any) {
	if logged, ok := req.w.(*loggedResponse); ok {
		logged.attributes = append(logged.attributes, attributes...)
	}
}

// Unwrap is for [http.ResponseController].
func (l *loggedResponse) Unwrap() http.ResponseWriter { return l.ResponseWriter }
