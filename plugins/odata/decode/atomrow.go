package decode

import (
	"bytes"
	"cmp"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// rows decodes the entry with this start tag and as many after it as package kernel can read by itself.
func (a *Atom) rows(tag scan.XMLTag, scope int, out *Output) *scan.Error {
	b := a.buf
	state := a.state // after the rows
	if a.state == atomProlog {
		state = atomEnd
	}
	if a.skipNextRow || a.collector != nil { // the text of the row is needed
		end, err := scan.XMLElement(b, tag.Start, maxDepth)
		if err != nil {
			return err
		}
		a.pos = end
		a.state = state
		a.inRow = false
		return a.row(b[tag.Start:end], a.base+int64(tag.Start), out)
	}
	a.setText(b, out)
	a.chooseRoot(scope)
	s := a.root
	s.MaxRows = 0
	if scope == a.outer && a.state == atomFeed {
		s.repeatRows(tag.Start)
	}
	a.errorInRow = ""
	next, end, err := a.entry(s, tag, scope, len(out.Data), maxDepth)
	s.commitRows()
	a.pos = s.RowText
	if err != nil {
		return err
	}
	if s.Place == kernel.InFeed { // before an entry that package kernel did not open
		a.inRow = false
		return nil
	}
	a.pos = next
	a.state = state
	a.inRow = false
	a.finishEntry(b[s.RowText:next], a.base+int64(s.RowText), end, out)
	return nil
}

// row decodes a complete entry with this text, which starts at pageOffset. In a nested page, it checks and collects it.
func (a *Atom) row(text []byte, pageOffset int64, out *Output) *scan.Error {
	if a.skipRow(text, pageOffset, out) {
		return nil
	}
	tag, scope := a.openRow(text, out)
	_, end, err := a.entry(a.root, tag, scope, len(out.Data), maxDepth)
	if err != nil {
		return a.inPage(err, pageOffset)
	}
	if a.collector == nil {
		a.finishEntry(text, pageOffset, end, out)
		return nil
	}
	a.serviceError = cmp.Or(a.errorInRow, a.serviceError)
	// What makes a row of a nested page unreadable is reported when it is decoded with the row around it.
	a.collector.checkType(a.schema, a.typeName(text, tag, scope))
	s := a.root
	if !a.collector.addKey(s.key(a.collector.keyBuffer[:0])) {
		a.collector.reportKey(a.schema, func(column int) []byte { return a.propertyText(text, tag, scope, column) })
	}
	a.collected = a.rowDocument(a.collected, text)
	a.page.Rows++
	return nil
}

// result decodes an element with properties that is no entry.
func (a *Atom) result(text []byte, pageOffset int64, out *Output) *scan.Error {
	if a.skipRow(text, pageOffset, out) {
		return nil
	}
	tag, scope := a.openRow(text, out)
	_, end, err := a.object(a.root, tag, scope, len(out.Data), maxDepth)
	// The rows of nested pages are inserted into the row's text, which is then decoded as an entry. A result is no
	// entry.
	if link := a.root.link; err == nil && a.root.problem == nil && link != nil {
		err = &scan.Error{At: link.linkAt.start, Expected: "a function result without next links",
			Found: "one in " + link.property + ": " + quoted([]byte(link.link.Href))}
	}
	if err != nil {
		return a.inPage(err, pageOffset)
	}
	a.finishEntry(text, pageOffset, end, out)
	return nil
}

func (a *Atom) openRow(text []byte, out *Output) (tag scan.XMLTag, scope int) {
	a.setText(text, out)
	a.namespaces.bindings = a.namespaces.bindings[:a.rowBindings]
	tag, _ = scan.XMLTagAt(text, 0)
	scope = a.namespaces.push(text, tag, a.outer)
	a.chooseRoot(scope)
	a.root.MaxRows = 0
	a.errorInRow = ""
	return tag, scope
}

// finishEntry adds the row that was decoded last, whose output ends at end.
func (a *Atom) finishEntry(text []byte, pageOffset int64, end int, out *Output) {
	s := a.root
	a.serviceError = cmp.Or(a.errorInRow, a.serviceError)
	if s.problem == nil && s.link != nil {
		a.addFeedKeys(s.link)
	}
	a.addRow(text, pageOffset, s.link, s.problem, end, out)
}

// propertyText returns the text of a column's property in an entry, nil if it is outside of the properties.
func (a *Atom) propertyText(row []byte, tag scan.XMLTag, scope, column int) (text []byte) {
	var find func(tag scan.XMLTag, end, scope int)
	find = func(tag scan.XMLTag, end, scope int) {
		children := childrenOf(row, tag, end)
		for child, ok := children.next(); ok; child, ok = children.next() {
			inside, namespace, local := a.namespaces.enter(row, child.tag, scope)
			switch {
			case namespace == atomNamespace && string(local) == "content",
				namespace == metadataNamespace && string(local) == "properties":
				find(child.tag, child.end, inside)
			case namespace == dataNamespace && string(local) == a.schema.Columns[column].Name:
				text = row[child.tag.End:contentEnd(row, child.tag, child.end)]
			}
		}
	}
	find(tag, len(row), scope)
	return text
}

// addFeedKeys records the keys of an expanded feed's rows. It decodes them again: nothing uses their output, since the
// row waits for nested pages.
func (a *Atom) addFeedKeys(link *nestedNextLink) {
	a.nestedPages.newKeys()
	s := link.structure
	for pos := link.rows; ; {
		tag, err := a.child(pos, link.feed.name)
		if err != nil || tag.Closing {
			return
		}
		scope, namespace, local := a.namespaces.enter(a.text, tag, link.feed.scope)
		if namespace != atomNamespace || string(local) != "entry" {
			pos, _ = scan.XMLElement(a.text, tag.Start, maxDepth)
			continue
		}
		s.MaxRows = 0
		pos, _, _ = a.entry(s, tag, scope, len(a.out.Data), link.depth)
		a.nestedPages.addKey(s.key(a.nestedPages.keyBuffer[:0]))
	}
}

// typeName returns the type in an entry's category, or nil.
func (a *Atom) typeName(row []byte, tag scan.XMLTag, scope int) []byte {
	const scheme = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	children := childrenOf(row, tag, len(row))
	for child, ok := children.next(); ok; child, ok = children.next() {
		_, namespace, local := a.namespaces.enter(row, child.tag, scope)
		if namespace != atomNamespace || string(local) != "category" {
			continue
		}
		if uri, _ := attributeValue(row, child.tag, "scheme"); string(uri) == scheme {
			term, _ := attributeValue(row, child.tag, "term")
			name, _ := scan.XMLContent(nil, term)
			return name
		}
	}
	return nil
}

// rowDocument appends an entry with the declarations around it.
func (a *Atom) rowDocument(dst, row []byte) []byte {
	tag, _ := scan.XMLTagAt(row, 0)
	dst = append(dst, row[:tag.NameEnd]...)
	if tag.Declares {
		dst = a.namespaces.appendDeclarations(dst, row, tag, a.outer)
	} else {
		if a.outerAttributes == nil {
			a.outerAttributes = a.namespaces.appendDeclarations([]byte{}, row, tag, a.outer)
		}
		dst = append(dst, a.outerAttributes...)
	}
	return append(dst, row[tag.NameEnd:]...)
}

// element is an element of a text that contains all of it: its start tag and where it ends.
type element struct {
	tag scan.XMLTag
	end int
}

// elements iterates over the children of an element.
type elements struct {
	b   []byte // the text
	i   int    // the offset of the next byte to read
	end int    // of the element's content
}

func childrenOf(b []byte, t scan.XMLTag, end int) elements {
	return elements{b, t.End, contentEnd(b, t, end)}
}

// next returns the next child. It returns false at the end, and at an invalid tag.
func (e *elements) next() (element, bool) {
	for e.i < e.end {
		less := bytes.IndexByte(e.b[e.i:e.end], '<')
		if less < 0 {
			break
		}
		e.i += less
		if end, _ := scan.XMLMisc(e.b, e.i); end > 0 {
			e.i = end
			continue
		}
		tag, err := scan.XMLTagAt(e.b, e.i)
		if err != nil || tag.Closing {
			break
		}
		e.i, _ = scan.XMLElement(e.b, tag.Start, unlimited)
		return element{tag, e.i}, true
	}
	return element{}, false
}

const unlimited = 1 << 30 // the depth was checked when the row was found
