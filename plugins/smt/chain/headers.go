package chain

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/values"
)

var headerFromSpecs = []wit.SettingSpec{
	needsList("fields", "Field names in the record whose values are to be copied or moved to headers."),
	needsList("headers", "Header names, in the same order as the field names listed in the fields "+
		"configuration property."),
	needs("operation", wit.High, "Either <code>move</code> if the fields are to be moved to the headers (removed "+
		"from the key/value), or <code>copy</code> if the fields are to be copied to the headers "+
		"(retained in the key/value)."),
	replaceNullSpec,
}

// headerFrom is HeaderFrom: fields of the key or value become headers, after those that are there.
type headerFrom struct {
	target
	fields, headers []string
	move            bool
}

func newHeaderFrom(at side, s settings) (operation, *wit.Fault) {
	o := &headerFrom{target: target{at: at, needed: true}}
	for _, x := range []struct {
		name string
		list *[]string
	}{{"fields", &o.fields}, {"headers", &o.headers}} {
		if _, err := s.needed(x.name); err != nil {
			return nil, err
		}
		if *x.list = s.list(x.name); len(*x.list) == 0 {
			return nil, invalid(x.name, "[]", "Empty list")
		}
	}
	how, err := s.needed("operation")
	if err != nil {
		return nil, err
	}
	if how = setting.Trim(how); how != "move" && how != "copy" {
		return nil, invalid("operation", how, "String must be one of: move, copy")
	}
	o.move, o.keeps, o.purpose = how == "move", how == "copy", "header "+how
	if err = o.configure(s); err != nil {
		return nil, err
	}
	if len(o.fields) != len(o.headers) {
		return nil, fail("headers", "'fields' config must have the same number of elements as 'headers' config.")
	}
	return o, nil
}

// layout makes headers of fields.
func (o *headerFrom) layout(l *structDraft, s step) *failure {
	from := l
	if !o.move { // what stays is not looked at
		from = &structDraft{fields: slices.Clone(l.fields), edited: l.edited}
	}
	if o.replaceNull {
		from.replaceNulls()
	}
	for i, name := range o.fields {
		at := l.find(name)
		if at < 0 {
			return &failure{s.stage, nullPointer,
				`Cannot invoke "org.apache.kafka.connect.data.Field.schema()" because the return value of ` +
					`"org.apache.kafka.connect.data.Schema.field(String)" is null`}
		}
		l.headers = append(l.headers, headerDraft{o.headers[i], from.fields[at]})
	}
	if o.move {
		l.makeAnew()
		l.fields = slices.DeleteFunc(l.fields, func(f field) bool { return slices.Contains(o.fields, f.name) })
	}
	return nil
}

// schemaless makes headers of a map's entries; of one that is not there it makes a null.
func (o *headerFrom) schemaless(m *entries, _ step, _ *wit.Row) *failure {
	for i, name := range o.fields {
		made := entry{value: []byte{datum.TagNull}, valueAt: -1}
		if x := m.find(name); x != nil {
			made = *x
		}
		m.headers = append(m.headers, headerEntry{o.headers[i], made})
	}
	if o.move {
		m.changed = true
		m.list = slices.DeleteFunc(m.list, func(x entry) bool {
			return x.name != nil && slices.Contains(o.fields, string(x.name))
		})
	}
	return nil
}

var dropHeadersSpecs = []wit.SettingSpec{needsList("headers", "The name of the headers to be removed.")}

// dropHeaders is DropHeaders: all headers of some names go.
type dropHeaders struct{ names []string }

func newDropHeaders(s settings) (operation, *wit.Fault) {
	names, err := s.distinct("headers")
	return &dropHeaders{names}, err
}

func (o *dropHeaders) apply(w *work, v *view, stage int) (*failure, error) {
	c := &v.columns[headerSide]
	if c.form != wit.Raw {
		return nil, nil
	}
	list := headersOf(c.bytes)
	stay, count := []byte(nil), int64(0)
	for at, all := list.rest, list.left; list.left > 0; at = list.rest {
		name, ok := list.next()
		if !ok {
			return &failure{stage, dataException, "bytes that are no block of headers"}, nil
		}
		if !slices.Contains(o.names, string(name)) {
			if stay == nil {
				stay = make([]byte, 0, len(c.bytes))
			}
			stay = append(stay, at[:len(at)-len(list.rest)]...)
			count++
		}
		if list.left == 0 && count == all {
			return nil, nil
		}
	}
	if count == 0 {
		c.set(wit.Absent, 0, nil)
		return nil, nil
	}
	from := len(w.scratch)
	w.scratch = append(datum.AppendNumber(w.scratch, count), stay...)
	c.set(wit.Raw, 0, w.scratch[from:])
	return nil, nil
}

var insertHeaderSpecs = []wit.SettingSpec{
	needs("header", wit.High, "The name of the header."),
	needs("value.literal", wit.High, "The literal value that is to be set as the header value on all records."),
}

// insertHeader is InsertHeader: one more header, the same for all records.
type insertHeader struct {
	name string
	// nodes is the schema of the value, nil: it has none; schema is the number that it got here.
	nodes    []wit.Node
	value    []byte
	schema   uint32
	declared bool
}

func newInsertHeader(s settings) (operation, *wit.Fault) {
	name, err := s.needed("header")
	if err != nil {
		return nil, err
	}
	text, err := s.needed("value.literal")
	if err != nil {
		return nil, err
	}
	o := &insertHeader{name: setting.Trim(name)}
	text = setting.Trim(text)
	l, wrong := values.Parse(text)
	if wrong == nil {
		o.nodes, o.value, wrong = l.Encode()
	}
	if wrong != nil {
		return nil, invalid("value.literal", text, wrong.Error())
	}
	return o, nil
}

func (o *insertHeader) apply(w *work, v *view, stage int) (*failure, error) {
	form := wit.Dynamic
	if o.nodes != nil {
		form = wit.Structured
		if !o.declared {
			o.schema, o.declared = w.schemas.declare(o.nodes), true
		}
	}
	return w.addHeaders(v, 1, stage, func(dst []byte) ([]byte, *failure) {
		dst = datum.AppendNumber(append(datum.AppendText(dst, o.name), byte(form)), int64(o.schema))
		return datum.AppendBytes(dst, o.value), nil
	}), nil
}
