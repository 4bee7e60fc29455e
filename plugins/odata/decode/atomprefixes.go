package decode

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
)

// prefixes are the prefixes of the namespaces of properties and of metadata.
type prefixes struct {
	data     string // usually d
	metadata string // usually m
	isKnown  bool   // false if a scope does not bind them
}

func (p prefixes) property(name string) string {
	if p.data == "" {
		return name
	}
	return p.data + ":" + name
}

// maxRoots limits the prefixes for which package kernel reads rows.
const maxRoots = 4

// chooseRoot sets the structure of the rows for an entry in this scope.
func (a *Atom) chooseRoot(scope int) {
	if scope == a.outer && a.outerIsUsual {
		return
	}
	entryPrefixes := a.prefixesIn(scope)
	if entryPrefixes == a.root.prefixes {
		return
	}
	if !entryPrefixes.isKnown {
		entryPrefixes = a.lastPrefixes
	}
	root := a.roots[entryPrefixes]
	if root == nil || root.schema != a.schema {
		if !entryPrefixes.isKnown || len(a.roots) == maxRoots {
			return // the root remains: Go reads the properties
		}
		root = newStructure(&a.stream, a.schema, "", 1)
		root.prefixes = entryPrefixes
		a.prepareStructure(root)
	}
	a.root = root
	a.checkOuter()
}

func (a *Atom) prefixesIn(scope int) prefixes {
	data := a.namespaces.prefix(dataNamespace, scope)
	metadata := a.namespaces.prefix(metadataNamespace, scope)
	// The metadata prefix must not be empty: m:null is an attribute, which has no default namespace.
	return prefixes{data: string(data), metadata: string(metadata), isKnown: data != nil && len(metadata) > 0}
}

// setOuter sets the scope in the feed.
func (a *Atom) setOuter(scope, rowBindings int) {
	a.outer = scope
	a.rowBindings = rowBindings
	a.outerAttributes = nil
	a.checkOuter()
}

// checkOuter updates outerIsUsual and outerIsAtom. isUsual and isAtom must not use the old values.
func (a *Atom) checkOuter() {
	a.outerIsUsual = false
	a.outerIsAtom = false
	a.outerIsUsual = a.isUsual(a.outer)
	a.outerIsAtom = a.isAtom(a.outer)
}

// isAtom reports whether elements without prefix are Atom's.
func (a *Atom) isAtom(scope int) bool {
	if scope == a.outer && a.outerIsAtom {
		return true
	}
	return a.namespaces.namespace(nil, scope) == atomNamespace
}

// isUsual reports whether the prefixes that package kernel expects have their meaning in a scope.
func (a *Atom) isUsual(scope int) bool {
	if scope == a.outer && a.outerIsUsual {
		return true
	}
	expected := a.root.prefixes
	return a.namespaces.namespace([]byte(expected.data), scope) == dataNamespace &&
		a.namespaces.namespace([]byte(expected.metadata), scope) == metadataNamespace
}

// prepareStructure sets the texts that package kernel expects, with the structure's prefixes.
func (a *Atom) prepareStructure(s *structure) {
	if !s.prefixes.isKnown {
		s.prefixes = prefixes{data: "d", metadata: "m", isKnown: true}
	}
	if s == a.root { // of another schema than before
		a.roots = map[prefixes]*structure{}
	}
	if s.column == nil {
		a.roots[s.prefixes] = s
	}
	metadata := s.prefixes.metadata
	pattern := func(parts ...string) kernel.Pattern { return kernel.NewPattern([]byte(strings.Join(parts, ""))) }
	for i := range s.properties {
		p := &s.properties[i]
		if p.column.Kind == Synthetic {
			continue
		}
		name := s.prefixes.property(p.column.Name)
		p.Prefix = pattern("<", name, ">")
		p.Suffix = pattern("</", name, ">")
		p.Null = pattern("<", name, " ", metadata, `:null="true"/>`)
		s.add(p, []byte(name))
		if p.column.isNavigation() {
			s.Links = 1
		}
		s.hasTargets = s.hasTargets || len(p.column.steps) > 0
	}
	endName := metadata + ":properties"
	s.propertiesTag = pattern("<", endName, ">")
	s.feedFront = []byte("<" + metadata + ":inline><feed>")
	s.feedBack = []byte("</" + metadata + ":inline></link>")
	s.Properties = s.propertiesTag
	if s.column != nil && s.column.Kind == Complex {
		endName = s.prefixes.property(s.column.Name)
	}
	s.end.Prefix = pattern("</", endName, ">")
	s.endName = []byte(endName)
	s.around.Kind = kernel.Surroundings
	s.around.Next = s.head.Next
	s.pendingValue.Kind = kernel.Value
}
