package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/secret"
)

// readJSON reads what Kafka's standalone worker accepts: an object of settings, or REST's request or response
// `{"name":…,"config":{…}}`. Numbers and booleans become strings, as in Kafka Connect.
func readJSON(file string, data []byte) ([]Entry, Problems) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	r := &jsonReader{file: file, data: data, lineNumber: 1}
	r.dec = json.NewDecoder(bytes.NewReader(r.data))
	r.dec.UseNumber()
	err := secret.JSONError(r.document())
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

// nestedMembers are members that are no settings: Raw describes the value, an object, a list or null.
type nestedMembers []Entry

func (m nestedMembers) problems() Problems {
	var problems Problems
	for _, entry := range m {
		problems = append(problems, entry.Problem("expected text, a number or a boolean, found %s", entry.Raw))
	}
	return problems
}

func isResponseMember(member string) bool { return member == "tasks" || member == "type" }

// envelope returns the settings inside config, with name and initial state of the object around it. nested are members
// of that object with an object, a list or null.
func envelope(outer, config []Entry, nested nestedMembers) ([]Entry, Problems) {
	var problems Problems
	inside := slices.IndexFunc(config, func(entry Entry) bool { return entry.Key == "name" })
	for _, entry := range append(slices.Clone(outer), nested...) {
		switch {
		case isResponseMember(entry.Key): // ignored, so that responses can be read
		case entry.Key == "name" && inside < 0:
			config = append([]Entry{entry}, config...)
			inside = 0
		case entry.Key == "name" && config[inside].Raw == entry.Raw: // the same name in both places
		case entry.Key == "name":
			problems = append(problems, entry.Problem("expected the same name as inside config, %q, found %q",
				config[inside].Raw, entry.Raw))
		case entry.Key == InitialStateKey:
			config = append(config, entry)
		default:
			problems = append(problems, entry.Warning("not a setting: expected inside config"))
		}
	}
	return config, problems
}

type jsonReader struct {
	file       string
	data       []byte
	dec        *json.Decoder
	lineNumber int // the line at offset counted
	counted    int // the offset up to which lines were counted
	entries    []Entry
	inner      *[]Entry      // the entries inside `config`
	nested     nestedMembers // in the outer object
	problems   Problems
}

func (r *jsonReader) line() int {
	to := min(int(r.dec.InputOffset()), len(r.data))
	r.lineNumber += bytes.Count(r.data[r.counted:to], []byte("\n"))
	r.counted = to
	return r.lineNumber
}

func (r *jsonReader) document() error {
	t, err := r.dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("expected an object, found %s", tokenKind(t))
	}
	if err := r.members(r.config); err != nil {
		return err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("expected the end of the file after the object")
	}
	return nil
}

// tokenKind returns the kind of a token that begins no object. The token itself may be a password.
func tokenKind(token json.Token) string {
	switch token.(type) {
	case json.Delim:
		return "a list"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	}
	return "null"
}

func (r *jsonReader) config(entry Entry, opened json.Delim) error {
	if entry.Key == "config" && opened == '{' {
		outer := r.entries
		r.entries = []Entry{}
		err := r.members(r.rejectNested)
		inner := r.entries
		r.entries = outer
		r.inner = &inner
		return err
	}
	entry.Raw = "an object or a list"
	if opened == 0 {
		entry.Raw = "null"
	}
	r.nested = append(r.nested, entry)
	return r.skip(opened)
}

func (r *jsonReader) rejectNested(entry Entry, opened json.Delim) error {
	content := "an object or a list"
	if opened == 0 {
		content = "null; remove the setting to use its default"
	}
	r.problems = append(r.problems, entry.Problem("expected text, a number or a boolean, found %s", content))
	return r.skip(opened)
}

// members reads an object's members. It calls onNested for nested values with their opening brace or bracket, 0 for
// null.
func (r *jsonReader) members(onNested func(Entry, json.Delim) error) error {
	for r.dec.More() {
		t, err := r.dec.Token()
		if err != nil {
			return err
		}
		entry := Entry{Key: t.(string), File: r.file, Line: r.line()}
		v, err := r.dec.Token()
		if err != nil {
			return err
		}
		if opened, ok := v.(json.Delim); ok || v == nil {
			if err := onNested(entry, opened); err != nil {
				return err
			}
			continue
		}
		r.entries = append(r.entries, NewEntry(entry.Key, fmt.Sprint(v), r.file, entry.Line))
	}
	_, err := r.dec.Token()
	return err
}

// skip reads the rest of a nested value after its opening brace or bracket; 0 is null, which has no rest.
func (r *jsonReader) skip(opened json.Delim) error {
	if opened == 0 {
		return nil
	}
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

// readYAML reads nested mappings as keys with dots, values as strings (`007` and `no` too), or REST's form.
func readYAML(file string, data []byte) ([]Entry, Problems) {
	var root, extra yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	switch err := documents.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, Problems{YAMLProblem(file, "invalid YAML", data, err)}
	}
	if err := documents.Decode(&extra); !errors.Is(err, io.EOF) {
		return nil, Problems{{File: file, Line: max(extra.Line, 1),
			Text: "expected one document in the file, found another after ---"}}
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	r := yamlReader{file: file}
	if config, outer := restForm(root.Content[0]); config != nil {
		r.mapping(config)
		settings := r.entries
		r.entries = nil
		r.mapping(outer)
		entries, problems := envelope(r.entries, settings, nil)
		return entries, append(r.problems, problems...)
	}
	r.mapping(root.Content[0])
	return r.entries, r.problems
}

// YAMLProblem returns the problem of an invalid file, at the line in the decoder's error. It quotes no value.
func YAMLProblem(file, prefix string, data []byte, err error) Problem {
	p := Problem{File: file, Line: 1, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if numbered, ok := strings.CutPrefix(p.Text, "line "); ok {
		number, message, _ := strings.Cut(numbered, ": ")
		if n, err := strconv.Atoi(number); err == nil && n > 0 {
			p.Line = n
			p.Text = message
		}
	}
	if name, ok := strings.CutPrefix(p.Text, "unknown anchor '"); ok { // an error without a line
		name, _, _ = strings.Cut(name, "'")
		alias := regexp.MustCompile(`[\s\[{,]\*` + regexp.QuoteMeta(name) + `(?:[\s,\]}]|$)`)
		if match := alias.FindIndex(data); match != nil {
			p.Line += bytes.Count(data[:match[0]+1], []byte("\n"))
		}
		p.Text = "a value begins with *, which means an alias in YAML, and there is no anchor for it: put quotation " +
			"marks around values that begin with * or &"
	}
	p.Text = prefix + ": " + p.Text
	return p
}

// YAMLSettings returns the settings in a mapping of a YAML document, see [ReadFile].
func YAMLSettings(file string, n *yaml.Node) ([]Entry, Problems) {
	r := yamlReader{file: file}
	r.mapping(n)
	entries, twice := dropDuplicates(r.entries)
	return entries, append(r.problems, twice...)
}

// restForm returns the mapping config and the settings around it if a document has REST's form. If not, config is nil.
func restForm(n *yaml.Node) (config, outer *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	remaining := *n
	remaining.Content = nil
	hasName := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value := n.Content[i+1]
		switch {
		case key.Value == "config" && value.Kind == yaml.MappingNode:
			config = value
			continue
		case isResponseMember(key.Value):
			continue
		case key.Value == "name":
			hasName = true
		case key.Value != InitialStateKey:
			return nil, nil
		}
		remaining.Content = append(remaining.Content, key, value)
	}
	if !hasName {
		return nil, nil
	}
	return config, &remaining
}

// yamlReader joins the keys of nested mappings. Invariants: prefix contains the keys around the current one, each with
// a dot. A name is counted before it is built, because a long key may be part of many names.
type yamlReader struct {
	file      string
	prefix    []byte
	count     int  // settings so far, valid or not
	nameBytes int  // length of their names together
	isFull    bool // there are too many settings, or too long names
	entries   []Entry
	problems  Problems
}

func (r *yamlReader) mapping(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.problems = append(r.problems, Problem{File: r.file, Line: n.Line, Text: "expected a mapping of settings"})
		return
	}
	for i := 0; i+1 < len(n.Content) && !r.isFull; i += 2 {
		r.value(n.Content[i], n.Content[i+1])
	}
}

// countSetting counts a setting and returns its entry. If there are too many settings, or too long names, ok is false,
// and the file has this problem only.
func (r *yamlReader) countSetting(key *yaml.Node) (entry Entry, ok bool) {
	r.count++
	r.nameBytes += len(r.prefix) + len(key.Value)
	p := Problem{File: r.file, Line: key.Line}
	switch {
	case r.count > MaxSettings:
		p.Text = fmt.Sprintf("expected at most %d settings, found more", MaxSettings)
	case r.nameBytes > maxFileBytes:
		p.Text = fmt.Sprintf("the names of settings are too long: expected at most %d bytes for all names, each "+
			"with the keys around it, found more", maxFileBytes)
	default:
		return Entry{Key: string(r.prefix) + key.Value, File: r.file, Line: key.Line}, true
	}
	r.isFull = true
	r.entries = nil
	r.problems = Problems{p}
	return Entry{}, false
}

func (r *yamlReader) value(key, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		outer := len(r.prefix)
		r.prefix = append(append(r.prefix, key.Value...), '.')
		r.mapping(n)
		r.prefix = r.prefix[:outer]
		return
	}
	entry, ok := r.countSetting(key)
	switch {
	case !ok:
		return
	case n.Kind == yaml.AliasNode:
		r.problems = append(r.problems, entry.Problem("expected a value, found an alias"))
	case n.Kind == yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				r.problems = append(r.problems, entry.Problem("expected a list of plain values"))
				return
			}
			items = append(items, item.Value)
		}
		r.entries = append(r.entries, NewEntry(entry.Key, strings.Join(items, ","), r.file, entry.Line))
	case n.Tag == "!!null":
		r.problems = append(r.problems, entry.Problem("expected a value, found null"))
	default:
		r.entries = append(r.entries, NewEntry(entry.Key, n.Value, r.file, entry.Line))
	}
}
