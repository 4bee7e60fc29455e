package write

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// Flat rows are written straight from their bytes, by the kernel of package encode, which takes a tenth of what trees
// take: each value of a tree is an allocation, and these are dear in a guest. A value that the kernel leaves
// is converted by itself, as that of a tree is; one that does not fit has the row refused, in the words that the long
// way has for it. At anything else the row goes the long way.

// slot is what a kernel has of a property.
type slot struct {
	property *edm.Property
	// before and after are what stands there of a value, and none what stands for a null: in JSON with the
	// comma after the member before it. xml: they are elements.
	before, after, none []byte
	xml                 bool
	// inserted and updated: the property is written then; null: a null of it is.
	inserted, updated, null bool
	// key is its place among the key properties, -1 for none.
	key int
	// bounded: it is an integer, from least to most.
	bounded     bool
	least, most int64
}

// flat is an entity set's type as kernels go by it.
type flat struct {
	entity *structure
	slots  map[string]*slot
	// keys is how many key properties there are. keyProperties are their slots, in the order of the key; addressed:
	// they are texts and integers, which can be read where they stand in a row.
	keys          int
	keyProperties []*slot
	addressed     bool
	// opening and ending are what stands before and after an entity's properties in Atom. mapped: some properties
	// have another place in its entries. Bodies are in JSON where opening is nil.
	opening, ending []byte
	mapped          bool
	// expected are the slots of the schemaless row before, whose names mostly are those of the next one too; nil ones
	// are left out.
	expected []expectedField
	// programs are those of rows whose fields are the expected ones.
	programs programs
	// kernels are made for schemas, by their numbers.
	kernels map[uint32]*kernel
}

// expectedField is a field of a row with its slot, which is nil where it is left out.
type expectedField struct {
	name string
	slot *slot
}

// kernel is a flat type with a schema.
type kernel struct {
	nodes []wit.Node
	// members are those of the structure, up to the first one that must go the long way.
	members  []flatMember
	programs programs
}

// flatMember is a member of a structure. Its slot is nil where it is left out.
type flatMember struct {
	node *wit.Node
	at   uint32
	slot *slot
	// timed: its integers are dates or times, units of so many milliseconds where they are points in time. scale is
	// that of a Decimal, -1 where the long way must tell.
	timed bool
	unit  int64
	scale int
}

// newFlat makes a flat type; atom: its bodies are entries.
func newFlat(s *structure, atom bool) *flat {
	f := &flat{entity: s, slots: map[string]*slot{}, keys: len(s.Key), kernels: map[uint32]*kernel{}}
	if atom {
		f.opening, f.ending = aroundProperties(s)
	}
	for i := range s.Properties {
		p := &s.Properties[i]
		key := -1
		for at, name := range s.Key {
			if name == p.Name {
				key = at
			}
		}
		least, most, bounded := p.Type.Primitive.Bounds()
		c := &slot{property: p, xml: atom, key: key, inserted: p.Creatable || key >= 0, updated: p.Updatable,
			null: p.Nullable && key < 0, bounded: bounded, least: least, most: most}
		if f.mapped = f.mapped || atom && p.Feed != nil; atom {
			c.before, c.after, c.none = startTag(nil, p), endTag(nil, p), noneTag(nil, p.Name)
		} else {
			c.before = append(jsontext.AppendString([]byte{','}, p.Name), ':')
			c.none = append(slices.Clip(c.before), "null"...)
		}
		f.slots[p.Name] = c
	}
	f.addressed = f.keys > 0
	for _, name := range s.Key {
		c := f.slots[name]
		f.keyProperties = append(f.keyProperties, c)
		f.addressed = f.addressed && c != nil && (c.bounded || c.property.Type.Primitive == edm.String)
	}
	return f
}

// of finds the slot of a field. ok is false where the long way must decide about it.
func (f *flat) of(m *manner, name string) (c *slot, ok bool) {
	if c = f.slots[name]; c != nil {
		return c, c.property.Type.Primitive != edm.NotPrimitive
	}
	return nil, m.ignoreUnknown && f.entity.navigations[name] == nil
}

// maxKernels is how many schemas of one entity set have theirs at a time.
const maxKernels = 64

// kernel finds what was made for a schema; nil: its rows go the long way.
func (f *flat) kernel(m *manner, id uint32, nodes []wit.Node) *kernel {
	if len(nodes) == 0 || nodes[0].Kind != wit.Structure {
		return nil
	}
	if k, made := f.kernels[id]; made && &k.nodes[0] == &nodes[0] {
		return k.fit()
	}
	if len(f.kernels) == maxKernels {
		clear(f.kernels)
	}
	f.kernels[id] = f.make(m, nodes)
	return f.kernels[id].fit()
}

// fit is nil where rows must go the long way.
func (k *kernel) fit() *kernel {
	if len(k.members) < len(k.nodes[0].Members) {
		return nil
	}
	return k
}

func (f *flat) make(m *manner, nodes []wit.Node) *kernel {
	k := &kernel{nodes: nodes}
	for _, declared := range nodes[0].Members {
		c, ok := f.of(m, declared.Name)
		if !ok {
			return k
		}
		n := &nodes[declared.Node]
		k.members = append(k.members, flatMember{node: n, at: declared.Node, slot: c, timed: value.Timed(n),
			unit: value.Millis(n), scale: value.SmallScale(n)})
	}
	return k
}

// A program is what [encode.Members] needs to know of a row's fields, one for inserts and one for updates.

// program is made of the slots of fields.
type program []encode.Field

// programs are those of a kernel, or of the rows without schema of a set: for inserts and for updates.
type programs [2]program

// of is the program for inserts or updates, made once.
func (p *programs) of(updates bool, fields int, field func(i int) encode.Field) program {
	at := 0
	if updates {
		at = 1
	}
	if len(p[at]) != fields {
		p[at] = make(program, fields)
		for i := range p[at] {
			p[at][i] = field(i)
		}
	}
	return p[at]
}

// keyed tells whether it is of a key property: its value is looked at where it stands in the row, so that none of
// another type may be passed over.
func (c *slot) keyed() bool { return c != nil && c.key >= 0 }
