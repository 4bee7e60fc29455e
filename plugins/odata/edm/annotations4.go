package edm

import (
	"strconv"
	"strings"
)

// fact is a constant in an annotation.
type fact struct {
	target string // a type, `Type/Property` or `Container/Set`, each with its namespace
	term   string // with the property of the record, as in Org.OData.Capabilities.V1.CountRestrictions/Countable
	value  string // a path, a text, true or false; empty for an empty collection, false for a listed property
}

// Namespaces of vocabularies.
const (
	capabilities = "Org.OData.Capabilities.V1."
	core         = "Org.OData.Core.V1."
	common       = "com.sap.vocabularies.Common.v1."
)

// Terms that several functions use.
const (
	termFilterable = capabilities + "FilterRestrictions/Filterable"
	termSortable   = capabilities + "SortRestrictions/Sortable"
	termETag       = core + "OptimisticConcurrency"
	termComputed   = core + "Computed"
	termImmutable  = core + "Immutable"
	termLabel      = common + "Label"
)

// setTerms are the terms of sets whose values are true or false.
var setTerms = map[string]func(s *Set) *bool{
	capabilities + "CountRestrictions/Countable":       func(s *Set) *bool { return &s.Countable },
	capabilities + "SkipSupported":                     func(s *Set) *bool { return &s.Pageable },
	capabilities + "TopSupported":                      func(s *Set) *bool { return &s.Topable },
	capabilities + "ReadRestrictions/Readable":         func(s *Set) *bool { return &s.Addressable },
	capabilities + "InsertRestrictions/Insertable":     func(s *Set) *bool { return &s.Creatable },
	capabilities + "UpdateRestrictions/Updatable":      func(s *Set) *bool { return &s.Updatable },
	capabilities + "DeleteRestrictions/Deletable":      func(s *Set) *bool { return &s.Deletable },
	capabilities + "ChangeTracking/Supported":          func(s *Set) *bool { return &s.ChangeTracking },
	capabilities + "FilterRestrictions/RequiresFilter": func(s *Set) *bool { return &s.RequiresFilter },
}

// typeTerms are the terms of sets that restrict the properties of the set's type, with the terms of properties that
// they are kept as. Assumption: what holds for a set holds for the other sets of its type.
var typeTerms = map[string]string{
	termFilterable: termFilterable,
	termSortable:   termSortable,
	termETag:       termETag,
	capabilities + "FilterRestrictions/NonFilterableProperties": termFilterable,
	capabilities + "SortRestrictions/NonSortableProperties":     termSortable,
}

// isKnown reports whether annotations with a term are read.
func isKnown(term string) bool {
	switch strings.TrimPrefix(term, capabilities) {
	case "CountRestrictions", "SkipSupported", "TopSupported", "ReadRestrictions", "InsertRestrictions",
		"UpdateRestrictions", "DeleteRestrictions", "ChangeTracking", "FilterRestrictions", "SortRestrictions":
		return strings.HasPrefix(term, capabilities)
	case termETag, termComputed, termImmutable, termLabel:
		return true
	}
	return false
}

// parseAnnotations reads the annotations in the current element, of CSDL 4, and skips other content.
func (p *parser) parseAnnotations(target string) error {
	if !p.isOASIS {
		return p.Skip()
	}
	return p.visitChildren(func() error {
		if p.Local != "Annotation" {
			return p.Skip()
		}
		return p.parseAnnotation(target)
	})
}

// parseAnnotation reads an annotation if its term is known. Annotations without a value mean true.
func (p *parser) parseAnnotation(target string) error {
	term := p.model.resolveAlias(p.attribute("Term"))
	if p.attribute("Qualifier") != "" || !isKnown(term) {
		return p.Skip()
	}
	hasValue := len(p.Attributes) > 1
	err := p.parseFacts(fact{target: target, term: term}, &hasValue)
	if !hasValue {
		p.model.addFact(fact{target, term, "true"})
	}
	return err
}

// parseFacts reads the constants in the current element, and in its records and collections. Other expressions depend
// on data, and are ignored. hasValue is set if there are child elements other than annotations.
func (p *parser) parseFacts(f fact, hasValue *bool) error {
	add := func(value string) {
		f.value = value
		p.model.addFact(f)
	}
	for _, name := range [...]string{"Bool", "String", "PropertyPath"} {
		if value, ok := p.Attribute(name); ok {
			add(strings.Clone(value))
		}
	}
	return p.visitChildren(func() error {
		if p.Local == "Annotation" {
			return p.Skip()
		}
		*hasValue = true
		inner := f
		hasItems := false
		switch p.Local {
		case "Bool", "String", "PropertyPath":
			content, err := p.Content()
			add(strings.Clone(strings.TrimSpace(content)))
			return err
		case "Collection":
			err := p.parseFacts(f, &hasItems)
			if !hasItems {
				add("")
			}
			return err
		case "Record":
			return p.parseFacts(f, &hasItems)
		case "PropertyValue":
			if strings.Contains(f.term, "/") {
				break // no known value is in a nested record
			}
			inner.term += "/" + p.attribute("Property")
			return p.parseFacts(inner, &hasItems)
		}
		return p.Skip()
	})
}

func (m *Model) addFact(f fact) {
	if m.facts == nil {
		m.facts = map[fact]bool{}
		m.labels = map[string]string{}
	}
	if f.term == termLabel {
		m.labels[f.target] = f.value
		return
	}
	m.facts[f] = true
}

// resolveAnnotations replaces the aliases in targets, and applies the annotations of sets.
func (m *Model) resolveAnnotations() {
	facts := m.facts
	labels := m.labels
	m.facts = nil
	m.labels = nil
	defaults := newSet()
	for f := range facts {
		f.target = m.resolvePath(f.target)
		m.addFact(f)
		set := m.setsByPath[f.target]
		if set == nil {
			continue
		}
		if flag := setTerms[f.term]; flag != nil && f.value == strconv.FormatBool(!*flag(defaults)) {
			*flag(set) = !*flag(defaults) // also if another annotation repeats the default
		}
		term, ok := typeTerms[f.term]
		switch {
		case !ok || f.value == "true":
			// the set's type is not restricted
		case f.value == "false" || f.value == "":
			m.addFact(fact{set.Type, term, f.value})
		default:
			m.addFact(fact{set.Type + "/" + f.value, term, "false"})
		}
	}
	for target, label := range labels {
		m.addFact(fact{m.resolvePath(target), termLabel, label})
	}
	for path, set := range m.setsByPath {
		set.Label = m.labels[set.Type]
		if label := m.labels[path]; label != "" {
			set.Label = label
		}
	}
}

// resolvePath replaces the alias in the path of a target.
func (m *Model) resolvePath(path string) string {
	name, remaining, hasSteps := strings.Cut(path, "/")
	name = m.resolveAlias(name)
	if hasSteps {
		name += "/" + remaining
	}
	return name
}

// annotate applies annotations to the properties of a type.
func (m *Model) annotate(s *StructuredType) {
	if len(m.facts) == 0 {
		return
	}
	typeName := s.QualifiedName()
	isFilterable := !m.facts[fact{typeName, termFilterable, "false"}]
	isSortable := !m.facts[fact{typeName, termSortable, "false"}]
	hasETag := m.facts[fact{typeName, termETag, ""}] // without a list: all properties, so the key is marked
	for i := range s.Properties {
		p := &s.Properties[i]
		path := typeName + "/" + p.Name
		isComputed := m.facts[fact{path, termComputed, "true"}]
		p.Filterable = p.Filterable && isFilterable && !m.facts[fact{path, termFilterable, "false"}]
		p.Sortable = p.Sortable && isSortable && !m.facts[fact{path, termSortable, "false"}]
		p.Creatable = p.Creatable && !isComputed
		p.Updatable = p.Updatable && !isComputed && !m.facts[fact{path, termImmutable, "true"}]
		p.Etag = p.Etag || m.facts[fact{path, termETag, "false"}] || (hasETag && s.IsKey(p.Name))
	}
}
