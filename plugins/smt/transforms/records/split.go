package records

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var SplitKeys = []wit.ConfigKey{
	{Name: "field", Kind: wit.KindString, DefaultValue: wit.Ptr(""), Importance: wit.High,
		Documentation: "Field of the record's value whose items become records; empty: the value itself."},
	{Name: "extract", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, an item becomes the whole value of its record. Otherwise the value keeps its other " +
			"fields, and the item stands in the place of the array."},
	{Name: "empty", Kind: wit.KindString, DefaultValue: wit.Ptr("drop"), Importance: wit.Medium,
		Documentation: "What becomes of a record whose array is empty, null or not there: " +
			"<code>drop</code> or <code>fail</code>."},
}

// split is Split: each item of an array becomes a record. Key, topic, headers and time are those of the record that it
// comes from.
type split struct {
	field       string
	extract     bool
	failOnEmpty bool
	programs    schemas.Cache[*splitPlan]
}

// splitPlan is what Split comes to for a schema.
type splitPlan struct {
	failure        *rowerror.Failure
	member         int
	array, element uint32
	out            uint32
}

// maxSplit is how many bytes, rows counted, the parts of one record may come to.
const maxSplit = 32 << 20

// rowSize is what a row takes besides its data.
const rowSize = 100

func NewSplit(s settings.Values) (operation.Operation, *wit.Error) {
	o := &split{}
	if text, isSet := s.Find("field"); isSet {
		o.field = setting.Trim(text)
	}
	var err *wit.Error
	if o.extract, err = s.Bool("extract", false); err != nil {
		return nil, err
	}
	if text, isSet := s.Find("empty"); isSet {
		switch setting.Trim(text) {
		case "drop":
		case "fail":
			o.failOnEmpty = true
		default:
			return nil, settings.Invalid("empty", text, "String must be one of: drop, fail")
		}
	}
	return o, nil
}

func (o *split) compile(w *operation.Context, l *object.Layout, stage int) *splitPlan {
	nodes, x := l.Nodes, &splitPlan{}
	notArray := func(n *wit.SchemaNode) *splitPlan {
		x.failure = rowerror.Data(stage, "Only arrays can be split, found: "+javaclass.Of(n))
		return x
	}
	if o.field == "" {
		if nodes[0].Kind != wit.Array {
			return notArray(&nodes[0])
		}
		x.element = nodes[0].Element
		x.out = w.Schemas.Declare(schemas.AppendNode(nil, nodes, x.element))
		return x
	}
	y := &w.Object
	y.Open(&w.Scratch, l, nil, 0)
	f := y.Find(o.field)
	switch {
	case !l.IsStruct():
		x.failure = rowerror.OnlyStruct(stage, "splitting", javaclass.Of(&nodes[0]))
		return x
	case f == nil:
		x.failure = rowerror.Data(stage, "Field does not exist: "+o.field)
		return x
	}
	x.member, x.array = f.Index, f.Node
	if nodes[x.array].Kind != wit.Array {
		return notArray(&nodes[x.array])
	}
	x.element = nodes[x.array].Element
	if o.extract {
		x.out = w.Schemas.Declare(schemas.AppendNode(nil, nodes, x.element))
		return x
	}
	f.Node = x.element
	y.NewStruct()
	x.out, x.failure = w.Schemas.DeclareChecked(y.Nodes(), stage)
	return x
}

// splitItems are the values that a value is split into: each is prefix, item, suffix.
type splitItems struct {
	form           wit.Encoding
	schema         uint32
	prefix, suffix []byte
	items          [][]byte
	// nulls: what is empty is a value of no schema.
	nulls bool
}

// itemsOf takes the value of a view apart. ok is false where the row goes on as it is: a tombstone.
func (o *split) itemsOf(w *operation.Context, v *record.Record, stage int) (p splitItems, ok bool, _ *rowerror.Failure, _ error) {
	c := &v.Parts[record.Value]
	switch c.Encoding {
	case wit.Absent:
		return p, false, nil, nil
	case wit.Schemaless:
		f := o.schemalessItems(w, c.Bytes, stage, &p)
		return p, true, f, nil
	}
	l, err := w.Layout(c.Schema)
	if err != nil {
		return p, false, nil, err
	}
	x, _ := o.programs.Get(&w.Schemas, c.Schema, func([]wit.SchemaNode) *splitPlan { return o.compile(w, l, stage) })
	null, start, good := l.Null(c.Bytes)
	switch {
	case !good:
		return p, false, rowerror.BadValue(stage, 0), nil
	case null:
		return p, false, nil, nil
	case x.failure != nil:
		return p, false, x.failure, nil
	}
	p.form, p.schema = wit.WithSchema, x.out
	array := c.Bytes[start:]
	if o.field != "" {
		y := &w.Object
		if y.Open(&w.Scratch, l, c.Bytes, start); !y.Load(stage) {
			return p, false, y.Pending, nil
		}
		from, to := w.Ends[x.member], w.Ends[x.member+1]
		array = c.Bytes[from:to]
		if !o.extract {
			p.prefix, p.suffix = c.Bytes[start:from], c.Bytes[to:]
		}
		null, size, good := connectdata.IsNull(&l.Nodes[x.array], array)
		if !good {
			return p, false, rowerror.BadValue(stage, x.member), nil
		}
		if null {
			return p, true, nil, nil
		}
		array = array[size:]
	}
	if p.items, good = arrayItems(l.Nodes, x.element, array); !good {
		return p, false, rowerror.BadValue(stage, x.member), nil
	}
	return p, true, nil, nil
}

// maxItems bounds the items of one array; each becomes a row.
const maxItems = maxSplit / rowSize

// arrayItems are those of an array, without its branch. Of more than maxItems only the first ones are there.
func arrayItems(nodes []wit.SchemaNode, element uint32, b []byte) (list [][]byte, ok bool) {
	for {
		n, k := connectdata.Number(b)
		if k <= 0 || n == -1<<63 {
			return nil, false
		}
		b = b[k:]
		if n < 0 {
			size, k := connectdata.Number(b)
			if k <= 0 || size < 0 {
				return nil, false
			}
			n, b = -n, b[k:]
		}
		if n == 0 {
			return list, len(b) == 0
		}
		for ; n > 0; n-- {
			if len(list) > maxItems {
				return list, true
			}
			size, err := connectdata.Skip(nodes, element, b)
			if err != nil {
				return nil, false
			}
			list, b = append(list, b[:size:size]), b[size:]
		}
	}
}

// schemalessItems is split for a value without schema.
func (o *split) schemalessItems(w *operation.Context, in []byte, stage int, p *splitItems) *rowerror.Failure {
	p.form, p.nulls = wit.Schemaless, true
	array := in
	if o.field != "" {
		if f := w.Object.OpenMap(&w.Scratch, in, stage, "splitting"); f != nil {
			return f
		}
		at := w.Object.Find(o.field)
		if at == nil {
			return nil
		}
		if array = at.Bytes; !o.extract {
			p.nulls = false
			from := cap(in) - cap(array) // it is a slice of in, up to the same end
			p.prefix, p.suffix = in[:from], in[from+len(array):]
		}
	}
	if array[0] == connectdata.TagNull {
		return nil
	}
	if array[0] != connectdata.TagArray {
		return rowerror.Data(stage, "Only arrays can be split, found: "+javaclass.OfTag[array[0]])
	}
	n, k := connectdata.Number(array[1:])
	if k <= 0 {
		return rowerror.BadSchemaless(stage)
	}
	for b := array[1+k:]; n > 0 && len(p.items) <= maxItems; n-- {
		size, err := connectdata.SkipSchemaless(b)
		if err != nil {
			return rowerror.BadSchemaless(stage)
		}
		p.items, b = append(p.items, b[:size:size]), b[size:]
	}
	return nil
}

// Split splits a row and sends its parts, one after another in the view, through what follows in the chain.
func (o *split) Split(w *operation.Context, v *record.Record, stage int, next func() (*rowerror.Failure, error)) (*rowerror.Failure, error) {
	p, ok, f, err := o.itemsOf(w, v, stage)
	switch {
	case f != nil || err != nil:
		return f, err
	case !ok:
		return next()
	case len(p.items) == 0 && o.failOnEmpty:
		return rowerror.Data(stage, "Nothing to split: the array "+strconv.Quote(o.field)+
			" is empty or null"), nil
	}
	before, start := *v, len(w.Buf)
	for _, item := range p.items {
		size := len(p.prefix) + len(item) + len(p.suffix)
		if w.SplitSize += size + rowSize; w.SplitSize > maxSplit {
			return rowerror.Data(stage, "the records that one is split into come to more than "+
				strconv.Itoa(maxSplit)+" bytes"), nil
		}
		*v = before
		w.Buf = append(append(append(w.Buf[:start], p.prefix...), item...), p.suffix...)
		if p.nulls && item[0] == connectdata.TagNull {
			v.Parts[record.Value].Set(wit.Absent, 0, nil)
		} else {
			v.Parts[record.Value].Set(p.form, p.schema, w.Buf[start:])
		}
		if f, err := next(); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}
