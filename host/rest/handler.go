package rest

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
)

// healthTimeout is how long a worker may take to say that it lives.
const healthTimeout = 10 * time.Second

// Handler answers for the worker.
func Handler(w Worker) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		x := exchange{w: rw, r: r, worker: w}
		defer guard.Recover(nil, "REST, "+r.Method+" "+r.URL.Path, nil, func(p *guard.Panic) {
			x.fail(http.StatusInternalServerError, p.Error())
		})
		path, ok := segments(r.URL.EscapedPath())
		if !ok {
			x.fail(http.StatusBadRequest, "Bad Request: expected a path without empty segments, encoded separators and control characters")
			return
		}
		if len(path) == 1 && path[0] == "metrics" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			metrics(w).ServeHTTP(rw, r)
			return
		}
		for _, rt := range routes {
			if args, ok := rt.match(path); ok {
				x.dispatch(rt, args)
				return
			}
		}
		x.framework(http.StatusNotFound)
	})
}

// segments are the decoded parts of a path, a trailing slash left out. What Jetty refuses is refused here: empty segments,
// encoded / % and \, control characters. Matrix parameters are cut off.
func segments(escaped string) ([]string, bool) {
	escaped = strings.TrimPrefix(escaped, "/")
	escaped = strings.TrimSuffix(escaped, "/")
	if escaped == "" {
		return nil, true
	}
	parts := strings.Split(escaped, "/")
	for i, part := range parts {
		upper := strings.ToUpper(part)
		if part == "" || strings.Contains(upper, "%2F") || strings.Contains(upper, "%25") || strings.Contains(upper, "%5C") {
			return nil, false
		}
		part, _, _ = strings.Cut(part, ";")
		decoded, err := url.PathUnescape(part)
		if err != nil || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, func(r rune) bool { return r < ' ' }) {
			return nil, false
		}
		parts[i] = decoded
	}
	return parts, true
}

// route is a resource: its path, with * for a name, and what answers.
type route struct {
	path   string
	allow  string // what OPTIONS says
	get    func(x *exchange, args []string)
	put    func(x *exchange, args []string)
	post   func(x *exchange, args []string)
	patch  func(x *exchange, args []string)
	remove func(x *exchange, args []string)
}

func (rt route) match(path []string) (args []string, ok bool) {
	var pattern []string
	if rt.path != "" {
		pattern = strings.Split(rt.path, "/")
	}
	if len(pattern) != len(path) {
		return nil, false
	}
	for i, p := range pattern {
		switch p {
		case "*":
			args = append(args, path[i])
		case path[i]:
		default:
			return nil, false
		}
	}
	return args, true
}

var routes = []route{
	{path: "", allow: "HEAD,GET,OPTIONS", get: (*exchange).root},
	{path: "health", allow: "HEAD,GET,OPTIONS", get: (*exchange).health},
	{path: "connectors", allow: "HEAD,POST,GET,OPTIONS", get: (*exchange).connectors, post: (*exchange).create},
	{path: "connectors/*", allow: "HEAD,DELETE,GET,OPTIONS", get: (*exchange).connector, remove: (*exchange).remove},
	{path: "connectors/*/config", allow: "HEAD,GET,OPTIONS,PUT,PATCH", get: (*exchange).config, put: (*exchange).putConfig, patch: (*exchange).patchConfig},
	{path: "connectors/*/status", allow: "HEAD,GET,OPTIONS", get: (*exchange).status},
	{path: "connectors/*/tasks", allow: "HEAD,POST,GET,OPTIONS", get: (*exchange).tasks},
	{path: "connectors/*/tasks/*/status", allow: "HEAD,GET,OPTIONS", get: (*exchange).taskStatus},
	{path: "connectors/*/pause", allow: "OPTIONS,PUT", put: (*exchange).pause},
	{path: "connectors/*/resume", allow: "OPTIONS,PUT", put: (*exchange).resume},
	{path: "connectors/*/stop", allow: "OPTIONS,PUT", put: (*exchange).stop},
	{path: "connectors/*/restart", allow: "POST,OPTIONS", post: (*exchange).restart},
	{path: "connectors/*/tasks/*/restart", allow: "POST,OPTIONS", post: (*exchange).restartTask},
	{path: "culvert/reload", allow: "HEAD,GET,OPTIONS", get: (*exchange).reload},
	{path: "connector-plugins", allow: "HEAD,GET,OPTIONS", get: (*exchange).plugins},
	{path: "connector-plugins/*/config/validate", allow: "OPTIONS,PUT", put: (*exchange).validate},
}

type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	worker Worker
}

func (x *exchange) dispatch(rt route, args []string) {
	method := x.r.Method
	switch {
	case method == http.MethodOptions:
		x.w.Header().Set("Allow", rt.allow)
		x.w.Header().Set("Content-Type", "text/plain")
		x.w.Write([]byte(strings.ReplaceAll(rt.allow, ",", ", ")))
	case rt.serves(method) == nil:
		x.framework(http.StatusMethodNotAllowed)
	case !x.media():
	case x.contentType() == "":
		x.framework(http.StatusNotAcceptable)
	default:
		rt.serves(method)(x, args)
	}
}

// serves is what answers a method, nil for none.
func (rt route) serves(method string) func(x *exchange, args []string) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return rt.get
	case http.MethodPut:
		return rt.put
	case http.MethodPost:
		return rt.post
	case http.MethodPatch:
		return rt.patch
	case http.MethodDelete:
		return rt.remove
	}
	return nil
}

// media tells whether what is sent is JSON, or nothing; else it has answered. What names another type is refused although there is no
// body, as by Kafka Connect.
func (x *exchange) media() bool {
	if x.r.Method == http.MethodGet || x.r.Method == http.MethodHead {
		return true
	}
	given := x.r.Header.Get("Content-Type")
	if given == "" && x.r.ContentLength != 0 {
		x.fail(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return false
	}
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
		if err != nil || params["q"] == "0" {
			continue
		}
		switch kind {
		case "application/json":
			if charset := params["charset"]; charset != "" {
				return "application/json;charset=" + charset
			}
			return "application/json"
		case "*/*", "application/*":
			return "application/json"
		}
	}
	return ""
}

func (x *exchange) answer(status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		x.fail(http.StatusInternalServerError, err.Error())
		return
	}
	x.w.Header().Set("Content-Type", x.contentType())
	x.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	x.w.WriteHeader(status)
	x.w.Write(data)
}

type failure struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func (x *exchange) fail(status int, message string) { x.answer(status, failure{status, message}) }

// framework answers as Kafka's REST framework does by itself: without a content type.
func (x *exchange) framework(status int) {
	data, _ := json.Marshal(failure{status, "HTTP " + strconv.Itoa(status) + " " + http.StatusText(status)})
	x.w.Header()["Content-Type"] = nil
	x.w.WriteHeader(status)
	x.w.Write(data)
}

// refuse answers as fail does, whatever the client accepts.
func (x *exchange) refuse(status int, message string) {
	data, _ := json.Marshal(failure{status, message})
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	x.w.Write(data)
}

func (x *exchange) root([]string) { x.answer(http.StatusOK, x.worker.Root()) }

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (x *exchange) health([]string) {
	ctx, cancel := context.WithTimeout(x.r.Context(), healthTimeout)
	defer cancel()
	err := x.worker.Ready(ctx)
	switch {
	case err == nil:
		x.answer(http.StatusOK, health{"healthy", "Worker has completed startup and is ready to handle requests."})
	case ctx.Err() != nil:
		x.answer(http.StatusInternalServerError, health{"unhealthy", "Worker was unable to handle this request and may be unable to handle other requests. " + err.Error()})
	default:
		x.answer(http.StatusServiceUnavailable, health{"starting", "Worker is still starting up. " + err.Error()})
	}
}

func (x *exchange) connectors([]string) {
	names := x.worker.Names()
	expand, ok := x.r.URL.Query()["expand"]
	if !ok {
		x.answer(http.StatusOK, append([]string{}, names...))
		return
	}
	all := map[string]map[string]any{}
	slices.Sort(expand)
	expand = slices.Compact(expand) // each counts once, however often it is asked for
	for _, name := range names {
		expanded := map[string]any{}
		for _, e := range expand {
			switch e {
			case "info":
				if info, ok := x.worker.Info(name); ok {
					expanded["info"] = info
				}
			case "status":
				if status, ok := x.worker.Status(name); ok {
					expanded["status"] = status
				}
			}
		}
		all[name] = expanded
	}
	x.answer(http.StatusOK, all)
}

func (x *exchange) connector(args []string) {
	if info, ok := x.worker.Info(args[0]); ok {
		x.answer(http.StatusOK, info)
		return
	}
	x.notFound(args[0])
}

func (x *exchange) notFound(name string) {
	x.fail(http.StatusNotFound, "Connector "+name+" not found")
}

func (x *exchange) config(args []string) {
	if info, ok := x.worker.Info(args[0]); ok {
		x.answer(http.StatusOK, info.Config)
		return
	}
	x.notFound(args[0])
}

func (x *exchange) status(args []string) {
	if status, ok := x.worker.Status(args[0]); ok {
		x.answer(http.StatusOK, status)
		return
	}
	x.fail(http.StatusNotFound, "No status found for connector "+args[0])
}

func (x *exchange) tasks(args []string) {
	if tasks, ok := x.worker.Tasks(args[0]); ok {
		x.answer(http.StatusOK, append([]connect.TaskInfo{}, tasks...))
		return
	}
	x.notFound(args[0])
}

func (x *exchange) taskStatus(args []string) {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		x.fail(http.StatusNotFound, "HTTP 404 Not Found")
		return
	}
	status, _ := x.worker.Status(args[0])
	for _, task := range status.Tasks {
		if task.ID == n {
			x.answer(http.StatusOK, task)
			return
		}
	}
	x.fail(http.StatusNotFound, "No status found for task "+args[0]+"-"+args[1])
}

// plugins: connectorsOnly is true where it is not given or empty; whatever else it says counts as false, as in Java.
func (x *exchange) plugins([]string) {
	only := true
	if given, ok := x.r.URL.Query()["connectorsOnly"]; ok && given[0] != "" {
		only = strings.EqualFold(given[0], "true")
	}
	x.answer(http.StatusOK, append([]connect.Plugin{}, x.worker.Plugins(only)...))
}
