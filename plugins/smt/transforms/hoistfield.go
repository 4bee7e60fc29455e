package transforms

import (
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var hoistFieldKeys = []wit.ConfigKey{requiredKey("field", wit.Medium,
	"Field name for the single field that will be created in the resulting Struct or Map.")}

// HoistField wraps the key or value in a struct or map with one field.
type HoistField struct {
	Target record.Target
	field  string
	plans  record.SchemaCache[*hoistPlan]
}

// hoistPlan is what HoistField does with values of one schema.
type hoistPlan struct {
	failure *record.Failure
	out     uint32 // schema of the result
}

func newHoistField(target record.Target, values Settings) (Operation, *wit.Error) {
	fieldName, err := values.Required("field")
	return &HoistField{Target: target, field: setting.Trim(fieldName)}, err
}

func (h *HoistField) compile(registry *record.Schemas, schema uint32, stage int) (*hoistPlan, error) {
	return h.plans.Get(registry, schema, func(nodes []wit.SchemaNode) *hoistPlan {
		inner := &record.Object{Root: wit.SchemaNode{Kind: wit.Struct}}
		plan := &hoistPlan{failure: inner.AddField(record.Field{Name: h.field, Nodes: nodes}, stage)}
		if plan.failure == nil {
			plan.out, plan.failure = registry.DeclareChecked(inner.Nodes(), stage)
		}
		return plan
	})
}

// Relabel returns the schema of the result. ok is false if only the interpreter supports values of the schema.
func (h *HoistField) Relabel(registry *record.Schemas, schema uint32, stage int) (out uint32, ok bool) {
	plan, err := h.compile(registry, schema, stage)
	if err != nil || plan.failure != nil || record.LogicalJavaClass(&registry.Nodes(schema)[0]) != "" {
		return 0, false
	}
	return plan.out, true
}

// AppendHead appends what precedes a value without schema in the result.
func (h *HoistField) AppendHead(dst []byte) []byte {
	dst = connectdata.AppendNumber(append(dst, connectdata.TagMap), 1)
	return connectdata.AppendString(append(dst, connectdata.TagString), h.field)
}

func (h *HoistField) Apply(ctx *Context, rec *record.Record, stage int) (*record.Failure, error) {
	part := &rec.Parts[h.Target]
	if part.Encoding != wit.WithSchema {
		part.Write(&ctx.Scratch, wit.Schemaless, 0, func(dst []byte) []byte {
			dst = h.AppendHead(dst)
			if part.Encoding == wit.Absent {
				return append(dst, connectdata.TagNull)
			}
			return append(dst, part.Bytes...)
		})
		return nil, nil
	}
	plan, err := h.compile(&ctx.Schemas, part.Schema, stage)
	if err != nil || plan.failure != nil {
		return plan.failure, err
	}
	root := &ctx.Schemas.Nodes(part.Schema)[0]
	if part.InvalidNull != nil {
		return record.DataFailure(stage, "Invalid value: null used for required field: \""+h.field+
			"\", schema type: "+record.KindNames[root.Kind]), nil
	}
	if record.LogicalJavaClass(root) != "" {
		if failure := misnamedFailure(part, root, h.field, stage); failure != nil {
			return failure, nil
		}
	}
	// The bytes stay the same: a struct has the bytes of its fields.
	part.Schema = plan.out
	part.Class = ""
	return nil, nil
}

// misnamedFailure returns the failure of Kafka's Struct.put for a value with the name of a logical type of another
// class, nil for other values.
func misnamedFailure(part *record.Part, root *wit.SchemaNode, field string, stage int) *record.Failure {
	class := part.Class
	if class == "" {
		class = record.JavaClass(root)
	}
	if isNull, _, ok := connectdata.IsNull(root, part.Bytes); isNull || !ok || class == record.LogicalJavaClass(root) {
		return nil
	}
	return record.DataFailure(stage, "Invalid Java object for schema \""+*root.Name+"\" with type "+
		record.KindNames[root.Kind]+": class "+class+" for field: \""+field+"\"")
}
