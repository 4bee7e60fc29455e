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

// VersionError reports a document of another version of OData, such as "v4".
type VersionError struct {
	Expected string
	Found    string
}

func (e *VersionError) Error() string {
	return "expected $metadata of OData " + e.Expected + ", found metadata of a " + e.Found + " service"
}

// Parse reads a $metadata document of a dialect, nil meaning [V2]. The document must not be changed later because types
// are parsed on demand. Parse matches local names, because every EDM namespace from 2006/04 on is in use, and skips
// unknown elements. Missing types and incomplete associations are errors only if they are used.
func Parse(document []byte, dialect *Dialect) (*Model, error) {
	reader := parser{Reader: markup.NewReaderNoCopy(document), model: &Model{Dialect: dialect},
		isOASIS: dialect.orV2().oasis}
	kind, err := reader.Next()
	if err != nil {
		return nil, err
	}
	if kind != markup.Open || (reader.Local != "Edmx" && reader.Local != "Schema") {
		return nil, &Error{"expected a $metadata document (edmx:Edmx), found <" + reader.Local + ">"}
	}
	if reader.Local == "Schema" {
		err = reader.parseSchema()
	} else {
		err = reader.visitChildren(func() error {
			switch {
			case reader.Local == "Reference" && reader.isOASIS:
				return reader.parseReference()
			case reader.Local != "DataServices":
				return reader.Skip()
			}
			return reader.visitChildren(func() error {
				if reader.Local != "Schema" {
					return reader.Skip()
				}
				return reader.parseSchema()
			})
		})
	}
	if err != nil {
		return nil, err
	}
	if reader.schemas == 0 {
		if reader.hasOther {
			other := V2
			if !reader.isOASIS {
				other = V4
			}
			return nil, &VersionError{Expected: dialect.Name(), Found: other.Version}
		}
		return nil, &Error{"expected a Schema in $metadata, found none"}
	}
	if err := reader.model.resolve(); err != nil {
		return nil, err
	}
	return reader.model, nil
}

// parser reads elements into a model. Each parse method reads from after a start tag up to the end tag.
type parser struct {
	*markup.Reader
	model     *Model
	namespace string // of the current Schema
	schemas   int    // number of Schema elements of the dialect
	isOASIS   bool   // the dialect's schemas are in the namespace of OASIS
	hasOther  bool   // a Schema of another version of OData was skipped
}

// visitChildren calls visit at the start of each child of the current element. visit must read up to the child's end.
func (p *parser) visitChildren(visit func() error) error {
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

func (p *parser) parseSchema() error {
	if strings.Contains(p.Namespace, namespaceOASIS) != p.isOASIS {
		p.hasOther = true
		return p.Skip()
	}
	p.schemas++
	p.namespace = p.attribute("Namespace")
	p.addAlias()
	return p.visitChildren(func() error {
		if strings.Contains(p.Namespace, namespaceOASIS) != p.isOASIS {
			return p.Skip()
		}
		switch p.Local {
		case "Using":
			p.addAlias()
		case "EntityType", "ComplexType":
			structType := &StructuredType{Namespace: p.namespace, Name: p.attribute("Name"), Base: p.attribute("BaseType"),
				Complex: p.Local == "ComplexType", Abstract: p.attribute("Abstract") == "true"}
			stream, _ := p.AttributeIn(namespaceData, "HasStream")
			structType.Stream = stream == "true"
			structType.feedMappings = p.feedMappings()
			if p.isOASIS {
				structType.Stream = p.attribute("HasStream") == "true"
				structType.Open = p.attribute("OpenType") == "true"
			}
			p.model.Structures = append(p.model.Structures, structType)
			structType.unparsed = p.Fork()
			return p.visitChildren(func() error {
				structType.size++
				return p.Skip()
			})
		case "Association":
			a := &association{name: qualify(p.namespace, p.attribute("Name"))}
			p.model.associations = append(p.model.associations, a)
			return p.visitChildren(func() error {
				if p.Local == "End" {
					a.ends = append(a.ends, end{role: p.attribute("Role"), typ: p.attribute("Type"),
						many: p.attribute("Multiplicity") == "*"})
				}
				return p.Skip()
			})
		case "EntityContainer":
			return p.parseContainer()
		case "EnumType", "TypeDefinition", "Annotations":
			if p.isOASIS {
				return p.parseDeclaration()
			}
		}
		return p.Skip()
	})
}

// addAlias adds the alias of the current element's namespace. The first one of equal aliases counts.
func (p *parser) addAlias() {
	alias := p.attribute("Alias")
	if _, ok := p.model.aliases[alias]; ok || alias == "" {
		return
	}
	if p.model.aliases == nil {
		p.model.aliases = map[string]string{}
	}
	p.model.aliases[alias] = p.attribute("Namespace")
}

// attribute returns an attribute of the current element, "" if it is missing.
func (p *parser) attribute(local string) string {
	v, _ := p.Attribute(local)
	return strings.Clone(v)
}

func (p *parser) sapAttribute(local string) string {
	v, _ := p.AttributeIn(namespaceSAP, local)
	return strings.Clone(v)
}

// sapFlag reads an annotation of SAP that defaults to true.
func (p *parser) sapFlag(local string) bool { return p.sapAttribute(local) != "false" }

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
		mappings = append(mappings, sourcedMapping{source: strings.Clone(source), FeedMapping: mapping})
	}
	return mappings
}

// parseProperty reads a property of the type owner, which is empty for parameters.
func (p *parser) parseProperty(owner string) (Property, error) {
	name := p.attribute("Type")
	result := Property{
		Name:          p.attribute("Name"),
		Type:          Type{Name: name},
		Nullable:      p.attribute("Nullable") != "false",
		Length:        p.facet("MaxLength"),
		Precision:     p.facet("Precision"),
		Scale:         p.facet("Scale"),
		Etag:          p.attribute("ConcurrencyMode") == "Fixed",
		Semantics:     p.sapAttribute("semantics"),
		DisplayFormat: p.sapAttribute("display-format"),
		Sortable:      p.sapFlag("sortable"),
		Filterable:    p.sapFlag("filterable"),
		Creatable:     p.sapFlag("creatable"),
		Updatable:     p.sapFlag("updatable"),
	}
	scale := p.attribute("Scale")
	result.VariableScale = scale == "variable" || scale == "Variable" || p.sapAttribute("variable-scale") == "true"
	if p.attribute("CollectionKind") != "" && p.attribute("CollectionKind") != "None" {
		result.Type.Collection = true
	}
	if mappings := p.feedMappings(); len(mappings) > 0 {
		result.FeedMapping = &mappings[0].FeedMapping
	}
	if scale == "floating" && p.isOASIS {
		result.Scale = floatingScale
	}
	// SAP CAP leaves them out of expanded entities, although its metadata say that they are not null.
	isDraftState := result.Name == "HasActiveEntity" || result.Name == "HasDraftEntity"
	result.Nullable = result.Nullable || (isDraftState && p.isOASIS)
	return result, p.parseAnnotations(owner + "/" + result.Name)
}

// parseNavigation reads the attributes of a navigation property.
func (p *parser) parseNavigation() Navigation {
	n := Navigation{Name: p.attribute("Name"), relationship: p.attribute("Relationship"),
		targetRole: p.attribute("ToRole")}
	if p.isOASIS {
		p.model.resolveTarget(&n, p.attribute("Type"))
		n.contained = p.attribute("ContainsTarget") == "true"
	}
	return n
}

// facet reads a number, -1 if it is missing or unlimited (MaxLength="Max").
func (p *parser) facet(local string) int {
	n, err := strconv.Atoi(p.attribute(local))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (p *parser) parseContainer() error {
	if p.isOASIS {
		return p.parseContainer4()
	}
	name := p.attribute("Name")
	isDefault, hasDefault := p.AttributeIn(namespaceData, "IsDefaultEntityContainer")
	return p.visitChildren(func() error {
		switch p.Local {
		case "EntitySet":
			p.model.Sets = append(p.model.Sets, &Set{
				Name:        p.attribute("Name"),
				Container:   name,
				Default:     !hasDefault || isDefault == "1" || strings.EqualFold(isDefault, "true"),
				Type:        p.attribute("EntityType"),
				Countable:   p.sapFlag("countable"),
				Pageable:    p.sapFlag("pageable"),
				Partial:     p.sapAttribute("isPartial") == "true",
				Topable:     p.sapFlag("topable"),
				Addressable: p.sapFlag("addressable"),
				Permissions: Permissions{Creatable: p.sapFlag("creatable"), Updatable: p.sapFlag("updatable"),
					Deletable: p.sapFlag("deletable")},
				ChangeTracking: p.sapAttribute("change-tracking") == "true",
				RequiresFilter: p.sapAttribute("requires-filter") == "true",
				Subscription:   p.sapAttribute("semantics") == "subscriptions",
				Label:          p.sapAttribute("label"),
			})
		case "AssociationSet":
			a := &association{name: p.attribute("Association")}
			p.model.associationSets = append(p.model.associationSets, a)
			return p.visitChildren(func() error {
				if p.Local == "End" {
					a.ends = append(a.ends, end{role: p.attribute("Role"), typ: p.attribute("EntitySet")})
				}
				return p.Skip()
			})
		case "FunctionImport":
			method, _ := p.AttributeIn(namespaceData, "HttpMethod")
			f := &Function{Name: p.attribute("Name"), Method: strings.Clone(method), Returns: p.attribute("ReturnType"),
				Set: p.attribute("EntitySet")}
			p.model.Functions = append(p.model.Functions, f)
			return p.visitChildren(func() error {
				if p.Local != "Parameter" {
					return p.Skip()
				}
				parameter, err := p.parseProperty("")
				f.Parameters = append(f.Parameters, parameter)
				return err
			})
		}
		return p.Skip()
	})
}

// resolve replaces aliases, and checks what types inherit.
func (m *Model) resolve() error {
	for _, s := range m.Structures {
		s.Base = m.resolveAlias(s.Base)
	}
	for _, f := range m.Functions {
		for i := range f.Parameters {
			f.Parameters[i].Type = m.resolveType(f.Parameters[i].Type)
		}
	}
	for _, s := range m.Sets {
		s.Type = m.resolveAlias(s.Type)
	}
	m.byAssociation = make(map[string]*association, len(m.associations))
	for _, a := range m.associations {
		m.byAssociation[a.name] = a
	}
	for _, set := range m.associationSets {
		set.name = m.resolveAlias(set.name)
	}
	m.resolveAnnotations()
	return m.checkBases()
}

// maxInherited bounds what all types of a document inherit, in properties, keys and base types: each type has a copy of
// what it inherits. Types of SAP's services inherit nothing; types of other services, some properties.
const maxInherited = 100_000

// checkBases rejects types that inherit from themselves, and documents whose types inherit too much.
func (m *Model) checkBases() error {
	sizes := make(map[*StructuredType]int, len(m.Structures)) // number of elements, with the inherited ones; at least 1
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

// resolveNavigation sets Many and, if its type exists, Target from the association.
func (m *Model) resolveNavigation(n *Navigation) {
	a := m.byAssociation[m.resolveAlias(n.relationship)]
	if a == nil {
		return
	}
	for _, e := range a.ends {
		if e.role != n.targetRole {
			continue
		}
		n.Many = e.many
		if name := m.resolveAlias(e.typ); m.find(name) != nil {
			n.Target = name
		}
		return
	}
}

// resolveType returns a type by the name in the document, such as Collection(Alias.Type) or String.
func (m *Model) resolveType(t Type) Type {
	if inner, ok := strings.CutPrefix(t.Name, "Collection("); ok {
		t.Collection = true
		t.Name = strings.TrimSuffix(inner, ")")
	}
	// Documents of v1 may omit the namespace of a primitive type.
	if !strings.Contains(t.Name, ".") && m.Dialect.parsePrimitive("Edm."+t.Name) != NotPrimitive {
		t.Name = "Edm." + t.Name
	}
	t.Name = m.resolveAlias(t.Name)
	t.Primitive = m.Dialect.parsePrimitive(t.Name)
	return t
}

// resolveAlias returns a qualified name with the namespace in place of its alias.
func (m *Model) resolveAlias(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name
	}
	if namespace, ok := m.aliases[name[:i]]; ok {
		return namespace + name[i:]
	}
	return name
}
