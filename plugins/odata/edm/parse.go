package edm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/markup"
)

// Namespaces of attributes in $metadata.
const (
	namespaceData  = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
	namespaceSAP   = "http://www.sap.com/Protocols/SAPData"
	namespaceOASIS = "docs.oasis-open.org"
)

// Error reports a $metadata document that cannot be used.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// Parse reads a $metadata document, which must not be changed later because types are parsed on demand. It matches
// local names, because every EDM namespace from 2006/04 on is in use, and skips unknown elements. Missing types and
// incomplete associations are errors only if they are used.
func Parse(document []byte) (*Model, error) {
	parse := parser{Reader: markup.NewReaderNoCopy(document), model: &Model{}}
	kind, err := parse.Next()
	if err != nil {
		return nil, err
	}
	if kind != markup.Open || (parse.Local != "Edmx" && parse.Local != "Schema") {
		return nil, &Error{"expected a $metadata document (edmx:Edmx), found <" + parse.Local + ">"}
	}
	if parse.Local == "Schema" {
		err = parse.schema()
	} else {
		err = parse.edmx()
	}
	if err != nil {
		return nil, err
	}
	if parse.schemas == 0 {
		if parse.isV4 {
			return nil, &Error{"expected $metadata of OData v2, found metadata of a v4 service"}
		}
		return nil, &Error{"expected a Schema in $metadata, found none"}
	}
	if err := parse.model.resolve(); err != nil {
		return nil, err
	}
	return parse.model, nil
}

type parser struct {
	*markup.Reader
	model     *Model
	namespace string
	schemas   int
	isV4      bool
}

// children calls visit at the start of each child of the current element. visit must read up to the child's end.
func (p *parser) children(visit func() error) error {
	for {
		kind, err := p.Next()
		if err != nil {
			return err
		}
		switch kind {
		case markup.Close, markup.End:
			return nil
		case markup.Open:
			if err := visit(); err != nil {
				return err
			}
		}
	}
}

func (p *parser) edmx() error {
	return p.children(func() error {
		if p.Local != "DataServices" {
			return p.Skip()
		}
		return p.children(func() error {
			if p.Local != "Schema" {
				return p.Skip()
			}
			if strings.Contains(p.Namespace, namespaceOASIS) {
				p.isV4 = true
				return p.Skip()
			}
			return p.schema()
		})
	})
}

func (p *parser) schema() error {
	p.schemas++
	p.namespace = p.value("Namespace")
	if alias := p.value("Alias"); alias != "" {
		p.model.aliases = append(p.model.aliases, [2]string{alias, p.namespace})
	}
	return p.children(func() error {
		if strings.Contains(p.Namespace, namespaceOASIS) {
			return p.Skip()
		}
		switch p.Local {
		case "Using":
			p.model.aliases = append(p.model.aliases, [2]string{p.value("Alias"), p.value("Namespace")})
		case "EntityType", "ComplexType":
			return p.structure()
		case "Association":
			return p.association()
		case "EntityContainer":
			return p.container()
		}
		return p.Skip()
	})
}

func (p *parser) value(local string) string {
	v, _ := p.Attribute(local)
	return strings.Clone(v)
}

func (p *parser) sap(local string) string {
	v, _ := p.AttributeIn(namespaceSAP, local)
	return strings.Clone(v)
}

// sapFlag reads an annotation of SAP that defaults to true.
func (p *parser) sapFlag(local string) bool { return p.sap(local) != "false" }

func (p *parser) structure() error {
	structType := &StructuredType{Namespace: p.namespace, Name: p.value("Name"), Base: p.value("BaseType"),
		Complex: p.Local == "ComplexType", Abstract: p.value("Abstract") == "true"}
	stream, _ := p.AttributeIn(namespaceData, "HasStream")
	structType.Stream = stream == "true"
	structType.feedMappings = p.feedMappings()
	p.model.Structures = append(p.model.Structures, structType)
	structType.unparsed = p.Fork()
	return p.children(func() error {
		structType.size++
		return p.Skip()
	})
}

// parseContent parses the content of a type, whose form was checked before, and adds what it inherits.
func (m *Model) parseContent(structure *StructuredType) {
	content := parser{Reader: structure.unparsed, model: m}
	structure.unparsed = nil
	_ = content.children(func() error {
		switch content.Local {
		case "Key":
			return content.children(func() error {
				if content.Local == "PropertyRef" {
					structure.Key = append(structure.Key, content.value("Name"))
				}
				return content.Skip()
			})
		case "Property":
			property, err := content.property()
			structure.Properties = append(structure.Properties, property)
			return err
		case "NavigationProperty":
			structure.Navigations = append(structure.Navigations, Navigation{Name: content.value("Name"),
				relationship: content.value("Relationship"), to: content.value("ToRole")})
		}
		return content.Skip()
	})
	for _, mapping := range structure.feedMappings {
		if property := structure.Property(mapping.source); property != nil {
			property.FeedMapping = &mapping.FeedMapping
		}
	}
	for i := range structure.Properties {
		structure.Properties[i].Type = m.typeOf(structure.Properties[i].Type)
	}
	for i := range structure.Navigations {
		m.resolveNavigation(&structure.Navigations[i])
	}
	if base := m.Structure(structure.Base); structure.Base != "" && base != nil {
		structure.Key = slices.Concat(base.Key, structure.Key)
		structure.Properties = slices.Concat(base.Properties, structure.Properties)
		structure.Navigations = slices.Concat(base.Navigations, structure.Navigations)
		structure.Stream = structure.Stream || base.Stream
	}
}

// sourcedMapping is the feed mapping of the property source, in the tag of a type.
type sourcedMapping struct {
	source string
	FeedMapping
}

// feedMappings reads m:FC_TargetPath and m:FC_SourcePath; the second and later ones are numbered (m:FC_TargetPath_1).
func (p *parser) feedMappings() []sourcedMapping {
	var mappings []sourcedMapping
	for i := range p.Attributes {
		a := p.Attributes[i]
		suffix, ok := strings.CutPrefix(a.Local, "FC_TargetPath")
		if !ok || a.Namespace != namespaceData {
			continue
		}
		source, _ := p.AttributeIn(namespaceData, "FC_SourcePath"+suffix)
		keep, _ := p.AttributeIn(namespaceData, "FC_KeepInContent"+suffix)
		namespace, _ := p.AttributeIn(namespaceData, "FC_NsUri"+suffix)
		mapping := FeedMapping{Path: strings.Clone(a.Value), Namespace: strings.Clone(namespace), Keep: keep != "false"}
		mappings = append(mappings, sourcedMapping{strings.Clone(source), mapping})
	}
	return mappings
}

func (p *parser) property() (Property, error) {
	name := p.value("Type")
	result := Property{
		Name:          p.value("Name"),
		Type:          Type{Name: name},
		Nullable:      p.value("Nullable") != "false",
		Length:        p.facet("MaxLength"),
		Precision:     p.facet("Precision"),
		Scale:         p.facet("Scale"),
		Etag:          p.value("ConcurrencyMode") == "Fixed",
		Semantics:     p.sap("semantics"),
		DisplayFormat: p.sap("display-format"),
		Sortable:      p.sapFlag("sortable"),
		Filterable:    p.sapFlag("filterable"),
		Creatable:     p.sapFlag("creatable"),
		Updatable:     p.sapFlag("updatable"),
	}
	scale := p.value("Scale")
	result.VariableScale = scale == "variable" || scale == "Variable" || p.sap("variable-scale") == "true"
	if p.value("CollectionKind") != "" && p.value("CollectionKind") != "None" {
		result.Type.Collection = true
	}
	if mappings := p.feedMappings(); len(mappings) > 0 {
		result.FeedMapping = &mappings[0].FeedMapping
	}
	return result, p.Skip()
}

// facet reads a number, -1 if it is missing or unlimited (MaxLength="Max").
func (p *parser) facet(local string) int {
	n, err := strconv.Atoi(p.value(local))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (p *parser) association() error {
	a := &association{name: qualify(p.namespace, p.value("Name"))}
	p.model.associations = append(p.model.associations, a)
	return p.children(func() error {
		if p.Local == "End" {
			a.ends = append(a.ends, end{p.value("Role"), p.value("Type"), p.value("Multiplicity") == "*"})
		}
		return p.Skip()
	})
}

func (p *parser) container() error {
	container := p.value("Name")
	byDefault, hasDefault := p.AttributeIn(namespaceData, "IsDefaultEntityContainer")
	return p.children(func() error {
		switch p.Local {
		case "EntitySet":
			p.model.Sets = append(p.model.Sets, &Set{
				Name:           p.value("Name"),
				Container:      container,
				Default:        !hasDefault || byDefault == "1" || strings.EqualFold(byDefault, "true"),
				Type:           p.value("EntityType"),
				Countable:      p.sapFlag("countable"),
				Pageable:       p.sapFlag("pageable"),
				Topable:        p.sapFlag("topable"),
				Addressable:    p.sapFlag("addressable"),
				Creatable:      p.sapFlag("creatable"),
				Updatable:      p.sapFlag("updatable"),
				Deletable:      p.sapFlag("deletable"),
				ChangeTracking: p.sap("change-tracking") == "true",
				RequiresFilter: p.sap("requires-filter") == "true",
				Subscription:   p.sap("semantics") == "subscriptions",
				Label:          p.sap("label"),
			})
		case "AssociationSet":
			return p.associationSet()
		case "FunctionImport":
			return p.function()
		}
		return p.Skip()
	})
}

func (p *parser) associationSet() error {
	a := &association{name: p.value("Association")}
	p.model.associationSets = append(p.model.associationSets, a)
	return p.children(func() error {
		if p.Local == "End" {
			a.ends = append(a.ends, end{role: p.value("Role"), typ: p.value("EntitySet")})
		}
		return p.Skip()
	})
}

func (p *parser) function() error {
	method, _ := p.AttributeIn(namespaceData, "HttpMethod")
	f := &Function{Name: p.value("Name"), Method: strings.Clone(method), Returns: p.value("ReturnType"),
		Set: p.value("EntitySet")}
	p.model.Functions = append(p.model.Functions, f)
	return p.children(func() error {
		if p.Local != "Parameter" {
			return p.Skip()
		}
		parameter, err := p.property()
		f.Parameters = append(f.Parameters, parameter)
		return err
	})
}

// resolve replaces aliases and rejects types that inherit from themselves.
func (m *Model) resolve() error {
	for _, s := range m.Structures {
		s.Base = m.qualified(s.Base)
	}
	for _, f := range m.Functions {
		for i := range f.Parameters {
			f.Parameters[i].Type = m.typeOf(f.Parameters[i].Type)
		}
	}
	for _, s := range m.Sets {
		s.Type = m.qualified(s.Type)
	}
	m.byAssociation = make(map[string]*association, len(m.associations))
	for _, a := range m.associations {
		m.byAssociation[a.name] = a
	}
	for _, l := range m.associationSets {
		l.name = m.qualified(l.name)
	}
	return m.checkBases()
}

// maxInherited bounds what all types of a document inherit, in properties, keys and base types: each type has a copy of
// what it inherits. Types of SAP's services inherit nothing; types of other services, some properties.
const maxInherited = 100_000

// checkBases rejects types that inherit from themselves, and documents whose types inherit too much.
func (m *Model) checkBases() error {
	sizes := make(map[*StructuredType]int, len(m.Structures)) // with what they inherit
	inherited := 0
	for _, structure := range m.Structures {
		var path []*StructuredType
		t := structure
		for t != nil && sizes[t] == 0 {
			path = append(path, t)
			if len(path) > len(m.Structures) {
				return &Error{"base types of " + structure.QualifiedName() + " form a circle"}
			}
			if t.Base == "" {
				break
			}
			t = m.find(t.Base)
		}
		for _, t := range slices.Backward(path) {
			size := 0
			if base := m.find(t.Base); t.Base != "" && base != nil {
				size = sizes[base]
			}
			inherited += size
			if inherited > maxInherited {
				return &Error{"expected types that inherit at most " + strconv.Itoa(maxInherited) + " properties, " +
					"keys and base types together, found more up to " + t.QualifiedName()}
			}
			sizes[t] = size + t.size + 1
		}
	}
	return nil
}

func (m *Model) resolveNavigation(n *Navigation) {
	a := m.byAssociation[m.qualified(n.relationship)]
	if a == nil {
		return
	}
	for _, e := range a.ends {
		if e.role != n.to {
			continue
		}
		n.Many = e.many
		if name := m.qualified(e.typ); m.find(name) != nil {
			n.Target = name
		}
		return
	}
}

func (m *Model) typeOf(t Type) Type {
	if inner, ok := strings.CutPrefix(t.Name, "Collection("); ok {
		t.Collection = true
		t.Name = strings.TrimSuffix(inner, ")")
	}
	// Documents of v1 may omit the namespace of a primitive type.
	if !strings.Contains(t.Name, ".") && primitive("Edm."+t.Name) != NotPrimitive {
		t.Name = "Edm." + t.Name
	}
	t.Name = m.qualified(t.Name)
	t.Primitive = primitive(t.Name)
	return t
}

func (m *Model) qualified(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name
	}
	for _, a := range m.aliases {
		if a[0] == name[:i] {
			return a[1] + name[i:]
		}
	}
	return name
}
