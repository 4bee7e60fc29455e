// Package replaytest sends calls that were recorded from a Kafka Connect worker, and compares answers: with the
// recorded ones, or with those of another worker. What is recorded, and which differences are wanted, is in
// testdata/connect-rest of the repository.
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
	// Until and Contains: the state that the real worker came to.
	Until    string         `json:"until"`
	Contains map[string]any `json:"contains"`
	Protocol string         `json:"protocol"`
	File     string         `json:"file"`
	Content  string         `json:"content"`
}

// At names a call: its sequence and number.
func (s *Step) At() string { return fmt.Sprintf("%s %d", s.Seq, s.N) }

// Recorded is the answer that was recorded.
func (s *Step) Recorded() Answer {
	return Answer{s.Status, s.Headers, new(Worker).masked(s.Answer, "")}
}

// Sequences are the files of the recorded sequences, in their order.
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

// Kind is what is wanted to differ in a call.
type Kind string

// Kinds of differences.
const (
	// LeftOut is a call that the stand-in of internal/rest cannot answer; a worker can.
	LeftOut Kind = "left out"
	// Text is a call that is answered alike but for its body, by the stand-in and by a worker.
	Text Kind = "text"
	// Body is a call that a worker answers alike but for its body.
	Body Kind = "body"
	// Other is a call that a worker answers with another status.
	Other Kind = "other"
)

// Differences are the wanted ones by what [Step.At] says.
func Differences(folder string) (map[string][]Kind, error) {
	data, err := os.ReadFile(filepath.Join(folder, "differences.json"))
	if err != nil {
		return nil, err
	}
	var all []struct {
		Seq   string
		Calls []int
		Kind  Kind
		Why   string
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	by := map[string][]Kind{}
	for _, d := range all {
		if d.Why == "" || !slices.Contains([]Kind{LeftOut, Text, Body, Other}, d.Kind) {
			return nil, fmt.Errorf("%+v: expected a known kind, and a reason", d)
		}
		for _, n := range d.Calls {
			at := fmt.Sprintf("%s %d", d.Seq, n)
			if slices.Contains(by[at], d.Kind) {
				return nil, fmt.Errorf("%s: expected each difference once", at)
			}
			by[at] = append(by[at], d.Kind)
		}
	}
	return by, nil
}

// Worker is what calls are sent to.
type Worker struct {
	// Address is its host and port.
	Address string
	// Folder takes the place of ${dir}.
	Folder string
	// Masks are what stands in answers, and the placeholders that take their places.
	Masks map[string]string
	// Versions are masked where one is said; nil: none is.
	Versions []string
	// Own are settings that connectors need there in addition to those that were recorded: they are sent with each
	// class, and taken out of answers, with all others of their Prefix.
	Own    map[string]string
	Prefix string
}

// Answer is what a call was answered with, with placeholders for what differs from worker to worker.
type Answer struct {
	Status  int
	Headers map[string]string
	Body    any
}

// patience bounds an exchange.
const patience = 5 * time.Minute

// Send sends a call over a plain connection, so that its path and method arrive as recorded.
func (w *Worker) Send(s *Step) (Answer, error) {
	a, err := w.send(s)
	if err != nil {
		err = fmt.Errorf("%s %s %.80s: %w", s.At(), s.Method, s.Path, err)
	}
	return a, err
}

func (w *Worker) send(s *Step) (Answer, error) {
	body, err := w.body(s)
	if err != nil {
		return Answer{}, err
	}
	protocol := s.Protocol
	if protocol == "" {
		protocol = "HTTP/1.1"
	}
	head := fmt.Sprintf("%s %s %s\r\nConnection: close\r\n", s.Method, w.fill(s.Path), protocol)
	if _, named := s.Sent["Host"]; !named {
		head += "Host: " + w.Address + "\r\n"
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sent)) {
		if value := s.Sent[name]; value != nil {
			head += fmt.Sprintf("%s: %v\r\n", name, value)
		}
	}
	if s.Sent["Transfer-Encoding"] == "chunked" {
		body = chunked(body)
	} else if body != nil || slices.Contains([]string{"POST", "PUT", "PATCH"}, s.Method) {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	conn, err := net.Dial("tcp", w.Address)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, head+"\r\n"+string(body)) // what is too long may be answered before it is read
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: s.Method})
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: r.StatusCode, Headers: map[string]string{}}
	for _, name := range []string{"content-type", "location", "allow"} {
		if value := r.Header.Get(name); value != "" {
			a.Headers[name] = w.mask(value)
		}
	}
	if len(text) == 0 {
		return a, nil
	}
	if _, isText := s.Answer.(string); isText || json.Unmarshal(text, &a.Body) != nil {
		a.Body = string(text)
	}
	a.Body = w.masked(a.Body, "")
	path, _, _ := strings.Cut(s.Path, "?")
	path, _, _ = strings.Cut(path, ";")
	path = strings.TrimSuffix(path, "/")
	if list, ok := a.Body.([]any); ok && path == "/connectors" {
		sortJSON(list) // a set
	}
	if shown, ok := a.Body.(map[string]any); ok && strings.HasSuffix(path, "/offsets") {
		if list, ok := shown["offsets"].([]any); ok {
			sortJSON(list)
		}
	}
	return a, nil
}

// chunked is a body in chunks of a few bytes.
func chunked(body []byte) []byte {
	var b bytes.Buffer
	for chunk := range slices.Chunk(body, 7) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}

func sortJSON(list []any) {
	text := func(v any) string { data, _ := json.Marshal(v); return string(data) }
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(text(a), text(b)) })
}

// body is what is sent; nil: none.
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

// extraStatusFields is what a status here says in addition to what Kafka Connect's does.
var extraStatusFields = []string{"file", "plugin"}

// trace is one in Java's form, which tools take apart.
var trace = regexp.MustCompile(`(?s)^[\w.$]+: .+\n(\tat |\$\{stack\})`)

// version is one of a worker or a plugin.
var version = regexp.MustCompile(`^\d+\.\d+\.\d+`)

// masked puts placeholders into a value, which stands under a name.
func (w *Worker) masked(v any, name string) any {
	switch x := v.(type) {
	case map[string]any:
		for key, value := range x {
			x[key] = w.masked(value, key)
		}
		_, status := x["worker_id"]
		maps.DeleteFunc(x, func(key string, _ any) bool {
			return w.isOwn(key) || status && slices.Contains(extraStatusFields, key)
		})
		return x
	case []any:
		for i, value := range x {
			x[i] = w.masked(value, name)
		}
		return slices.DeleteFunc(x, func(one any) bool {
			info, _ := one.(map[string]any)
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
		case name == "version" && len(w.Versions) > 0 && version.MatchString(x),
			slices.Contains(w.Versions, x) && slices.Contains([]string{"default_value", "value", "recommended_values"},
				name):
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

// Await polls until a state comes about that the real worker came to.
func (w *Worker) Await(s *Step) error {
	wanted := s.Status
	if wanted == 0 {
		wanted = http.StatusOK
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		a, err := w.Send(&Step{N: s.N, Seq: s.Seq, Method: "GET", Path: s.Until})
		if err == nil && a.Status == wanted && (s.Contains == nil || holds(s.Contains, a.Body)) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: expected %d with %v, found %+v %v", s.Until, wanted, s.Contains, a, err)
		}
	}
}

// holds tells whether a value has in it what is wanted: objects by their keys, lists by their length and items.
func holds(wanted, found any) bool {
	switch x := wanted.(type) {
	case map[string]any:
		y, ok := found.(map[string]any)
		for key := range x {
			ok = ok && holds(x[key], y[key])
		}
		return ok
	case []any:
		y, ok := found.([]any)
		ok = ok && len(x) == len(y)
		for i := range x {
			ok = ok && holds(x[i], y[i])
		}
		return ok
	}
	return cmp.Equal(wanted, found)
}

// Compare tells in what an answer differs from the one that was expected, and whether in its body.
func Compare(s *Step, expected, found Answer) (status, body string) {
	if expected.Status != found.Status {
		return fmt.Sprintf("expected %d, found %d %v\n", expected.Status, found.Status, found.Body), ""
	}
	if expected.Status == http.StatusInternalServerError {
		return "", "" // Java's own text
	}
	location := func(a Answer) string {
		// names are escaped otherwise there, or not at all, so that what is found at the location is something else
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
	// An own text will do in the place of Jetty's.
	if strings.HasPrefix(expected.Headers["content-type"], "text/html") ||
		s.Seq == "16-stuck-names" && expected.Status == 400 {
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

// Alike takes out of two workers' answers what is their own and no part of what a client goes by: the texts of
// documentation, plugins and settings that only one of them has, versions of what has none here, what is recommended
// in addition to what the other recommends, the order of errors, and what an offset here says of where it comes from.
func Alike(expected, found any) (any, any) {
	switch x := expected.(type) {
	case map[string]any:
		y, ok := found.(map[string]any)
		if !ok {
			break
		}
		delete(x, "documentation")
		delete(y, "documentation")
		if _, there := x["fingerprint"]; !there {
			delete(y, "fingerprint")
		}
		if text, ok := y["message"].(string); ok {
			x["message"], y["message"] = sortedErrors(fmt.Sprint(x["message"])), sortedErrors(text)
		}
		some, is := x["recommended_values"].([]any)
		all, _ := y["recommended_values"].([]any)
		if is && !slices.ContainsFunc(some, func(v any) bool { return !slices.Contains(all, v) }) {
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

// sortedErrors is the message of a refused configuration with its errors in the order of their texts.
func sortedErrors(message string) string {
	lines := strings.Split(message, "\n")
	if strings.HasPrefix(message, "Connector configuration is invalid") && len(lines) > 2 {
		slices.Sort(lines[1 : len(lines)-1])
	}
	return strings.Join(lines, "\n")
}

// common are the items of a list without plugins and settings that another list does not have.
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

// declaredName is the name of a setting, or the class of a plugin; "" where an item is none.
func declaredName(item any) string {
	v, _ := item.(map[string]any)
	if class, ok := v["class"].(string); ok {
		return class
	}
	for _, of := range []any{v["definition"], v["value"], v} {
		d, _ := of.(map[string]any)
		_, definition := d["dependents"]
		_, value := d["visible"]
		if name, ok := d["name"].(string); ok && (definition || value) {
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

// WithoutOrder takes out `order`, which definitions have in addition to `order_in_group`: Kafka Connect had it before
// 4.2, and there are tools that know it alone.
func WithoutOrder(found any) any {
	switch v := found.(type) {
	case []any:
		for _, one := range v {
			WithoutOrder(one)
		}
	case map[string]any:
		if order, there := v["order"]; there && order == v["order_in_group"] {
			delete(v, "order")
		}
		for _, one := range v {
			WithoutOrder(one)
		}
	}
	return found
}
