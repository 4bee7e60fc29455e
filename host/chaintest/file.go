package chaintest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Bounds of what a file says with aliases of YAML, which are short and stand for much.
const (
	maxValues = 1_000_000
	maxDepth  = 1000
	maxBytes  = 64 << 20
)

// file is a file of tests as it was read.
type file struct {
	path string
	// connector is the file that is named, "" for none.
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
	// refused is part of the problem that the settings are to have, "" where they are to be good.
	refused string
}

// input is a record with what it is to become.
type input struct {
	line                         int
	topic                        string
	partition, offset, timestamp int64
	key, value                   []byte
	headers                      []header
	becomes                      wanted
}

// header is a header of a record; the value is an envelope of the JSON converter.
type header struct {
	name  string
	value []byte
}

// wanted is what a record is to become.
type wanted struct {
	line    int
	dropped bool
	// fails: with an error that contains message, at the stage and of the class where these are given.
	fails                 bool
	message, stage, class string
	records               []expected
}

// expected is a record that is to come out; nil parts are not compared.
type expected struct {
	line       int
	topic      *string
	key, value *expectation
	headers    []expectedHeader
	anyHeaders bool // headers are not compared
}

type expectedHeader struct {
	name  string
	value *expectation
}

// expectation is a value with the schema that it is to have, or without saying which.
type expectation struct {
	line int
	json []byte
	// envelope: json has `schema` and `payload`, and both are compared.
	envelope bool
}

// Files are the files of tests below the arguments: a folder stands for those in it whose names end with _test.yaml or
// _test.yml, no argument for the folder at work.
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
		found := len(files)
		for _, e := range entries {
			if config.IsTest(e.Name()) {
				files = append(files, filepath.Join(arg, e.Name()))
			}
		}
		if len(files) == found {
			return nil, fmt.Errorf("%s: expected files of tests, whose names end with _test.yaml, found none", arg)
		}
	}
	return files, nil
}

// read reads a file of tests. The problems say what is wrong in it, the error that it cannot be read.
func read(path string) (*file, config.Problems, error) {
	data, err := config.ReadRegular(path)
	if err != nil {
		return nil, nil, err
	}
	r := reader{file: &file{path: path}}
	var root, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	if err := documents.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, config.Problems{config.NotYAML(path, "expected tests in YAML", err)}, nil
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, config.Problems{{File: path, Line: max(more.Line, 1),
			Text: "expected one document in the file, found another behind ---"}}, nil
	}
	r.top(root.Content[0])
	return r.file, r.problems, nil
}

type reader struct {
	file     *file
	problems config.Problems
	// values and bytes are counted over the whole file.
	values, bytes int
}

func (r *reader) complain(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < 100 {
		r.problems = append(r.problems, config.Problem{File: r.file.path, Line: n.Line, Text: fmt.Sprintf(format,
			args...)})
	}
}

// fields calls take for each member of a mapping that is one of names; others are problems.
func (r *reader) fields(n *yaml.Node, what string, names []string, take func(name string, key, value *yaml.Node)) {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		r.complain(n, "expected %s as a mapping with %s, found %s", what, strings.Join(names, ", "), kind(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], target(n.Content[i+1])
		switch {
		case !slices.Contains(names, key.Value):
			r.complain(key, "%s has no %q: expected %s", what, key.Value, strings.Join(names, ", "))
		case seen[key.Value]:
			r.complain(key, "%s has %s twice", what, key.Value)
		default:
			seen[key.Value] = true
			take(key.Value, key, value)
		}
	}
}

func (r *reader) top(n *yaml.Node) {
	f := r.file
	var tests *yaml.Node
	r.fields(n, "a file of tests", []string{"connector", "settings", "tests"}, func(name string, _, v *yaml.Node) {
		switch name {
		case "connector":
			f.connector, f.connectorLine = r.text(v, name), v.Line
		case "settings":
			f.settings = r.settings(v)
		case "tests":
			tests = v
		}
	})
	switch {
	case len(r.problems) > 0:
	case tests == nil || tests.Kind != yaml.SequenceNode || len(tests.Content) == 0:
		r.complain(n, "expected a list of tests below tests:")
	case f.connector == "" && len(f.settings) == 0:
		r.complain(n, "expected connector: FILE or settings:, with the transforms to test")
	default:
		names := map[string]int{}
		for _, t := range tests.Content {
			r.test(target(t))
			if last := len(f.tests) - 1; last >= 0 {
				if before := names[f.tests[last].name]; before > 0 && before != f.tests[last].line {
					r.complain(t, "a test of the name %q stands in line %d", f.tests[last].name, before)
				}
				names[f.tests[last].name] = f.tests[last].line
			}
		}
	}
}

func (r *reader) settings(n *yaml.Node) []config.Entry {
	entries, problems := config.YAMLSettings(r.file.path, n)
	r.problems = append(r.problems, problems...)
	for _, e := range entries {
		word, rest, _ := strings.Cut(e.Key, ".")
		for _, known := range []string{"transforms", "predicates"} {
			if word != known && setting.Distance(word, known) <= 2 {
				if rest != "" {
					known += "." + rest
				}
				r.problems = append(r.problems, config.Problem{File: e.File, Line: e.Line, Setting: e.Key,
					Text: setting.Unknown(known)})
			}
		}
	}
	return entries
}

func (r *reader) test(n *yaml.Node) {
	t := test{line: n.Line}
	r.fields(n, "a test", []string{"name", "settings", "records", "refused"}, func(name string, _, v *yaml.Node) {
		switch name {
		case "name":
			t.name = r.text(v, name)
		case "settings":
			t.settings = r.settings(v)
		case "refused":
			t.refused = r.text(v, name)
		case "records":
			if v.Kind != yaml.SequenceNode {
				r.complain(v, "expected a list of records, found %s", kind(v))
				return
			}
			for _, record := range v.Content {
				t.records = append(t.records, r.record(target(record)))
			}
		}
	})
	if t.name == "" {
		r.complain(n, "expected a name of the test")
	}
	if (len(t.records) > 0) == (t.refused != "") {
		r.complain(n, "expected either records or refused: TEXT in a test")
	}
	r.file.tests = append(r.file.tests, t)
}

func (r *reader) record(n *yaml.Node) input {
	in := input{line: n.Line, partition: -1, offset: -1, timestamp: -1}
	said := false
	r.fields(n, "a record", []string{"topic", "partition", "offset", "timestamp", "key", "value", "headers", "becomes"},
		func(name string, _, v *yaml.Node) {
			switch name {
			case "topic":
				in.topic = r.text(v, name)
			case "partition":
				in.partition = r.number(v, name, 1<<31-1)
			case "offset":
				in.offset = r.number(v, name, 1<<63-1)
			case "timestamp":
				in.timestamp = r.number(v, name, 1<<63-1)
			case "key":
				in.key = r.given(v)
			case "value":
				in.value = r.given(v)
			case "headers":
				r.headers(v, func(name string, value *yaml.Node) {
					in.headers = append(in.headers, header{name, r.given(value)})
				})
			case "becomes":
				said, in.becomes = true, r.wanted(v)
			}
		})
	if in.topic == "" {
		r.complain(n, "expected the topic of the record")
	}
	if !said {
		r.complain(n, "expected becomes: a record, a list of records, dropped, or an error")
	}
	return in
}

func (r *reader) wanted(n *yaml.Node) wanted {
	o := wanted{line: n.Line}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "dropped":
		o.dropped = true
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		for _, one := range n.Content {
			o.records = append(o.records, r.expected(target(one)))
		}
	case n.Kind == yaml.MappingNode && has(n, "error"):
		o.fails = true
		r.fields(n, "an error", []string{"error", "stage", "class"}, func(name string, _, v *yaml.Node) {
			*map[string]*string{"error": &o.message, "stage": &o.stage, "class": &o.class}[name] = r.text(v, name)
		})
	case n.Kind == yaml.MappingNode:
		o.records = []expected{r.expected(n)}
	default:
		r.complain(n, "expected a record, a list of records, dropped, or a mapping with error, found %s", kind(n))
	}
	return o
}

func (r *reader) expected(n *yaml.Node) expected {
	e := expected{line: n.Line, anyHeaders: true}
	r.fields(n, "a record that comes out", []string{"topic", "key", "value", "headers"},
		func(name string, _, v *yaml.Node) {
			switch name {
			case "topic":
				text := r.text(v, name)
				e.topic = &text
			case "key":
				e.key = r.expectation(v)
			case "value":
				e.value = r.expectation(v)
			case "headers":
				e.anyHeaders = false
				r.headers(v, func(name string, value *yaml.Node) {
					e.headers = append(e.headers, expectedHeader{name, r.expectation(value)})
				})
			}
		})
	if e.topic == nil && e.key == nil && e.value == nil && e.anyHeaders {
		r.complain(n, "expected at least one of topic, key, value, headers: nothing would be compared")
	}
	return e
}

func (r *reader) headers(n *yaml.Node, take func(name string, value *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.complain(n, "expected a list of headers, each with name and value, found %s", kind(n))
		return
	}
	for _, h := range n.Content {
		var name string
		var value *yaml.Node
		r.fields(h, "a header", []string{"name", "value"}, func(key string, _, v *yaml.Node) {
			if key == "name" {
				name = r.text(v, key)
			} else {
				value = v
			}
		})
		if value == nil {
			r.complain(h, "expected a value of the header")
			continue
		}
		take(name, value)
	}
}

func (r *reader) text(n *yaml.Node, name string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.complain(n, "%s: expected a text, found %s", name, kind(n))
	}
	return n.Value
}

func (r *reader) number(n *yaml.Node, name string, most int64) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 || v > most {
		r.complain(n, "%s: expected a number from 0 to %d, found %s", name, most, kind(n))
	}
	return v
}

// given is a value as the JSON converter reads it with schemas, nil for none: a mapping of `schema` and `payload` is
// one already, all else has no schema.
func (r *reader) given(n *yaml.Node) []byte {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	text := r.json(nil, n, 0)
	if isEnvelope(n) {
		return text
	}
	return append(append([]byte(`{"schema":null,"payload":`), text...), '}')
}

func (r *reader) expectation(n *yaml.Node) *expectation {
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

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}

// kind is what a node is, for messages.
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

// jsonNumber is what JSON takes for a number.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// json appends a node as JSON. Numbers keep their digits; dates are texts.
func (r *reader) json(dst []byte, n *yaml.Node, depth int) (out []byte) {
	n = target(n)
	r.values++
	before := len(dst)
	defer func() {
		if n.Kind == yaml.ScalarNode {
			r.bytes += len(out) - before
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
			r.complain(n, "expected base64 behind !!binary: %v", err)
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
