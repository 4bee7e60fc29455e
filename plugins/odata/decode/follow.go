package decode

import (
	"hash/fnv"
	"slices"
	"strconv"
)

// nestedPages is a row that waits for further pages of a feed expanded in it. When they have come, their rows are put
// into the row's text in place of the link and the row is decoded again: links in them, or further ones in the row, are
// found then.
type nestedPages struct {
	waiting bool
	// row is the row's text, at its place in the page.
	row []byte
	at  int64
	// nextLink is where the link is and where rows go.
	nextLink nestedNextLink
	tag      string
	number   int
	child    *stream
	out      Output
	// visited are hashes of the links by which the hole is filled, empty is how many pages in succession brought
	// nothing.
	visited    map[uint64]bool
	emptyPages int
}

// maxEmpty is how many further pages of an expanded feed without a row may follow one another.
const maxEmpty = 1000

// hole is a link to more rows of a feed inside a row.
type nestedNextLink struct {
	found bool
	link  Link
	// linkAt is the place of the link in the row's text, blank what stands for none; rowsAt is after the last row
	// there, comma what separates further ones from it.
	linkAt               textRange
	rowsAt               int
	emptyLink, separator string
}

// awaitNestedPages starts waiting: row has the hole h.
func (s *stream) awaitNestedPages(row []byte, at int64, h nestedNextLink, out *Output) {
	w := &s.nestedPages
	if !w.waiting {
		w.row = append(w.row[:0], row...)
		w.at = at
	}
	w.waiting, w.nextLink = true, h
	if w.child == nil {
		w.child = s.format.nestedDecoder()
	}
	w.child.format.Reset()
	w.emptyPages = 0
	if clear(w.visited); w.visited == nil {
		w.visited = map[uint64]bool{}
	}
	s.nestedPages.visit(h.link)
	s.requestNestedPage(h.link, out)
}

// visit notes a link that is followed; false: it was before.
func (w *nestedPages) visit(link Link) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(link.Base + " " + link.Href))
	n := h.Sum64()
	known := w.visited[n]
	w.visited[n] = true
	return !known
}

func (s *stream) requestNestedPage(link Link, out *Output) {
	w := &s.nestedPages
	w.number++
	w.tag = "nested page " + strconv.Itoa(w.number)
	out.NestedPages = append(out.NestedPages, NestedPageRequest{w.tag, link})
}

// nestedPiece takes a piece of a nested page; with the last one of the last page the row is decoded and the page goes
// on.
func (s *stream) nestedPiece(tag string, piece []byte, last bool, out *Output) *PageError {
	w := &s.nestedPages
	if !w.waiting || tag != w.tag {
		return s.misuse("a piece of "+strconv.Quote(w.tag), "one of "+strconv.Quote(tag))
	}
	w.out.Reset()
	if err := w.child.Feed("", piece, last, &w.out); err != nil {
		e := *err.(*PageError)
		e.Tag, e.Row = tag, int64(s.page.Rows)
		return &e
	}
	child := w.child
	if len(child.collected)+len(w.row) > maxRow {
		return &PageError{Row: int64(s.page.Rows), Tag: tag, Found: "a longer one",
			Expected: "a row of at most " + strconv.Itoa(maxRow) + " bytes with all its nested pages"}
	}
	if !last {
		return nil
	}
	if next := w.out.Page.Next; next.Href != "" {
		if w.emptyPages++; w.out.Page.Rows > 0 {
			w.emptyPages = 0
		}
		end := &PageError{Row: int64(s.page.Rows), Tag: tag, Expected: "an end of an expanded feed"}
		switch {
		case !w.visit(next):
			end.Found = "a link that was followed before, " + strconv.Quote(next.Href)
			return end
		case w.emptyPages == maxEmpty:
			end.Found = strconv.Itoa(maxEmpty) + " pages without a row"
			return end
		}
		collected := child.collected
		w.child.format.Reset()
		child.collected = collected
		s.requestNestedPage(next, out)
		return nil
	}
	w.splice(child.collected)
	s.format.row(w.row, w.at, out)
	return s.run(out)
}

// splice blanks the link of the hole and puts rows there.
func (w *nestedPages) splice(collected []byte) {
	h := w.nextLink
	link := w.row[h.linkAt.start:h.linkAt.end]
	for i := range link {
		link[i] = ' '
	}
	copy(link, h.emptyLink)
	if len(collected) > 0 {
		w.row = slices.Concat(w.row[:h.rowsAt], []byte(h.separator), collected, w.row[h.rowsAt:])
	}
}
