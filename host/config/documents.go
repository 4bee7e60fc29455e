package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// readJSON reads a connector as Kafka's standalone worker takes it: a flat object of settings, REST's request
// `{"name":…,"config":{…}}`, or REST's answer, which has `tasks` and `type` too. Numbers and booleans are kept as text,
// as Kafka Connect does.
func readJSON(file string, data []byte) ([]Entry, Problems) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	r := &jsonReader{file: file, data: data, at: 1}
	r.dec = json.NewDecoder(bytes.NewReader(r.data))
	r.dec.UseNumber()
	err := r.document()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("expected the rest of the document, found its end")
	}
	if err != nil {
		r.problems = append(r.problems, Problem{File: file, Line: r.line(), Text: "invalid JSON: " + err.Error()})
	}
	if r.inner == nil {
		return r.entries, append(r.problems, r.nested.problems()...)
	}
	entries, problems := envelope(r.entries, *r.inner, r.nested)
	return entries, append(r.problems, problems...)
}

// misplaced are members next to `config` that are no plain values.
type misplaced []Entry

func (m misplaced) problems() Problems {
	var problems Problems
	for _, e := range m {
		problems = append(problems, e.problem("expected text, a number or a boolean, found %s", e.Raw))
	}
	return problems
}

// answered are members that REST puts next to `name` and `config`; they say nothing that a connector could take.
func answered(member string) bool { return member == "tasks" || member == "type" }

// envelope is the settings of REST's form: those of `config`, and the connector's name that stands next to it.
func envelope(outer, config []Entry, nested misplaced) ([]Entry, Problems) {
	var problems Problems
	inside := slices.IndexFunc(config, func(e Entry) bool { return e.Key == "name" })
	for _, e := range append(slices.Clone(outer), nested...) {
		switch {
		case answered(e.Key):
		case e.Key == "name" && inside < 0:
			config, inside = append([]Entry{e}, config...), 0
		case e.Key == "name" && config[inside].Raw == e.Raw:
		case e.Key == "name":
			problems = append(problems, e.problem("expected the same name as inside config, %q, found %q",
				config[inside].Raw, e.Raw))
		case e.Key == "initial_state" && initialTarget(e) == "":
			problems = append(problems, e.problem("expected RUNNING, PAUSED or STOPPED, found %s", e.Raw))
		case e.Key == "initial_state":
			e.IsInitialState = true
			config = append(config, e)
		default:
			problems = append(problems, e.warning("not a setting: expected inside config"))
		}
	}
	return config, problems
}

// initialTarget is the target state of an entry initial_state, "" where it is none.
func initialTarget(e Entry) string {
	switch strings.ToUpper(setting.Trim(e.Raw)) {
	case "RUNNING":
		return TargetStarted
	case TargetPaused:
		return TargetPaused
	case TargetStopped:
		return TargetStopped
	}
	return ""
}

type jsonReader struct {
	file     string
	data     []byte
	dec      *json.Decoder
	at       int // the line at offset counted
	counted  int
	entries  []Entry
	inner    *[]Entry  // the entries inside `config`
	nested   misplaced // in the outer object
	problems Problems
}

// line is where the decoder stands. Each newline is counted once.
func (r *jsonReader) line() int {
	to := min(int(r.dec.InputOffset()), len(r.data))
	r.at += bytes.Count(r.data[r.counted:to], []byte("\n"))
	r.counted = to
	return r.at
}

func (r *jsonReader) document() error {
	t, err := r.dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("expected an object, found %v", t)
	}
	if err := r.members(r.config); err != nil {
		return err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("expected the end of the file behind the object")
	}
	return nil
}

// config descends into `config`, whose entries are the connector's.
func (r *jsonReader) config(e Entry, opened json.Delim) error {
	if e.Key == "config" && opened == '{' {
		outer := r.entries
		r.entries = []Entry{}
		err := r.members(r.refuseNested)
		inner := r.entries
		r.entries, r.inner = outer, &inner
		return err
	}
	e.Raw = "an object or a list"
	if opened == 0 {
		e.Raw = "null"
	}
	r.nested = append(r.nested, e)
	return r.skip(opened)
}

func (r *jsonReader) refuseNested(e Entry, opened json.Delim) error {
	found := "an object or a list"
	if opened == 0 {
		found = "null; leave the setting out to have its default"
	}
	r.problems = append(r.problems, e.problem("expected text, a number or a boolean, found %s", found))
	return r.skip(opened)
}

// members reads the members of an object up to its brace; other is called for values that are not plain, with the brace
// or bracket that it begins with, or 0 for null.
func (r *jsonReader) members(other func(Entry, json.Delim) error) error {
	for r.dec.More() {
		t, err := r.dec.Token()
		if err != nil {
			return err
		}
		e := Entry{Key: t.(string), File: r.file, Line: r.line()}
		v, err := r.dec.Token()
		if err != nil {
			return err
		}
		if opened, nested := v.(json.Delim); nested || v == nil {
			if err := other(e, opened); err != nil {
				return err
			}
			continue
		}
		r.entries = append(r.entries, NewEntry(e.Key, fmt.Sprint(v), r.file, e.Line))
	}
	_, err := r.dec.Token()
	return err
}

// skip reads to the end of an object or list whose beginning was read, 0 for neither.
func (r *jsonReader) skip(opened json.Delim) error {
	for depth := min(int(opened), 1); depth > 0; {
		t, err := r.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// readYAML reads a worker's or a connector's file in YAML. A mapping inside a mapping is a key with a dot, so
// `offset.flush.interval.ms: 1` and the nested form say the same; values are the text that stands there (`007` and `no`
// are not read as numbers or booleans). A connector may also have the form that REST has for it, with its settings
// below `config`.
func readYAML(file string, data []byte) ([]Entry, Problems) {
	var root, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	switch err := documents.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, Problems{YAMLProblem(file, "invalid YAML", err)}
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, Problems{{File: file, Line: max(more.Line, 1),
			Text: "expected one document in the file, found another behind ---"}}
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	r := yamlReader{file: file}
	if config, outer := restForm(root.Content[0]); config != nil {
		r.mapping("", config)
		settings := r.entries
		r.entries = nil
		r.mapping("", outer)
		entries, problems := envelope(r.entries, settings, nil)
		return entries, append(r.problems, problems...)
	}
	r.mapping("", root.Content[0])
	return r.entries, r.problems
}

// YAMLProblem is the problem of a file that the decoder of YAML refuses, at the line that it names in its text.
func YAMLProblem(file, what string, err error) Problem {
	p := Problem{File: file, Line: 1, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if rest, ok := strings.CutPrefix(p.Text, "line "); ok {
		number, text, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil && n > 0 {
			p.Line, p.Text = n, text
		}
	}
	p.Text = what + ": " + p.Text
	return p
}

// YAMLSettings are the settings that a mapping of a YAML document holds, each with its line; [ReadFile] says how they
// are read.
func YAMLSettings(file string, n *yaml.Node) ([]Entry, Problems) {
	r := yamlReader{file: file}
	r.mapping("", n)
	entries, twice := lastCounts(r.entries)
	return entries, append(r.problems, twice...)
}

// restForm cuts a document of the form that REST has for connectors into `config` and what stands next to it. nil: it
// has another form; a worker's file may have a mapping `config`, too (`config.storage.topic`).
func restForm(n *yaml.Node) (config, outer *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	rest := *n
	rest.Content = nil
	named := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Value == "config" && value.Kind == yaml.MappingNode:
			config = value
			continue
		case answered(key.Value):
			continue
		case key.Value == "name":
			named = true
		case key.Value != "initial_state":
			return nil, nil
		}
		rest.Content = append(rest.Content, key, value)
	}
	if !named {
		return nil, nil
	}
	return config, &rest
}

type yamlReader struct {
	file     string
	entries  []Entry
	problems Problems
}

func (r *yamlReader) mapping(prefix string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.problems = append(r.problems, Problem{File: r.file, Line: n.Line, Text: "expected a mapping of settings"})
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		r.value(prefix+n.Content[i].Value, n.Content[i].Line, n.Content[i+1])
	}
}

func (r *yamlReader) value(key string, line int, n *yaml.Node) {
	e := Entry{Key: key, File: r.file, Line: line}
	switch {
	case n.Kind == yaml.AliasNode:
		r.problems = append(r.problems, e.problem("expected a value, found an alias"))
	case n.Kind == yaml.MappingNode:
		r.mapping(key+".", n)
	case n.Kind == yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				r.problems = append(r.problems, e.problem("expected a list of plain values"))
				return
			}
			items = append(items, item.Value)
		}
		r.entries = append(r.entries, NewEntry(key, strings.Join(items, ","), r.file, line))
	case n.Tag == "!!null":
		r.problems = append(r.problems, e.problem("expected a value, found null"))
	default:
		r.entries = append(r.entries, NewEntry(key, n.Value, r.file, line))
	}
}
