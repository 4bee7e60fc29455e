package edm

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// View is what is read of an entity type: its properties under a projection, and the entities that are expanded in it.
type View struct {
	Structure *StructuredType
	// Hidden are properties that stand in no row and are read all the same, since a condition looks at them; Left are
	// those that are neither read nor shown. Both hold names.
	Hidden, Omitted []string
	// Expanded are the navigation properties that are followed, in the order of the metadata.
	Expanded []Expansion
}

// Expansion is a navigation property that is followed, and what is read of its entities.
type Expansion struct {
	Name string
	// Many: it leads to a feed.
	Many bool
	View *View
}

// WholeView is the view of all properties of a structure.
func WholeView(s *StructuredType) *View { return &View{Structure: s} }

// Expansion returns the expansion of that name, nil when there is none.
func (v *View) Expansion(name string) *Expansion {
	for i := range v.Expanded {
		if v.Expanded[i].Name == name {
			return &v.Expanded[i]
		}
	}
	return nil
}

// Includes reports whether a property stands in rows.
func (v *View) Includes(name string) bool {
	return !slices.Contains(v.Hidden, name) && !slices.Contains(v.Omitted, name)
}

// HidesNested tells whether something inside an expanded entity is read and not shown, so that rows as a decoder makes
// them are not those of [Model.ViewSchema] but of [Model.ReadSchema].
func (v *View) HidesNested() bool {
	for _, e := range v.Expanded {
		if len(e.View.Hidden) > 0 || e.View.HidesNested() {
			return true
		}
	}
	return false
}

// ViewSchema is the Connect schema of a view's rows: the properties that are shown, in the order of the document, then
// what is expanded: a structure that is optional where at most one entity is there, else an array of structures.
func (m *Model) ViewSchema(v *View, o Options) ([]wit.SchemaNode, error) {
	b := schemaBuilder{model: m, options: o}
	err := b.view(v, false, 0)
	return b.nodes, err
}

// ReadSchema is [Model.ViewSchema] with what is hidden: in the root after everything else, inside where it stands in
// the document.
func (m *Model) ReadSchema(v *View, o Options) ([]wit.SchemaNode, error) {
	b := schemaBuilder{model: m, options: o, hidden: true}
	err := b.view(v, false, 0)
	return b.nodes, err
}

// view writes the node of a view's rows.
func (b *schemaBuilder) view(v *View, optional bool, depth int) error {
	s := v.Structure
	root, err := b.begin(s, optional, depth)
	if err != nil {
		return err
	}
	add := func(name string, node uint32) {
		b.nodes[root].Fields = append(b.nodes[root].Fields, wit.Field{Name: name, Node: node})
	}
	properties := func(wanted func(name string) bool) error {
		for i := range s.Properties {
			p := &s.Properties[i]
			if !wanted(p.Name) {
				continue
			}
			n, err := b.property(s, p, b.options.IsOptional(s, p), depth+1)
			if err != nil {
				return err
			}
			add(p.Name, n)
		}
		return nil
	}
	hidden := func(name string) bool { return b.hidden && slices.Contains(v.Hidden, name) }
	if err := properties(func(name string) bool { return v.Includes(name) || depth > 0 && hidden(name) }); err != nil {
		return err
	}
	for _, e := range v.Expanded {
		at := uint32(len(b.nodes))
		if e.Many {
			b.node(wit.SchemaNode{Kind: wit.Array, Element: at + 1})
		}
		if err := b.view(e.View, !e.Many, depth+1); err != nil {
			return err
		}
		add(e.Name, at)
	}
	if depth > 0 {
		return nil
	}
	if b.options.Delta {
		for _, name := range s.Extra() {
			n := wit.SchemaNode{Optional: true, Kind: wit.String}
			if name == DeletedAt {
				n.Kind, n.Name, n.Version = wit.Int64, wit.Ptr(wit.NameTimestamp), wit.Ptr(int32(1))
			}
			add(name, b.node(n))
		}
	}
	return properties(hidden)
}
