package chaintest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Bounds of YAML aliases, which are short and can expand to much.
const (
	maxValues = 1_000_000
	maxDepth  = 1000
	maxBytes  = 64 << 20
)

// file is a parsed file of tests.
type file struct {
	path string
	// connector is the connector file that it names, or "".
	connector     string
	connectorLine int
	settings      []config.Entry
	tests         []test
}

// test is one entry of `tests`.
type test struct {
	name     string
	line     int
	settings []config.Entry
	records  []input
	// refused is a part of the expected error of the settings. Empty means that they must be valid.
	refused string
}

// input is a record and its expected result.
type input struct {
	line      int
	topic     string
	partition int64
	offset    int64
	timestamp int64
	key       []byte
	value     []byte
	headers   []header
	becomes   wanted
}

// header is a header of a record; the value is an envelope of the JSON converter.
type header struct {
	name  string
	value []byte
}

// wanted is the expected result of a record.
type wanted struct {
	line    int
	dropped bool
	// fails expects an error that contains message, with stage and class unless these are empty.
	fails   bool
	message string
	stage   string
	class   string
	records []expected
}

// expected is an expected record; nil parts are not compared.
type expected struct {
	line       int
	topic      *string
	key        *expectation
	value      *expectation
	headers    []expectedHeader
	anyHeaders bool // headers are not compared
}

type expectedHeader struct {
	name  string
	value *expectation
}

// expectation is an expected value, with its schema if the file has one.
type expectation struct {
	line int
	json []byte
	// envelope means that json has `schema` and `payload`, and that both are compared.
	envelope bool
}

// Files returns the test files of the arguments. A folder means the files in and below it whose names end with
// _test.yaml or _test.yml; no argument means the working folder.
func Files(args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, err
		}
		previousCount := len(files)
		for _, e := range entries {
			if config.IsTestFile(e.Name()) {
				files = append(files, filepath.Join(arg, e.Name()))
			}
		}
		if len(files) == previousCount {
			return nil, fmt.Errorf("%s: expected files of tests, whose names end with _test.yaml, found none", arg)
		}
	}
	return files, nil
}

// read reads a file of tests. It returns the problems in it, or an error if it cannot be read.
func read(path string) (*file, config.Problems, error) {
	data, err := config.ReadRegular(path)
	if err != nil {
		return nil, nil, err
	}
	r := reader{file: &file{path: path}}
	var root, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	if err := documents.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, config.Problems{config.YAMLProblem(path, "expected tests in YAML", data, err)}, nil
	}
	if err := documents.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, config.Problems{{File: path, Line: max(second.Line, 1),
			Text: "expected one document in the file, found another after ---"}}, nil
	}
	r.top(root.Content[0])
	r.problems.Sort()
	return r.file, r.problems, nil
}

type reader struct {
	file     *file
	problems config.Problems
	// values and bytes are totals of the file.
	values int
	bytes  int
}

func (r *reader) complain(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < 100 {
		r.problems = append(r.problems, config.Problem{File: r.file.path, Line: n.Line, Text: fmt.Sprintf(format,
			args...)})
	}
}

// members returns the members of a mapping by name; other names than names are problems. It returns nil for a node that
// is no mapping.
func (r *reader) members(n *yaml.Node, what string, names ...string) map[string]*yaml.Node {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		r.complain(n, "expected %s as a mapping with %s, found %s", what, strings.Join(names, ", "), kind(n))
		return nil
	}
	nodes := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value := target(n.Content[i+1])
		switch {
		case !slices.Contains(names, key.Value):
			r.complain(key, "%s has no %q: expected %s", what, key.Value, strings.Join(names, ", "))
		case nodes[key.Value] != nil:
			r.complain(key, "%s has %s twice", what, key.Value)
		default:
			nodes[key.Value] = value
		}
	}
	return nodes
}

func (r *reader) top(n *yaml.Node) {
	f := r.file
	m := r.members(n, "a file of tests", "connector", "settings", "tests")
	if v := m["connector"]; v != nil {
		f.connector = r.text(v, "connector")
		f.connectorLine = v.Line
	}
	f.settings = r.settings(m["settings"])
	tests := m["tests"]
	switch {
	case len(r.problems) > 0: // already reported
	case tests == nil || tests.Kind != yaml.SequenceNode || len(tests.Content) == 0:
		r.complain(n, "expected a list of tests below tests:")
	case f.connector == "" && len(f.settings) == 0:
		r.complain(n, "expected connector: FILE or settings:, with the transforms to test")
	default:
		lines := map[string]int{}
		for _, n := range tests.Content {
			t := r.test(target(n))
			if firstLine := lines[t.name]; firstLine > 0 && firstLine != t.line {
				r.complain(n, "a test of the name %q stands in line %d", t.name, firstLine)
			}
			lines[t.name] = t.line
			f.tests = append(f.tests, t)
		}
	}
}

// settings reads the settings below a node; nil has none.
func (r *reader) settings(n *yaml.Node) []config.Entry {
	if n == nil {
		return nil
	}
	entries, problems := config.YAMLSettings(r.file.path, n)
	r.problems = append(r.problems, problems...)
	for _, e := range entries {
		list, suffix, _ := strings.Cut(e.Key, ".")
		for _, prefix := range []string{"transforms", "predicates"} {
			if list != prefix && setting.Distance(list, prefix) <= 2 {
				if suffix != "" {
					prefix += "." + suffix
				}
				r.problems = append(r.problems, config.Problem{File: e.File, Line: e.Line, Setting: e.Key,
					Text: setting.Unknown(prefix)})
			}
		}
	}
	return entries
}

func (r *reader) test(n *yaml.Node) test {
	m := r.members(n, "a test", "name", "settings", "records", "refused")
	t := test{line: n.Line, name: r.text(m["name"], "name"), settings: r.settings(m["settings"]),
		refused: r.text(m["refused"], "refused")}
	for _, record := range r.list(m["records"], "a list of records") {
		t.records = append(t.records, r.record(record))
	}
	if t.name == "" {
		r.complain(n, "expected a name of the test")
	}
	if (len(t.records) > 0) == (t.refused != "") {
		r.complain(n, "expected either records or refused: TEXT in a test")
	}
	return t
}

func (r *reader) record(n *yaml.Node) input {
	m := r.members(n, "a record", "topic", "partition", "offset", "timestamp", "key", "value", "headers", "becomes")
	in := input{line: n.Line, topic: r.text(m["topic"], "topic"),
		partition: r.number(m["partition"], "partition", math.MaxInt32),
		offset:    r.number(m["offset"], "offset", math.MaxInt64),
		timestamp: r.number(m["timestamp"], "timestamp", math.MaxInt64),
		key:       r.inputJSON(m["key"]), value: r.inputJSON(m["value"])}
	r.headers(m["headers"], func(name string, value *yaml.Node) {
		in.headers = append(in.headers, header{name, r.inputJSON(value)})
	})
	if in.topic == "" {
		r.complain(n, "expected the topic of the record")
	}
	if m["becomes"] == nil {
		r.complain(n, "expected becomes: a record, a list of records, dropped, or an error")
		return in
	}
	in.becomes = r.wanted(m["becomes"])
	return in
}

func (r *reader) wanted(n *yaml.Node) wanted {
	o := wanted{line: n.Line}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "dropped":
		o.dropped = true
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		for _, item := range n.Content {
			o.records = append(o.records, r.expected(target(item)))
		}
	case n.Kind == yaml.MappingNode && has(n, "error"):
		m := r.members(n, "an error", "error", "stage", "class")
		o.message = r.text(m["error"], "error")
		o.fails = true
		o.stage = r.text(m["stage"], "stage")
		o.class = r.text(m["class"], "class")
	case n.Kind == yaml.MappingNode:
		o.records = []expected{r.expected(n)}
	default:
		r.complain(n, "expected a record, a list of records, dropped, or a mapping with error, found %s", kind(n))
	}
	return o
}

func (r *reader) expected(n *yaml.Node) expected {
	m := r.members(n, "a record that comes out", "topic", "key", "value", "headers")
	e := expected{line: n.Line, key: r.expectation(m["key"]), value: r.expectation(m["value"]),
		anyHeaders: m["headers"] == nil}
	if m["topic"] != nil {
		topic := r.text(m["topic"], "topic")
		e.topic = &topic
	}
	r.headers(m["headers"], func(name string, value *yaml.Node) {
		e.headers = append(e.headers, expectedHeader{name, r.expectation(value)})
	})
	if e.topic == nil && e.key == nil && e.value == nil && e.anyHeaders {
		r.complain(n, "expected at least one of topic, key, value, headers: nothing would be compared")
	}
	return e
}

func (r *reader) headers(n *yaml.Node, take func(name string, value *yaml.Node)) {
	for _, h := range r.list(n, "a list of headers, each with name and value") {
		m := r.members(h, "a header", "name", "value")
		if m["value"] == nil {
			r.complain(h, "expected a value of the header")
			continue
		}
		take(r.text(m["name"], "name"), m["value"])
	}
}

// list returns the elements of a list, none for a nil node.
func (r *reader) list(n *yaml.Node, what string) (items []*yaml.Node) {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.complain(n, "expected %s, found %s", what, kind(n))
		return nil
	}
	for _, item := range n.Content {
		items = append(items, target(item))
	}
	return items
}

// text returns a scalar, "" for a nil node.
func (r *reader) text(n *yaml.Node, name string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.complain(n, "%s: expected a text, found %s", name, kind(n))
	}
	return n.Value
}

// number returns a number from 0 to most, -1 for a nil node.
func (r *reader) number(n *yaml.Node, name string, most int64) int64 {
	if n == nil {
		return -1
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 || v > most {
		r.complain(n, "%s: expected a number from 0 to %d, found %s", name, most, kind(n))
	}
	return v
}

// inputJSON returns a value for the JSON converter with schemas, or nil: a mapping with `schema` and `payload` is used
// unchanged, any other value gets no schema.
func (r *reader) inputJSON(n *yaml.Node) []byte {
	if n == nil || (n.Kind == yaml.ScalarNode && n.Tag == "!!null") {
		return nil
	}
	encoded := r.json(nil, n, 0)
	if isEnvelope(n) {
		return encoded
	}
	return append(append([]byte(`{"schema":null,"payload":`), encoded...), '}')
}

// expectation returns an expected value, or nil.
func (r *reader) expectation(n *yaml.Node) *expectation {
	if n == nil {
		return nil
	}
	return &expectation{line: n.Line, json: r.json(nil, n, 0), envelope: isEnvelope(n)}
}

func isEnvelope(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && len(n.Content) == 4 && has(n, "schema") && has(n, "payload")
}

func has(n *yaml.Node, name string) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// target returns the node that an alias refers to.
func target(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}

// kind describes a node in messages.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// jsonNumber matches numbers of JSON.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// json appends a node as JSON. Numbers keep their digits; dates become strings.
func (r *reader) json(dst []byte, n *yaml.Node, depth int) (out []byte) {
	n = target(n)
	r.values++
	start := len(dst)
	defer func() {
		if n.Kind == yaml.ScalarNode {
			r.bytes += len(out) - start
		}
	}()
	switch {
	case depth > maxDepth:
		r.complain(n, "expected at most %d levels of values in each other", maxDepth)
		return append(dst, "null"...)
	case r.values > maxValues || r.bytes > maxBytes:
		if r.values == maxValues+1 {
			r.complain(n, "expected at most %d values of records in a file", maxValues)
		} else if len(r.problems) == 0 {
			r.complain(n, "expected at most %d bytes of records in a file", maxBytes)
		}
		return append(dst, "null"...)
	}
	switch n.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		names := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			key := target(n.Content[i])
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				r.complain(key, "expected a name, found %s", kind(key))
			}
			if names[key.Value] {
				r.complain(key, "the name %q is there twice", key.Value)
			}
			names[key.Value] = true
			dst = append(quote(dst, key.Value), ':')
			dst = r.json(dst, n.Content[i+1], depth+1)
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.json(dst, item, depth+1)
		}
		return append(dst, ']')
	}
	switch n.Tag {
	case "!!null":
		return append(dst, "null"...)
	case "!!bool":
		return strconv.AppendBool(dst, strings.EqualFold(n.Value, "true"))
	case "!!int", "!!float":
		if !jsonNumber.MatchString(n.Value) {
			r.complain(n, "expected a number as JSON writes it, or a text in quotes, found %s", n.Value)
			return append(dst, "null"...)
		}
		return append(dst, n.Value...)
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			r.complain(n, "expected base64 after !!binary: %v", err)
		}
		return quote(dst, base64.StdEncoding.EncodeToString(b))
	}
	return quote(dst, n.Value)
}

// quote appends a text as JSON.
func quote(dst []byte, text string) []byte {
	b, err := json.Marshal(text)
	if err != nil { // a text is always JSON
		panic(err)
	}
	return append(dst, b...)
}
