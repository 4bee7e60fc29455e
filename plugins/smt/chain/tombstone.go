package chain

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var tombstoneSpecs = []wit.SettingSpec{
	{Name: "field", Kind: wit.KindText, DefaultValue: wit.Ptr("RECORDMODE,ODQ_CHANGEMODE"), Importance: wit.Medium,
		Documentation: "Fields of the value that say whether the entity was deleted, with commas: the first one that " +
			"is there counts. The defaults are those of the OData source."},
	{Name: "values", Kind: wit.KindListOfText, DefaultValue: wit.Ptr("D"), Importance: wit.Medium,
		Documentation: "Texts of the field that mean a deletion."},
}

// toTombstone is ToTombstone, our own: a record that says that an entity was deleted becomes a key without a value.
type toTombstone struct {
	onColumn[*field]
	fields, values []string
}

func newToTombstone(s settings) (operation, *wit.Fault) {
	o := &toTombstone{fields: []string{"RECORDMODE", "ODQ_CHANGEMODE"}, values: []string{"D"}}
	o.onColumn = onColumn[*field]{side: valueSide, compile: o.program, structured: o.look,
		dynamic: o.lookInMap}
	for name, list := range map[string]*[]string{"field": &o.fields, "values": &o.values} {
		if _, given := s.find(name); !given {
			continue
		}
		if *list = s.list(name); len(*list) == 0 || slices.Contains(*list, "") {
			return nil, invalid(name, strings.Join(*list, ","), "expected at least one text, none of them empty")
		}
	}
	return o, nil
}

// lookInMap does a column without schema.
func (o *toTombstone) lookInMap(w *work, c *column, stage int) *failure {
	if class, bad := w.object.readMap(w, c.bytes); bad {
		return broken(stage, 0)
	} else if class != "" {
		return nil
	}
	if x := o.find(&w.object); x != nil && x.bytes[0] == datum.TagText {
		text, _ := datum.Block(x.bytes[1:])
		return o.bury(w, c, text, stage)
	}
	return nil
}

// find is the first of the fields that is there.
func (o *toTombstone) find(x *object) *field {
	for _, name := range o.fields {
		if f := x.find(name); f != nil {
			return f
		}
	}
	return nil
}

// look does a column with a schema; of is its field, nil if it has none.
func (o *toTombstone) look(w *work, c *column, l *layout, of *field, stage int) *failure {
	if of == nil {
		return nil
	}
	if done, f := w.opened(c, l, nil, stage); done {
		return f
	}
	null, size, ok := datum.IsNull(of.schema(), w.object.fields[of.index].bytes)
	if !ok {
		return broken(stage, of.index)
	}
	if null {
		return nil
	}
	text, _ := datum.Block(w.object.fields[of.index].bytes[size:])
	return o.bury(w, c, text, stage)
}

// bury makes a tombstone of the row where the field's text says so.
func (o *toTombstone) bury(w *work, c *column, text []byte, stage int) *failure {
	if !slices.Contains(o.values, string(text)) {
		return nil
	}
	null, err := w.view.columns[keySide].null(&w.schemas)
	switch {
	case err != nil:
		return &failure{stage, dataException, err.Error()}
	case null:
		return &failure{stage, dataException, "A tombstone needs a key: nobody could tell which entity was deleted"}
	}
	c.set(wit.Absent, 0, nil)
	return nil
}

// program finds the field in a schema.
func (o *toTombstone) program(w *work, l *layout, _ int) *field {
	x := &object{}
	x.open(w, l, nil, 0)
	if f := o.find(x); f != nil && f.schema().Kind == wit.Text {
		return f
	}
	return nil
}
