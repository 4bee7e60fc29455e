package chain

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var hoistSpecs = []wit.ConfigKey{needs("field", wit.Medium,
	"Field name for the single field that will be created in the resulting Struct or Map.")}

// hoist is HoistField: the key or value becomes the one field of a structure, or of a map.
type hoist struct {
	at       side
	field    string
	programs programs[*hoisted]
}

// hoisted is the schema that comes out, or why there is none.
type hoisted struct {
	failure *failure
	out     uint32
}

func newHoist(at side, s settings) (operation, *wit.Error) {
	text, err := s.needed("field")
	return &hoist{at: at, field: setting.Trim(text)}, err
}

// hoisted makes the other schema.
func (o *hoist) hoisted(w *work, schema uint32, stage int) (*hoisted, error) {
	return o.programs.of(&w.schemas, schema, func(nodes []wit.SchemaNode) *hoisted {
		y := &object{root: wit.SchemaNode{Kind: wit.Struct}}
		x := &hoisted{failure: y.addMember(field{name: o.field, nodes: nodes}, stage)}
		if x.failure == nil {
			x.out, x.failure = w.schemas.declareMade(y.nodes(), stage)
		}
		return x
	})
}

// relabel returns the schema that values of a schema get, whose bytes stay the same; ok is false where it does more.
func (o *hoist) relabel(w *work, schema uint32, stage int) (out uint32, ok bool) {
	x, err := o.hoisted(w, schema, stage)
	if err != nil || x.failure != nil || logicalClass(&w.schemas.known[schema][0]) != "" {
		return 0, false
	}
	return x.out, true
}

func (o *hoist) apply(w *work, v *view, stage int) (*failure, error) {
	c := &v.columns[o.at]
	if c.form != wit.WithSchema {
		w.put(c, wit.Schemaless, 0, func(dst []byte) []byte {
			dst = connectdata.AppendString(append(connectdata.AppendNumber(append(dst, connectdata.TagMap), 1),
				connectdata.TagText), o.field)
			if c.form == wit.Absent {
				return append(dst, connectdata.TagNull)
			}
			return append(dst, c.bytes...)
		})
		return nil, nil
	}
	x, err := o.hoisted(w, c.schema, stage)
	if err != nil || x.failure != nil {
		return x.failure, err
	}
	root := &w.schemas.known[c.schema][0]
	if c.missing != nil {
		return &failure{stage, dataException, "Invalid value: null used for required field: \"" + o.field +
			"\", schema type: " + kindNames[root.Kind]}, nil
	}
	if logicalClass(root) != "" {
		if f := c.misnamed(root, o.field, stage); f != nil {
			return f, nil
		}
	}
	c.schema, c.class = x.out, "" // the bytes of a structure are those of its members
	return nil, nil
}

// misnamed is the failure of a value under the name of a logical type that it is not of, as Kafka's Struct.put says.
func (c *column) misnamed(root *wit.SchemaNode, field string, stage int) *failure {
	class := c.class
	if class == "" {
		class = javaClass(root)
	}
	if null, _, ok := connectdata.IsNull(root, c.bytes); null || !ok || class == logicalClass(root) {
		return nil
	}
	return &failure{stage, dataException, "Invalid Java object for schema \"" + *root.Name + "\" with type " +
		kindNames[root.Kind] + ": class " + class + " for field: \"" + field + "\""}
}
