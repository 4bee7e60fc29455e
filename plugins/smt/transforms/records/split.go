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

var splitKeys = []wit.ConfigKey{
	{Name: "field", Kind: wit.KindString, DefaultValue: wit.Ptr(""), Importance: wit.High,
		Documentation: "Array field of the record's value. If empty, the value itself is the array."},
	{Name: "extract", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, the item is the whole value of the new record. Otherwise it replaces the array, and " +
			"the value keeps its other fields."},
	{Name: "empty", Kind: wit.KindString, DefaultValue: wit.Ptr("drop"), Importance: wit.Medium,
		Documentation: "What to do with a record whose array is empty, null or missing: " +
			"<code>drop</code> or <code>fail</code>."},
}

// split creates a record for each item of an array. It copies key, topic, headers and timestamp.
type split struct {
	field       string
	extract     bool
	failOnEmpty bool
	programs    schemas.Cache[*splitPlan]
}

type splitPlan struct {
	failure        *rowerror.Failure
	member         int
	array, element uint32
	out            uint32
}

// maxSplit limits the size of the records split from one, in bytes.
const maxSplit = 32 << 20

const rowSize = 100

func newSplit(s settings.Values) (operation.Operation, *wit.Error) {
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

func (o *split) compile(ctx *operation.Context, l *object.Layout, stage int) *splitPlan {
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
		x.out = ctx.Schemas.Declare(schemas.AppendNode(nil, nodes, x.element))
		return x
	}
	y := &ctx.Object
	y.Open(&ctx.Scratch, l, nil, 0)
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
		x.out = ctx.Schemas.Declare(schemas.AppendNode(nil, nodes, x.element))
		return x
	}
	f.Node = x.element
	y.NewStruct()
	x.out, x.failure = ctx.Schemas.DeclareChecked(y.Nodes(), stage)
	return x
}

// splitItems holds the items of an array. Each new value is prefix, item, suffix.
type splitItems struct {
	form           wit.Encoding
	schema         uint32
	prefix, suffix []byte
	items          [][]byte
	// nulls reports whether a null item is a tombstone.
	nulls bool
}

// itemsOf returns the items of the record's value. ok is false for a tombstone, which is not split.
func (o *split) itemsOf(ctx *operation.Context, rec *record.Record, stage int) (p splitItems, ok bool,
	_ *rowerror.Failure, _ error) {
	part := &rec.Parts[record.Value]
	switch part.Encoding {
	case wit.Absent:
		return p, false, nil, nil
	case wit.Schemaless:
		f := o.schemalessItems(ctx, part.Bytes, stage, &p)
		return p, true, f, nil
	}
	l, err := ctx.Layout(part.Schema)
	if err != nil {
		return p, false, nil, err
	}
	x, _ := o.programs.Get(&ctx.Schemas, part.Schema, func([]wit.SchemaNode) *splitPlan {
		return o.compile(ctx, l, stage)
	})
	null, start, good := l.Null(part.Bytes)
	switch {
	case !good:
		return p, false, rowerror.BadValue(stage, 0), nil
	case null:
		return p, false, nil, nil
	case x.failure != nil:
		return p, false, x.failure, nil
	}
	p.form, p.schema = wit.WithSchema, x.out
	array := part.Bytes[start:]
	if o.field != "" {
		y := &ctx.Object
		if y.Open(&ctx.Scratch, l, part.Bytes, start); !y.Load(stage) {
			return p, false, y.Pending, nil
		}
		from, to := ctx.Ends[x.member], ctx.Ends[x.member+1]
		array = part.Bytes[from:to]
		if !o.extract {
			p.prefix, p.suffix = part.Bytes[start:from], part.Bytes[to:]
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

const maxItems = maxSplit / rowSize

// arrayItems returns the items of an array without branch, at most maxItems+1.
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

func (o *split) schemalessItems(ctx *operation.Context, in []byte, stage int, p *splitItems) *rowerror.Failure {
	p.form, p.nulls = wit.Schemaless, true
	array := in
	if o.field != "" {
		if f := ctx.Object.OpenMap(&ctx.Scratch, in, stage, "splitting"); f != nil {
			return f
		}
		at := ctx.Object.Find(o.field)
		if at == nil {
			return nil
		}
		if array = at.Bytes; !o.extract {
			p.nulls = false
			from := cap(in) - cap(array) // array is a slice of in with the same end
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

// Split sends one record per item through the rest of the chain.
func (o *split) Split(ctx *operation.Context, rec *record.Record, stage int, next func() (*rowerror.Failure,
	error)) (*rowerror.Failure, error) {
	p, ok, f, err := o.itemsOf(ctx, rec, stage)
	switch {
	case f != nil || err != nil:
		return f, err
	case !ok:
		return next()
	case len(p.items) == 0 && o.failOnEmpty:
		return rowerror.Data(stage, "Nothing to split: the array "+strconv.Quote(o.field)+
			" is empty or null"), nil
	}
	before, start := *rec, len(ctx.Buf)
	for _, item := range p.items {
		size := len(p.prefix) + len(item) + len(p.suffix)
		if ctx.SplitSize += size + rowSize; ctx.SplitSize > maxSplit {
			return rowerror.Data(stage, "the records split from one take more than "+
				strconv.Itoa(maxSplit)+" bytes"), nil
		}
		*rec = before
		ctx.Buf = append(append(append(ctx.Buf[:start], p.prefix...), item...), p.suffix...)
		if p.nulls && item[0] == connectdata.TagNull {
			rec.Parts[record.Value].Set(wit.Absent, 0, nil)
		} else {
			rec.Parts[record.Value].Set(p.form, p.schema, ctx.Buf[start:])
		}
		if f, err := next(); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}
