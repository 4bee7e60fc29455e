package decode

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode/fast"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/wit"
)

// stream drives the decoder of a format over the pieces of a page.
type stream struct {
	format format
	schema *RowSchema
	pageText
	failed bool
	inRow  bool
	// flush makes the fast path decode all complete rows now instead of waiting for more input.
	flush bool
	// skipNextRow makes the next row an error, as the host requested.
	skipNextRow bool
	serviceText
	page    Page
	unknown map[string]bool
	rowMemory
	nestedPages nestedPages
	// collector, if not nil, makes this the stream of a nested page: rows are kept as text in collected instead of
	// being decoded, after the collector has checked them.
	collector *nestedPages
	collected []byte
	steps     int // format steps, for tests
}

// pageText holds the unread bytes of a page.
type pageText struct {
	buf []byte
	// pos is the read position in buf, which starts at byte base of the page.
	pos  int
	base int64
	// minTail is the number of unread bytes with which the format is called again. A long tail must grow by a quarter,
	// so that small pieces do not take quadratic time.
	minTail int
	ended   bool
}

// serviceText is what a response contains instead of rows, or among them.
type serviceText struct {
	serviceError string // inside of a page with rows
	// html and documentText describe a document without rows.
	html         bool
	documentText string
}

// rowMemory is reused from row to row.
type rowMemory struct {
	values values
	spans  []textRange
	levels []level
}

// format is the part of a decoder that differs between JSON and Atom.
type format interface {
	// step reads the next part of the page and moves pos after it, or returns [scan.ErrNeedMore].
	step(out *Output) *scan.Error
	// row decodes the row with this text, which starts at byte `at` of the page.
	row(text []byte, at int64, out *Output)
	// rowDocument appends a row as a document, for a dead letter.
	rowDocument(dst, row []byte) []byte
	// nestedDecoder returns a decoder that collects the rows of a nested page.
	nestedDecoder() *stream
	Reset()
}

const (
	shortTail = 256      // bytes that are parsed again with every piece
	maxRow    = 16 << 20 // bytes of one row, or of anything that must be complete
	maxDepth  = 64       // nesting in a row
)

func (s *stream) init(f format, l *RowSchema) {
	s.format, s.schema, s.page, s.unknown = f, l, Page{Count: -1}, map[string]bool{}
}

func (s *stream) reset() {
	s.buf, s.pos, s.base, s.minTail = s.buf[:0], 0, 0, 0
	s.ended, s.failed, s.inRow, s.skipNextRow = false, false, false, false
	s.page, s.serviceText = Page{Count: -1}, serviceText{}
	s.nestedPages.waiting = false
	s.nestedPages.keys = nil
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
	if err == nil && s.serviceError != "" {
		err = s.misuse("rows", "an error among them: "+s.serviceError)
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
		return s.misuse("no piece after an error", "a piece")
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
		return s.misuse("no piece after the last one", "a piece")
	}
	s.append(piece)
	s.ended = last
	return s.run(out)
}

// skipRow reports whether the host wants this row skipped, and records it as a row error.
func (s *stream) skipRow(text []byte, pageOffset int64, out *Output) bool {
	if !s.skipNextRow || s.collector != nil {
		return false
	}
	s.skipNextRow = false
	out.Skipped = append(out.Skipped, s.page.Rows)
	s.addRowError(text, pageOffset, &conversionError{expected: "a row that can be decoded",
		found: "a row that makes the plugin fail"}, out)
	return true
}

// addRow adds the row whose columns were appended to the output from start on. If the row has a next link inside, it
// requests the nested page instead. mismatch, if not nil, makes the row an error.
func (s *stream) addRow(text []byte, pageOffset int64, start int, h nestedNextLink, tombstone bool,
	mismatch *conversionError,
	out *Output) {
	if mismatch == nil && h.found {
		out.Data = out.Data[:start]
		s.awaitNestedPages(text, pageOffset, h, out)
		return
	}
	s.nestedPages.waiting = false
	if mismatch == nil && !tombstone {
		mismatch = finishRow(out, s.schema, s.page.Rows, start, s.spans)
	}
	if mismatch != nil {
		out.Data = out.Data[:start]
		s.addRowError(text, pageOffset, mismatch, out)
		return
	}
	s.page.Rows++
}

func (s *stream) misuse(expected, found string) *PageError {
	return &PageError{Byte: s.base + int64(s.pos), Row: -1, Expected: expected, Found: found}
}

// append adds a piece and the zero padding for the fast path. Read bytes are dropped once they fill half of the buffer.
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
		ServiceText: s.documentText}
	if s.inRow {
		e.Row = int64(s.page.Rows)
	}
	return e
}

func (s *stream) reportUnknown(in string, name []byte) {
	const most = 100
	path := in + string(name)
	if !s.unknown[path] && len(s.page.Unknown) < most {
		s.unknown[path] = true
		s.page.Unknown = append(s.page.Unknown, path)
	}
}

// textRange is a range of a text, missing if end is zero.
type textRange struct{ start, end int }

type level struct {
	spans  []textRange
	scopes []int  // namespace scopes of the spans, in Atom
	path   string // of the struct in the row: empty or ending in a slash
}

// level returns cleared memory for a struct at this depth.
func (s *stream) level(depth int, schema *RowSchema) *level {
	for len(s.levels) <= depth {
		s.levels = append(s.levels, level{})
	}
	cleared := &s.levels[depth]
	if cap(cleared.spans) < len(schema.Columns) {
		cleared.spans = make([]textRange, len(schema.Columns))
	}
	cleared.spans = cleared.spans[:len(schema.Columns)]
	clear(cleared.spans)
	return cleared
}

// path returns the path of the struct in a column.
func (c *Column) path(outer string) string {
	if outer == "" {
		return c.inner
	}
	return outer + c.inner
}
