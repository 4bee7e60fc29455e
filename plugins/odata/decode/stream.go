package decode

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/wit"
)

// stream holds what a page's pieces have left unread, and drives a format over it. A step that runs out of text is
// tried again when there is more; to keep small pieces from being quadratic, a long tail must have grown by a quarter
// first.
type stream struct {
	format format
	layout *RowSchema

	buf []byte
	// pos is how far buf is read; base is the byte of the page at which buf starts.
	pos  int
	base int64
	// minTail is how long the tail must be before the next try.
	minTail int
	ended   bool
	failed  bool
	// steps counts steps, for tests
	steps int
	// flush: rows are decoded that the fast path would wait with; leaving: the next row is left out.
	flush, skipNextRow bool
	// inRow reports whether a row is being read, for messages.
	inRow bool
	// failure is the service's error text inside the page, "" for none.
	failure string
	// html reports that HTML came instead of rows. serviceText is the service's text in what came instead, "" for none.
	html        bool
	serviceText string

	page        Page
	unknown     map[string]bool
	values      values
	spans       []textRange
	levels      []level
	nestedPages nestedPages
	// collect: the decoder reads a nested page; its rows are not decoded but kept as text.
	collect   bool
	collected []byte
}

// format is what differs between JSON and Atom.
type format interface {
	// step reads one thing at pos and moves pos after it.
	step(out *Output) *scan.Error
	// row decodes a row, given as its text, and adds what becomes of it to the output. at is where it starts in the
	// page.
	row(text []byte, at int64, out *Output)
	// rowDocument appends a row as a document of its own.
	rowDocument(dst, row []byte) []byte
	// nestedDecoder makes a decoder that collects the rows of a nested page.
	nestedDecoder() *stream
	Reset()
}

// shortTail is a tail that may be tried at every piece.
const shortTail = 256

// maxRow is the size of one row's text, or of anything else that must be seen whole, in bytes; maxDepth is that of
// elements or objects inside a row.
const (
	maxRow   = 16 << 20
	maxDepth = 64
)

// init readies for the pages of a layout.
func (s *stream) init(f format, l *RowSchema) {
	s.format, s.layout, s.page, s.unknown = f, l, Page{Count: -1}, map[string]bool{}
}

// reset readies for another page.
func (s *stream) reset() {
	s.buf, s.pos, s.base, s.minTail = s.buf[:0], 0, 0, 0
	s.ended, s.failed, s.inRow, s.skipNextRow = false, false, false, false
	s.page, s.failure, s.html, s.serviceText = Page{Count: -1}, "", false, ""
	s.nestedPages.waiting = false
	s.collected = s.collected[:0]
	if len(s.unknown) > 0 {
		clear(s.unknown)
	}
}

func (s *stream) Write(piece []byte, last bool, out *Output) error {
	return s.Feed("", piece, last, out)
}

func (s *stream) Feed(tag string, piece []byte, last bool, out *Output) error {
	err := s.process(tag, piece, last, out)
	out.Page = s.page
	if err == nil && s.failure != "" {
		err = s.misuse("rows", "an error amid them: "+s.failure)
		err.Failed = true
	}
	if err != nil {
		s.failed = true
		return err
	}
	return nil
}

func (s *stream) process(tag string, piece []byte, last bool, out *Output) *PageError {
	if s.failed {
		return s.misuse("no piece after an error", "one")
	}
	if tag == wit.TagComplete || tag == wit.TagSkipRow {
		s.minTail, s.flush = 0, true
		err := s.run(out)
		s.flush, s.skipNextRow = false, s.skipNextRow || tag == wit.TagSkipRow
		return err
	}
	if tag != "" {
		return s.nestedPiece(tag, piece, last, out)
	}
	if s.ended {
		return s.misuse("no piece after the last", "one")
	}
	s.append(piece)
	s.ended = last
	return s.run(out)
}

// skipRow reports whether the row that was found is to be left out, and makes a fault of it.
func (s *stream) skipRow(text []byte, at int64, out *Output) bool {
	if !s.skipNextRow || s.collect {
		return false
	}
	s.skipNextRow = false
	out.Skipped = append(out.Skipped, s.page.Rows)
	s.addRowError(text, at, &conversionError{expected: "a row that can be decoded",
		found: "one that breaks the plugin"}, out)
	return true
}

// addRow adds the row whose columns were appended to the output from start on, m being what is wrong with it, or
// starts waiting for what is missing in it; tombstone: there is no row.
func (s *stream) addRow(text []byte, at int64, start int, h nestedNextLink, tombstone bool, m *conversionError,
	out *Output) {
	if m == nil && h.found {
		out.Data = out.Data[:start]
		s.awaitNestedPages(text, at, h, out)
		return
	}
	s.nestedPages.waiting = false
	if m == nil && !tombstone {
		m = finishRow(out, s.layout, s.page.Rows, start, s.spans)
	}
	if m != nil {
		out.Data = out.Data[:start]
		s.addRowError(text, at, m, out)
		return
	}
	s.page.Rows++
}

func (s *stream) misuse(expected, found string) *PageError {
	return &PageError{Byte: s.base + int64(s.pos), Row: -1, Expected: expected, Found: found}
}

// append adds a piece, and the zero bytes after it that the fast path needs; what was read goes only when it is half
// of the buffer, so that a long tail is not moved at every piece.
func (s *stream) append(piece []byte) {
	if s.pos > len(s.buf)/2 || s.pos == len(s.buf) {
		n := copy(s.buf, s.buf[s.pos:])
		s.buf, s.base, s.pos = s.buf[:n], s.base+int64(s.pos), 0
	}
	if need := len(s.buf) + len(piece) + fast.Padding; need > cap(s.buf) {
		more := need / 8 // mostly what a piece leaves unread is the beginning of a row
		if s.buf != nil {
			more = need / 2
		}
		grown := make([]byte, len(s.buf), need+more)
		copy(grown, s.buf)
		s.buf = grown
	}
	s.buf = append(s.buf, piece...)
	clear(s.buf[len(s.buf) : len(s.buf)+fast.Padding])
}

// run steps until the text is used up, a nested page is needed, or the page is done.
func (s *stream) run(out *Output) *PageError {
	for !s.page.Done && !s.nestedPages.waiting {
		if !s.ended && len(s.buf)-s.pos < s.minTail {
			return nil
		}
		s.steps++
		err := s.format.step(out)
		switch {
		case err == nil:
			s.minTail = 0
		case err != scan.ErrNeedMore:
			return s.pageError(err)
		case s.ended:
			return s.pageError(&scan.Error{At: len(s.buf), Expected: "the rest of the page", Found: "its end"})
		default:
			return s.awaitMore()
		}
	}
	return nil
}

// awaitMore sets how much text the next try needs.
func (s *stream) awaitMore() *PageError {
	tail := len(s.buf) - s.pos
	if tail > maxRow {
		return s.pageError(&scan.Error{At: s.pos, Expected: "a row of at most " + strconv.Itoa(maxRow) + " bytes",
			Found: "a longer one"})
	}
	s.minTail = tail + 1
	if tail > shortTail {
		s.minTail = tail + tail/4
	}
	return nil
}

func (s *stream) pageError(err *scan.Error) *PageError {
	e := &PageError{Byte: s.base + int64(err.At), Row: -1, Expected: err.Expected, Found: err.Found, HTML: s.html,
		ServiceText: s.serviceText}
	if s.inRow {
		e.Row = int64(s.page.Rows)
	}
	return e
}

// reportUnknown notes a property that the layout does not have.
func (s *stream) reportUnknown(in string, name []byte) {
	const most = 100
	path := in + string(name)
	if !s.unknown[path] && len(s.page.Unknown) < most {
		s.unknown[path] = true
		s.page.Unknown = append(s.page.Unknown, path)
	}
}

// textRange is a place in a text; end 0: none.
type textRange struct{ start, end int }

// level is the memory for one structure while it is being read: where its columns' values are.
type level struct {
	spans []textRange
	// scopes are the namespaces in force at each span; Atom only
	scopes []int
	// path of the structure from the row, "" or ending in a slash
	path string
}

// level returns cleared memory for a structure at some depth.
func (s *stream) level(depth int, l *RowSchema) *level {
	for len(s.levels) <= depth {
		s.levels = append(s.levels, level{})
	}
	lv := &s.levels[depth]
	if cap(lv.spans) < len(l.Columns) {
		lv.spans = make([]textRange, len(l.Columns))
	}
	lv.spans = lv.spans[:len(l.Columns)]
	clear(lv.spans)
	return lv
}

// path of the structure in a column; made again only when it changes.
func (c *Column) path(outer string) string {
	if outer == "" {
		return c.inner
	}
	return outer + c.inner
}
