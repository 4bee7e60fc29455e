package decode

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
)

// prefixes of the namespaces of properties and of metadata.
type prefixes struct {
	data, metadata string
	isKnown        bool
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
func (d *Atom) chooseRoot(scope int) {
	if scope == d.outer && d.outerIsUsual {
		return
	}
	found := d.prefixesIn(scope)
	if found == d.root.prefixes {
		return
	}
	if !found.isKnown {
		found = d.lastPrefixes
	}
	root := d.roots[found]
	if root == nil || root.schema != d.schema {
		if !found.isKnown || len(d.roots) == maxRoots {
			return
		}
		root = newStructure(&d.stream, d.schema, "", 1)
		root.prefixes = found
		d.prepareStructure(root)
	}
	d.root = root
	d.checkOuter()
}

func (d *Atom) prefixesIn(scope int) prefixes {
	data, metadata := d.namespaces.prefix(dataNamespace, scope), d.namespaces.prefix(metadataNamespace, scope)
	return prefixes{string(data), string(metadata), data != nil && len(metadata) > 0}
}

// setOuter sets the scope in the feed.
func (d *Atom) setOuter(scope, rowBindings int) {
	d.outer, d.rowBindings = scope, rowBindings
	d.outerAttributes = nil
	d.checkOuter()
}

func (d *Atom) checkOuter() {
	d.outerIsUsual, d.outerIsAtom = false, false
	d.outerIsUsual, d.outerIsAtom = d.isUsual(d.outer), d.isAtom(d.outer)
}

// isAtom reports whether elements without prefix are Atom's.
func (d *Atom) isAtom(scope int) bool {
	if scope == d.outer && d.outerIsAtom {
		return true
	}
	return d.namespaces.namespace(nil, scope) == atomNamespace
}

// isUsual reports whether the prefixes that package kernel expects have their meaning in a scope.
func (d *Atom) isUsual(scope int) bool {
	if scope == d.outer && d.outerIsUsual {
		return true
	}
	used := d.root.prefixes
	return d.namespaces.namespace([]byte(used.data), scope) == dataNamespace &&
		d.namespaces.namespace([]byte(used.metadata), scope) == metadataNamespace
}

// prepareStructure sets the texts that package kernel expects, with the structure's prefixes.
func (d *Atom) prepareStructure(s *structure) {
	if !s.prefixes.isKnown {
		s.prefixes = prefixes{"d", "m", true}
	}
	if s == d.root { // of another schema than before
		d.roots = map[prefixes]*structure{}
	}
	if s.column == nil {
		d.roots[s.prefixes] = s
	}
	metadata := s.prefixes.metadata
	pattern := func(parts ...string) kernel.Pattern { return kernel.NewPattern([]byte(strings.Join(parts, ""))) }
	for i := range s.properties {
		p := &s.properties[i]
		if p.column.Kind == Synthetic {
			continue
		}
		name := s.prefixes.property(p.column.Name)
		p.Prefix, p.Suffix = pattern("<", name, ">"), pattern("</", name, ">")
		p.Null = pattern("<", name, " ", metadata, `:null="true"/>`)
		s.add(p, []byte(name))
		if p.column.isNavigation() {
			s.Links = 1
		}
		s.hasTargets = s.hasTargets || len(p.column.steps) > 0
	}
	endName := metadata + ":properties"
	s.propertiesTag = pattern("<", endName, ">")
	s.feedFront, s.feedBack = []byte("<"+metadata+":inline><feed>"), []byte("</"+metadata+":inline></link>")
	s.Properties = s.propertiesTag
	if s.column != nil && s.column.Kind == Complex {
		endName = s.prefixes.property(s.column.Name)
	}
	s.endName, s.end.Prefix = []byte(endName), pattern("</", endName, ">")
	s.around.Kind, s.around.Next = kernel.Around, s.head.Next
	s.at.Kind = kernel.Value
}
