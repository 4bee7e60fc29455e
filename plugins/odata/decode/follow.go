package decode

import (
	"hash/fnv"
	"slices"
	"strconv"
)

// follow is a row that waits for further pages of a feed expanded in it. When they have come, their rows are put into
// the row's text in place of the link and the row is decoded again: links in them, or further ones in the row, are
// found then.
type follow struct {
	waiting bool
	// row is the row's text, at its place in the page.
	row []byte
	at  int64
	// hole is where the link is and where rows go.
	hole   hole
	tag    string
	number int
	child  *stream
	out    Output
	// followed are hashes of the links by which the hole is filled, empty is how many pages in succession brought
	// nothing.
	followed map[uint64]bool
	empty    int
}

// maxEmpty is how many further pages of an expanded feed without a row may follow one another.
const maxEmpty = 1000

// hole is a link to more rows of a feed inside a row.
type hole struct {
	found bool
	link  Link
	// linkAt is the place of the link in the row's text, blank what stands for none; rowsAt is after the last row
	// there, comma what separates further ones from it.
	linkAt       textRange
	rowsAt       int
	blank, comma string
}

// ask starts waiting: row has the hole h.
func (s *stream) ask(row []byte, at int64, h hole, out *Output) {
	w := &s.follow
	if !w.waiting {
		w.row = append(w.row[:0], row...)
		w.at = at
	}
	w.waiting, w.hole = true, h
	if w.child == nil {
		w.child = s.format.nested()
	}
	w.child.format.Reset()
	w.empty = 0
	if clear(w.followed); w.followed == nil {
		w.followed = map[uint64]bool{}
	}
	s.follow.passes(h.link)
	s.request(h.link, out)
}

// passes notes a link that is followed; false: it was before.
func (w *follow) passes(link Link) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(link.Base + " " + link.Href))
	n := h.Sum64()
	known := w.followed[n]
	w.followed[n] = true
	return !known
}

func (s *stream) request(link Link, out *Output) {
	w := &s.follow
	w.number++
	w.tag = "nested page " + strconv.Itoa(w.number)
	out.Follow = append(out.Follow, Follow{w.tag, link})
}

// nestedPiece takes a piece of a nested page; with the last one of the last page the row is decoded and the page goes
// on.
func (s *stream) nestedPiece(tag string, piece []byte, last bool, out *Output) *PageError {
	w := &s.follow
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
		if w.empty++; w.out.Page.Rows > 0 {
			w.empty = 0
		}
		end := &PageError{Row: int64(s.page.Rows), Tag: tag, Expected: "an end of an expanded feed"}
		switch {
		case !w.passes(next):
			end.Found = "a link that was followed before, " + strconv.Quote(next.Href)
			return end
		case w.empty == maxEmpty:
			end.Found = strconv.Itoa(maxEmpty) + " pages without a row"
			return end
		}
		collected := child.collected
		w.child.format.Reset()
		child.collected = collected
		s.request(next, out)
		return nil
	}
	w.splice(child.collected)
	s.format.row(w.row, w.at, out)
	return s.run(out)
}

// splice blanks the link of the hole and puts rows there.
func (w *follow) splice(collected []byte) {
	h := w.hole
	link := w.row[h.linkAt.start:h.linkAt.end]
	for i := range link {
		link[i] = ' '
	}
	copy(link, h.blank)
	if len(collected) > 0 {
		w.row = slices.Concat(w.row[:h.rowsAt], []byte(h.comma), collected, w.row[h.rowsAt:])
	}
}
