package records

import (
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

var HoistFieldKeys = []wit.ConfigKey{settings.RequiredKey("field", wit.Medium,
	"Field name for the single field that will be created in the resulting Struct or Map.")}

// HoistField is HoistField: the key or value becomes the one field of a structure, or of a map.
type HoistField struct {
	Target   record.Target
	field    string
	programs schemas.Cache[*hoistPlan]
}

// hoistPlan is the schema that comes out, or why there is none.
type hoistPlan struct {
	failure *rowerror.Failure
	out     uint32
}

func NewHoistField(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	text, err := s.Required("field")
	return &HoistField{Target: at, field: setting.Trim(text)}, err
}

// compile makes the other schema.
func (o *HoistField) compile(s *schemas.Registry, schema uint32, stage int) (*hoistPlan, error) {
	return o.programs.Get(s, schema, func(nodes []wit.SchemaNode) *hoistPlan {
		y := &object.Object{Root: wit.SchemaNode{Kind: wit.Struct}}
		x := &hoistPlan{failure: y.AddField(object.Field{Name: o.field, Nodes: nodes}, stage)}
		if x.failure == nil {
			x.out, x.failure = s.DeclareChecked(y.Nodes(), stage)
		}
		return x
	})
}

// Relabel returns the schema that values of a schema get, whose bytes stay the same; ok is false where it does more.
func (o *HoistField) Relabel(s *schemas.Registry, schema uint32, stage int) (out uint32, ok bool) {
	x, err := o.compile(s, schema, stage)
	if err != nil || x.failure != nil || javaclass.OfName(&s.Nodes(schema)[0]) != "" {
		return 0, false
	}
	return x.out, true
}

func (o *HoistField) Apply(w *operation.Context, v *record.Record, stage int) (*rowerror.Failure, error) {
	c := &v.Parts[o.Target]
	if c.Encoding != wit.WithSchema {
		c.Write(&w.Scratch, wit.Schemaless, 0, func(dst []byte) []byte {
			dst = connectdata.AppendString(append(connectdata.AppendNumber(append(dst, connectdata.TagMap), 1), connectdata.TagText), o.field)
			if c.Encoding == wit.Absent {
				return append(dst, connectdata.TagNull)
			}
			return append(dst, c.Bytes...)
		})
		return nil, nil
	}
	x, err := o.compile(&w.Schemas, c.Schema, stage)
	if err != nil || x.failure != nil {
		return x.failure, err
	}
	root := &w.Schemas.Nodes(c.Schema)[0]
	if c.InvalidNull != nil {
		return rowerror.Data(stage, "Invalid value: null used for required field: \""+o.field+
			"\", schema type: "+javaclass.KindNames[root.Kind]), nil
	}
	if javaclass.OfName(root) != "" {
		if f := misnamed(c, root, o.field, stage); f != nil {
			return f, nil
		}
	}
	c.Schema, c.Class = x.out, "" // the bytes of a structure are those of its members
	return nil, nil
}

// misnamed is the failure of a value under the name of a logical type that it is not of, as Kafka's Struct.put says.
func misnamed(c *record.Part, root *wit.SchemaNode, field string, stage int) *rowerror.Failure {
	class := c.Class
	if class == "" {
		class = javaclass.Of(root)
	}
	if null, _, ok := connectdata.IsNull(root, c.Bytes); null || !ok || class == javaclass.OfName(root) {
		return nil
	}
	return rowerror.Data(stage, "Invalid Java object for schema \""+*root.Name+"\" with type "+
		javaclass.KindNames[root.Kind]+": class "+class+" for field: \""+field+"\"")
}
