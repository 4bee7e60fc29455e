package transforms

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/record"
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
	field       string // of the value; if empty, the value is the array
	extract     bool   // the item becomes the whole value
	failOnEmpty bool
	plans       record.SchemaCache[*splitPlan]
}

// splitPlan is what a split does with values of one schema.
type splitPlan struct {
	failure   *record.Failure
	field     int    // index of the array
	array     uint32 // node of the array in the schema
	element   uint32 // node of its items
	newSchema uint32 // schema of the new values
}

const (
	maxSplit = 32 << 20 // limit for the records split from one, in bytes
	rowSize  = 100      // estimated size of a row without its value
	maxItems = maxSplit / rowSize
)

func newSplit(values Settings) (Operation, *wit.Error) {
	transform := &split{}
	if fieldName, isSet := values.Find("field"); isSet {
		transform.field = setting.Trim(fieldName)
	}
	var err *wit.Error
	if transform.extract, err = values.Bool("extract", false); err != nil {
		return nil, err
	}
	if reaction, isSet := values.Find("empty"); isSet {
		switch setting.Trim(reaction) {
		case "drop":
			// the default
		case "fail":
			transform.failOnEmpty = true
		default:
			return nil, invalidSetting("empty", reaction, "String must be one of: drop, fail")
		}
	}
	return transform, nil
}

// compile returns the plan for values of one schema.
func (s *split) compile(ctx *Context, reader *record.ValueReader, stage int) *splitPlan {
	nodes := reader.Nodes
	plan := &splitPlan{}
	notArray := func(node *wit.SchemaNode) *splitPlan {
		plan.failure = record.DataFailure(stage, "Only arrays can be split, found: "+record.JavaClass(node))
		return plan
	}
	if s.field == "" {
		if nodes[0].Kind != wit.Array {
			return notArray(&nodes[0])
		}
		plan.element = nodes[0].Element
		plan.newSchema = ctx.Schemas.Declare(record.AppendNode(nil, nodes, plan.element))
		return plan
	}
	obj := &ctx.Object
	obj.Open(&ctx.Scratch, reader, nil, 0)
	field := obj.Find(s.field)
	switch {
	case !reader.IsStruct():
		plan.failure = record.OnlyStruct(stage, "splitting", record.JavaClass(&nodes[0]))
		return plan
	case field == nil:
		plan.failure = record.DataFailure(stage, "Field does not exist: "+s.field)
		return plan
	}
	plan.field = field.Index
	plan.array = field.Node
	if nodes[plan.array].Kind != wit.Array {
		return notArray(&nodes[plan.array])
	}
	plan.element = nodes[plan.array].Element
	if s.extract {
		plan.newSchema = ctx.Schemas.Declare(record.AppendNode(nil, nodes, plan.element))
		return plan
	}
	field.Node = plan.element
	obj.ResetRoot()
	plan.newSchema, plan.failure = ctx.Schemas.DeclareChecked(obj.Nodes(), stage)
	return plan
}

// Split sends one record per item through the rest of the chain. A tombstone is not split.
func (s *split) Split(ctx *Context, rec *record.Record, stage int,
	next func() (*record.Failure, error)) (*record.Failure, error) {
	array, failure, err := s.read(ctx, rec, stage)
	switch {
	case failure != nil || err != nil:
		return failure, err
	case array == nil:
		return next()
	case len(array.items) == 0 && s.failOnEmpty:
		return record.DataFailure(stage, "Nothing to split: the array "+strconv.Quote(s.field)+" is empty or null"), nil
	}
	original := *rec
	start := len(ctx.Buf)
	for _, item := range array.items {
		size := len(array.prefix) + len(item) + len(array.suffix)
		if ctx.SplitSize += size + rowSize; ctx.SplitSize > maxSplit {
			return record.DataFailure(stage, "the records split from one take more than "+strconv.Itoa(maxSplit)+
				" bytes"), nil
		}
		*rec = original
		ctx.Buf = append(append(append(ctx.Buf[:start], array.prefix...), item...), array.suffix...)
		if array.nullIsTombstone && item[0] == connectdata.TagNull {
			rec.Parts[record.Value].Set(wit.Absent, 0, nil)
		} else {
			rec.Parts[record.Value].Set(array.encoding, array.schema, ctx.Buf[start:])
		}
		if failure, err := next(); failure != nil || err != nil {
			return failure, err
		}
	}
	return nil, nil
}
