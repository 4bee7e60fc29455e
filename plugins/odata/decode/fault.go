package decode

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// PageError is a page that cannot be read on: cut off, not the format that it should be, or over a limit. No row after
// it was made.
type PageError struct {
	// Byte is where in the body of the page (of the nested page, if Tag is set), from 0.
	Byte int64
	// Row is the number of the row in the page that was being read, from 0; -1: none.
	Row             int64
	Expected, Found string
	// HTML: an HTML page came, usually a logon page.
	HTML bool
	// ServiceText is what the service says in the place of rows: the title of an HTML page, or code and message of an
	// error document.
	ServiceText string
	// Failed: the service says in the page that it failed.
	Failed bool
	// Tag of the nested page; "" is the page itself.
	Tag string
}

func (e *PageError) Error() string {
	s := "expected " + e.Expected + ", found " + e.Found
	if e.ServiceText != "" {
		s += ": " + e.ServiceText
	}
	s += " at byte " + strconv.FormatInt(e.Byte, 10)
	if e.Row >= 0 {
		s += ", row " + strconv.FormatInt(e.Row, 10)
	}
	if e.Tag != "" {
		s += " of " + e.Tag
	}
	if e.HTML {
		s += " (an HTML page with a status of success is usually a logon page: check the user's type " +
			"and the authentication)"
	}
	return s
}

// conversionError is a value that its column cannot take: the row's fault, not the page's.
type conversionError struct {
	// path of the property from the row, `Address/Street`
	path            string
	expected, found string
	// hint is what would take it, "" where nothing is known to
	hint string
}

func (m *conversionError) Error() string {
	s := "expected " + m.expected + ", found " + m.found
	if m.path != "" {
		s = "property " + m.path + ": " + s
	}
	if m.hint != "" {
		s += "; " + m.hint
	}
	return s
}

// conversionError is a value that the column cannot take.
func (c *Column) conversionError(expected, found string) *conversionError {
	m := &conversionError{path: c.Name, expected: expected, found: found}
	switch {
	case strings.HasPrefix(expected, expectedScale):
		m.hint = c.Hints.Scale
	case strings.HasPrefix(expected, expectedPrecision):
		m.hint = c.Hints.Precision
	case strings.HasPrefix(expected, expectedRange):
		m.hint = c.Hints.Range
	case expected == expectedValue:
		m.hint = c.Hints.Null
	case expected == expectedInline:
		m.hint = c.Hints.Inline
	case expected == edm.Time.String():
		m.hint = c.Hints.Time
	}
	return m
}

// What is expected of a value where a setting may take another one.
const (
	expectedScale     = "Edm.Decimal of scale "
	expectedPrecision = "Edm.Decimal of precision "
	expectedRange     = "Edm.Decimal that fits a "
	expectedValue     = "a value (it is not nullable)"
	expectedInline    = "what it leads to, expanded as asked for"
)

// within puts a step in front of the path.
func (m *conversionError) within(name string) *conversionError {
	if m.path == "" {
		m.path = name
	} else {
		m.path = name + "/" + m.path
	}
	return m
}

// maxQuote bounds how much of a value is repeated in a message.
const maxQuote = 60

// quoted is a value for a message.
func quoted(text []byte) string {
	if len(text) > maxQuote {
		return strconv.QuoteToASCII(string(text[:maxQuote])) + "… (" + strconv.Itoa(len(text)) + " bytes)"
	}
	return strconv.QuoteToASCII(string(text))
}

// ErrorClass is the class under which rows that do not fit stand in dead letter headers.
const ErrorClass = "org.apache.kafka.connect.errors.DataException"

// addRowError records a row that does not fit, as a document of its own.
func (s *stream) addRowError(text []byte, at int64, m *conversionError, out *Output) {
	start, origin := len(out.Data), s.page.Rows
	out.Data = s.format.rowDocument(out.Data, text)
	out.Faults = append(out.Faults, wit.RowError{
		RowIndex: origin, ErrorClass: ErrorClass,
		Error: wit.Error{Kind: wit.ErrorData, Message: m.Error() + " (row " + strconv.FormatUint(uint64(origin), 10) +
			" of the page, which starts at byte " + strconv.FormatInt(at, 10) + ")"},
		RawStart: uint32(start), RawSize: uint32(len(out.Data) - start),
	})
	s.page.Rows++
}
