package edm

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// View is the part of an entity type that is read: properties under a projection, and expanded entities.
type View struct {
	Structure *StructuredType
	Hidden    []string    // properties that are read for conditions but are not part of rows
	Omitted   []string    // properties that are not read
	Expanded  []Expansion // in metadata order
	Projected bool        // requests name the properties that are read
}

// Expansion is an expanded navigation property with the view of its entities.
type Expansion struct {
	Name string
	Many bool
	View *View
}

// WholeView returns the view of all properties of a type.
func WholeView(s *StructuredType) *View { return &View{Structure: s} }

// Expansion returns the expansion with a name, or nil.
func (v *View) Expansion(name string) *Expansion {
	for i := range v.Expanded {
		if v.Expanded[i].Name == name {
			return &v.Expanded[i]
		}
	}
	return nil
}

// Includes reports whether rows contain a property.
func (v *View) Includes(name string) bool {
	return !slices.Contains(v.Hidden, name) && !slices.Contains(v.Omitted, name)
}

// HidesNested reports whether an expanded entity has hidden properties.
func (v *View) HidesNested() bool {
	for _, e := range v.Expanded {
		if len(e.View.Hidden) > 0 || e.View.HidesNested() {
			return true
		}
	}
	return false
}

// ViewSchema returns the Connect schema of a view's rows: visible properties in metadata order, then an optional struct
// or an array of structs for each expansion, then with [Options.Delta] the fields of [StructuredType.Extra].
func (m *Model) ViewSchema(v *View, o Options) ([]wit.SchemaNode, error) {
	b := schemaBuilder{model: m, options: o}
	err := b.addView(v, false, 0)
	return b.nodes, err
}

// ReadSchema is [Model.ViewSchema] with hidden properties. Those of the root are at its end, because the values of rows
// end before them. Those of expanded entities are in metadata order.
func (m *Model) ReadSchema(v *View, o Options) ([]wit.SchemaNode, error) {
	b := schemaBuilder{model: m, options: o, hidden: true}
	err := b.addView(v, false, 0)
	return b.nodes, err
}

// addView adds the nodes of a view. [Model.ViewSchema] and [Model.ReadSchema] specify the order of the fields.
func (b *schemaBuilder) addView(current *View, optional bool, depth int) error {
	structure := current.Structure
	if depth > MaxDepth { // by complex types: package query limits expansions to fewer levels
		return &Error{"complex types nest in a circle at " + structure.QualifiedName()}
	}
	if len(b.nodes) > maxNodes {
		return &Error{structure.QualifiedName() + " has more than " + strconv.Itoa(maxNodes) + " properties"}
	}
	if structure.Open && !current.Projected {
		return &Error{structure.QualifiedName() + " is an open type: its rows may have properties that $metadata do " +
			"not declare, so it is read only with a selection of properties"}
	}
	root := b.addNode(wit.SchemaNode{Kind: wit.Struct, Optional: optional, Name: wit.Ptr(structure.QualifiedName())})
	addField := func(name string, node uint32) {
		b.nodes[root].Fields = append(b.nodes[root].Fields, wit.Field{Name: name, Node: node})
	}
	addProperties := func(isWanted func(name string) bool) error {
		for i := range structure.Properties {
			property := &structure.Properties[i]
			if !isWanted(property.Name) {
				continue
			}
			n, err := b.addProperty(structure, property, b.options.IsOptional(structure, property), depth+1)
			if err != nil {
				return err
			}
			addField(property.Name, n)
		}
		return nil
	}
	isAddedHidden := func(name string) bool { return b.hidden && slices.Contains(current.Hidden, name) }
	if err := addProperties(func(name string) bool {
		return current.Includes(name) || (depth > 0 && isAddedHidden(name))
	}); err != nil {
		return err
	}
	// Add the expanded entities.
	for _, e := range current.Expanded {
		index := uint32(len(b.nodes)) // of the array, or of the struct that addView adds
		if e.Many {
			b.addNode(wit.SchemaNode{Kind: wit.Array, Element: index + 1})
		}
		if err := b.addView(e.View, !e.Many, depth+1); err != nil {
			return err
		}
		addField(e.Name, index)
	}
	if depth > 0 {
		return nil
	}
	// Add the fields that only the root has.
	if b.options.Delta {
		for _, name := range structure.Extra() {
			n := wit.SchemaNode{Optional: true, Kind: wit.String}
			if name == DeletedAt {
				n.Kind = wit.Int64
				n.Name = wit.Ptr(wit.NameTimestamp)
				n.Version = wit.Ptr(int32(1))
			}
			addField(name, b.addNode(n))
		}
	}
	return addProperties(isAddedHidden)
}
