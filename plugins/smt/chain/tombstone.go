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
	onColumn[*tombstoneProgram]
	fields, values []string
}

// tombstoneProgram is the field's member in a schema, -1: there is none.
type tombstoneProgram struct {
	*program
	member int
	node   wit.Node
}

func newToTombstone(s settings) (operation, *wit.Fault) {
	o := &toTombstone{fields: []string{"RECORDMODE", "ODQ_CHANGEMODE"}, values: []string{"D"}}
	o.onColumn = onColumn[*tombstoneProgram]{side: valueSide, compile: o.program, structured: o.look,
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
	class, bad := w.entries.read(c.bytes)
	switch {
	case bad:
		return broken(stage, 0)
	case class != "":
		return nil
	}
	for _, name := range o.fields {
		if x := w.entries.find(name); x != nil {
			if x.value[0] != datum.TagText {
				break
			}
			text, _ := datum.Block(x.value[1:])
			return o.bury(w, c, text, stage)
		}
	}
	return nil
}

// look does a column with a schema.
func (o *toTombstone) look(w *work, c *column, x *tombstoneProgram, stage int) *failure {
	if x.member < 0 {
		return nil
	}
	if done, f := x.opened(w, c, stage); done {
		return f
	}
	b := c.bytes[w.ends[x.member]:w.ends[x.member+1]]
	null, size, ok := datum.IsNull(&x.node, b)
	if !ok {
		return broken(stage, x.member)
	}
	if null {
		return nil
	}
	text, _ := datum.Block(b[size:])
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
func (o *toTombstone) program(_ *work, nodes []wit.Node, _ int) *tombstoneProgram {
	p, l := beginProgram(nodes)
	x := &tombstoneProgram{program: p, member: -1}
	if l == nil {
		return x
	}
	for _, name := range o.fields {
		at := l.find(name)
		if at < 0 {
			continue
		}
		if n := nodes[l.fields[at].node]; n.Kind == wit.Text {
			x.member, x.node = at, n
		}
		break
	}
	return x
}
