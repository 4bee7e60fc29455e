package decode

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/wit"
)

// stream drives the decoder of a format over the pieces of a page.
type stream struct {
	format format
	schema *RowSchema
	pageText
	failed      bool // an error was returned
	inRow       bool // the format is reading a row, for messages
	skipNextRow bool // the next row becomes an error, as the host requested
	batch       int  // consecutive structs that package kernel may complete
	serviceText
	page     Page
	unknown  map[string]bool // paths in page.Unknown
	reported []*property     // properties that the page already reported as unknown
	rowMemory
	nestedPages nestedPages
	// collector, if not nil, makes this the stream of a nested page: rows are kept as text in collected instead of
	// being decoded, after the collector has checked them.
	collector *nestedPages
	collected []byte
	steps     int // format steps, for tests
	// allocate returns empty memory of a capacity; tests replace it.
	allocate func(size int) []byte
}

// pageText holds the unread bytes of a page.
type pageText struct {
	buf  []byte
	pos  int   // the read position in buf
	base int64 // the offset of buf in the page
	// minTail is the number of unread bytes with which the format is called again. A long tail must grow by a quarter,
	// so that small pieces do not take quadratic time.
	minTail int
	ended   bool // the last piece was appended
}

// serviceText is what a response contains instead of rows, or among them.
type serviceText struct {
	serviceError string // inside of a page with rows
	errorInRow   string // the same inside of the current row
	html         bool   // the document is an HTML page without rows
	documentText string // the text of a document without rows, for messages
}

// rowMemory is reused from row to row.
type rowMemory struct {
	root   *structure
	text   []byte // the text that contains the row, followed by padding
	out    *Output
	values values
}

// format is the part of a decoder that differs between JSON and Atom.
type format interface {
	// step reads the next part of the page and moves pos after it, or returns [scan.ErrNeedMore].
	step(out *Output) *scan.Error
	// row decodes the complete row with this text, which is followed by padding and starts at pageOffset.
	row(text []byte, pageOffset int64, out *Output) *scan.Error
	// prepareStructure sets the texts that package kernel expects.
	prepareStructure(s *structure)
	// rowDocument appends a row as a document, for a dead letter.
	rowDocument(dst, row []byte) []byte
	// nestedDecoder returns a decoder that collects the rows of a nested page.
	nestedDecoder() *stream
	// Reset is [Decoder.Reset].
	Reset()
}

const (
	shortTail = 256      // bytes that are parsed again with every piece
	maxRow    = 16 << 20 // bytes of one row, or of anything that must be complete
	maxDepth  = 64       // nesting in a row
	maxCount  = 1 << 62  // a larger inline count is ignored
)

// init prepares the decoder of a format. markup is 1 for XML, 0 for JSON.
func (s *stream) init(f format, schema *RowSchema, markup int) {
	s.format = f
	s.page = Page{Count: -1}
	s.batch = 64
	s.unknown = map[string]bool{}
	s.allocate = func(size int) []byte { return make([]byte, 0, size) }
	s.setSchema(schema, markup)
}

func (s *stream) setSchema(schema *RowSchema, markup int) {
	s.root = newStructure(s, schema, "", markup)
	s.schema = schema
	s.format.prepareStructure(s.root)
}

func (s *stream) reset() {
	s.buf = s.buf[:0]
	s.pos = 0
	s.base = 0
	s.minTail = 0
	s.ended = false
	s.failed = false
	s.inRow = false
	s.skipNextRow = false
	s.page = Page{Count: -1}
	s.serviceText = serviceText{}
	s.nestedPages.waiting = false
	s.nestedPages.keys = nil
	s.collected = s.collected[:0]
	if len(s.unknown) > 0 {
		clear(s.unknown)
	}
	for _, p := range s.reported {
		p.SkipsAny = 0
	}
	s.reported = s.reported[:0]
}

// Write is [Decoder.Write].
func (s *stream) Write(piece []byte, last bool, out *Output) error {
	return s.Feed("", piece, last, out)
}

// Feed is [Decoder.Feed].
func (s *stream) Feed(tag string, piece []byte, last bool, out *Output) error {
	err := s.process(tag, piece, last, out)
	out.Page = s.page
	if err == nil && s.serviceError != "" {
		err = s.errorHere("rows", "an error among them: "+s.serviceError)
		err.Failed = true
	}
	if err != nil {
		s.failed = true
		return err
	}
	return nil
}

// process reads a piece of the page, or what its tag names: a nested page, or a request of the host.
func (s *stream) process(tag string, piece []byte, last bool, out *Output) *PageError {
	if s.failed {
		return s.errorHere("no piece after an error", "a piece")
	}
	if tag == wit.TagComplete || tag == wit.TagSkipRow {
		s.minTail = 0
		err := s.run(out) // decodes the rows whose text is complete
		s.skipNextRow = s.skipNextRow || tag == wit.TagSkipRow
		return err
	}
	if tag != "" {
		return s.nestedPiece(tag, piece, last, out)
	}
	if s.ended {
		return s.errorHere("no piece after the last one", "a piece")
	}
	s.append(piece)
	s.ended = last
	return s.run(out)
}

// skipRow adds a row error in place of the row if the host wants it skipped, and reports whether it did.
func (s *stream) skipRow(text []byte, pageOffset int64, out *Output) bool {
	if !s.skipNextRow || s.collector != nil {
		return false
	}
	s.skipNextRow = false
	s.nestedPages.waiting = false
	out.Skipped = append(out.Skipped, s.page.Rows)
	s.addRowError(text, pageOffset, &conversionError{expected: "a row that can be decoded",
		found: "a row that makes the plugin fail"}, out)
	return true
}

// addRow adds the row that was decoded last, whose output ends at end. If the row has a next link inside, addRow keeps
// the row and requests the nested page. problem, if not nil, makes the row an error.
func (s *stream) addRow(text []byte, pageOffset int64, link *nestedNextLink, problem *conversionError, end int,
	out *Output) {
	if problem == nil && link != nil {
		link.linkAt.start -= s.root.RowText
		link.linkAt.end -= s.root.RowText
		link.insertAt -= s.root.RowText
		s.awaitNestedPages(text, pageOffset, link, out)
		return
	}
	s.nestedPages.waiting = false
	start := len(out.Data)
	if problem == nil {
		out.Data = out.Data[:end]
		problem = appendRow(out, s.schema, s.page.Rows, start, s.root.spans[:len(s.schema.Columns)])
	}
	if problem != nil {
		out.Data = out.Data[:start]
		s.addRowError(text, pageOffset, problem, out)
		return
	}
	s.page.Rows++
}

// setText sets the text that the structures decode, and their output.
func (s *stream) setText(text []byte, out *Output) {
	s.text = text
	s.out = out
}

// padded returns a text with zero bytes after it, which stop package kernel.
func padded(text []byte) []byte { return append(text, make([]byte, kernel.Padding)...)[:len(text)] }

func (s *stream) errorHere(expected, found string) *PageError {
	return &PageError{Byte: s.base + int64(s.pos), Row: -1, Expected: expected, Found: found}
}

// append adds a piece and the zero padding for package kernel. Read bytes are dropped once they fill half of the
// buffer.
func (s *stream) append(piece []byte) {
	if s.pos > len(s.buf)/2 || s.pos == len(s.buf) {
		n := copy(s.buf, s.buf[s.pos:])
		s.buf = s.buf[:n]
		s.base += int64(s.pos)
		s.pos = 0
	}
	if need := len(s.buf) + len(piece) + kernel.Padding; need > cap(s.buf) {
		reserve := need / 8 // mostly what a piece leaves unread is the beginning of a row
		if s.buf != nil {
			reserve = need / 2
		}
		s.buf = append(s.allocate(need+reserve), s.buf...)
	}
	s.buf = append(s.buf, piece...)
	clear(s.buf[len(s.buf) : len(s.buf)+kernel.Padding])
}

// run calls the format until the page ends, more text is needed, or a row waits for nested pages.
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
			tail := len(s.buf) - s.pos
			if tail > maxRow {
				return s.pageError(&scan.Error{At: s.pos,
					Expected: "a row of at most " + strconv.Itoa(maxRow) + " bytes", Found: "a longer one"})
			}
			s.minTail = tail + 1
			if tail > shortTail {
				s.minTail = tail + tail/4
			}
			return nil
		}
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

// inPage converts the position of an error in the text of a row, which starts at pageOffset, to a position in buf.
func (s *stream) inPage(err *scan.Error, pageOffset int64) *scan.Error {
	return &scan.Error{At: err.At + int(pageOffset-s.base), Expected: err.Expected, Found: err.Found}
}

func (s *stream) reportUnknown(in string, name []byte) {
	const maxUnknown = 100
	if len(s.page.Unknown) >= maxUnknown {
		return
	}
	if path := in + string(name); !s.unknown[path] {
		s.unknown[path] = true
		s.page.Unknown = append(s.page.Unknown, path)
	}
}

// allowAny lets package kernel skip any value of a property that the page reported.
func (s *stream) allowAny(p *property) {
	p.SkipsAny = 1
	s.reported = append(s.reported, p)
}

// textRange is a range of a text, missing if end is zero.
type textRange struct{ start, end int }

// path returns the path of the struct in a column.
func (c *Column) path(outer string) string {
	if outer == "" {
		return c.inner
	}
	return outer + c.inner
}
