package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/inbound"
)

// healthTimeout is how long a worker may take to say that it lives.
const healthTimeout = 10 * time.Second

// Handler answers for the worker.
func Handler(w Worker) http.Handler {
	return serving{worker: w, bodies: new(inbound.Bodies)}.handler(func(string) bool { return true })
}

// serving is what all requests have in common: who answers, and the bodies of those under way. masked: configurations
// are shown without passwords.
type serving struct {
	worker Worker
	bodies *inbound.Bodies
	masked bool
}

// handler answers at some of the paths; there is nothing at others.
func (s serving) handler(has func(path string) bool) http.Handler {
	mux := http.NewServeMux()
	for _, rs := range append(resources(), resource{}) {
		pattern := rs.path
		switch {
		case rs.path == "/":
			pattern = "/{$}"
		case rs.path == "":
			pattern = "/" // all that has no pattern of its own
		case !has(rs.path):
			continue
		}
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			x := exchange{w: rw, r: r, serving: s}
			defer func() {
				if x.release != nil {
					x.release()
				}
			}()
			x.dispatch(rs)
		})
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		x := exchange{w: rw, r: r, serving: s}
		defer guard.Recover(nil, "REST, "+r.Method+" "+r.URL.Path, nil, func(p *guard.Panic) {
			x.fail(http.StatusInternalServerError, p.Error())
		})
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

// segments are the decoded parts of a path, a trailing slash left out. What Jetty refuses is refused here: empty
// segments, encoded / % and \, control characters. Matrix parameters are cut off.
func segments(escaped string) ([]string, bool) {
	escaped = strings.TrimPrefix(escaped, "/")
	if escaped == "" {
		return nil, true
	}
	escaped = strings.TrimSuffix(escaped, "/")
	parts := strings.Split(escaped, "/")
	for i, part := range parts {
		upper := strings.ToUpper(part)
		if part == "" || strings.Contains(upper, "%2F") || strings.Contains(upper, "%25") || strings.Contains(upper,
			"%5C") {
			return nil, false
		}
		part, _, _ = strings.Cut(part, ";")
		decoded, err := url.PathUnescape(part)
		if err != nil || decoded == "" || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded,
			func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, false
		}
		parts[i] = decoded
	}
	return parts, true
}

type exchange struct {
	serving
	w http.ResponseWriter
	r *http.Request
	// release gives back the room of the body when the request is answered, since what is made of a body is held until
	// then; nil without a body.
	release func()
	// passwords tells which settings are, once it was asked for.
	passwords func(setting string) bool
}

func (x *exchange) dispatch(rs resource) {
	method := x.r.Method
	serve := rs.serves(method)
	switch {
	case rs.allow == "" && serve == nil:
		x.framework(http.StatusNotFound)
	case method == http.MethodOptions:
		x.w.Header().Set("Allow", rs.allow)
		x.w.Header().Set("Content-Type", "text/plain")
		x.w.Write([]byte(strings.ReplaceAll(rs.allow, ",", ", ")))
	case serve == nil:
		x.framework(http.StatusMethodNotAllowed)
	case rs.allow == "": // metrics, in a form of their own
		serve(x)
	case !x.media():
	case x.contentType() == "":
		x.framework(http.StatusNotAcceptable)
	default:
		serve(x)
	}
}

// media tells whether what is sent is said to be JSON, or nothing is said of it; else it has answered. What names
// another type is refused although there is no body, and whatever the method, as by Kafka Connect. Whoever reads a body
// wants it named, see [exchange.body].
func (x *exchange) media() bool {
	given := x.r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); given != "" && (err != nil || kind != "application/json") {
		x.framework(http.StatusUnsupportedMediaType)
		return false
	}
	return true
}

// contentType is that of the answer: JSON as the client wants it, "" where it wants no JSON.
func (x *exchange) contentType() string {
	accepted := strings.Join(x.r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accepted) == "" {
		return "application/json"
	}
	for _, one := range strings.Split(accepted, ",") {
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(one))
		if err != nil {
			continue
		}
		switch kind {
		case "application/json":
			if charset := params["charset"]; charset != "" {
				return "application/json;charset=" + charset
			}
			return "application/json"
		case "*/*", "application/*", "*": // the last one is what Java's own client sends
			return "application/json"
		}
	}
	return ""
}

func (x *exchange) answer(status int, body any) {
	data, err := encoded(body)
	if err != nil {
		x.fail(http.StatusInternalServerError, err.Error())
		return
	}
	x.w.Header().Set("Content-Type", x.contentType())
	x.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	x.w.WriteHeader(status)
	x.w.Write(data)
}

// encoded is a value in JSON, in which < > and & stand for themselves, as with Kafka Connect: people read names such as
// a->b in answers.
func encoded(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// asked are the values of a parameter of the query, in their order; there is none where it is not named. Unlike
// [url.Values] it leaves out nothing: what is no escape stands for itself, and a semicolon for no separator.
func (x *exchange) asked(parameter string) (values []string) {
	plain := func(text string) string {
		if decoded, err := url.QueryUnescape(text); err == nil {
			return decoded
		}
		return text
	}
	for one := range strings.SplitSeq(x.r.URL.RawQuery, "&") {
		if name, value, _ := strings.Cut(one, "="); one != "" && plain(name) == parameter {
			values = append(values, plain(value))
		}
	}
	return values
}

// first is the first value of a parameter of the query, "" where there is none.
func (x *exchange) first(parameter string) string {
	if values := x.asked(parameter); len(values) > 0 {
		return values[0]
	}
	return ""
}

type failure struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// fail answers what went wrong, without what must not be shown.
func (x *exchange) fail(status int, message string) {
	x.answer(status, failure{status, x.worker.Strike(message)})
}

// framework answers as Kafka's REST framework does by itself: without a content type.
func (x *exchange) framework(status int) {
	data, _ := json.Marshal(failure{status, "HTTP " + strconv.Itoa(status) + " " + http.StatusText(status)})
	x.w.Header()["Content-Type"] = nil
	x.w.WriteHeader(status)
	x.w.Write(data)
}

// refuse answers a request that no worker sees, whatever the client accepts.
func refuse(w http.ResponseWriter, status int, message string) {
	data, _ := json.Marshal(failure{status, message})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(data)
}

// name is the connector, plugin or logger that the path names.
func (x *exchange) name() string { return x.r.PathValue("name") }

// task is the number of a task that the path names, as Java reads an int; where it is none it has answered.
func (x *exchange) task() (int, bool) {
	n, err := strconv.ParseInt(x.r.PathValue("task"), 10, 32)
	if err != nil {
		x.fail(http.StatusNotFound, "HTTP 404 Not Found")
	}
	return int(n), err == nil
}

// metrics answers a scrape. Kafka Connect has no such resource: its figures go out by JMX.
func (x *exchange) metrics() {
	promhttp.HandlerFor(x.worker.Metrics(), promhttp.HandlerOpts{}).ServeHTTP(x.w, x.r)
}

func (x *exchange) root() { x.answer(http.StatusOK, x.worker.Root()) }

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (x *exchange) health() {
	ctx, cancel := context.WithTimeout(x.r.Context(), healthTimeout)
	defer cancel()
	err := x.worker.Ready(ctx)
	switch {
	case err == nil:
		x.answer(http.StatusOK, health{"healthy", "Worker has completed startup and is ready to handle requests."})
	case ctx.Err() != nil:
		x.answer(http.StatusInternalServerError, health{"unhealthy",
			"Worker was unable to handle this request and may be unable to handle other requests. " + err.Error()})
	default:
		x.answer(http.StatusServiceUnavailable, health{"starting", "Worker is still starting up. " + err.Error()})
	}
}

// whenKnown answers once it is known which connectors there are. None instead of those that are not read yet would have
// tools that keep connectors as they are described make all of them again.
func whenKnown(serve func(*exchange)) func(*exchange) {
	return func(x *exchange) {
		if err := x.worker.Known(); err != nil {
			x.failed(err)
			return
		}
		serve(x)
	}
}

func (x *exchange) connectors() {
	names := x.worker.Herder().Names()
	expand := x.asked("expand")
	if expand == nil {
		x.answer(http.StatusOK, append([]string{}, names...))
		return
	}
	all := map[string]map[string]any{}
	slices.Sort(expand)
	expand = slices.Compact(expand) // each counts once, however often it is asked for
	for _, name := range names {
		expanded := map[string]any{}
		var unknown, err error
		for _, e := range expand {
			switch e {
			case "info":
				expanded[e], err = x.info(name)
			case "status":
				expanded[e], err = x.worker.Herder().Status(name)
			}
			unknown = errors.Join(unknown, err)
		}
		if unknown == nil { // one that was deleted meanwhile is left out
			all[name] = expanded
		}
	}
	x.answer(http.StatusOK, all)
}

// info is what is shown of a connector.
func (x *exchange) info(name string) (connect.Info, error) {
	info, err := x.worker.Herder().Info(name)
	info.Config = x.shown(info.Config)
	return info, err
}

func (x *exchange) connector() { x.reply(x.info(x.name())) }

func (x *exchange) config() {
	info, err := x.info(x.name())
	x.reply(info.Config, err)
}

func (x *exchange) status() {
	status, err := x.worker.Herder().Status(x.name())
	if err != nil {
		x.fail(http.StatusNotFound, "No status found for connector "+x.name())
		return
	}
	x.answer(http.StatusOK, status)
}

func (x *exchange) tasks() {
	tasks, err := x.worker.Herder().Tasks(x.name())
	for i := range tasks {
		tasks[i].Config = x.shown(tasks[i].Config)
	}
	x.reply(append([]connect.TaskInfo{}, tasks...), err)
}

func (x *exchange) taskStatus() {
	n, ok := x.task()
	if !ok {
		return
	}
	status, _ := x.worker.Herder().Status(x.name())
	for _, task := range status.Tasks {
		if task.ID == n {
			x.answer(http.StatusOK, task)
			return
		}
	}
	x.fail(http.StatusNotFound, fmt.Sprintf("No status found for task %s-%d", x.name(), n))
}

// plugins: connectorsOnly is true where it is not given or empty; whatever else it says counts as false, as in Java.
func (x *exchange) plugins() {
	only := true
	if given := x.first("connectorsOnly"); given != "" {
		only = strings.EqualFold(given, "true")
	}
	list := []connect.Plugin{}
	if h := x.worker.Herder(); h != nil {
		list = append(list, h.Plugins(only)...)
	}
	x.answer(http.StatusOK, list)
}
