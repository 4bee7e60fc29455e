package edm

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/zone"
	"github.com/culvert-project/culvert/wit"
)

// Rounding is what happens to digits of a Decimal after its scale. Zeros there are always dropped.
type Rounding uint8

const (
	// RoundFail makes the row a fault: the default, nothing is rounded silently.
	RoundFail Rounding = iota
	RoundHalfEven
	RoundHalfUp
	RoundHalfDown
	RoundUp
	RoundDown
	RoundFloor
	RoundCeiling
)

// Options are what settings say about schemas.
type Options struct {
	// PrimitiveDecimals makes decimals int64 where the scale is 0, else float64 (`decimal.mapping = primitive`).
	PrimitiveDecimals bool
	// ScaleFallback is the scale of decimals whose metadata leaves it open: a variable scale, or neither precision nor
	// scale. A precision alone means scale 0, as EDM says.
	ScaleFallback int
	// Rounding of digits after the scale; the default refuses them.
	Rounding Rounding
	// Dates makes an Edm.DateTime that the metadata call a date (sap:display-format) Connect's Date (`date.mapping =
	// date`).
	Dates bool
	// Micros makes points in time microseconds instead of Connect's Timestamp (`timestamp.precision = micros`).
	Micros bool
	// Zone is that of the clock by which an Edm.DateTime is written (`datetime.zone`), nil: UTC.
	Zone *zone.Zone
	// Delta makes everything optional but keys, and adds to rows what delta mode says of them: see
	// [StructuredType.Extra].
	Delta bool
	// Lenient makes everything but keys optional, whatever Nullable says (`nullable = lenient`).
	Lenient bool
}

// IsOptional reports whether a property's node is optional.
func (o Options) IsOptional(s *StructuredType, p *Property) bool {
	return p.Nullable || o.Lenient && !s.IsKey(p.Name) || o.Delta && !s.Complex && (!s.IsKey(p.Name) || p.IsControl())
}

// IsDate reports whether a property is a date without a time of day, and shown as one.
func (o Options) IsDate(p *Property) bool {
	return o.Dates && p.Type.Primitive == DateTime && p.DisplayFormat == displayDate
}

// IsZoned reports whether a property is a time on the clock of the zone. Dates without a time of day are the same
// everywhere, and keys stay as they are in addresses and conditions.
func (o Options) IsZoned(p *Property, key bool) bool {
	return o.Zone != nil && !key && p.Type.Primitive == DateTime && p.DisplayFormat != displayDate
}

// displayDate is the sap:display-format of dates.
const displayDate = "Date"

// Semantics and names by which ODP services mark what the delta queue adds to a row; these fields belong to no key
// (P24).
const (
	semanticsChangeMode    = "change-mode"
	semanticsEntityCounter = "entity-counter"
	nameChangeMode         = "ODQ_CHANGEMODE"
	nameEntityCounter      = "ODQ_ENTITYCNTR"
)

// IsControl reports whether a property is a control field of the operational delta queue.
func (p *Property) IsControl() bool {
	return p.Semantics == semanticsChangeMode || p.Semantics == semanticsEntityCounter || p.Name == nameChangeMode ||
		p.Name == nameEntityCounter
}

// DecimalScale is the scale of a Decimal property under these options.
func (o Options) DecimalScale(p *Property) int {
	switch {
	case p.Scale >= 0:
		return p.Scale
	case p.VariableScale || p.Precision < 0:
		return o.ScaleFallback
	}
	return 0
}

// ValueSchema is the Connect schema of an entity type's rows, named as the type; the nodes of complex types stand
// inside.
func (m *Model) ValueSchema(s *StructuredType, o Options) ([]wit.SchemaNode, error) {
	return m.ViewSchema(WholeView(s), o)
}

// KeySchema is the Connect schema of an entity type's keys, named `NS.Type.Key`; its members are the key properties in
// the order of the document, without the control fields of ODP, never optional. nil: the type has no key.
func (m *Model) KeySchema(s *StructuredType, o Options) ([]wit.SchemaNode, error) {
	keys := m.RowKey(s)
	if len(keys) == 0 {
		return nil, nil
	}
	b := schemaBuilder{model: m, options: o}
	root := b.node(wit.SchemaNode{Kind: wit.Struct, Name: wit.Ptr(s.QualifiedName() + ".Key")})
	for _, p := range keys {
		n, err := b.property(s, p, false, 1)
		if err != nil {
			return nil, err
		}
		b.nodes[root].Fields = append(b.nodes[root].Fields, wit.Field{Name: p.Name, Node: n})
	}
	return b.nodes, nil
}

// RowKey are the properties that make a record's key.
func (m *Model) RowKey(s *StructuredType) []*Property {
	var keys []*Property
	for _, name := range s.Key {
		if p := s.Property(name); p != nil && !p.IsControl() {
			keys = append(keys, p)
		}
	}
	return keys
}

// Inner is the complex type of a property.
func (m *Model) Inner(s *StructuredType, p *Property) (*StructuredType, error) {
	if inner := m.Structure(p.Type.Name); inner != nil && !p.Type.Collection {
		return inner, nil
	}
	if p.Type.Collection {
		return nil, &Error{"property " + p.Name + " of " + s.QualifiedName() +
			": collections as properties are not part of OData v2"}
	}
	return nil, &Error{"property " + p.Name + " of " + s.QualifiedName() + ": its type " + p.Type.Name +
		" is neither a type of OData v2 nor declared in $metadata"}
}

// MaxDepth bounds complex types inside complex types; EDM forbids circles.
const MaxDepth = 50

type schemaBuilder struct {
	model   *Model
	options Options
	// hidden: members that are read and not shown get nodes, too.
	hidden bool
	nodes  []wit.SchemaNode
}

func (b *schemaBuilder) node(n wit.SchemaNode) uint32 {
	b.nodes = append(b.nodes, n)
	return uint32(len(b.nodes) - 1)
}

// maxNodes bounds what complex types inside complex types come to: types that hold the next one twice double at each
// level.
const maxNodes = 20_000

// begin writes the node of a structure, without its members.
func (b *schemaBuilder) begin(s *StructuredType, optional bool, depth int) (uint32, error) {
	if depth > MaxDepth {
		return 0, &Error{"complex types nest in a circle at " + s.QualifiedName()}
	}
	if len(b.nodes) > maxNodes {
		return 0, &Error{s.QualifiedName() + " comes to more than " + strconv.Itoa(maxNodes) + " properties"}
	}
	return b.node(wit.SchemaNode{Kind: wit.Struct, Optional: optional, Name: wit.Ptr(s.QualifiedName())}), nil
}

func (b *schemaBuilder) structure(s *StructuredType, optional bool, depth int) error {
	root, err := b.begin(s, optional, depth)
	if err != nil {
		return err
	}
	for i := range s.Properties {
		p := &s.Properties[i]
		n, err := b.property(s, p, b.options.IsOptional(s, p), depth+1)
		if err != nil {
			return err
		}
		b.nodes[root].Fields = append(b.nodes[root].Fields, wit.Field{Name: p.Name, Node: n})
	}
	return nil
}

func (b *schemaBuilder) property(s *StructuredType, p *Property, optional bool, depth int) (uint32, error) {
	at := uint32(len(b.nodes))
	if p.Type.Primitive != NotPrimitive && !p.Type.Collection {
		b.node(b.primitive(p, optional))
		return at, nil
	}
	inner, err := b.model.Inner(s, p)
	if err != nil {
		return 0, err
	}
	return at, b.structure(inner, optional, depth)
}

// primitive is the overview's table of types.
func (b *schemaBuilder) primitive(p *Property, optional bool) wit.SchemaNode {
	n := wit.SchemaNode{Optional: optional}
	logical := func(kind wit.Kind, name string) {
		n.Kind, n.Name, n.Version = kind, wit.Ptr(name), wit.Ptr(int32(1))
	}
	switch p.Type.Primitive {
	case SByte:
		n.Kind = wit.Int8
	case Byte, Int16:
		n.Kind = wit.Int16
	case Int32:
		n.Kind = wit.Int32
	case Int64:
		n.Kind = wit.Int64
	case Single:
		n.Kind = wit.Float32
	case Double:
		n.Kind = wit.Float64
	case Boolean:
		n.Kind = wit.Boolean
	case Binary:
		n.Kind = wit.Bytes
	case DateTime, DateTimeOffset:
		if b.options.IsDate(p) {
			logical(wit.Int32, wit.NameDate)
			return n
		}
		name := wit.NameTimestamp
		if b.options.Micros {
			name = wit.NameMicroTimestamp
		}
		logical(wit.Int64, name)
	case Time:
		logical(wit.Int32, wit.NameTime)
	case Decimal:
		b.decimal(&n, p, logical)
	default:
		n.Kind = wit.String
	}
	return n
}

func (b *schemaBuilder) decimal(n *wit.SchemaNode, p *Property, logical func(wit.Kind, string)) {
	scale := b.options.DecimalScale(p)
	switch {
	case b.options.PrimitiveDecimals && scale == 0:
		n.Kind = wit.Int64
		return
	case b.options.PrimitiveDecimals:
		n.Kind = wit.Float64
		return
	}
	logical(wit.Bytes, wit.NameDecimal)
	n.Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: strconv.Itoa(scale)}}
	if p.Precision > 0 {
		n.Parameters = append(n.Parameters, wit.Setting{Name: wit.ParameterPrecision, Value: strconv.Itoa(p.Precision)})
	}
}
