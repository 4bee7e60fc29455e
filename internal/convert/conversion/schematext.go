package conversion

import (
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java/json"
	"github.com/culvert-project/culvert/wit"
)

// SchemaText is the text of a schema while it is written. After the first fault what is written is of no use.
type SchemaText struct {
	Budget *Budget
	Out    []byte
	Err    error
}

// Fail notes a fault, unless there is one already, or err is nil.
func (t *SchemaText) Fail(err error) {
	if t.Err == nil {
		t.Err = err
	}
}

// Ended tells whether there is nothing more to write: after a fault, or when the text is longer than it may be.
func (t *SchemaText) Ended() bool {
	if t.Err == nil && len(t.Out) > t.Budget.Most {
		t.Err = t.Budget.TooLarge()
	}
	return t.Err != nil
}

// Raw writes JSON as it is.
func (t *SchemaText) Raw(parts ...string) {
	for _, part := range parts {
		t.Out = append(t.Out, part...)
	}
}

// Comma stands in front of all items but the first.
func (t *SchemaText) Comma(item int) {
	if item > 0 {
		t.Raw(",")
	}
}

// Quote writes a string of JSON.
func (t *SchemaText) Quote(s string) {
	out, ok := json.AppendText(t.Out, []byte(s))
	if t.Out = out; !ok {
		t.Fail(fault.Data("schema: text that is not UTF-8: %s", fault.Quoted(s)))
	}
}

// Number writes a number.
func (t *SchemaText) Number(n int64) { t.Out = strconv.AppendInt(t.Out, n, 10) }

// Text writes the member of an object that is a string; lead is all that stands in front of it.
func (t *SchemaText) Text(lead, value string) {
	t.Raw(lead)
	t.Quote(value)
}

// Option is text of what may be missing.
func (t *SchemaText) Option(lead string, value *string) {
	if value != nil {
		t.Text(lead, *value)
	}
}

// Parameters writes names and texts as an object after a lead; of none nothing is written.
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
