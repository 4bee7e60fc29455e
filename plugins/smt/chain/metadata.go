package chain

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var metadataSpecs = []wit.SettingSpec{
	{Name: "schema.name", Kind: wit.KindText, Importance: wit.High, Documentation: "Schema name to set."},
	{Name: "schema.version", Kind: wit.KindInt, Importance: wit.High, Documentation: "Schema version to set."},
	replaceNullSpec,
}

// metadata is SetSchemaMetadata: another name or version of the schema.
type metadata struct {
	onColumn[*relabeled]
	name        *string
	version     *int32
	replaceNull bool
}

// relabeled is the schema that comes out; defaults: values may have nulls to replace.
type relabeled struct {
	failure  *failure
	out      uint32
	defaults bool
}

func newMetadata(at side, s settings) (operation, *wit.Fault) {
	o := &metadata{}
	o.onColumn = onColumn[*relabeled]{side: at, compile: o.rename, structured: o.put, dynamic: o.refuse}
	if text, given := s.find("schema.name"); given {
		o.name = wit.Ptr(setting.Trim(text))
	}
	if text, given := s.find("schema.version"); given {
		n, ok := setting.Integer(wit.KindInt, text)
		if !ok {
			return nil, invalid("schema.version", s.asGiven("schema.version"), "Not a number of type INT")
		}
		o.version = wit.Ptr(int32(n))
	}
	var err *wit.Fault
	o.replaceNull, err = s.boolean(replaceNullSpec.Name, true)
	if err == nil && o.name == nil && o.version == nil {
		err = fail("", "Neither schema name nor version configured")
	}
	return o, err
}

// rename makes the other schema.
func (o *metadata) rename(w *work, l *layout, stage int) *relabeled {
	x := &relabeled{}
	if !l.isStruct() {
		x.failure = &failure{stage, dataException, "Cannot list fields on non-struct type"}
		return x
	}
	made := slices.Clone(l.nodes)
	if o.name != nil {
		made[0].Name = o.name
	}
	if o.version != nil {
		made[0].Version = o.version
	}
	for i := range l.fields {
		n := l.fields[i].schema()
		x.defaults = x.defaults || o.replaceNull && n.Optional && n.DefaultValue != nil
	}
	x.out, x.failure = w.schemas.declareMade(made, stage)
	return x
}

func (o *metadata) relabel(w *work, schema uint32, stage int) (side, uint32, bool) {
	l, err := w.layout(schema)
	if err != nil {
		return o.side, 0, false
	}
	x, _ := o.programs.of(&w.schemas, schema, func([]wit.Node) *relabeled { return o.rename(w, l, stage) })
	return o.side, x.out, x.failure == nil && !x.defaults
}

// refuse does a column without schema.
func (o *metadata) refuse(_ *work, _ *column, stage int) *failure {
	return &failure{stage, dataException, "Schema required for [updating schema metadata]"}
}

// put gives a column the other schema.
func (o *metadata) put(w *work, c *column, l *layout, x *relabeled, stage int) *failure {
	if x.failure != nil {
		return x.failure
	}
	if x.defaults {
		done, f := w.opened(c, l, nil, stage)
		if f != nil {
			return f
		}
		if y := &w.object; !done {
			if y.replaceNulls(stage); !y.same() {
				w.put(c, wit.Structured, x.out, y.write)
			}
		}
	}
	c.schema = x.out
	return nil
}
