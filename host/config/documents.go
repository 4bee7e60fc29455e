package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// readJSON reads a connector as REST takes it, `{"name":…,"config":{…}}`, or a flat object of settings. Numbers and booleans are
// kept as text, as Kafka Connect does.
func readJSON(file string, data []byte) ([]Entry, Problems) {
	r := &jsonReader{file: file, data: []byte(text(data))}
	r.dec = json.NewDecoder(bytes.NewReader(r.data))
	r.dec.UseNumber()
	if err := r.document(); err != nil {
		r.problems = append(r.problems, Problem{File: file, Line: r.line(), Text: "invalid JSON: " + err.Error()})
	}
	if r.inner == nil {
		return r.entries, r.problems
	}
	return r.envelope(), r.problems
}

// envelope is the entries of the REST form: those of `config`, and the connector's name from around it.
func (r *jsonReader) envelope() []Entry {
	entries := *r.inner
	for _, e := range r.entries {
		inside := slices.IndexFunc(entries, func(i Entry) bool { return i.Key == "name" })
		switch {
		case e.Key == "name" && inside < 0:
			entries = append([]Entry{e}, entries...)
		case e.Key == "name" && entries[inside].Value != e.Value:
			r.problems = append(r.problems, e.problem("expected the same name as inside config, %q, found %q", entries[inside].Value, e.Value))
		case e.Key != "name":
			r.problems = append(r.problems, e.warning("not a setting: expected inside config"))
		}
	}
	return entries
}

type jsonReader struct {
	file     string
	data     []byte
	dec      *json.Decoder
	entries  []Entry
	inner    *[]Entry // the entries inside `config`
	problems Problems
}

func (r *jsonReader) line() int {
	return bytes.Count(r.data[:min(int(r.dec.InputOffset()), len(r.data))], []byte("\n")) + 1
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

// config descends into `config`, whose entries are the connector's; everything else in the outer object must be plain.
func (r *jsonReader) config(e Entry, opened json.Delim) error {
	if e.Key == "config" && opened == '{' {
		outer := r.entries
		r.entries = []Entry{}
		err := r.members(r.refuseNested)
		inner := r.entries
		r.entries, r.inner = outer, &inner
		return err
	}
	return r.refuseNested(e, opened)
}

func (r *jsonReader) refuseNested(e Entry, _ json.Delim) error {
	r.refuse(e, "an object or a list")
	return r.skip()
}

func (r *jsonReader) refuse(e Entry, found string) {
	r.problems = append(r.problems, e.problem("expected text, a number or a boolean, found %s", found))
}

// members reads the members of an object up to its brace; nested is called behind the opening brace or bracket of a value.
func (r *jsonReader) members(nested func(Entry, json.Delim) error) error {
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
		switch v := v.(type) {
		case json.Delim:
			if err := nested(e, v); err != nil {
				return err
			}
			continue
		case nil:
			r.refuse(e, "null")
			continue
		case string:
			e.Raw = v
		default:
			e.Raw = fmt.Sprint(v)
		}
		e.Value = e.Raw
		r.entries = append(r.entries, e)
	}
	_, err := r.dec.Token()
	return err
}

// skip reads to the end of an object or list whose beginning was read.
func (r *jsonReader) skip() error {
	for depth := 1; depth > 0; {
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

// readYAML reads a worker file in YAML. A mapping inside a mapping is a key with a dot, so `offset.flush.interval.ms: 1` and the
// nested form say the same; values are the text that stands there (`007` and `no` are not read as numbers or booleans).
func readYAML(file string, data []byte) ([]Entry, Problems) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text(data)), &root); err != nil {
		return nil, Problems{{File: file, Line: 1, Text: "invalid YAML: " + err.Error()}}
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	r := yamlReader{file: file}
	r.mapping("", root.Content[0])
	return r.entries, r.problems
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
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				r.problems = append(r.problems, e.problem("expected a list of plain values"))
				return
			}
			if i > 0 {
				e.Raw += ","
			}
			e.Raw += item.Value
		}
		e.Value = e.Raw
		r.entries = append(r.entries, e)
	case n.Tag == "!!null":
		r.problems = append(r.problems, e.problem("expected a value, found null"))
	default:
		e.Value, e.Raw = n.Value, n.Value
		r.entries = append(r.entries, e)
	}
}
