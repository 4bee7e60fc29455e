package bench

import (
	"math/rand"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// Format is a format of pages.
type Format struct {
	Name       string
	NewDecoder func(*decode.RowSchema) decode.Decoder
	isV4       bool
	head       string // of a page
	separator  string // between rows
	tail       string // of a page
	writeRow   func(s Shape, b *strings.Builder, n int, order []int)
	odd        func() []oddRow
}

// Numbers of formats.
const (
	FormatJSON = iota
	FormatAtom
	FormatJSON4
	// FormatNumbers4 is JSON of services that ignore IEEE754Compatible. Its decoder also looks for rounded numbers.
	FormatNumbers4
)

// Formats are the formats by their numbers.
var Formats = []Format{
	FormatJSON: {
		Name:       "JSON",
		NewDecoder: func(s *decode.RowSchema) decode.Decoder { return decode.NewJSON(s) },
		head:       jsonPageHead,
		separator:  ",",
		tail:       jsonPageTail,
		writeRow:   Shape.writeJSON,
		odd:        oddJSON,
	},
	FormatAtom: {
		Name:       "Atom",
		NewDecoder: func(s *decode.RowSchema) decode.Decoder { return decode.NewAtom(s) },
		head:       atomPageHead,
		tail:       atomPageTail,
		writeRow:   Shape.writeAtom,
		odd:        oddAtom,
	},
	FormatJSON4:    json4("JSON4", true),
	FormatNumbers4: json4("JSON4Numbers", false),
}

// json4 returns a form of JSON of v4. isExact means that Int64 and Decimal are texts.
func json4(name string, isExact bool) Format {
	return Format{
		Name: name,
		NewDecoder: func(s *decode.RowSchema) decode.Decoder {
			return decode.NewJSON4(s, decode.JSON4Options{Exact: isExact})
		},
		isV4:      true,
		head:      json4PageHead,
		separator: ",",
		tail:      json4PageTail,
		writeRow:  writeJSON4(isExact),
		odd:       oddJSON4,
	}
}

// Shapes returns the kinds of pages with the types of the format.
func (f Format) Shapes(rows int) []Shape {
	shapes := Shapes(rows)
	for _, s := range shapes {
		if !f.isV4 {
			break
		}
		useTypes4(s.Schema)
		if err := s.Schema.Init(); err != nil {
			panic(err)
		}
	}
	return shapes
}

// useTypes4 turns columns of the type DateTime into DateTimeOffset and Date in turns.
func useTypes4(schema *decode.RowSchema) {
	isDate := false
	for i := range schema.Columns {
		c := &schema.Columns[i]
		if c.Nested != nil {
			useTypes4(c.Nested)
		}
		if c.Type != edm.DateTime {
			continue
		}
		c.Type = edm.DateTimeOffset
		if isDate {
			c.Type = edm.Date
		}
		isDate = !isDate
	}
}

// Page returns a shape's page.
func (f Format) Page(s Shape, v Variant) []byte {
	if s.oddRows > 0 {
		return f.oddPage(f.odd(), s.oddRows)
	}
	r := rand.New(rand.NewSource(9))
	var b strings.Builder
	b.WriteString(f.head)
	for n, row := range s.rows {
		if n > 0 {
			b.WriteString(f.separator)
		}
		f.writeRow(s, &b, n, v.order(r, row, s.Name == "Wide"))
	}
	b.WriteString(f.tail)
	return []byte(b.String())
}

// oddPage returns a page that repeats rows, each time with other keys, until it has count rows.
func (f Format) oddPage(rows []oddRow, count int) []byte {
	var texts []string
	for i := range count {
		texts = append(texts, strings.ReplaceAll(rows[i%len(rows)].text, "10248", strconv.Itoa(10_000+i)))
	}
	return []byte(f.head + strings.Join(texts, f.separator) + f.tail)
}
