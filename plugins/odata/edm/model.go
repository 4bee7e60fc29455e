// Package edm reads a service's $metadata and derives the schemas of Kafka Connect and of rows.
//
// Where to look: dialect.go and writes.go have the differences between the versions of OData as data. parse.go reads a
// document into the model (model.go), csdl4.go the elements that only v4 has, annotations4.go annotations of v4.
// schema.go derives schemas, of a selection of properties (view.go); changes.go describes what differs between two
// documents; subset.go packs the types that a set needs.
package edm

import (
	"math"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/markup"
)

// Model is a parsed $metadata document. Type names are qualified, `Namespace.Type`, with aliases resolved. A document
// may have thousands of types, so the content of a type is parsed when [Model.Structure] first returns it.
type Model struct {
	Dialect *Dialect // of the document; nil means [V2]
	// Structures are complete only if [Model.Structure] returned them; others have the attributes of their tags.
	Structures      []*StructuredType
	Sets            []*Set
	Functions       []*Function
	associations    []*association
	associationSets []*association
	aliases         map[string]string          // namespaces by alias
	byName          map[string]*StructuredType // by qualified name; find builds it
	byBareName      map[string]*StructuredType // by unqualified name; built with byName
	byAssociation   map[string]*association    // by qualified name
	declarations
}

// StructuredType is an entity type or a complex type. Its lists start with what it inherits from base types.
type StructuredType struct {
	Namespace   string
	Name        string
	Base        string // qualified name of the base type; may be empty
	Complex     bool
	Abstract    bool
	Stream      bool // a media link entry (m:HasStream)
	Open        bool // entities may have properties that are not declared
	Key         []string
	Properties  []Property
	Navigations []Navigation
	LeftOut     []string // properties that are never read: streams

	size         int              // number of elements in the type's element
	unparsed     *markup.Reader   // the content of the type's element, nil once parsed
	feedMappings []sourcedMapping // attributes of the type's tag
}

// Property is a property of a structured type.
type Property struct {
	Name          string
	Type          Type
	Nullable      bool // true by default
	Length        int  // facet MaxLength, -1 if missing or Max
	Precision     int  // facet, -1 if missing
	Scale         int  // facet, -1 if missing
	VariableScale bool // the scale varies or depends on another property
	Etag          bool // the property is part of the ETag (ConcurrencyMode Fixed)
	// Annotations of SAP; missing ones are empty or true.
	Semantics     string
	DisplayFormat string
	Sortable      bool
	Filterable    bool
	Creatable     bool
	Updatable     bool
	// FeedMapping is the position in Atom entries (m:FC_TargetPath). Nil means m:properties.
	FeedMapping *FeedMapping
}

// FeedMapping is a customized position of a property's value in an Atom entry.
type FeedMapping struct {
	// Path is an element of Atom as m:FC_TargetPath names it (SyndicationTitle …) or a path of elements of Namespace.
	Path      string
	Namespace string // of the elements in Path
	Keep      bool   // m:properties contains the value, too
}

// Type of a property.
type Type struct {
	Primitive  Primitive
	Name       string // qualified: `Edm.String`, `NS.Address`
	Collection bool
	Enum       *EnumType // nil unless Primitive is [Enum]
}

// EnumType is an enumeration type.
type EnumType struct {
	Members []string // their names
	Flags   bool     // a value may have several members
}

// Primitive is a primitive type of EDM.
type Primitive uint8

const (
	NotPrimitive Primitive = iota // a complex, entity or unknown type
	Binary
	Boolean
	Byte
	SByte
	Int16
	Int32
	Int64
	Decimal
	Double
	Single
	Guid
	String
	DateTime
	DateTimeOffset
	Time
	// The following types are part of OData v4.
	Date
	TimeOfDay
	Duration
	Enum // named by [Type.Name]
	Geo  // every geography and geometry, as GeoJSON
)

var primitives = [...]string{"", "Binary", "Boolean", "Byte", "SByte", "Int16", "Int32", "Int64", "Decimal", "Double",
	"Single", "Guid", "String", "DateTime", "DateTimeOffset", "Time", "Date", "TimeOfDay", "Duration",
	"Enum", "Geography"}

func (p Primitive) String() string {
	if p == NotPrimitive {
		return ""
	}
	return "Edm." + primitives[p]
}

// parsePrimitive returns the type with a name such as Edm.String, or NotPrimitive.
func (d *Dialect) parsePrimitive(name string) Primitive {
	bareName, ok := strings.CutPrefix(name, "Edm.")
	isGeo := strings.HasPrefix(bareName, "Geography") || strings.HasPrefix(bareName, "Geometry")
	switch isOASIS := d.orV2().oasis; {
	case !ok:
		return NotPrimitive
	case !isOASIS && (bareName == "Bit" || bareName == "Uint7"): // of old Olingo services
		return SByte
	case !isOASIS && bareName == "Float":
		return Double // assumption, as in SAP's test service API_TEST_SRV and in client libraries
	case isOASIS && isGeo:
		return Geo
	}
	for i := Binary; int(i) < len(primitives); i++ {
		if primitives[i] == bareName && i != Enum && d.Declares(i) {
			return i
		}
	}
	return NotPrimitive
}

// Bounds returns the range of an integer type. ok is false for other types.
func (p Primitive) Bounds() (low, high int64, ok bool) {
	switch p {
	case SByte:
		return math.MinInt8, math.MaxInt8, true
	case Byte:
		return 0, math.MaxUint8, true
	case Int16:
		return math.MinInt16, math.MaxInt16, true
	case Int32:
		return math.MinInt32, math.MaxInt32, true
	case Int64:
		return math.MinInt64, math.MaxInt64, true
	}
	return 0, 0, false
}

// IsGUID reports whether a text is a GUID, in upper or lower case.
func IsGUID[T string | []byte](text T) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !(('0' <= c && c <= '9') || ('a' <= c|0x20 && c|0x20 <= 'f')) {
			return false
		}
	}
	return true
}

// Navigation is a navigation property.
type Navigation struct {
	Name   string
	Target string // qualified name of the entity type, empty if the association is incomplete
	Many   bool   // the property may have several targets

	contained    bool   // the targets are part of the entity and of no set
	relationship string // qualified name of the association, which may use an alias; the name itself in v4
	targetRole   string // role of the targets in the association
}

// Set is an entity set.
type Set struct {
	Name      string
	Container string // name of its entity container
	Default   bool   // the set is addressed without the container's name
	Type      string // qualified name of the entity type
	Singleton bool   // a single entity instead of a set
	// Annotations of SAP, with their defaults.
	Countable   bool
	Pageable    bool
	Partial     bool // sap:isPartial: the set does not have all rows
	Topable     bool
	Addressable bool
	Permissions
	ChangeTracking bool
	RequiresFilter bool
	Subscription   bool
	Label          string
}

// Permissions are the writes that a set accepts.
type Permissions struct {
	Creatable bool
	Updatable bool
	Deletable bool
}

// Function is a function import.
type Function struct {
	Name       string
	Method     string // of HTTP
	Returns    string // type, as written in the metadata; empty if it returns nothing
	Set        string // entity set of the result; may be empty
	Parameters []Property
}

// association is an association or an association set.
type association struct {
	name string // of an association set: the name of its association
	ends []end
}

type end struct {
	role string
	typ  string // the entity type; the entity set in an association set
	many bool
}

// QualifiedName returns `Namespace.Name`, or the name alone in a schema without namespace.
func (s *StructuredType) QualifiedName() string { return qualify(s.Namespace, s.Name) }

func qualify(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// Property returns the property with a name, or nil.
func (s *StructuredType) Property(name string) *Property {
	for i := range s.Properties {
		if s.Properties[i].Name == name {
			return &s.Properties[i]
		}
	}
	return nil
}

// Navigation returns the navigation property with a name, or nil.
func (s *StructuredType) Navigation(name string) *Navigation {
	for i := range s.Navigations {
		if s.Navigations[i].Name == name {
			return &s.Navigations[i]
		}
	}
	return nil
}

// IsKey reports whether a property is part of the key.
func (s *StructuredType) IsKey(name string) bool { return slices.Contains(s.Key, name) }

// Etag reports whether entities of the type have an ETag.
func (s *StructuredType) Etag() bool {
	return slices.ContainsFunc(s.Properties, func(p Property) bool { return p.Etag })
}

// Structure returns the type with a qualified name, or nil. The first call for a type parses its content. Do not add
// structures after the first call.
func (m *Model) Structure(name string) *StructuredType {
	s := m.find(name)
	if s != nil && s.unparsed != nil {
		// Parse the content of the type, and add what it inherits. [Parse] has already checked the markup.
		content := parser{Reader: s.unparsed, model: m, isOASIS: m.Dialect.orV2().oasis}
		s.unparsed = nil
		_ = content.visitChildren(func() error {
			switch content.Local {
			case "Key":
				return content.visitChildren(func() error {
					if content.Local == "PropertyRef" {
						s.Key = append(s.Key, content.attribute("Name"))
					}
					return content.Skip()
				})
			case "Property":
				property, err := content.parseProperty(s.QualifiedName())
				s.Properties = append(s.Properties, property)
				return err
			case "NavigationProperty":
				s.Navigations = append(s.Navigations, content.parseNavigation())
			}
			return content.Skip()
		})
		for _, mapping := range s.feedMappings {
			if property := s.Property(mapping.source); property != nil {
				property.FeedMapping = &mapping.FeedMapping
			}
		}
		for i := range s.Properties {
			m.resolveProperty(&s.Properties[i])
		}
		if content.isOASIS {
			s.leaveOutStreams()
		}
		for i := range s.Navigations {
			m.resolveNavigation(&s.Navigations[i])
		}
		if base := m.Structure(s.Base); s.Base != "" && base != nil {
			s.Key = slices.Concat(base.Key, s.Key)
			s.Properties = slices.Concat(base.Properties, s.Properties)
			s.Navigations = slices.Concat(base.Navigations, s.Navigations)
			s.Stream = s.Stream || base.Stream
			s.Open = s.Open || base.Open
			s.LeftOut = slices.Concat(base.LeftOut, s.LeftOut)
		}
		m.annotate(s)
	}
	return s
}

// find returns a type without parsing its content, or nil. The first one of equal names counts.
func (m *Model) find(name string) *StructuredType {
	if m.byName == nil {
		m.byName = make(map[string]*StructuredType, len(m.Structures))
		m.byBareName = make(map[string]*StructuredType, len(m.Structures))
		for i := len(m.Structures) - 1; i >= 0; i-- {
			s := m.Structures[i]
			m.byName[s.QualifiedName()] = s
			m.byBareName[s.Name] = s
		}
	}
	if s := m.byName[name]; s != nil {
		return s
	}
	return m.byBareName[name] // metadata written by hand omit the namespace
}

// Set returns the entity set with a name, `Set` or `Container.Set`, or nil.
func (m *Model) Set(name string) *Set {
	for _, s := range m.Sets {
		if s.Name == name || s.Container+"."+s.Name == name {
			return s
		}
	}
	return nil
}

// NavigationTarget returns the entity set of the targets of a navigation property: by the association set, else the
// only set of their type, else nil.
func (m *Model) NavigationTarget(source *Set, n *Navigation) *Set {
	for _, set := range m.associationSets {
		if set.name != m.resolveAlias(n.relationship) || len(set.ends) != 2 {
			continue
		}
		for i, targetEnd := range set.ends {
			sourceEnd := set.ends[1-i]
			if targetEnd.role == n.targetRole && sourceEnd.typ == source.Name {
				return m.Set(targetEnd.typ)
			}
		}
	}
	if n.contained {
		return nil
	}
	var target *Set
	for _, s := range m.Sets {
		switch {
		case s.Type != n.Target || s.Singleton: // no set of the targets
		case target != nil:
			return nil
		default:
			target = s
		}
	}
	return target
}
