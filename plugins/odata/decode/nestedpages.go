package decode

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// nestedPages holds a row that waits for further pages of an expanded feed. Their rows replace the link in the row's
// text, and then the row is decoded again.
type nestedPages struct {
	waiting    bool            // a row waits
	row        []byte          // the row's text
	pageOffset int64           // where that text starts in the page
	nextLink   *nestedNextLink // of the feed in the row
	tag        string          // of the request for the page that is being read
	number     int             // requests so far
	child      *stream         // collects the rows of nested pages
	out        Output          // of child
	link       Link            // to the page that is being read
	visited    map[uint64]bool // hashes of the links followed for this feed
	emptyPages int             // consecutive pages without rows
	// keys holds digests of the keys of the feed's rows so far: at most one for each row of the feed, whose texts have
	// at most maxRow bytes in total. Only feeds with a next link are checked, because only their pages may repeat.
	keys      map[uint64]bool
	keyBuffer []byte // the last key; its memory is reused
	// problem is what is wrong with the page that is being read, if its rows do not belong to the feed.
	problem *PageError
}

const maxEmptyPages = 1000 // consecutive pages without a row in an expanded feed

// nestedNextLink is the next link of an expanded collection inside a row.
type nestedNextLink struct {
	link      Link
	linkAt    textRange   // where the link is in the row's text
	emptyLink string      // replaces the link
	insertAt  int         // where further rows are inserted
	separator string      // between the feed's rows and the inserted ones
	structure *structure  // decodes the feed's rows
	rows      int         // where the feed's rows start
	feed      openElement // in Atom
	depth     int         // in Atom: the nesting allowed in the feed
	property  string      // path of the navigation property
}

// awaitNestedPages keeps a row until the pages of the feed in it were read, and requests the first of them. The row may
// be the same one as before: it has another link.
func (s *stream) awaitNestedPages(row []byte, pageOffset int64, nextLink *nestedNextLink, out *Output) {
	w := &s.nestedPages
	if !w.waiting {
		w.row = padded(append(w.row[:0], row...))
		w.pageOffset = pageOffset
	}
	w.waiting = true
	w.nextLink = nextLink
	if w.child == nil {
		w.child = s.format.nestedDecoder()
	}
	w.child.format.Reset()
	if w.child.schema != nextLink.structure.schema {
		w.child.setSchema(nextLink.structure.schema, nextLink.structure.Markup)
	}
	w.problem = nil
	w.emptyPages = 0
	clear(w.visited)
	if w.visited == nil {
		w.visited = map[uint64]bool{}
	}
	w.visit(nextLink.link)
	s.requestNestedPage(nextLink.link, out)
}

// visit records a link. It returns false if the link was followed before.
func (p *nestedPages) visit(link Link) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(link.Base + " " + link.Href))
	n := h.Sum64()
	isVisited := p.visited[n]
	p.visited[n] = true
	return !isVisited
}

func (s *stream) requestNestedPage(link Link, out *Output) {
	w := &s.nestedPages
	w.number++
	w.tag = "nested page " + strconv.Itoa(w.number)
	w.link = link
	out.NestedPages = append(out.NestedPages, NestedPageRequest{Tag: w.tag, Link: link, Row: s.page.Rows,
		Property: w.nextLink.property})
}

// nestedPiece reads a piece of a nested page. After the last page it decodes the row and continues with the outer page.
func (s *stream) nestedPiece(tag string, piece []byte, last bool, out *Output) *PageError {
	w := &s.nestedPages
	if !w.waiting || tag != w.tag {
		return s.errorHere("a piece of "+strconv.Quote(w.tag), "one of "+strconv.Quote(tag))
	}
	// Collect the rows of the piece.
	w.out.Reset()
	if err := w.child.Feed("", piece, last, &w.out); err != nil {
		e := *err.(*PageError)
		e.Tag = tag
		e.Row = int64(s.page.Rows)
		return &e
	}
	child := w.child
	if w.problem != nil {
		w.problem.Byte = child.base + int64(child.pos)
		w.problem.Row = int64(s.page.Rows)
		w.problem.Tag = tag
		return w.problem
	}
	if len(child.collected)+len(w.row) > maxRow {
		return &PageError{Row: int64(s.page.Rows), Tag: tag, Found: "a longer one",
			Expected: "a row of at most " + strconv.Itoa(maxRow) + " bytes with all its nested pages"}
	}
	if !last {
		return nil
	}
	// Request the page after it, unless the links form a loop.
	if next := w.out.Page.Next; next.Href != "" {
		w.emptyPages++
		if w.out.Page.Rows > 0 {
			w.emptyPages = 0
		}
		end := &PageError{Row: int64(s.page.Rows), Tag: tag, Expected: "the end of an expanded feed"}
		switch {
		case !w.visit(next):
			end.Found = "a link that was followed before, " + strconv.Quote(next.Href)
			return end
		case w.emptyPages == maxEmptyPages:
			end.Found = strconv.Itoa(maxEmptyPages) + " pages without a row"
			return end
		}
		collected := child.collected
		child.format.Reset() // it drops what was collected
		child.collected = collected
		s.requestNestedPage(next, out)
		return nil
	}
	// Replace the next link by the collected rows.
	nextLink := w.nextLink
	link := w.row[nextLink.linkAt.start:nextLink.linkAt.end]
	for i := range link {
		link[i] = ' '
	}
	copy(link, nextLink.emptyLink)
	if len(child.collected) > 0 {
		w.row = padded(slices.Concat(w.row[:nextLink.insertAt], []byte(nextLink.separator), child.collected,
			w.row[nextLink.insertAt:]))
	}
	w.keys = nil // the feed was read to its end
	if err := s.format.row(w.row, w.pageOffset, out); err != nil {
		return s.pageError(err)
	}
	return s.run(out)
}

// newKeys starts the keys of another feed.
func (p *nestedPages) newKeys() { p.keys = map[uint64]bool{} }

// addKey records the encoded key of a row; nil is an unknown key. It returns false if a row before has the same key.
// keyBuffer is then that key.
func (p *nestedPages) addKey(key []byte) bool {
	if key == nil {
		return true
	}
	p.keyBuffer = key
	h := fnv.New64a()
	_, _ = h.Write(key)
	size := len(p.keys)
	p.keys[h.Sum64()] = true
	return len(p.keys) > size
}

// checkType reports a row of a nested page whose type cannot be in the feed.
func (p *nestedPages) checkType(schema *RowSchema, name []byte) {
	if schema.acceptsType(name) || p.problem != nil {
		return
	}
	p.report("rows of "+p.nextLink.property+" of type "+schema.Name, "type "+quoted(name))
}

// reportKey reports a row of a nested page whose key the feed already has: the service repeats rows, so others may be
// missing.
func (p *nestedPages) reportKey(schema *RowSchema, value func(column int) []byte) {
	if p.problem != nil {
		return
	}
	var parts []string
	for _, i := range schema.Keys {
		parts = append(parts, schema.Columns[i].Name+"="+quoted(value(i)))
	}
	p.report("each key once in "+p.nextLink.property, strings.Join(parts, ",")+" again")
}

func (p *nestedPages) report(expected, found string) {
	p.problem = &PageError{Expected: expected, Found: found + " behind the link " + strconv.Quote(p.link.Href),
		Hint: "leave " + p.nextLink.property + " out of expand, or read its entity set by itself"}
}
