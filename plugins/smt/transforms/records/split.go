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

func newSplit(values settings.Values) (operation.Operation, *wit.Error) {
	transform := &split{}
	if text, isSet := values.Find("field"); isSet {
		transform.field = setting.Trim(text)
	}
	var err *wit.Error
	if transform.extract, err = values.Bool("extract", false); err != nil {
		return nil, err
	}
	if text, isSet := values.Find("empty"); isSet {
		switch setting.Trim(text) {
		case "drop":
		case "fail":
			transform.failOnEmpty = true
		default:
			return nil, settings.Invalid("empty", text, "String must be one of: drop, fail")
		}
	}
	return transform, nil
}

func (o *split) compile(ctx *operation.Context, reader *object.ValueReader, stage int) *splitPlan {
	nodes, plan := reader.Nodes, &splitPlan{}
	notArray := func(node *wit.SchemaNode) *splitPlan {
		plan.failure = rowerror.Data(stage, "Only arrays can be split, found: "+javaclass.Of(node))
		return plan
	}
	if o.field == "" {
		if nodes[0].Kind != wit.Array {
			return notArray(&nodes[0])
		}
		plan.element = nodes[0].Element
		plan.out = ctx.Schemas.Declare(schemas.AppendNode(nil, nodes, plan.element))
		return plan
	}
	obj := &ctx.Object
	obj.Open(&ctx.Scratch, reader, nil, 0)
	field := obj.Find(o.field)
	switch {
	case !reader.IsStruct():
		plan.failure = rowerror.OnlyStruct(stage, "splitting", javaclass.Of(&nodes[0]))
		return plan
	case field == nil:
		plan.failure = rowerror.Data(stage, "Field does not exist: "+o.field)
		return plan
	}
	plan.member, plan.array = field.Index, field.Node
	if nodes[plan.array].Kind != wit.Array {
		return notArray(&nodes[plan.array])
	}
	plan.element = nodes[plan.array].Element
	if o.extract {
		plan.out = ctx.Schemas.Declare(schemas.AppendNode(nil, nodes, plan.element))
		return plan
	}
	field.Node = plan.element
	obj.NewStruct()
	plan.out, plan.failure = ctx.Schemas.DeclareChecked(obj.Nodes(), stage)
	return plan
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
func (o *split) itemsOf(ctx *operation.Context, rec *record.Record, stage int) (pieces splitItems, ok bool,
	_ *rowerror.Failure, _ error) {
	part := &rec.Parts[record.Value]
	switch part.Encoding {
	case wit.Absent:
		return pieces, false, nil, nil
	case wit.Schemaless:
		failure := o.schemalessItems(ctx, part.Bytes, stage, &pieces)
		return pieces, true, failure, nil
	}
	reader, err := ctx.Reader(part.Schema)
	if err != nil {
		return pieces, false, nil, err
	}
	plan, _ := o.programs.Get(&ctx.Schemas, part.Schema, func([]wit.SchemaNode) *splitPlan {
		return o.compile(ctx, reader, stage)
	})
	null, start, good := reader.Null(part.Bytes)
	switch {
	case !good:
		return pieces, false, rowerror.BadValue(stage, 0), nil
	case null:
		return pieces, false, nil, nil
	case plan.failure != nil:
		return pieces, false, plan.failure, nil
	}
	pieces.form, pieces.schema = wit.WithSchema, plan.out
	array := part.Bytes[start:]
	if o.field != "" {
		obj := &ctx.Object
		if obj.Open(&ctx.Scratch, reader, part.Bytes, start); !obj.Load(stage) {
			return pieces, false, obj.Pending, nil
		}
		from, to := ctx.Ends[plan.member], ctx.Ends[plan.member+1]
		array = part.Bytes[from:to]
		if !o.extract {
			pieces.prefix, pieces.suffix = part.Bytes[start:from], part.Bytes[to:]
		}
		null, size, good := connectdata.IsNull(&reader.Nodes[plan.array], array)
		if !good {
			return pieces, false, rowerror.BadValue(stage, plan.member), nil
		}
		if null {
			return pieces, true, nil, nil
		}
		array = array[size:]
	}
	if pieces.items, good = arrayItems(reader.Nodes, plan.element, array); !good {
		return pieces, false, rowerror.BadValue(stage, plan.member), nil
	}
	return pieces, true, nil, nil
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

func (o *split) schemalessItems(ctx *operation.Context, input []byte, stage int, pieces *splitItems) *rowerror.Failure {
	pieces.form, pieces.nulls = wit.Schemaless, true
	array := input
	if o.field != "" {
		if failure := ctx.Object.OpenMap(&ctx.Scratch, input, stage, "splitting"); failure != nil {
			return failure
		}
		field := ctx.Object.Find(o.field)
		if field == nil {
			return nil
		}
		if array = field.Bytes; !o.extract {
			pieces.nulls = false
			from := cap(input) - cap(array) // array is a slice of in with the same end
			pieces.prefix, pieces.suffix = input[:from], input[from+len(array):]
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
	for b := array[1+k:]; n > 0 && len(pieces.items) <= maxItems; n-- {
		size, err := connectdata.SkipSchemaless(b)
		if err != nil {
			return rowerror.BadSchemaless(stage)
		}
		pieces.items, b = append(pieces.items, b[:size:size]), b[size:]
	}
	return nil
}

// Split sends one record per item through the rest of the chain.
func (o *split) Split(ctx *operation.Context, rec *record.Record, stage int, next func() (*rowerror.Failure,
	error)) (*rowerror.Failure, error) {
	pieces, ok, failure, err := o.itemsOf(ctx, rec, stage)
	switch {
	case failure != nil || err != nil:
		return failure, err
	case !ok:
		return next()
	case len(pieces.items) == 0 && o.failOnEmpty:
		return rowerror.Data(stage, "Nothing to split: the array "+strconv.Quote(o.field)+
			" is empty or null"), nil
	}
	before, start := *rec, len(ctx.Buf)
	for _, item := range pieces.items {
		size := len(pieces.prefix) + len(item) + len(pieces.suffix)
		if ctx.SplitSize += size + rowSize; ctx.SplitSize > maxSplit {
			return rowerror.Data(stage, "the records split from one take more than "+
				strconv.Itoa(maxSplit)+" bytes"), nil
		}
		*rec = before
		ctx.Buf = append(append(append(ctx.Buf[:start], pieces.prefix...), item...), pieces.suffix...)
		if pieces.nulls && item[0] == connectdata.TagNull {
			rec.Parts[record.Value].Set(wit.Absent, 0, nil)
		} else {
			rec.Parts[record.Value].Set(pieces.form, pieces.schema, ctx.Buf[start:])
		}
		if failure, err := next(); failure != nil || err != nil {
			return failure, err
		}
	}
	return nil, nil
}
