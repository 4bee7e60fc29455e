package convert

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/json"
)

// schemaText is the text of a schema while it is written. After the first fault what is written is of no use.
type schemaText struct {
	k   *budget
	out []byte
	err error
}

// fail notes a fault, unless there is one already, or err is nil.
func (t *schemaText) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// ended tells whether there is nothing more to write: after a fault, or when the text is longer than it may be.
func (t *schemaText) ended() bool {
	if t.err == nil && len(t.out) > t.k.most {
		t.err = t.k.tooLarge()
	}
	return t.err != nil
}

func (t *schemaText) raw(parts ...string) {
	for _, part := range parts {
		t.out = append(t.out, part...)
	}
}

// comma stands in front of all items but the first.
func (t *schemaText) comma(item int) {
	if item > 0 {
		t.raw(",")
	}
}

// quote writes a string of JSON.
func (t *schemaText) quote(s string) {
	out, ok := json.AppendText(t.out, []byte(s))
	if t.out = out; !ok {
		t.fail(dataError("schema: text that is not UTF-8: %s", quoted(s)))
	}
}

func (t *schemaText) number(n int64) { t.out = strconv.AppendInt(t.out, n, 10) }

// text writes the member of an object that is a string; lead is all that stands in front of it.
func (t *schemaText) text(lead, value string) {
	t.raw(lead)
	t.quote(value)
}

// option is text of what may be missing.
func (t *schemaText) option(lead string, value *string) {
	if value != nil {
		t.text(lead, *value)
	}
}

// parameters writes names and texts as an object after a lead; of none nothing is written.
func (t *schemaText) parameters(lead string, list []wit.Setting) {
	if len(list) == 0 {
		return
	}
	t.raw(lead, "{")
	for i, p := range list {
		t.comma(i)
		t.quote(p.Name)
		t.text(":", p.Value)
	}
	t.raw("}")
}
