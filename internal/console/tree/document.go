package tree

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Bounds of a document whose fields are shown.
const (
	maxFields    = 300
	maxDepth     = 16
	maxFieldText = 500 // bytes of a value that is edited as a field
)

// Field is a value of a record.
type Field struct {
	Name     string // of the field, or the index in an array
	Path     string // identifies the field in the document: its place in each value that contains it
	Type     string // in the schema, such as Decimal(2); "" without a schema
	Text     string // the value in the form in which it is typed, "" for null, and {} or [] for a value without members
	Kind     string // of the JSON value: object, array, string, number, boolean or null
	Change   string // changed or added, see [Document.Compare]; "" if it is neither
	IsFaulty bool   // see [Document.Mark]
	IsInput  bool   // see [Document.AllowEdits]
	Children []*Field

	schema *schema // nil is unknown
	start  int     // of the value in the text of the document
	end    int
}

// Open reports whether the viewer shows the members at first.
func (f *Field) Open() bool { return len(f.Children) <= 20 }

// isEditable reports whether the field is one value in one line.
func (f *Field) isEditable() bool {
	return f.isLeaf() && !slices.Contains([]string{"struct", "array", "map"}, f.Type) && len(f.Text) <= maxFieldText &&
		!strings.ContainsFunc(f.Text, unicode.IsControl)
}

func (f *Field) isLeaf() bool { return f.Kind != "object" && f.Kind != "array" }

// Document is a key or value as fields.
type Document struct {
	Fields []*Field // of the value, or the value itself if it has no members
	text   string
	leaves []*Field
	count  int // fields, or more than maxFields if the document is too deep
}

// schema is a schema as JsonConverter writes it.
type schema struct {
	Type       string            `json:"type"`
	Field      string            `json:"field"`
	Name       string            `json:"name"`
	Optional   bool              `json:"optional"`
	Fields     []*schema         `json:"fields"`
	Items      *schema           `json:"items"`
	Values     *schema           `json:"values"`
	Parameters map[string]string `json:"parameters"`
}

// member returns the schema of a field, an entry of a map or an item of an array. Nil is unknown.
func (s *schema) member(name string) *schema {
	switch {
	case s == nil:
		return nil
	case s.Type == "map":
		return s.Values
	case s.Type == "array":
		return s.Items
	}
	i := slices.IndexFunc(s.Fields, func(f *schema) bool { return f != nil && f.Field == name })
	if i < 0 {
		return nil
	}
	return s.Fields[i]
}

// Parse parses a value and its schema, both as JsonConverter writes them. Without a schema, the value may be an
// envelope with its schema. Parse returns nil if the value is no JSON, or has too many fields.
func Parse(text, schemaText string) *Document {
	if !json.Valid([]byte(text)) {
		return nil
	}
	d := &Document{text: text}
	root := &Field{end: len(text)}
	members := map[string]*Field{}
	if schemaText == "" {
		eachMember(text, func(name string, start, end int) { members[name] = &Field{start: start, end: end} })
	}
	if s := members["schema"]; len(members) == 2 && s != nil && members["payload"] != nil {
		root = members["payload"]
		schemaText = text[s.start:s.end]
	}
	_ = json.Unmarshal([]byte(schemaText), &root.schema) // without a schema, the fields have no types
	d.fill(root, 0)
	switch {
	case d.count > maxFields:
		return nil
	case root.isLeaf():
		d.Fields = []*Field{root}
	default:
		d.Fields = root.Children
	}
	return d
}

// fill sets what a field has: its type, and its members or text.
func (d *Document) fill(f *Field, depth int) {
	d.count++
	raw := strings.TrimSpace(d.text[f.start:f.end])
	if f.schema != nil {
		f.Type = f.schema.kind()
	}
	if depth > maxDepth {
		d.count = maxFields + 1 // too deep counts as too many
	}
	if d.count > maxFields {
		return
	}
	switch raw[0] {
	case '{':
		f.Kind = "object"
		f.Text = "{}"
	case '[':
		f.Kind = "array"
		f.Text = "[]"
	default:
		f.setText(raw)
		d.leaves = append(d.leaves, f)
		return
	}
	eachMember(d.text[f.start:f.end], func(name string, start, end int) {
		child := &Field{Name: name, Path: fmt.Sprintf("%s/%d", f.Path, len(f.Children)), schema: f.schema.member(name),
			start: f.start + start, end: f.start + end}
		d.fill(child, depth+1)
		f.Children = append(f.Children, child)
	})
}

// eachMember calls visit with the members of an object or array, and where they are in its text, which is valid JSON.
// Other values have none.
func eachMember(text string, visit func(name string, start, end int)) {
	decoder := json.NewDecoder(strings.NewReader(text))
	opening, _ := decoder.Token()
	for n := 0; decoder.More(); n++ {
		name := strconv.Itoa(n)
		if opening == json.Delim('{') {
			token, _ := decoder.Token()
			name, _ = token.(string)
		}
		var member json.RawMessage
		if decoder.Decode(&member) != nil {
			return
		}
		end := int(decoder.InputOffset())
		visit(name, end-len(member), end)
	}
}

// Edit returns the text of the document with other values of fields, by their paths, in the form of [Field.Text].
// Fields whose text does not differ are not changed. An error names the field.
func (d *Document) Edit(values map[string]string) (string, error) {
	edited := d.text
	for _, f := range slices.Backward(d.leaves) { // so that the positions of the earlier ones stay valid
		value, ok := values[f.Path]
		if !ok || value == f.Text || !f.isEditable() {
			continue
		}
		raw, err := f.parseText(value)
		if err != nil {
			return "", fmt.Errorf("%s: expected %w, found %q", f.Name, err, value)
		}
		edited = edited[:f.start] + raw + edited[f.end:]
	}
	return edited, nil
}

// AllowEdits sets IsInput in the fields that can be edited.
func (d *Document) AllowEdits() {
	for _, f := range d.leaves {
		f.IsInput = f.isEditable()
	}
}

// Compare sets Change in the fields that differ from an earlier document.
func (d *Document) Compare(earlier *Document) {
	compare(d.Fields, earlier.Fields)
}

// compare reports whether the fields of two values differ.
func compare(fields, earlier []*Field) (differs bool) {
	byName := map[string]*Field{}
	for _, f := range earlier {
		byName[f.Name] = f
	}
	differs = len(fields) != len(earlier)
	for _, f := range fields {
		previous := byName[f.Name]
		switch {
		case previous == nil:
			f.Change = "added"
		case f.Kind != previous.Kind || f.Text != previous.Text:
			f.Change = "changed"
		case !compare(f.Children, previous.Children):
			continue
		}
		differs = true
	}
	return differs
}

// Mark sets IsFaulty in the fields whose names are words of a message.
func (d *Document) Mark(message string) {
	isOutside := func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	words := strings.FieldsFunc(message, isOutside)
	for _, f := range d.leaves {
		f.IsFaulty = slices.Contains(words, f.Name)
	}
}

// Line returns the names and values of the fields in one line: OrderID 13247, ItemNo 10.
func (d *Document) Line() string {
	var parts []string
	for _, f := range d.leaves {
		parts = append(parts, strings.TrimSpace(f.Name+" "+f.Text))
	}
	return strings.Join(parts, ", ")
}
