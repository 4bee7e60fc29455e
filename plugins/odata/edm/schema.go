package edm

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/wit"
)

// Rounding is the treatment of nonzero digits of a Decimal after its scale.
type Rounding uint8

const (
	RoundFail Rounding = iota // fails the row
	RoundHalfEven
	RoundHalfUp
	RoundHalfDown
	RoundUp
	RoundDown
	RoundFloor
	RoundCeiling
)

// Options are the settings that affect schemas.
type Options struct {
	// PrimitiveDecimals maps decimals to int64 if the scale is 0, else to float64 (`decimal.mapping = primitive`).
	PrimitiveDecimals bool
	ScaleFallback     int // the scale of decimals with a variable scale, or without precision and scale
	Rounding          Rounding
	// Dates maps an Edm.DateTime with the sap:display-format of dates to Connect's Date (`date.mapping = date`).
	Dates bool
	// Micros maps points in time to microseconds instead of Connect's Timestamp (`timestamp.precision = micros`).
	Micros bool
	Zone   *datetime.Zone // of Edm.DateTime (`datetime.zone`); nil means UTC
	// Delta makes everything except keys optional and adds the fields of [StructuredType.Extra].
	Delta bool
	// Lenient makes everything except keys optional (`nullable = lenient`).
	Lenient bool
}

// IsOptional reports whether a property is optional in schemas.
func (o Options) IsOptional(s *StructuredType, p *Property) bool {
	isKey := s.IsKey(p.Name)
	if p.Type.Collection {
		return true // a service may leave the collection out; its items are optional if the property is nullable
	}
	return p.Nullable || (o.Lenient && !isKey) || (o.Delta && !s.Complex && (!isKey || p.IsControl()))
}

// IsDate reports whether a property is mapped to a date.
func (o Options) IsDate(p *Property) bool {
	return o.Dates && p.Type.Primitive == DateTime && p.DisplayFormat == displayDate
}

// IsZoned reports whether a property is a local time of the zone. Dates have no zone. A property in the key is not
// converted, because URLs and conditions contain it unconverted.
func (o Options) IsZoned(p *Property, key bool) bool {
	return o.Zone != nil && !key && p.Type.Primitive == DateTime && p.DisplayFormat != displayDate
}

const displayDate = "Date"

// Semantics and names of ODP's control fields, which are no part of keys, because they differ in each change of an
// entity (RATIONALE.md P24).
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

// DecimalScale returns the scale of a Decimal property. In EDM, a precision alone means scale 0.
func (o Options) DecimalScale(p *Property) int {
	switch {
	case p.Scale >= 0:
		return p.Scale
	case p.VariableScale || p.Precision < 0:
		return o.ScaleFallback
	}
	return 0
}

// ValueSchema returns the Connect schema of a type's rows, named like the type.
func (m *Model) ValueSchema(s *StructuredType, o Options) ([]wit.SchemaNode, error) {
	return m.ViewSchema(WholeView(s), o)
}

// KeySchema returns the schema of keys, a struct of required fields named `NS.Type.Key`, or nil without a key.
func (m *Model) KeySchema(structure *StructuredType, o Options) ([]wit.SchemaNode, error) {
	for _, name := range structure.Key {
		if strings.Contains(name, "/") {
			return nil, &Error{"the key of " + structure.QualifiedName() + " contains " + name +
				", a part of a complex property; expected properties of the type itself"}
		}
	}
	keys := m.RowKey(structure)
	if len(keys) == 0 {
		return nil, nil
	}
	b := schemaBuilder{model: m, options: o}
	root := b.addNode(wit.SchemaNode{Kind: wit.Struct, Name: wit.Ptr(structure.QualifiedName() + ".Key")})
	for _, property := range keys {
		n, err := b.addProperty(structure, property, false, 1)
		if err != nil {
			return nil, err
		}
		b.nodes[root].Fields = append(b.nodes[root].Fields, wit.Field{Name: property.Name, Node: n})
	}
	return b.nodes, nil
}

// RowKey returns the properties of a record's key, without ODP's control fields.
func (m *Model) RowKey(s *StructuredType) []*Property {
	var keys []*Property
	for _, name := range s.Key {
		if p := s.Property(name); p != nil && !p.IsControl() {
			keys = append(keys, p)
		}
	}
	return keys
}

// ComplexType returns the complex type of a property, or of the items of a collection.
func (m *Model) ComplexType(structure *StructuredType, property *Property) (*StructuredType, error) {
	inner := m.Structure(property.Type.Name)
	problem := ""
	switch {
	case property.Type.Collection && !m.Dialect.orV2().oasis:
		problem = "collections as properties are not part of OData v2"
	case inner == nil:
		problem = "its type " + property.Type.Name + " is neither a type of OData " + m.Dialect.Name() +
			" nor declared in $metadata"
	case inner.Open:
		problem = "its type " + property.Type.Name + " is open: values may have properties that $metadata do " +
			"not declare"
	default:
		return inner, nil
	}
	return nil, &Error{"property " + property.Name + " of " + structure.QualifiedName() + ": " + problem}
}

// MaxDepth limits nested complex types; EDM forbids cycles.
const MaxDepth = 50

// schemaBuilder appends the nodes of a schema. Methods that add nodes return the index of the first one.
type schemaBuilder struct {
	model   *Model
	options Options
	hidden  bool // adds nodes for hidden properties
	nodes   []wit.SchemaNode
}

func (b *schemaBuilder) addNode(n wit.SchemaNode) uint32 {
	b.nodes = append(b.nodes, n)
	return uint32(len(b.nodes) - 1)
}

// maxNodes limits the nodes of a schema: types that contain another type twice double them at each level.
const maxNodes = 20_000

// addProperty adds the nodes of a property and returns the index of the first one.
func (b *schemaBuilder) addProperty(structure *StructuredType, prop *Property, optional bool,
	depth int) (uint32, error) {
	index := uint32(len(b.nodes))
	if prop.Type.Collection && b.model.Dialect.orV2().oasis {
		b.addNode(wit.SchemaNode{Kind: wit.Array, Element: index + 1, Optional: optional})
		optional = prop.Nullable
	}
	if prop.Type.Primitive != NotPrimitive && (!prop.Type.Collection || b.model.Dialect.orV2().oasis) {
		b.addNode(b.primitiveNode(prop, optional))
		return index, nil
	}
	inner, err := b.model.ComplexType(structure, prop)
	if err != nil {
		return 0, err
	}
	return index, b.addView(WholeView(inner), optional, depth)
}

// primitiveNode returns the node of a primitive property.
func (b *schemaBuilder) primitiveNode(property *Property, optional bool) wit.SchemaNode {
	n := wit.SchemaNode{Optional: optional}
	setLogical := func(kind wit.Kind, name string) {
		n.Kind = kind
		n.Name = wit.Ptr(name)
		n.Version = wit.Ptr(int32(1))
	}
	switch property.Type.Primitive {
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
		if b.options.IsDate(property) {
			setLogical(wit.Int32, wit.NameDate)
			return n
		}
		name := wit.NameTimestamp
		if b.options.Micros {
			name = wit.NameMicroTimestamp
		}
		setLogical(wit.Int64, name)
	case Date:
		setLogical(wit.Int32, wit.NameDate)
	case Time, TimeOfDay:
		setLogical(wit.Int32, wit.NameTime)
	case Decimal:
		b.setDecimal(&n, property, setLogical)
	default:
		n.Kind = wit.String
	}
	return n
}

func (b *schemaBuilder) setDecimal(n *wit.SchemaNode, property *Property, setLogical func(wit.Kind, string)) {
	scale := b.options.DecimalScale(property)
	switch {
	case b.options.PrimitiveDecimals && scale == 0:
		n.Kind = wit.Int64
		return
	case b.options.PrimitiveDecimals:
		n.Kind = wit.Float64
		return
	}
	setLogical(wit.Bytes, wit.NameDecimal)
	n.Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: strconv.Itoa(scale)}}
	if property.Precision > 0 {
		n.Parameters = append(n.Parameters, wit.Setting{Name: wit.ParameterPrecision,
			Value: strconv.Itoa(property.Precision)})
	}
}
