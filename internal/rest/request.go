package rest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/inbound"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/plugin"
)

type request struct {
	common
	w     http.ResponseWriter
	r     *http.Request
	route *route // nil before dispatch, and in calls of other workers
	// releases run before the response is sent. They return the memory budget of bodies, and end timeouts.
	releases    []func()
	passwords   func(setting string) bool
	isForwarded bool // another worker has answered
}

// release runs the releases, each once.
func (req *request) release() {
	for _, release := range req.releases {
		release()
	}
	req.releases = nil
}

type failure struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// encodeJSON does not escape < > and &, as Kafka Connect: people read names such as a->b.
func encodeJSON(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// checkMediaType reports whether the route accepts the Content-Type, if any. If not, it has answered.
func (req *request) checkMediaType() bool {
	kind := req.requestType()
	if kind == "" || kind == "application/json" || (kind == propertiesType && req.route.allowsText &&
		req.route.requestBody != nil) {
		return true
	}
	req.frameworkError(http.StatusUnsupportedMediaType)
	return false
}

func headerElements(values []string) []string {
	elements := strings.Split(strings.Join(values, ","), ",")
	for i, element := range elements {
		elements[i] = strings.TrimSpace(element)
	}
	return elements
}

func (req *request) requestType() string {
	header := req.r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(header)
	if err != nil && header != "" {
		return "unknown"
	}
	return kind
}

func (req *request) wantsTestFile() bool {
	return slices.Contains(req.route.query, "as") && req.queryValue("as") == "test"
}

func (req *request) wantsText() bool {
	if !req.route.allowsText || req.route.requestBody != nil {
		return false
	}
	for _, mediaRange := range headerElements(req.r.Header.Values("Accept")) {
		switch kind, _, _ := mime.ParseMediaType(mediaRange); kind {
		case propertiesType:
			return true
		case "application/json":
			return false
		}
	}
	return false
}

// responseType returns the content type of a JSON response, "" if the client does not accept JSON.
func (req *request) responseType() string {
	accepted := headerElements(req.r.Header.Values("Accept"))
	if strings.Join(accepted, ",") == "" {
		return "application/json"
	}
	for _, mediaRange := range accepted {
		kind, params, err := mime.ParseMediaType(mediaRange)
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

func (req *request) answer(status int, body any) {
	if data, ok := req.encodeBody(body); ok {
		req.send(status, data)
	}
}

// answerWithETag answers 200, or 304 if the client has this version (RFC 9110, 13.1.2).
func (req *request) answerWithETag(body any) {
	data, ok := req.encodeBody(body)
	if !ok {
		return
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	req.w.Header().Set("Etag", tag)
	if slices.ContainsFunc(headerElements(req.r.Header.Values("If-None-Match")), func(element string) bool {
		return strings.TrimPrefix(element, "W/") == tag || element == "*"
	}) {
		req.w.WriteHeader(http.StatusNotModified)
		return
	}
	req.send(http.StatusOK, data)
}

// encodeBody encodes the body of a response. If that fails, it has answered.
func (req *request) encodeBody(body any) ([]byte, bool) {
	data, err := encodeJSON(withhold(body, req.withheldInBody()))
	if err != nil {
		req.fail(http.StatusInternalServerError, err.Error())
	}
	return data, err == nil
}

func (req *request) send(status int, data []byte) {
	req.sendAs(cmp.Or(req.responseType(), "application/json"), status, data)
}

// sendAs sends a response, or why it must not be sent. It returns the memory of bodies first, since a client may be
// slow.
func (req *request) sendAs(contentType string, status int, data []byte) {
	isChange := req.route != nil && req.route.method != http.MethodGet && !req.route.readOnly
	release, err := req.held.hold(len(data), isChange)
	defer release()
	if err != nil {
		req.w.Header().Del("Content-Encoding")
		req.w.Header().Set("Retry-After", "10")
		req.failErr(err)
		return
	}
	req.release()
	req.w.Header().Set("Content-Type", contentType)
	req.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	req.writeHeader(status)
	req.w.Write(data)
}

// viewTimeout bounds how long the answer to a change waits for this worker's view of the group.
const viewTimeout = 5 * time.Second

// writeHeader records the event of a change and sends the status. The answer to a change of a connector waits until
// this worker's next answers contain the change, which another worker may have made.
func (req *request) writeHeader(status int) {
	if status < 300 {
		req.recordEvent()
	}
	if status < 300 && req.worker.CatchUp != nil && req.route != nil && req.route.changesConnector() {
		ctx, cancel := context.WithTimeout(req.r.Context(), viewTimeout)
		defer cancel()
		req.worker.CatchUp(ctx, req.name())
	}
	req.w.WriteHeader(status)
}

// queryValues returns all values. Unlike [url.Values] it takes invalid escapes literally and keeps semicolons.
func (req *request) queryValues(parameter string) (values []string) {
	for pair := range strings.SplitSeq(req.r.URL.RawQuery, "&") {
		if name, value, _ := strings.Cut(pair, "="); pair != "" && unescape(name) == parameter {
			values = append(values, unescape(value))
		}
	}
	return values
}

func unescape(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}

func (req *request) queryValue(parameter string) string {
	if values := req.queryValues(parameter); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (req *request) fail(status int, message string) {
	req.answer(status, failure{Code: status, Message: req.worker.Redact(message)})
}

func (req *request) redactAll(texts []string) (redacted []string) {
	for _, message := range texts {
		redacted = append(redacted, req.worker.Redact(message))
	}
	return redacted
}

// frameworkError answers like Kafka Connect's REST framework itself, without a content type.
func (req *request) frameworkError(status int) {
	data, _ := json.Marshal(failure{Code: status, Message: "HTTP " + strconv.Itoa(status) + " " +
		http.StatusText(status)})
	req.w.Header()["Content-Type"] = nil
	req.w.WriteHeader(status)
	req.w.Write(data)
}

func writeError(w http.ResponseWriter, status int, message string) {
	data, _ := json.Marshal(failure{Code: status, Message: message})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(data)
}

func (req *request) name() string { return req.r.PathValue("name") }

// task returns the task number in the path. If it is invalid, it has answered.
func (req *request) task() (int, bool) {
	n, ok := req.number()
	if !ok {
		req.fail(http.StatusNotFound, "HTTP 404 Not Found")
	}
	return n, ok
}

func (req *request) number() (int, bool) {
	n, err := strconv.ParseInt(req.r.PathValue("task"), 10, 32)
	return int(n), err == nil
}

// Refusal is an error that is answered with its own status and message.
type Refusal struct {
	Status  int
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// HTTPStatus returns the status, for callers that do not know the type.
func (r *Refusal) HTTPStatus() int { return r.Status }

// ErrStarting has status 409, after which clients retry.
var ErrStarting = &Refusal{Status: http.StatusConflict,
	Message: "Cannot complete request momentarily: the worker is still starting up"}

func (req *request) reply(v any, err error) {
	if err != nil {
		req.failErr(err)
		return
	}
	req.answer(http.StatusOK, v)
}

func (req *request) finish(status int, err error) {
	if err != nil {
		req.failErr(err)
		return
	}
	req.writeHeader(status)
}

var errorStatuses = map[error]int{plugin.ErrUnknownVersion: 404, deadletters.ErrNoTopic: 404,
	connect.ErrNotSource: 400, deadletters.ErrInvalidAfter: 400, deadletters.ErrTooManyRanges: 409,
	connect.ErrTooManySnapshots: 409, deadletters.ErrNotJSON: 400, deadletters.ErrMixedCauses: 400,
	connect.ErrNotRunning: 409, deadletters.ErrInProgress: 409}

func (req *request) failErr(err error) { req.failUnknown(err, "Connector "+req.name()+" not found") }

// failUnknown is failErr with another message for an unknown connector.
func (req *request) failUnknown(err error, message string) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		req.fail(refusal.Status, refusal.Message)
	case errors.Is(err, connect.ErrUnknownConnector):
		req.fail(http.StatusNotFound, message)
	case errors.Is(err, context.DeadlineExceeded): // Kafka Connect's message
		req.fail(http.StatusInternalServerError, "Request timed out")
	default:
		status := http.StatusInternalServerError
		for cause, code := range errorStatuses {
			if errors.Is(err, cause) {
				status = code
			}
		}
		message := err.Error()
		if withheld := req.withheldInBody(); status == http.StatusInternalServerError && withheld != "" {
			message = "The reason is " + withheld
		}
		req.fail(status, message)
	}
}

// common holds what all requests of a handler share.
type common struct {
	worker        Worker
	bodies        *inbound.Bodies
	held          *heldAnswers  // nil counts nothing
	validations   chan struct{} // an entry for each running check of a configuration
	masked        bool
	records       string // the setting console.records
	requiresLogon bool
	cluster       Cluster
	seen          *seenWorkers // nil in calls of other workers
	workerClient  *http.Client
	// startTimeout bounds the wait for the worker's start and for a leader. Zero means changeTimeout.
	startTimeout time.Duration
}

// segments returns the decoded segments of a path, without matrix parameters. ok is false, as in Jetty, for a path with
// empty segments, encoded / % and \, or control characters.
func segments(escaped string) (parts []string, ok bool) {
	escaped = strings.TrimPrefix(escaped, "/")
	if escaped == "" {
		return nil, true
	}
	escaped = strings.TrimSuffix(escaped, "/")
	parts = strings.Split(escaped, "/")
	for i, part := range parts {
		upper := strings.ToUpper(part)
		if part == "" || strings.Contains(upper, "%2F") || strings.Contains(upper, "%25") ||
			strings.Contains(upper, "%5C") {
			return nil, false
		}
		part, _, _ = strings.Cut(part, ";")
		decoded, err := url.PathUnescape(part)
		isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
		if err != nil || decoded == "" || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, isControl) {
			return nil, false
		}
		parts[i] = decoded
	}
	return parts, true
}
