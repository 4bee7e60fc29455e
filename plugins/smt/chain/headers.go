package chain

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/java/values"
)

var headerFromSpecs = []wit.ConfigKey{
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

func newHeaderFrom(at side, s settings) (operation, *wit.Error) {
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

func (o *headerFrom) apply(x *object, s step) *failure {
	x.load(s.stage)
	if !o.move { // what stays is not looked at
		before, changed := slices.Clone(x.fields), x.changed
		f := o.add(x, s.stage)
		x.fields, x.changed = before, changed
		return f
	}
	if f := o.add(x, s.stage); f != nil {
		return f
	}
	if !x.isMap {
		x.renew()
	}
	x.changed = x.changed || x.isMap
	x.fields = slices.DeleteFunc(x.fields, func(f field) bool {
		return f.isText() && slices.Contains(o.fields, f.name)
	})
	return nil
}

// add makes headers of fields, and nulls of entries that are not there.
func (o *headerFrom) add(x *object, stage int) *failure {
	if o.replaceNull && !x.isMap {
		x.replaceNulls(stage)
	}
	for i, name := range o.fields {
		f := x.find(name)
		switch {
		case f != nil:
			x.headers = append(x.headers, header{name: o.headers[i], field: *f})
		case x.isMap:
			x.headers = append(x.headers, header{name: o.headers[i], field: nullValue})
		default:
			return &failure{stage, nullPointer,
				`Cannot invoke "org.apache.kafka.connect.data.Field.schema()" because the return value of ` +
					`"org.apache.kafka.connect.data.Schema.field(String)" is null`}
		}
	}
	return nil
}

var dropHeadersSpecs = []wit.ConfigKey{needsList("headers", "The name of the headers to be removed.")}

// dropHeaders is DropHeaders: all headers of some names go.
type dropHeaders struct{ names []string }

func newDropHeaders(s settings) (operation, *wit.Error) {
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
	w.scratch = append(connectdata.AppendNumber(w.scratch, count), stay...)
	c.set(wit.Raw, 0, w.scratch[from:])
	return nil, nil
}

var insertHeaderSpecs = []wit.ConfigKey{
	needs("header", wit.High, "The name of the header."),
	needs("value.literal", wit.High, "The literal value that is to be set as the header value on all records."),
}

// insertHeader is InsertHeader: one more header, the same for all records.
type insertHeader struct {
	name string
	// nodes is the schema of the value, nil if it has none; bytes is the header, nil until a row came.
	nodes        []wit.SchemaNode
	value, bytes []byte
}

func newInsertHeader(s settings) (operation, *wit.Error) {
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
	return w.addHeaders(v, 1, stage, func(dst []byte) []byte { return append(dst, o.header(&w.schemas)...) }), nil
}

// header returns the header's bytes.
func (o *insertHeader) header(s *schemas) []byte {
	if o.bytes == nil {
		form, schema := wit.Schemaless, uint32(0)
		if o.nodes != nil {
			form, schema = wit.WithSchema, s.declare(o.nodes)
		}
		o.bytes = connectdata.AppendNumber(append(connectdata.AppendString(nil, o.name), byte(form)), int64(schema))
		o.bytes = connectdata.AppendBytes(o.bytes, o.value)
	}
	return o.bytes
}
