// Package replaytest sends recorded calls of a Kafka Connect worker, and compares the responses with the recorded ones
// or with another worker's. The recordings and the accepted differences are in testdata/connect-rest.
package replaytest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Step is a line of a recorded sequence: a call, a file to write, a state to wait for, or a time.
type Step struct {
	N       int               `json:"n"`
	Seq     string            `json:"seq"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Sent    map[string]any    `json:"request_headers"`
	Body    any               `json:"request_body"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Answer  any               `json:"body"`
	// Until and Contains are the state to wait for.
	Until    string         `json:"until"`
	Contains map[string]any `json:"contains"`
	Protocol string         `json:"protocol"`
	File     string         `json:"file"`
	Content  string         `json:"content"`
}

// At returns the sequence and number of the call.
func (s *Step) At() string { return fmt.Sprintf("%s %d", s.Seq, s.N) }

// Recorded returns the recorded response.
func (s *Step) Recorded() Answer {
	return Answer{Status: s.Status, Headers: s.Headers, Body: new(Worker).maskValues(s.Answer, "")}
}

// Sequences returns the files of the recorded sequences in order.
func Sequences(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err == nil && len(files) != 18 {
		err = fmt.Errorf("expected the 18 recorded sequences, found %v", files)
	}
	return files, err
}

// Read reads a sequence.
func Read(file string) ([]*Step, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var steps []*Step
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		s := new(Step)
		if err := json.Unmarshal(lines.Bytes(), s); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		steps = append(steps, s)
	}
	return steps, lines.Err()
}

// Kind is the kind of an accepted difference.
type Kind string

// Kinds of differences: LeftOut and Text apply to the stand-in of internal/rest, Text, Body and Other to a worker.
const (
	LeftOut Kind = "left out"
	Text    Kind = "text"
	Body    Kind = "body"
	Other   Kind = "other"
)

// Differences returns the accepted differences by [Step.At].
func Differences(folder string) (map[string][]Kind, error) {
	data, err := os.ReadFile(filepath.Join(folder, "differences.json"))
	if err != nil {
		return nil, err
	}
	var differences []struct {
		Seq   string
		Calls []int
		Kind  Kind
		Why   string
	}
	if err := json.Unmarshal(data, &differences); err != nil {
		return nil, err
	}
	kinds := map[string][]Kind{}
	for _, d := range differences {
		if d.Why == "" || !slices.Contains([]Kind{LeftOut, Text, Body, Other}, d.Kind) {
			return nil, fmt.Errorf("%+v: expected a known kind, and a reason", d)
		}
		for _, n := range d.Calls {
			call := fmt.Sprintf("%s %d", d.Seq, n)
			if slices.Contains(kinds[call], d.Kind) {
				return nil, fmt.Errorf("%s: expected each difference once", call)
			}
			kinds[call] = append(kinds[call], d.Kind)
		}
	}
	return kinds, nil
}

// Worker is the target of calls.
type Worker struct {
	Address string
	Folder  string
	// Masks has texts of responses and their placeholders.
	Masks    map[string]string
	Versions []string
	// Own has further settings that connectors need there. They are sent with each class, and removed from responses
	// with all others of their Prefix.
	Own    map[string]string
	Prefix string
}

// Answer is a response with placeholders for what differs between workers.
type Answer struct {
	Status  int
	Headers map[string]string
	Body    any
}

const timeout = 5 * time.Minute // of a call, and of waiting for a state

// Send sends a call over a plain connection, so that its path and method arrive as recorded.
func (w *Worker) Send(s *Step) (Answer, error) {
	a, err := w.send(s)
	if err != nil {
		err = fmt.Errorf("%s %s %.80s: %w", s.At(), s.Method, s.Path, err)
	}
	return a, err
}

func (w *Worker) send(s *Step) (Answer, error) {
	request, err := w.request(s)
	if err != nil {
		return Answer{}, err
	}
	conn, err := net.Dial("tcp", w.Address)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(timeout))
	io.WriteString(conn, request) // a body that is too long may be rejected before it is read
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: s.Method})
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	return w.answer(s, response, body), nil
}

// request returns the bytes of a request.
func (w *Worker) request(s *Step) (string, error) {
	body, err := w.body(s)
	if err != nil {
		return "", err
	}
	protocol := s.Protocol
	if protocol == "" {
		protocol = "HTTP/1.1"
	}
	head := fmt.Sprintf("%s %s %s\r\nConnection: close\r\n", s.Method, w.fill(s.Path), protocol)
	if _, ok := s.Sent["Host"]; !ok {
		head += "Host: " + w.Address + "\r\n"
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sent)) {
		if value := s.Sent[name]; value != nil {
			head += fmt.Sprintf("%s: %v\r\n", name, value)
		}
	}
	if s.Sent["Transfer-Encoding"] == "chunked" {
		var b bytes.Buffer
		for chunk := range slices.Chunk(body, 7) { // small, so that there are several
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
		}
		b.WriteString("0\r\n\r\n")
		body = b.Bytes()
	} else if body != nil || slices.Contains([]string{"POST", "PUT", "PATCH"}, s.Method) {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + string(body), nil
}

func (w *Worker) answer(s *Step, response *http.Response, body []byte) Answer {
	a := Answer{Status: response.StatusCode, Headers: map[string]string{}}
	for _, name := range []string{"content-type", "location", "allow"} {
		if value := response.Header.Get(name); value != "" {
			a.Headers[name] = w.mask(value)
		}
	}
	if len(body) == 0 {
		return a
	}
	if _, ok := s.Answer.(string); ok || json.Unmarshal(body, &a.Body) != nil {
		a.Body = string(body)
	}
	a.Body = w.maskValues(a.Body, "")
	path, _, _ := strings.Cut(s.Path, "?")
	path, _, _ = strings.Cut(path, ";")
	path = strings.TrimSuffix(path, "/")
	if list, ok := a.Body.([]any); ok && path == "/connectors" {
		sortJSON(list) // a set
	}
	if offsets, ok := a.Body.(map[string]any); ok && strings.HasSuffix(path, "/offsets") {
		if list, ok := offsets["offsets"].([]any); ok {
			sortJSON(list)
		}
	}
	return a
}

func sortJSON(list []any) {
	encode := func(v any) string { data, _ := json.Marshal(v); return string(data) }
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(encode(a), encode(b)) })
}

func (w *Worker) body(s *Step) ([]byte, error) {
	switch b := s.Body.(type) {
	case nil:
		return nil, nil
	case string:
		const class = `"connector.class": `
		for name, value := range w.Own {
			b = strings.ReplaceAll(b, class, fmt.Sprintf("%q: %q, %s", name, value, class))
		}
		return []byte(w.fill(b)), nil
	case map[string]any:
		if coded, ok := b["base64"].(string); ok {
			return base64.StdEncoding.DecodeString(coded)
		}
		long := strings.Repeat(b["repeat"].(string), int(b["times"].(float64)))
		return []byte(fmt.Sprint(b["prefix"], long, b["suffix"])), nil
	}
	return nil, fmt.Errorf("expected a text or an object, found %v", s.Body)
}

func (w *Worker) fill(text string) string {
	if w.Folder == "" {
		return text
	}
	return strings.ReplaceAll(text, "${dir}", w.Folder)
}

func (w *Worker) mask(text string) string {
	if w.Address != "" {
		text = strings.ReplaceAll(text, w.Address, "${worker}")
	}
	if w.Folder != "" {
		text = strings.ReplaceAll(text, w.Folder, "${dir}")
	}
	for value, name := range w.Masks {
		text = strings.ReplaceAll(text, value, name)
	}
	return text
}

// extraStatusFields are fields of a status that Kafka Connect does not have.
var extraStatusFields = []string{"file", "plugin"}

// trace matches Java's format, which tools parse.
var trace = regexp.MustCompile(`(?s)^[\w.$]+: .+\n(\tat |\$\{stack\})`)

var version = regexp.MustCompile(`^\d+\.\d+\.\d+`)

// maskValues replaces values by placeholders, in place. name is the name of the member.
func (w *Worker) maskValues(v any, name string) any {
	switch x := v.(type) {
	case map[string]any:
		for key, value := range x {
			x[key] = w.maskValues(value, key)
		}
		_, ok := x["worker_id"]
		maps.DeleteFunc(x, func(key string, _ any) bool {
			return w.isOwn(key) || (ok && slices.Contains(extraStatusFields, key))
		})
		return x
	case []any:
		for i, value := range x {
			x[i] = w.maskValues(value, name)
		}
		return slices.DeleteFunc(x, func(element any) bool {
			info, _ := element.(map[string]any)
			if definition, ok := info["definition"].(map[string]any); ok {
				info = definition
			}
			name, _ := info["name"].(string)
			return w.isOwn(name)
		})
	case string:
		switch x = w.mask(x); {
		case name == "trace" && trace.MatchString(x):
			return "${trace}"
		case name == "version" && len(w.Versions) > 0 && version.MatchString(x), slices.Contains(w.Versions, x) &&
			slices.Contains([]string{"default_value", "value", "recommended_values"}, name):
			return "${version}"
		}
		return x
	case float64:
		if name == "last_modified" {
			return "${millis}"
		}
	}
	return v
}

func (w *Worker) isOwn(setting string) bool {
	return w.Prefix != "" && strings.HasPrefix(setting, w.Prefix)
}

// Await polls until the recorded state is reached, and returns an error after some minutes.
func (w *Worker) Await(s *Step) error {
	wanted := s.Status
	if wanted == 0 {
		wanted = http.StatusOK
	}
	for end := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		a, err := w.Send(&Step{N: s.N, Seq: s.Seq, Method: "GET", Path: s.Until})
		if err == nil && a.Status == wanted && (s.Contains == nil || contains(s.Contains, a.Body)) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: expected %d with %v, found %+v %v", s.Until, wanted, s.Contains, a, err)
		}
	}
}

// contains reports whether found contains wanted: objects by their keys, lists by length and items.
func contains(wanted, found any) bool {
	switch wantedValue := wanted.(type) {
	case map[string]any:
		foundValue, ok := found.(map[string]any)
		for key := range wantedValue {
			ok = ok && contains(wantedValue[key], foundValue[key])
		}
		return ok
	case []any:
		foundValue, ok := found.([]any)
		ok = ok && len(wantedValue) == len(foundValue)
		for i := range wantedValue {
			ok = ok && contains(wantedValue[i], foundValue[i])
		}
		return ok
	}
	return cmp.Equal(wanted, found)
}

// Compare returns the differences of a response from the expected one, and separately the differences of the body.
func Compare(s *Step, expected, found Answer) (status, body string) {
	if expected.Status != found.Status {
		return fmt.Sprintf("expected %d, found %d %v\n", expected.Status, found.Status, found.Body), ""
	}
	if expected.Status == http.StatusInternalServerError {
		return "", "" // Java's own text
	}
	location := func(a Answer) string {
		// names are escaped differently there, or not at all, so that the location names another resource
		if s.Seq == "16-stuck-names" || s.Seq == "17-odd" {
			if plain, err := url.PathUnescape(a.Headers["location"]); err == nil {
				return plain
			}
		}
		return a.Headers["location"]
	}
	if diff := cmp.Diff(location(expected), location(found)); diff != "" {
		status += "location (-expected +found)\n" + diff
	}
	// Our own text may replace Jetty's.
	if strings.HasPrefix(expected.Headers["content-type"], "text/html") ||
		(s.Seq == "16-stuck-names" && expected.Status == 400) {
		return status, ""
	}
	if diff := cmp.Diff(expected.Headers["content-type"], found.Headers["content-type"]); diff != "" {
		status += "content type (-expected +found)\n" + diff
	}
	if diff := cmp.Diff(methods(expected), methods(found)); diff != "" {
		status += "allow (-expected +found)\n" + diff
	}
	return status, cmp.Diff(expected.Body, WithoutOrder(found.Body))
}

// Alike removes from the responses of two workers what clients ignore or what must differ: documentation, plugins and
// settings that only one has, versions, further recommended values, the order of errors, and fingerprints of offsets.
// It changes its arguments.
func Alike(expected, found any) (any, any) {
	switch x := expected.(type) {
	case map[string]any:
		y, ok := found.(map[string]any)
		if !ok {
			break
		}
		delete(x, "documentation")
		delete(y, "documentation")
		if _, ok := x["fingerprint"]; !ok {
			delete(y, "fingerprint")
		}
		if message, ok := y["message"].(string); ok {
			x["message"] = sortErrors(fmt.Sprint(x["message"]))
			y["message"] = sortErrors(message)
		}
		expectedValues, isList := x["recommended_values"].([]any)
		values, _ := y["recommended_values"].([]any)
		if isList && !slices.ContainsFunc(expectedValues, func(v any) bool { return !slices.Contains(values, v) }) {
			y["recommended_values"] = x["recommended_values"]
		}
		for key := range x {
			if y[key] != nil {
				x[key], y[key] = Alike(x[key], y[key])
			}
		}
	case []any:
		y, ok := found.([]any)
		if !ok {
			break
		}
		x, y = common(x, y), common(y, x)
		for i := range min(len(x), len(y)) {
			x[i], y[i] = Alike(x[i], y[i])
		}
		return x, y
	}
	return expected, found
}

// sortErrors sorts the errors in the message of an invalid configuration.
func sortErrors(message string) string {
	lines := strings.Split(message, "\n")
	if strings.HasPrefix(message, "Connector configuration is invalid") && len(lines) > 2 {
		slices.Sort(lines[1 : len(lines)-1])
	}
	return strings.Join(lines, "\n")
}

// common removes plugins and settings that the other list does not have.
func common(list, other []any) []any {
	names := map[string]bool{}
	for _, item := range other {
		names[declaredName(item)] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(item any) bool {
		name := declaredName(item)
		return name != "" && !names[name]
	})
}

// declaredName returns the name of a setting, or the class of a plugin.
func declaredName(item any) string {
	object, _ := item.(map[string]any)
	if class, ok := object["class"].(string); ok {
		return class
	}
	for _, candidate := range []any{object["definition"], object["value"], object} {
		candidateObject, _ := candidate.(map[string]any)
		_, isDefinition := candidateObject["dependents"]
		_, isValue := candidateObject["visible"]
		if name, ok := candidateObject["name"].(string); ok && (isDefinition || isValue) {
			return name
		}
	}
	return ""
}

func methods(a Answer) []string {
	items := strings.Split(a.Headers["allow"], ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	slices.Sort(items)
	return items
}

// WithoutOrder removes `order` from definitions in found, which Kafka Connect had before 4.2 and some tools need.
func WithoutOrder(found any) any {
	switch v := found.(type) {
	case []any:
		for _, element := range v {
			WithoutOrder(element)
		}
	case map[string]any:
		if order, ok := v["order"]; ok && order == v["order_in_group"] {
			delete(v, "order")
		}
		for _, element := range v {
			WithoutOrder(element)
		}
	}
	return found
}
