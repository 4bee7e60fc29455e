package decode

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// PageError reports a page that cannot be read further: truncated, in another format, or too large. Earlier rows are
// valid.
type PageError struct {
	// Byte is the offset in the body of the page, or of the nested page if Tag is set.
	Byte int64
	// Row is the index of the row being read, or -1.
	Row      int64
	Expected string
	Found    string
	HTML     bool // an HTML page, usually a logon page
	// ServiceText is the title of an HTML page, or code and message of an error document.
	ServiceText string
	Failed      bool   // the service returned an error inside of the page
	Tag         string // of the nested page; empty for the page itself
	// Hint says what to do about it; may be empty.
	Hint string
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
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// conversionError reports a value that does not match the type of its column. It fails the row, not the page.
type conversionError struct {
	path     string // of the property from the row, `Address/Street`
	expected string
	found    string
	hint     string // names the setting that would accept the value; may be empty
}

func (c *conversionError) Error() string {
	s := "expected " + c.expected + ", found " + c.found
	if c.path != "" {
		s = "property " + c.path + ": " + s
	}
	if c.hint != "" {
		s += "; " + c.hint
	}
	return s
}

// conversionError returns an error for the column's value, with the hint for what was expected.
func (c *Column) conversionError(expected, found string) *conversionError {
	problem := &conversionError{path: c.Name, expected: expected, found: found}
	switch {
	case strings.HasPrefix(expected, expectedScale):
		problem.hint = c.Hints.Scale
	case strings.HasPrefix(expected, expectedPrecision):
		problem.hint = c.Hints.Precision
	case strings.HasPrefix(expected, expectedRange):
		problem.hint = c.Hints.Range
	case expected == expectedValue:
		problem.hint = c.Hints.Null
	case expected == expectedInline:
		problem.hint = c.Hints.Inline
	case expected == expectedMember:
		problem.hint = "the metadata may be older than the row"
	case expected == edm.Time.String():
		problem.hint = c.Hints.Time
	}
	return problem
}

// Expectations for which [ErrorHints] may have a hint.
const (
	expectedScale     = "Edm.Decimal of scale "
	expectedPrecision = "Edm.Decimal of precision "
	expectedRange     = "Edm.Decimal that fits a "
	expectedValue     = "a value (it is not nullable)"
	expectedInline    = "the expanded entity"
	expectedMember    = "a member of the enumeration type in $metadata"
)

// repeated returns the error of a row that has a property twice.
func repeated(c *Column) *conversionError {
	return &conversionError{path: c.Name, expected: "one value", found: "two"}
}

// within adds the name of a property around the value to the path. It changes the error.
func (c *conversionError) within(name string) *conversionError {
	switch {
	case c.path == "":
		c.path = name
	case name != "": // an item of a collection has no name
		c.path = name + "/" + c.path
	}
	return c
}

const maxQuote = 60 // bytes of a value in a message

func quoted(text []byte) string {
	if len(text) > maxQuote {
		return strconv.QuoteToASCII(string(text[:maxQuote])) + "… (" + strconv.Itoa(len(text)) + " bytes)"
	}
	return strconv.QuoteToASCII(string(text))
}

// ErrorClass is the exception class in the dead letter headers of rows that cannot be converted.
const ErrorClass = "org.apache.kafka.connect.errors.DataException"

// addRowError records a failed row with its text as a document of its own.
func (s *stream) addRowError(text []byte, pageOffset int64, mismatch *conversionError, out *Output) {
	start := len(out.Data)
	rowIndex := s.page.Rows
	out.Data = s.format.rowDocument(out.Data, text)
	message := append(make([]byte, 0, 256), mismatch.Error()...) // without an allocation for each number
	message = append(message, " (row "...)
	message = strconv.AppendUint(message, uint64(rowIndex), 10)
	message = append(message, " of the page, which starts at byte "...)
	message = strconv.AppendInt(message, pageOffset, 10)
	message = append(message, ')')
	out.RowErrors = append(out.RowErrors, wit.RowError{
		RowIndex: rowIndex, ErrorClass: ErrorClass,
		Error:    wit.Error{Kind: wit.ErrorData, Message: string(message)},
		RawStart: uint32(start), RawSize: uint32(len(out.Data) - start),
	})
	s.page.Rows++
}
