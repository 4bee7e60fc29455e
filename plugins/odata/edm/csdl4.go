package edm

import (
	"slices"
	"strings"
)

// declarations are what CSDL 4 declares in addition to the elements of v2. All names are qualified, without aliases
// once the document is read.
type declarations struct {
	enums       map[string]*EnumType
	definitions map[string]*Property // type definitions, with the underlying type
	facts       map[fact]bool        // of annotations
	labels      map[string]string    // of annotations, by target
	setsByPath  map[string]*Set      // `Namespace.Container/Set`
}

// parseReference reads the aliases of edmx:Include, of vocabularies and of other documents.
func (p *parser) parseReference() error {
	return p.visitChildren(func() error {
		if p.Local == "Include" {
			p.addAlias()
		}
		return p.Skip()
	})
}

// parseDeclaration reads an enumeration, a type definition or annotations of a target. The first one of equal names
// counts.
func (p *parser) parseDeclaration() error {
	name := qualify(p.namespace, p.attribute("Name"))
	d := &p.model.declarations
	switch p.Local {
	case "EnumType":
		enum := &EnumType{Flags: p.attribute("IsFlags") == "true"}
		if d.enums == nil {
			d.enums = map[string]*EnumType{}
		}
		if d.enums[name] == nil {
			d.enums[name] = enum
		}
		return p.visitChildren(func() error {
			if p.Local == "Member" {
				enum.Members = append(enum.Members, p.attribute("Name"))
			}
			return p.Skip()
		})
	case "TypeDefinition":
		underlying := p.attribute("UnderlyingType")
		definition, err := p.parseProperty("")
		definition.Type.Name = underlying
		if d.definitions == nil {
			d.definitions = map[string]*Property{}
		}
		if d.definitions[name] == nil {
			d.definitions[name] = &definition
		}
		return err
	}
	if p.attribute("Qualifier") != "" {
		return p.Skip()
	}
	return p.parseAnnotations(p.attribute("Target"))
}

// newSet returns a set without restrictions.
func newSet() *Set {
	return &Set{Default: true, Countable: true, Pageable: true, Topable: true, Addressable: true,
		Permissions: Permissions{Creatable: true, Updatable: true, Deletable: true}}
}

// roleTarget is the role of the targets in the association set that a NavigationPropertyBinding is kept as.
const roleTarget = "target"

// parseContainer4 reads the sets of an entity container. They have the names that URLs contain.
func (p *parser) parseContainer4() error {
	container := p.attribute("Name")
	return p.visitChildren(func() error {
		set := newSet()
		set.Name = p.attribute("Name")
		set.Container = container
		switch p.Local {
		case "EntitySet":
			set.Type = p.attribute("EntityType")
		case "Singleton":
			set.Type = p.attribute("Type")
			set.Singleton = true
			// A single entity has neither a count, nor pages, nor an order (OData 4.01, URL Conventions, 5.1).
			set.Countable = false
			set.Pageable = false
			set.Topable = false
		default:
			return p.Skip()
		}
		path := qualify(p.namespace, container) + "/" + set.Name
		if p.model.setsByPath == nil {
			p.model.setsByPath = map[string]*Set{}
		}
		p.model.setsByPath[path] = set
		p.model.Sets = append(p.model.Sets, set)
		return p.visitChildren(func() error {
			switch p.Local {
			case "Annotation":
				return p.parseAnnotation(path)
			case "NavigationPropertyBinding":
				p.addBinding(set.Name)
			}
			return p.Skip()
		})
	})
}

// addBinding keeps a NavigationPropertyBinding of a set. Paths through complex properties or other navigations are not
// kept, because only navigations of rows lead to other sets.
func (p *parser) addBinding(source string) {
	path := p.attribute("Path")
	steps := strings.Split(path, "/")
	isOfRow := !slices.ContainsFunc(steps[:len(steps)-1], func(step string) bool { return !strings.Contains(step, ".") })
	if !isOfRow {
		return
	}
	target := p.attribute("Target")
	if container, set, ok := strings.Cut(target, "/"); ok && strings.Contains(container, ".") {
		target = set
	}
	p.model.associationSets = append(p.model.associationSets, &association{name: steps[len(steps)-1],
		ends: []end{{typ: source}, {role: roleTarget, typ: target}}})
}

// resolveTarget sets the target of a navigation property of v4, if its type is declared.
func (m *Model) resolveTarget(n *Navigation, typeName string) {
	target := m.resolveType(Type{Name: typeName})
	n.Many = target.Collection
	n.relationship = n.Name
	n.targetRole = roleTarget
	if m.find(target.Name) != nil {
		n.Target = target.Name
	}
}

// floatingScale is the [Property.Scale] of decimals with Scale="floating" until [Model.resolveProperty] makes them
// texts.
const floatingScale = -2

// resolveProperty resolves the type of a property: aliases, type definitions and enumerations.
func (m *Model) resolveProperty(p *Property) {
	p.Type = m.resolveType(p.Type)
	for range MaxDepth { // definitions may be defined by each other
		definition := m.definitions[p.Type.Name]
		if definition == nil {
			break
		}
		inherit := func(facet *int, inherited int) {
			if *facet == -1 {
				*facet = inherited
			}
		}
		inherit(&p.Length, definition.Length)
		inherit(&p.Precision, definition.Precision)
		inherit(&p.Scale, definition.Scale)
		p.VariableScale = p.VariableScale || (definition.VariableScale && p.Scale < 0)
		isCollection := p.Type.Collection
		p.Type = m.resolveType(definition.Type)
		p.Type.Collection = p.Type.Collection || isCollection
	}
	if enum := m.enums[p.Type.Name]; enum != nil {
		p.Type.Primitive = Enum
		p.Type.Enum = enum
	}
	switch {
	case p.Scale == floatingScale:
		p.Scale = -1
		if p.Type.Primitive == Decimal {
			p.Type.Primitive = String
			p.Type.Name = String.String()
			p.Length = -1
			p.Filterable = false // a number, in conditions and in orders of the service
			p.Sortable = false
		}
	case p.Type.Primitive == Decimal && p.VariableScale && p.Precision >= 0 && m.Dialect.orV2().oasis:
		// As in INIT's connector: the scale of the schema is the largest one that values may have.
		p.Scale = p.Precision
		p.Precision = -1
	}
}

// leaveOutStreams removes the properties whose values are addresses of media.
func (s *StructuredType) leaveOutStreams() {
	s.Properties = slices.DeleteFunc(s.Properties, func(p Property) bool {
		isStream := p.Type.Name == "Edm.Stream"
		if isStream {
			s.LeftOut = append(s.LeftOut, p.Name)
		}
		return isStream
	})
}
