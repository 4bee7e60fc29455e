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

// reportedProblems is how many problems of a file are reported.
const reportedProblems = 100

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
	becomes   expectedResult
}

// header is a header of a record; the value is an envelope of the JSON converter.
type header struct {
	name  string
	value []byte
}

// expectedResult is the expected result of a record.
type expectedResult struct {
	line      int
	isDropped bool
	// fails expects an error that contains message, with stage and class unless these are empty.
	fails   bool
	message string
	stage   string
	class   string
	records []expectedRecord
}

// expectedRecord is an expected record; nil parts are not compared.
type expectedRecord struct {
	line    int
	topic   *string
	key     *expectedValue
	value   *expectedValue
	headers []expectedHeader
	// ignoresHeaders means that headers are not compared.
	ignoresHeaders bool
}

type expectedHeader struct {
	name  string
	value *expectedValue
}

// expectedValue is an expected value, with its schema if the file has one.
type expectedValue struct {
	line int
	json []byte
	// isEnvelope means that json has `schema` and `payload`, and that both are compared.
	isEnvelope bool
}

// Files returns the test files of the arguments. A folder means the files in it whose names end with
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

// readFile reads a file of tests. It returns the problems in it, or an error if it cannot be read.
func readFile(path string) (*file, config.Problems, error) {
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
	r.readTests(root.Content[0])
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

func (r *reader) addProblem(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < reportedProblems {
		text := fmt.Sprintf(format, args...)
		r.problems = append(r.problems, config.Problem{File: r.file.path, Line: n.Line, Text: text})
	}
}

// readMembers returns the members of a mapping by name; other names than names are problems. It returns nil for a node
// that is no mapping.
func (r *reader) readMembers(n *yaml.Node, what string, names ...string) map[string]*yaml.Node {
	n = resolveAlias(n)
	if n.Kind != yaml.MappingNode {
		r.addProblem(n, "expected %s as a mapping with %s, found %s", what, strings.Join(names, ", "), describeNode(n))
		return nil
	}
	nodes := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value := resolveAlias(n.Content[i+1])
		switch {
		case !slices.Contains(names, key.Value):
			r.addProblem(key, "%s has no %q: expected %s", what, key.Value, strings.Join(names, ", "))
		case nodes[key.Value] != nil:
			r.addProblem(key, "%s has %s twice", what, key.Value)
		default:
			nodes[key.Value] = value
		}
	}
	return nodes
}

func (r *reader) readTests(n *yaml.Node) {
	f := r.file
	m := r.readMembers(n, "a file of tests", "connector", "settings", "tests")
	if v := m["connector"]; v != nil {
		f.connector = r.readText(v, "connector")
		f.connectorLine = v.Line
	}
	f.settings = r.readSettings(m["settings"])
	tests := m["tests"]
	switch {
	case len(r.problems) > 0: // already reported
	case tests == nil || tests.Kind != yaml.SequenceNode || len(tests.Content) == 0:
		r.addProblem(n, "expected a list of tests below tests:")
	case f.connector == "" && len(f.settings) == 0:
		r.addProblem(n, "expected connector: FILE or settings:, with the transforms to test")
	default:
		lineByName := map[string]int{}
		for _, n := range tests.Content {
			t := r.readTest(resolveAlias(n))
			if firstLine := lineByName[t.name]; firstLine > 0 && firstLine != t.line {
				r.addProblem(n, "a test of the name %q stands in line %d", t.name, firstLine)
			}
			lineByName[t.name] = t.line
			f.tests = append(f.tests, t)
		}
	}
}

// readSettings reads the settings below a node; a nil node has no settings.
func (r *reader) readSettings(n *yaml.Node) []config.Entry {
	if n == nil {
		return nil
	}
	entries, problems := config.YAMLSettings(r.file.path, n)
	r.problems = append(r.problems, problems...)
	for _, e := range entries {
		list, suffix, _ := strings.Cut(e.Key, ".")
		for _, prefix := range []string{"transforms", "predicates"} {
			if list != prefix && setting.Distance(list, prefix) <= 2 { // transforms or predicates with a typing error
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

func (r *reader) readTest(n *yaml.Node) test {
	m := r.readMembers(n, "a test", "name", "settings", "records", "refused")
	t := test{line: n.Line, name: r.readText(m["name"], "name"), settings: r.readSettings(m["settings"]),
		refused: r.readText(m["refused"], "refused")}
	for _, record := range r.readList(m["records"], "a list of records") {
		t.records = append(t.records, r.readRecord(record))
	}
	if t.name == "" {
		r.addProblem(n, "expected a name of the test")
	}
	if (len(t.records) > 0) == (t.refused != "") {
		r.addProblem(n, "expected either records or refused: TEXT in a test")
	}
	return t
}

func (r *reader) readRecord(n *yaml.Node) input {
	m := r.readMembers(n, "a record", "topic", "partition", "offset", "timestamp", "key", "value", "headers", "becomes")
	in := input{line: n.Line, topic: r.readText(m["topic"], "topic"),
		partition: r.readNumber(m["partition"], "partition", math.MaxInt32),
		offset:    r.readNumber(m["offset"], "offset", math.MaxInt64),
		timestamp: r.readNumber(m["timestamp"], "timestamp", math.MaxInt64),
		key:       r.readInput(m["key"]), value: r.readInput(m["value"])}
	r.readHeaders(m["headers"], func(name string, value *yaml.Node) {
		in.headers = append(in.headers, header{name: name, value: r.readInput(value)})
	})
	if in.topic == "" {
		r.addProblem(n, "expected the topic of the record")
	}
	if m["becomes"] == nil {
		r.addProblem(n, "expected becomes: a record, a list of records, dropped, or an error")
		return in
	}
	in.becomes = r.readResult(m["becomes"])
	return in
}

func (r *reader) readResult(n *yaml.Node) expectedResult {
	o := expectedResult{line: n.Line}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "dropped":
		o.isDropped = true
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		for _, item := range n.Content {
			o.records = append(o.records, r.readExpected(resolveAlias(item)))
		}
	case n.Kind == yaml.MappingNode && hasMember(n, "error"):
		m := r.readMembers(n, "an error", "error", "stage", "class")
		o.message = r.readText(m["error"], "error")
		o.fails = true
		o.stage = r.readText(m["stage"], "stage")
		o.class = r.readText(m["class"], "class")
	case n.Kind == yaml.MappingNode:
		o.records = []expectedRecord{r.readExpected(n)}
	default:
		r.addProblem(n, "expected a record, a list of records, dropped, or a mapping with error, found %s",
			describeNode(n))
	}
	return o
}

func (r *reader) readExpected(n *yaml.Node) expectedRecord {
	m := r.readMembers(n, "a record that comes out", "topic", "key", "value", "headers")
	e := expectedRecord{line: n.Line, key: r.readValue(m["key"]), value: r.readValue(m["value"]),
		ignoresHeaders: m["headers"] == nil}
	if m["topic"] != nil {
		topic := r.readText(m["topic"], "topic")
		e.topic = &topic
	}
	r.readHeaders(m["headers"], func(name string, value *yaml.Node) {
		e.headers = append(e.headers, expectedHeader{name: name, value: r.readValue(value)})
	})
	if e.topic == nil && e.key == nil && e.value == nil && e.ignoresHeaders {
		r.addProblem(n, "expected at least one of topic, key, value, headers: nothing would be compared")
	}
	return e
}

func (r *reader) readHeaders(n *yaml.Node, take func(name string, value *yaml.Node)) {
	for _, h := range r.readList(n, "a list of headers, each with name and value") {
		m := r.readMembers(h, "a header", "name", "value")
		if m["value"] == nil {
			r.addProblem(h, "expected a value of the header")
			continue
		}
		take(r.readText(m["name"], "name"), m["value"])
	}
}

// readList returns the elements of a list, no elements for a nil node.
func (r *reader) readList(n *yaml.Node, what string) (items []*yaml.Node) {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.addProblem(n, "expected %s, found %s", what, describeNode(n))
		return nil
	}
	for _, item := range n.Content {
		items = append(items, resolveAlias(item))
	}
	return items
}

// readText returns a scalar, "" for a nil node.
func (r *reader) readText(n *yaml.Node, name string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.addProblem(n, "%s: expected a text, found %s", name, describeNode(n))
	}
	return n.Value
}

// readNumber returns a number from 0 to most, -1 for a nil node.
func (r *reader) readNumber(n *yaml.Node, name string, most int64) int64 {
	if n == nil {
		return -1
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 || v > most {
		r.addProblem(n, "%s: expected a number from 0 to %d, found %s", name, most, describeNode(n))
	}
	return v
}

// readInput returns a value for the JSON converter with schemas, or nil: a mapping with `schema` and `payload` is used
// unchanged, any other value gets no schema.
func (r *reader) readInput(n *yaml.Node) []byte {
	if n == nil || (n.Kind == yaml.ScalarNode && n.Tag == "!!null") {
		return nil
	}
	encoded := r.appendJSON(nil, n, 0)
	if isEnvelope(n) {
		return encoded
	}
	return append(append([]byte(`{"schema":null,"payload":`), encoded...), '}')
}

// readValue returns an expected value, or nil.
func (r *reader) readValue(n *yaml.Node) *expectedValue {
	if n == nil {
		return nil
	}
	return &expectedValue{line: n.Line, json: r.appendJSON(nil, n, 0), isEnvelope: isEnvelope(n)}
}

// isEnvelope reports whether a mapping has exactly schema and payload. Content has each name and each value.
func isEnvelope(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && len(n.Content) == 4 && hasMember(n, "schema") && hasMember(n, "payload")
}

func hasMember(n *yaml.Node, name string) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// resolveAlias returns the node that an alias refers to.
func resolveAlias(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}

// describeNode describes a node in messages.
func describeNode(n *yaml.Node) string {
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

// appendJSON appends a node as JSON. Numbers keep their digits; dates become strings.
func (r *reader) appendJSON(dst []byte, n *yaml.Node, depth int) (out []byte) {
	n = resolveAlias(n)
	r.values++
	start := len(dst)
	defer func() {
		if n.Kind == yaml.ScalarNode {
			r.bytes += len(out) - start
		}
	}()
	switch {
	case depth > maxDepth:
		r.addProblem(n, "expected at most %d levels of values in each other", maxDepth)
		return append(dst, "null"...)
	case r.values > maxValues || r.bytes > maxBytes:
		if r.values == maxValues+1 {
			r.addProblem(n, "expected at most %d values of records in a file", maxValues)
		} else if len(r.problems) == 0 {
			r.addProblem(n, "expected at most %d bytes of records in a file", maxBytes)
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
			key := resolveAlias(n.Content[i])
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				r.addProblem(key, "expected a name, found %s", describeNode(key))
			}
			if names[key.Value] {
				r.addProblem(key, "the name %q is there twice", key.Value)
			}
			names[key.Value] = true
			dst = append(appendQuoted(dst, key.Value), ':')
			dst = r.appendJSON(dst, n.Content[i+1], depth+1)
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendJSON(dst, item, depth+1)
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
			r.addProblem(n, "expected a number as JSON writes it, or a text in quotes, found %s", n.Value)
			return append(dst, "null"...)
		}
		return append(dst, n.Value...)
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			r.addProblem(n, "expected base64 after !!binary: %v", err)
		}
		return appendQuoted(dst, base64.StdEncoding.EncodeToString(b))
	}
	return appendQuoted(dst, n.Value)
}

// appendQuoted appends a text as JSON.
func appendQuoted(dst []byte, text string) []byte {
	b, err := json.Marshal(text)
	if err != nil { // a text is always JSON
		panic(err)
	}
	return append(dst, b...)
}
