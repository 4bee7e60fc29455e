package chain

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var hoistSpecs = []wit.SettingSpec{needs("field", wit.Medium,
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

func newHoist(at side, s settings) (operation, *wit.Fault) {
	text, err := s.needed("field")
	return &hoist{at: at, field: setting.Trim(text)}, err
}

func (o *hoist) apply(w *work, v *view, stage int) (*failure, error) {
	c := &v.columns[o.at]
	if c.form == wit.Structured {
		x, err := o.programs.of(&w.schemas, c.schema, func(nodes []wit.Node) *hoisted {
			return o.compile(w, nodes, stage)
		})
		if err != nil || x.failure != nil {
			return x.failure, err
		}
		if c.missing != nil {
			kind := w.schemas.known[c.schema][0].Kind
			return &failure{stage, dataException, "Invalid value: null used for required field: \"" + o.field +
				"\", schema type: " + kindNames[kind]}, nil
		}
		if root := &w.schemas.known[c.schema][0]; logicalClass(root) != "" {
			if f := c.misnamed(root, o.field, stage); f != nil {
				return f, nil
			}
		}
		c.schema, c.class = x.out, "" // the bytes of a structure are those of its members
		return nil, nil
	}
	from := len(w.scratch)
	w.scratch = datum.AppendText(append(datum.AppendNumber(append(w.scratch, datum.TagMap), 1), datum.TagText), o.field)
	if c.form == wit.Absent {
		w.scratch = append(w.scratch, datum.TagNull)
	} else {
		w.scratch = append(w.scratch, c.bytes...)
	}
	c.set(wit.Dynamic, 0, w.scratch[from:])
	return nil, nil
}

// misnamed is the failure of a value under the name of a logical type that it is not of, as Kafka's Struct.put says.
func (c *column) misnamed(root *wit.Node, field string, stage int) *failure {
	class := c.class
	if class == "" {
		class = javaClass(root)
	}
	if null, _, ok := datum.IsNull(root, c.bytes); null || !ok || class == logicalClass(root) {
		return nil
	}
	return &failure{stage, dataException, "Invalid Java object for schema \"" + *root.Name + "\" with type " +
		kindNames[root.Kind] + ": class " + class + " for field: \"" + field + "\""}
}

func (o *hoist) compile(w *work, nodes []wit.Node, stage int) *hoisted {
	l := &structDraft{root: wit.Node{Kind: wit.Structure}}
	f := l.add(field{name: o.field, nodes: nodes}, stage)
	x := &hoisted{failure: f}
	if f == nil {
		x.out, x.failure = new(output).write(&w.schemas, l, stage)
	}
	return x
}
