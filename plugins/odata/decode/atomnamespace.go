package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// namespace classifies a namespace URI.
type namespace uint8

const (
	noNamespace namespace = iota
	otherNamespace
	atomNamespace
	metadataNamespace // usually m:
	dataNamespace     // usually d:
)

func namespaceOf(uri []byte) namespace {
	switch string(uri) {
	case "":
		return noNamespace
	case "http://www.w3.org/2005/Atom":
		return atomNamespace
	case "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata":
		return metadataNamespace
	case "http://schemas.microsoft.com/ado/2007/08/dataservices":
		return dataNamespace
	}
	return otherNamespace
}

// binding is a declaration of a namespace or of xml:base, linked to the declarations around it. A scope is the index of
// the innermost declaration, and scope 0 declares nothing.
type binding struct {
	outer     int    // the scope around the declaration
	base      bool   // the declaration is xml:base
	prefix    []byte // of a namespace; empty for the default namespace
	value     []byte // the URI
	namespace namespace
	// tag, if not nil, replaces this binding and the other bindings of its tag in searches.
	tag *tagBindings
}

// tagBindings summarizes the bindings of a tag that has more than fewBindings, so that a search does not read them all.
type tagBindings struct {
	namespaces map[string]namespace // by prefix
	base       int                  // index of the xml:base; zero means none
	outer      int                  // scope around the tag
}

// fewBindings is the number of bindings of a tag that a search reads one by one. Usual feeds declare six.
const fewBindings = 16

// namespaceStack holds the bindings of the page's outer elements, then of the current row.
type namespaceStack struct{ bindings []binding }

func (s *namespaceStack) reset() { s.bindings = append(s.bindings[:0], binding{}) }

// push adds the bindings of a tag and returns the scope inside of it.
func (s *namespaceStack) push(b []byte, t scan.XMLTag, outer int) int {
	if !t.Declares {
		return outer
	}
	first := len(s.bindings)
	for attribute := range t.Attributes(b) {
		name := attribute.Name(b)
		value := attribute.Value(b)
		switch {
		case string(name) == "xmlns":
			outer = s.add(binding{outer: outer, value: value, namespace: namespaceOf(value)})
		case bytes.HasPrefix(name, []byte("xmlns:")):
			outer = s.add(binding{outer: outer, prefix: name[len("xmlns:"):], value: value,
				namespace: namespaceOf(value)})
		case string(name) == "xml:base":
			outer = s.add(binding{outer: outer, base: true, value: value})
		}
	}
	s.summarize(first)
	return outer
}

// enter adds the bindings of a tag. It returns the scope inside of it, and namespace and local name of the tag.
func (s *namespaceStack) enter(b []byte, t scan.XMLTag, outer int) (inside int, ns namespace, local []byte) {
	inside = s.push(b, t, outer)
	prefix, local := scan.SplitName(t.Name(b))
	return inside, s.namespace(prefix, inside), local
}

func (s *namespaceStack) add(b binding) int {
	s.bindings = append(s.bindings, b)
	return len(s.bindings) - 1
}

// summarize prepares searches in the bindings of a tag, which start at first, if there are many.
func (s *namespaceStack) summarize(first int) {
	bindings := s.bindings[first:]
	if len(bindings) <= fewBindings {
		return
	}
	tag := &tagBindings{namespaces: make(map[string]namespace, len(bindings)), outer: bindings[0].outer}
	for i := range bindings {
		if b := &bindings[i]; b.base {
			tag.base = first + i
		} else {
			tag.namespaces[string(b.prefix)] = b.namespace
		}
	}
	bindings[len(bindings)-1].tag = tag
}

// copyBytes detaches the bindings from the buffer, which moves.
func (s *namespaceStack) copyBytes() {
	for i := range s.bindings {
		b := &s.bindings[i]
		b.prefix = bytes.Clone(b.prefix)
		b.value = bytes.Clone(b.value)
	}
}

// namespace returns the namespace of a prefix in a scope.
func (s *namespaceStack) namespace(prefix []byte, scope int) namespace {
	for scope > 0 {
		b := &s.bindings[scope]
		scope = b.outer
		if b.tag != nil {
			if namespace, ok := b.tag.namespaces[string(prefix)]; ok {
				return namespace
			}
			scope = b.tag.outer
		} else if !b.base && string(b.prefix) == string(prefix) {
			return b.namespace
		}
	}
	return noNamespace
}

// base returns the innermost xml:base in a scope, "" if there is none.
func (s *namespaceStack) base(scope int) string {
	for scope > 0 {
		b := &s.bindings[scope]
		scope = b.outer
		if b.tag != nil {
			scope = b.tag.outer
			b = &s.bindings[b.tag.base] // bindings[0], which is no base, if the tag has none
		}
		if b.base {
			url, _ := scan.XMLContent(nil, b.value)
			return string(url)
		}
	}
	return ""
}

func attributeValue(b []byte, t scan.XMLTag, name string) ([]byte, bool) {
	for attribute := range t.Attributes(b) {
		if string(attribute.Name(b)) == name {
			return attribute.Value(b), true
		}
	}
	return nil, false
}

// isNull reports whether an element has m:null="true". inside is the scope in it.
func (s *namespaceStack) isNull(b []byte, t scan.XMLTag, inside int) bool {
	for attribute := range t.Attributes(b) {
		prefix, local := scan.SplitName(attribute.Name(b))
		if len(prefix) > 0 && string(local) == "null" && s.namespace(prefix, inside) == metadataNamespace {
			value := string(attribute.Value(b))
			return value == "true" || value == "1"
		}
	}
	return false
}

// appendDeclarations appends the declarations around an element, which it does not have itself, as attributes.
func (s *namespaceStack) appendDeclarations(dst, row []byte, tag scan.XMLTag, outer int) []byte {
	isPresent := map[string]bool{}
	for attribute := range tag.Attributes(row) {
		isPresent[string(attribute.Name(row))] = true
	}
	for scope := outer; scope > 0; scope = s.bindings[scope].outer {
		b := &s.bindings[scope]
		name := "xmlns:" + string(b.prefix)
		switch {
		case b.base:
			name = "xml:base"
		case len(b.prefix) == 0:
			name = "xmlns"
		}
		if isPresent[name] {
			continue
		}
		isPresent[name] = true
		quote := byte('"')
		if bytes.IndexByte(b.value, '"') >= 0 {
			quote = '\''
		}
		dst = append(append(append(dst, ' '), name...), '=', quote)
		dst = append(append(dst, b.value...), quote)
	}
	return dst
}

// prefix returns the innermost prefix that is bound to a namespace, or nil if the innermost bindings have no such
// prefix. Without a prefix, rows are read more slowly, with the same result.
func (s *namespaceStack) prefix(ns namespace, scope int) []byte {
	k := scope
	for n := 0; k > 0 && n < 4*fewBindings; n++ {
		if b := &s.bindings[k]; !b.base && b.namespace == ns && s.namespace(b.prefix, scope) == ns {
			return append([]byte{}, b.prefix...) // not nil for the default namespace
		}
		k = s.bindings[k].outer
	}
	return nil
}
