package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// entryState is the part of a [structure] for XML: where the decoder is in an entry, and what continues from there.
//
//	inProperties  Place               at P                 kernel reads it      Go reads the rest in
//	false         InEntry, InElement  a child of parent    if readsElements     readEntryElement
//	false         InContent           a child of content   if readsElements     readEntryElement
//	false         InFeed              a child of the feed  from readInlineFeed  readInlineFeed, feedChild
//	true          any                 a child of open      if readsProperties   readProperty, readValue, skipRepeated
//
// Within one call, package kernel may pass several of these places and up to MaxRows ends of entries; it keeps Place up
// to date. If it opened properties, it sets Entered, and openUsual then sets open. leaveProperties sets the state after
// the end tag of the properties.
type entryState struct {
	around property // the pseudo property of package kernel for the elements around an entry's properties
	// parent is the entry, or the element of a struct without an entry. content and properties are inside of it.
	parent       openElement
	content      openElement
	open         openElement // the element with the properties
	depth        int         // the nesting allowed in parent
	openDepth    int         // the nesting allowed in open
	isEntry      bool        // false for a struct without an entry
	inProperties bool
	// readsEntry, readsElements and readsProperties report whether package kernel may read the entry, the elements at
	// the current place and the properties: their prefixes are known, and nothing is nested too deep.
	readsEntry      bool
	readsElements   bool
	readsProperties bool
	// hasTargets reports that an entry may have values outside of its properties.
	hasTargets bool
	usualTexts
}

// usualTexts are the texts around properties in a structure with these prefixes. They are set once.
type usualTexts struct {
	prefixes      prefixes
	feedFront     []byte         // before an expanded feed in a link
	feedBack      []byte         // after an expanded feed in a link
	endName       []byte         // the name of the element around the properties that package kernel expects
	propertiesTag kernel.Pattern // the start tag of the properties
}

// openElement is an element that is being read: its name and the namespace scope in it.
type openElement struct {
	name  []byte
	scope int
}

var entryName, contentName, feedName = []byte("entry"), []byte("content"), []byte("feed")

// minDepth is the nesting of what package kernel reads in an entry.
const minDepth = 4

// entry decodes the entry with this start tag and returns the ends of its text and of its output, which starts at o.
func (a *Atom) entry(s *structure, tag scan.XMLTag, scope, o, depth int) (next, end int, err *scan.Error) {
	s.begin(tag.End, o)
	s.RowText = tag.Start
	a.openEntry(s, openElement{tag.Name(a.text), scope}, depth-1)
	return a.read(s, tag, depth)
}

func (a *Atom) openEntry(s *structure, entry openElement, depth int) {
	s.parent = entry
	s.depth = depth
	s.isEntry = true
	a.setPropertiesTag(s)
	s.readsEntry = depth >= minDepth && a.isAtom(entry.scope) && bytes.Equal(entry.name, entryName)
	a.leaveContent(s)
}

// setPropertiesTag lets package kernel open properties if it knows the prefixes.
func (a *Atom) setPropertiesTag(s *structure) {
	isKnown := a.isUsual(s.parent.scope)
	switch {
	case isKnown && s.Properties.Disabled != 0:
		s.Properties = s.propertiesTag
	case !isKnown && s.Properties.Disabled == 0:
		s.Properties = kernel.NoPattern
	}
}

// object decodes the properties in an element that is no entry, as entry does.
func (a *Atom) object(s *structure, tag scan.XMLTag, scope, o, depth int) (next, end int, err *scan.Error) {
	s.begin(tag.End, o)
	s.RowText = tag.Start
	s.isEntry = false
	s.MaxRows = 0
	s.Surroundings = nil
	a.openProperties(s, openElement{tag.Name(a.text), scope}, depth-1)
	return a.read(s, tag, depth)
}

// leaveContent continues in the entry, outside of its content.
func (a *Atom) leaveContent(s *structure) {
	s.Place = kernel.InEntry
	s.readsElements = s.readsEntry
	s.content = openElement{contentName, s.parent.scope}
	s.leaveProperties()
}

// leaveProperties continues around the properties of an entry.
func (s *structure) leaveProperties() {
	s.inProperties = false
	s.Previous = &s.head.Property
	s.Property = &s.around.Property
	s.Surroundings = nil
	if s.readsElements {
		s.Surroundings = s.Property
	}
}

// openProperties continues in an element with properties.
func (a *Atom) openProperties(s *structure, properties openElement, depth int) {
	s.open = properties
	s.openDepth = depth
	s.inProperties = true
	s.readsProperties = depth > 1 && bytes.Equal(properties.name, s.endName) && a.isUsual(properties.scope)
}

// openUsual sets the state for properties of an entry that package kernel has opened.
func (a *Atom) openUsual(s *structure) {
	parent, depth := s.enclosing()
	a.openProperties(s, openElement{s.endName, parent.scope}, depth-1)
}

// enclosing returns the element around the properties, and the nesting allowed in it.
func (s *structure) enclosing() (parent openElement, depth int) {
	if s.Place == kernel.InContent {
		return s.content, s.depth - 1
	}
	return s.parent, s.depth
}

// read decodes the inside of an element.
func (a *Atom) read(s *structure, tag scan.XMLTag, depth int) (next, end int, err *scan.Error) {
	if tag.Empty {
		return tag.End, a.complete(s, tag), nil
	}
	if depth <= 0 {
		_, err = scan.XMLElement(a.text, tag.Start, depth)
		return 0, 0, err
	}
	return a.readInside(s, tag)
}

// readInside decodes an element from s.P on. If s.Place is InFeed, it returns where package kernel finds no entry.
func (a *Atom) readInside(s *structure, tag scan.XMLTag) (next, end int, err *scan.Error) {
	for {
		reason := kernel.NoProperty // if package kernel may not read the properties
		isEnd := false
		// Let package kernel read on, if it may.
		switch {
		case s.inProperties && s.readsProperties, !s.inProperties && s.readsElements:
			reason = kernel.Read(&s.Struct)
			s.inProperties = reason < kernel.Markup // from Markup on, P is outside of properties
			if s.inProperties && s.Entered != 0 {
				a.openUsual(s)
			}
			s.Entered = 0
		case !s.inProperties:
			reason = kernel.Markup
		}
		// Read what it stopped at.
		switch reason {
		case kernel.EntryEnd:
			isEnd = true
		case kernel.Markup:
			if s.Place == kernel.InFeed {
				return s.P, s.RowOutput, nil
			}
			isEnd, err = a.readEntryElement(s)
		case kernel.Link:
			rel, _, _ := bytes.Cut(a.text[s.Relation:s.TagEnd], []byte{'"'})
			link := scan.XMLTag{Start: s.P, End: s.TagEnd, NameEnd: s.P + len("<link")}
			link.Empty = s.Empty != 0
			err = a.readEntryLink(s, link, rel, s.parent.scope)
		case kernel.NoValue:
			err = a.readValue(s)
		case kernel.Repeated:
			start := bytes.LastIndexByte(a.text[:s.P], '<') // P is after the start tag
			err = a.skipRepeated(s, propertyOf(s.Property), start)
		default:
			isPropertiesEnd := reason == kernel.AtEnd
			if !isPropertiesEnd {
				isPropertiesEnd, err = a.readProperty(s)
			}
			isEnd = isPropertiesEnd && !s.isEntry
			if isPropertiesEnd && s.isEntry {
				s.leaveProperties()
			}
		}
		if err != nil {
			return 0, 0, err
		}
		if isEnd {
			return s.P, a.complete(s, tag), nil
		}
	}
}

// complete ends a struct after reading the values that an entry has outside of its properties.
func (a *Atom) complete(s *structure, tag scan.XMLTag) (end int) {
	for i := 0; s.hasTargets && i < len(s.properties); i++ {
		p := &s.properties[i]
		if len(p.column.steps) == 0 || s.has(i) {
			continue
		}
		if s.RowText != tag.Start { // package kernel opened this entry
			tag, _ = scan.XMLTagAt(a.text, s.RowText)
		}
		next := s.P
		s.BeginColumn(i)
		dst := a.out.Data[:s.O]
		problem := (*conversionError)(nil)
		if s.isEntry && p.column.Kind == Primitive {
			dst, problem = a.target(dst, s.schema, p.column, element{tag, next})
		} else {
			dst, problem = appendNull(dst, p.column, false)
		}
		s.endValue(p, next, dst, problem)
	}
	return s.complete()
}

// child returns the next tag in an element, which is the element's end tag or the start tag of a child.
func (a *Atom) child(pos int, parent []byte) (tag scan.XMLTag, err *scan.Error) {
	if end := a.endTag(pos, parent); end > 0 {
		tag = scan.XMLTag{Start: pos, End: end, NameEnd: end - len(">")}
		tag.Closing = true
		return tag, nil
	}
	for {
		less := bytes.IndexByte(a.text[pos:], '<')
		if less < 0 {
			return tag, scan.ErrNeedMore
		}
		pos += less
		if pos+1 < len(a.text) && a.text[pos+1] != '!' && a.text[pos+1] != '?' {
			break
		}
		if pos, err = scan.XMLMisc(a.text, pos); err != nil {
			return tag, err
		}
	}
	tag, err = scan.XMLTagAt(a.text, pos)
	if err == nil && tag.Closing && !bytes.Equal(tag.Name(a.text), parent) {
		err = &scan.Error{At: pos, Expected: "</" + string(parent) + ">", Found: "</" + string(tag.Name(a.text)) + ">"}
	}
	return tag, err
}

// endTag returns the end of the end tag at pos, or zero for another token or an unusual end tag.
func (a *Atom) endTag(pos int, name []byte) (end int) {
	end = pos + len(name) + len("</>")
	if end > len(a.text) || a.text[pos] != '<' || a.text[pos+1] != '/' || a.text[end-1] != '>' ||
		string(a.text[pos+2:end-1]) != string(name) {
		return 0
	}
	return end
}

// elementEnds returns the ends of an element and of its content (back). Usually it has text only, and no children.
func (a *Atom) elementEnds(tag scan.XMLTag, depth int) (end, back int, err *scan.Error) {
	if tag.Empty {
		return tag.End, tag.End, nil
	}
	if less := bytes.IndexByte(a.text[tag.End:], '<'); less >= 0 && depth > 0 {
		back = tag.End + less
		if end = a.endTag(back, tag.Name(a.text)); end > 0 {
			return end, back, nil
		}
	}
	if end, err = scan.XMLElement(a.text, tag.Start, depth); err != nil {
		return 0, 0, err
	}
	return end, contentEnd(a.text, tag, end), nil
}

// readEntryElement reads an element of an entry, around its properties, or the end tag of the entry.
func (a *Atom) readEntryElement(s *structure) (isEnd bool, err *scan.Error) {
	inContent := s.Place == kernel.InContent
	parent, depth := s.enclosing()
	tag, err := a.child(s.P, parent.name)
	if err != nil {
		return false, err
	}
	s.P = tag.End
	if tag.Closing {
		if inContent {
			a.leaveContent(s)
		}
		return !inContent, nil
	}
	scope, namespace, local := a.namespaces.enter(a.text, tag, parent.scope)
	inner := openElement{tag.Name(a.text), scope}
	switch name := string(local); {
	case namespace == metadataNamespace && name == "properties" && !tag.Empty && depth > 0:
		a.openProperties(s, inner, depth-1)
		if !s.readsProperties {
			a.lastPrefixes = a.prefixesIn(scope) // chooseRoot uses them for the next entry
		}
		s.Previous = &s.head.Property
		s.Property = s.head.Next
		return false, nil
	case namespace == atomNamespace && name == "content" && !inContent && !tag.Empty && depth > 0:
		s.content = inner
		s.Place = kernel.InContent
		if scope != parent.scope || name != string(inner.name) { // package kernel does not know its prefix
			s.readsElements = false
			s.leaveProperties()
		}
		return false, nil
	case namespace == atomNamespace && name == "link" && !inContent:
		return false, a.readEntryLink(s, tag, relation(a.text, tag), scope)
	}
	s.P, _, err = a.elementEnds(tag, depth)
	if err == nil && namespace == metadataNamespace && string(local) == "error" && !inContent {
		a.failRow(tag.Start, s.P)
	}
	return false, err
}

// failRow records an error that the service wrote into a row, and which fails the page.
func (a *Atom) failRow(start, end int) {
	a.errorInRow = quoted(a.text[start:end])
	a.root.MaxRows = 0
}
