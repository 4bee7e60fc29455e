package decode

import (
	"bytes"
	"cmp"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// rows decodes the entry with this start tag and as many after it as package kernel can read by itself.
func (d *Atom) rows(tag scan.XMLTag, scope int, out *Output) *scan.Error {
	b, state := d.buf, d.state
	if d.state == atomProlog {
		state = atomEnd
	}
	if d.skipNextRow || d.collector != nil {
		end, err := scan.XMLElement(b, tag.Start, maxDepth)
		if err != nil {
			return err
		}
		d.pos, d.state, d.inRow = end, state, false
		return d.row(b[tag.Start:end], d.base+int64(tag.Start), out)
	}
	d.setText(b, out)
	d.chooseRoot(scope)
	s := d.root
	s.MaxRows = 0
	if scope == d.outer && d.state == atomFeed {
		s.repeatRows(tag.Start)
	}
	d.errorInRow = ""
	next, end, err := d.entry(s, tag, scope, len(out.Data), maxDepth)
	s.commitRows()
	d.pos = s.RowText
	if err != nil {
		return err
	}
	if s.Place == kernel.InFeed { // before an entry that package kernel did not open
		d.inRow = false
		return nil
	}
	d.pos, d.state, d.inRow = next, state, false
	d.finishEntry(b[s.RowText:next], d.base+int64(s.RowText), end, out)
	return nil
}

// row decodes a complete entry with this text, which starts at byte `at` of the page.
func (d *Atom) row(text []byte, at int64, out *Output) *scan.Error {
	if d.skipRow(text, at, out) {
		return nil
	}
	tag, scope := d.openRow(text, out)
	_, end, err := d.entry(d.root, tag, scope, len(out.Data), maxDepth)
	if err != nil {
		return d.inPage(err, at)
	}
	if d.collector == nil {
		d.finishEntry(text, at, end, out)
		return nil
	}
	d.serviceError = cmp.Or(d.errorInRow, d.serviceError)
	d.checkCollected(text, tag, scope)
	d.collected = d.rowDocument(d.collected, text)
	d.page.Rows++
	return nil
}

// result decodes an element with properties that is no entry.
func (d *Atom) result(text []byte, at int64, out *Output) *scan.Error {
	if d.skipRow(text, at, out) {
		return nil
	}
	tag, scope := d.openRow(text, out)
	_, end, err := d.object(d.root, tag, scope, len(out.Data), maxDepth)
	// The rows of nested pages are inserted into the row's text, which is then decoded as an entry. A result is none.
	if link := d.root.link; err == nil && d.root.problem == nil && link != nil {
		err = &scan.Error{At: link.linkAt.start, Expected: "a function result without next links",
			Found: "one in " + link.property + ": " + quoted([]byte(link.link.Href))}
	}
	if err != nil {
		return d.inPage(err, at)
	}
	d.finishEntry(text, at, end, out)
	return nil
}

func (d *Atom) openRow(text []byte, out *Output) (tag scan.XMLTag, scope int) {
	d.setText(text, out)
	d.namespaces.all = d.namespaces.all[:d.rowBindings]
	tag, _ = scan.XMLTagAt(text, 0)
	scope = d.namespaces.push(text, tag, d.outer)
	d.chooseRoot(scope)
	d.root.MaxRows, d.errorInRow = 0, ""
	return tag, scope
}

// finishEntry adds the row that was decoded last, whose output ends at end.
func (d *Atom) finishEntry(text []byte, at int64, end int, out *Output) {
	s := d.root
	d.serviceError = cmp.Or(d.errorInRow, d.serviceError)
	if s.problem == nil && s.link != nil {
		d.addFeedKeys(s.link)
	}
	d.addRow(text, at, s.link, s.problem, end, out)
}

// checkCollected checks a row of a nested page, which was decoded last. What makes it unreadable is reported when it is
// decoded with the row around it.
func (d *Atom) checkCollected(row []byte, tag scan.XMLTag, scope int) {
	d.collector.checkType(d.schema, d.typeName(row, tag, scope))
	s := d.root
	if !d.collector.addKey(s.key(d.collector.keyBuffer[:0])) {
		d.collector.reportKey(d.schema, func(column int) []byte { return d.propertyText(row, tag, scope, column) })
	}
}

// propertyText returns the text of a column's property in an entry, nil if it is outside of the properties.
func (d *Atom) propertyText(row []byte, tag scan.XMLTag, scope, column int) (text []byte) {
	var find func(tag scan.XMLTag, end, scope int)
	find = func(tag scan.XMLTag, end, scope int) {
		children := childrenOf(row, tag, end)
		for child, ok := children.next(); ok; child, ok = children.next() {
			inside, namespace, local := d.namespaces.enter(row, child.tag, scope)
			switch {
			case namespace == atomNamespace && string(local) == "content",
				namespace == metadataNamespace && string(local) == "properties":
				find(child.tag, child.end, inside)
			case namespace == dataNamespace && string(local) == d.schema.Columns[column].Name:
				text = row[child.tag.End:contentEnd(row, child.tag, child.end)]
			}
		}
	}
	find(tag, len(row), scope)
	return text
}

// addFeedKeys records the keys of an expanded feed's rows.
func (d *Atom) addFeedKeys(link *nestedNextLink) {
	d.nestedPages.newKeys()
	s := link.structure
	for pos := link.rows; ; {
		tag, err := d.child(pos, link.feed.name)
		if err != nil || tag.Closing {
			return
		}
		scope, namespace, local := d.namespaces.enter(d.text, tag, link.feed.scope)
		if namespace != atomNamespace || string(local) != "entry" {
			pos, _ = scan.XMLElement(d.text, tag.Start, maxDepth)
			continue
		}
		s.MaxRows = 0
		pos, _, _ = d.entry(s, tag, scope, len(d.out.Data), link.depth)
		d.nestedPages.addKey(s.key(d.nestedPages.keyBuffer[:0]))
	}
}

// typeName returns the type in an entry's category, or nil.
func (d *Atom) typeName(row []byte, tag scan.XMLTag, scope int) []byte {
	const scheme = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	children := childrenOf(row, tag, len(row))
	for child, ok := children.next(); ok; child, ok = children.next() {
		_, namespace, local := d.namespaces.enter(row, child.tag, scope)
		if namespace != atomNamespace || string(local) != "category" {
			continue
		}
		if of, _ := attribute(row, child.tag, "scheme"); string(of) == scheme {
			term, _ := attribute(row, child.tag, "term")
			name, _ := scan.XMLContent(nil, term)
			return name
		}
	}
	return nil
}

// rowDocument appends an entry with the declarations around it.
func (d *Atom) rowDocument(dst, row []byte) []byte {
	tag, _ := scan.XMLTagAt(row, 0)
	dst = append(dst, row[:tag.NameEnd]...)
	if tag.Declares {
		dst = d.namespaces.appendDeclarations(dst, row, tag, d.outer)
	} else {
		if d.outerAttributes == nil {
			d.outerAttributes = d.namespaces.appendDeclarations([]byte{}, row, tag, d.outer)
		}
		dst = append(dst, d.outerAttributes...)
	}
	return append(dst, row[tag.NameEnd:]...)
}

type element struct {
	tag scan.XMLTag
	end int
}

type elements struct {
	b      []byte
	i, end int
}

func childrenOf(b []byte, t scan.XMLTag, end int) elements {
	return elements{b, t.End, contentEnd(b, t, end)}
}

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
