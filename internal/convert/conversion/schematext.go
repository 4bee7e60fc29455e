package conversion

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit"
)

// SchemaText writes the text of a schema. After the first error its output is invalid.
type SchemaText struct {
	Budget *Budget
	Out    []byte
	Err    error
}

// ParseSchemaText returns the JSON value of a registry's schema. Numbers are [json.Number].
func ParseSchemaText(text string) (root any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("expected one JSON value and nothing after it")
	}
	return root, nil
}

// Fail records the first error.
func (t *SchemaText) Fail(err error) {
	if t.Err == nil {
		t.Err = err
	}
}

// Done reports whether to stop: after an error, or when the text is too long, which becomes the error.
func (t *SchemaText) Done() bool {
	if t.Err == nil && len(t.Out) > t.Budget.MaxLen {
		t.Err = t.Budget.TooLarge()
	}
	return t.Err != nil
}

// Raw appends text unchanged.
func (t *SchemaText) Raw(parts ...string) {
	for _, part := range parts {
		t.Out = append(t.Out, part...)
	}
}

// Comma appends the comma in front of an item, unless it is the first, item 0.
func (t *SchemaText) Comma(item int) {
	if item > 0 {
		t.Raw(",")
	}
}

// Quote appends a JSON string.
func (t *SchemaText) Quote(s string) {
	out, ok := java.AppendJSONText(t.Out, []byte(s))
	t.Out = out
	if !ok {
		t.Fail(fault.Data("schema: text that is not UTF-8: %s", fault.Quoted(s)))
	}
}

// Number appends a number.
func (t *SchemaText) Number(n int64) { t.Out = strconv.AppendInt(t.Out, n, 10) }

// Text appends a member with a string value; lead is the text before the value.
func (t *SchemaText) Text(lead, value string) {
	t.Raw(lead)
	t.Quote(value)
}

// OptionalText is Text for a value that may be nil.
func (t *SchemaText) OptionalText(lead string, value *string) {
	if value != nil {
		t.Text(lead, *value)
	}
}

// Parameters appends an object of names and values, or nothing if there are none.
func (t *SchemaText) Parameters(lead string, list []wit.Setting) {
	if len(list) == 0 {
		return
	}
	t.Raw(lead, "{")
	for i, p := range list {
		t.Comma(i)
		t.Quote(p.Name)
		t.Text(":", p.Value)
	}
	t.Raw("}")
}
