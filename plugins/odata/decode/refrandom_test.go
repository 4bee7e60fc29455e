package decode

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// refGenerator writes random schemas and pages of them. odd is how unusual a page is, from 0 to 1; at 0 all rows have
// all columns in order.
type refGenerator struct {
	*rand.Rand
	odd float64
	// nested contains the pages behind the links inside of rows. If it is nil, rows have no such links.
	nested map[string]string
	// atom, data and meta are the prefixes of names, with a colon.
	atom   string
	data   string
	meta   string
	layout uint64 // random bits from which otherElements chooses, mostly the same for a page
}

// maxNesting is the nesting of structs in a row at most.
const maxNesting = 3

// pick returns one of the choices.
func pick[T any](g *refGenerator, choices ...T) T { return choices[g.IntN(len(choices))] }

// is returns true with probability p*odd.
func (g *refGenerator) is(p float64) bool { return g.Float64() < p*g.odd }

// schema returns a schema whose structs have up to depth levels below it.
func (g *refGenerator) schema(depth int) *RowSchema {
	s := &RowSchema{Name: "N.T", Ignored: []string{"Left", "LeftToo"}}
	columns := pick(g, 0, 1, 2, 4)
	if depth == maxNesting {
		columns = pick(g, 1, 3, 6, 12, 20)
	}
	for i := range columns {
		name := pick(g, "A", "Id", "Größe", "Quantity", "AVeryLongNameThatDoesNotFitIntoThreeWords")
		c := Column{
			Name:     name + strconv.Itoa(i),
			Optional: g.IntN(4) > 0,
			Scale:    g.IntN(5),
			Type:     edm.Binary + edm.Primitive(g.IntN(int(edm.Time-edm.Binary)+1)),
		}
		if kind := ColumnKind(g.IntN(12)); kind == Synthetic && depth == maxNesting {
			c.Kind = Synthetic
			c.Optional = true
		} else if kind < Synthetic && depth > 0 {
			c.Kind = kind
		}
		switch {
		case c.Kind != Primitive && c.Kind != Synthetic:
			c.Nested = g.schema(depth - 1)
			c.Inline = c.Kind != Complex && g.IntN(2) == 0
		case c.Type == edm.Decimal:
			c.Mapping = pick(g, DefaultMapping, Float64Mapping, Int64Mapping)
			c.Rounding = pick(g, edm.RoundFail, edm.RoundHalfEven)
			c.Precision = pick(g, 0, 5, 15, 18, 19, 30)
		case c.Type == edm.DateTime, c.Type == edm.DateTimeOffset:
			c.Mapping = pick(g, DefaultMapping, DateMapping, MicrosMapping)
		}
		if g.IntN(8) == 0 {
			c.Target = pick(g, "SyndicationTitle", "SyndicationAuthorName", "geo/lat", "geo/@lat")
		}
		s.Columns = append(s.Columns, c)
	}
	s.ValueColumns = columns
	return s
}

// rootSchema returns a schema with keys, in place or not, and with hidden and tracked columns.
func (g *refGenerator) rootSchema() *RowSchema {
	s := g.schema(maxNesting)
	s.KeySchema = 7
	s.ValueSchema = 8
	isInPlace := g.IntN(2) == 0
	first := g.IntN(len(s.Columns))
	for _, i := range g.Perm(len(s.Columns))[:g.IntN(min(4, len(s.Columns)+1))] {
		if isInPlace {
			i = min(first+len(s.Keys), len(s.Columns)-1)
		}
		if c := &s.Columns[i]; c.Kind == Primitive && (len(s.Keys) == 0 || s.Keys[len(s.Keys)-1] != i) {
			s.Keys = append(s.Keys, i)
			c.Optional = c.Optional && !isInPlace
		}
	}
	if g.IntN(3) == 0 {
		s.Tracked = g.Perm(len(s.Columns))[:g.IntN(len(s.Columns)+1)]
	}
	if g.IntN(3) == 0 {
		s.ValueColumns = g.IntN(len(s.Columns) + 1)
	}
	if g.IntN(3) == 0 {
		s.KeyTail = []byte("\x02t")
	}
	return s
}

// order returns the columns of a row in the order of its text: some left out, some twice. -1 stands for a property that
// is no column.
func (g *refGenerator) order(s *RowSchema) (columns []int) {
	for i, c := range s.Columns {
		n := 1
		switch {
		case c.Kind == Synthetic, g.is(0.2) && (c.Optional || g.IntN(20) == 0):
			n = 0
		case g.is(0.01):
			n = 2
		}
		for range n {
			columns = append(columns, i)
		}
		if g.is(0.1) {
			columns = append(columns, -1)
		}
	}
	if g.is(0.5) {
		g.Shuffle(len(columns), func(i, k int) { columns[i], columns[k] = columns[k], columns[i] })
	}
	return columns
}

// otherName returns a name that is no column, or rarely one that is.
func (g *refGenerator) otherName() string {
	return pick(g, "Left", "LeftToo", "Other", "Other"+strconv.Itoa(g.IntN(300)), "A", "Id9")
}

// refWrongTexts are texts that most types do not accept.
var refWrongTexts = []string{"x", "1e", "99999999999999999999", "-", "/Date(x)/", "\ufffd", "PT25H", "2020-02-30",
	"TRUE", "1.23456", " "}

// scalar returns the text of a column's value, rarely a wrong one.
func (g *refGenerator) scalar(c *Column) string {
	if g.is(0.01) {
		return pick(g, refWrongTexts...)
	}
	digits := func(maxCount int) string {
		b := make([]byte, 1+g.IntN(maxCount))
		for i := range b {
			b[i] = byte('0' + g.IntN(10))
		}
		return string(b)
	}
	sign := pick(g, "", "", "-")
	switch c.Type {
	case edm.String:
		return g.string()
	case edm.Guid:
		s := fmt.Sprintf("%08x-%04x-4000-8000-%012x", g.Uint32(), uint16(g.Uint32()), g.Uint64()>>16)
		return pick(g, s, s, strings.ToUpper(s))
	case edm.Binary:
		b := []byte(g.string())
		encoding := pick(g, base64.StdEncoding, base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding)
		return encoding.EncodeToString(b)
	case edm.Boolean:
		return pick(g, "true", "false", "1", "0")
	case edm.Decimal:
		whole := pick(g, digits(5), digits(5), digits(18), digits(25))
		if c.Mapping == Int64Mapping || g.IntN(3) == 0 || c.Scale == 0 {
			return sign + whole + pick(g, "", "", ".0", "e1")
		}
		return sign + whole + "." + digits(c.Scale) + pick(g, "", "", "000", "e-1", "E+2")
	case edm.Double, edm.Single:
		f := strconv.FormatFloat(g.NormFloat64(), pick[byte](g, 'g', 'e', 'f'), pick(g, -1, 3, 20), 64)
		return pick(g, f, f, sign+digits(9), sign+digits(17)+"."+digits(4), "INF", "-INF", "NaN", "-0",
			sign+digits(2)+"E"+digits(1))
	case edm.DateTime, edm.DateTimeOffset:
		instant := time.Date(g.IntN(9999)+1, 1, 1+g.IntN(365), 0, 0, g.IntN(86400), g.IntN(1e9), time.UTC)
		zone := pick(g, "", "", "+0000", "-0130", "+60")
		if g.IntN(2) == 0 {
			return fmt.Sprintf("/Date(%d%s)/", instant.UnixMilli(), zone)
		}
		return instant.Format(pick(g, "2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.000",
			"2006-01-02T15:04:05.0000000", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000+01:30"))
	case edm.Date, edm.TimeOfDay, edm.Duration, edm.Enum, edm.Geo:
		return g.scalar4(c)
	case edm.Time:
		return pick(g, fmt.Sprintf("PT%02dH%02dM%02dS", g.IntN(24), g.IntN(60), g.IntN(60)), "PT5M", "PT1H2M3.45S",
			"P0DT"+digits(4)+"S")
	}
	low, high, _ := c.Type.Bounds()
	n := strconv.FormatInt(min(high, max(low, int64(g.Uint64())>>g.IntN(64))), 10)
	if g.is(0.1) {
		return pick(g, "+5", "007", "-0", strconv.FormatInt(low, 10), strconv.FormatInt(high, 10))
	}
	return n
}

func (g *refGenerator) string() string {
	var b strings.Builder
	for range pick(g, 0, 1, 5, 9, 17, 40, pick(g, 70, 600)) {
		if g.is(0.3) {
			b.WriteString(pick(g, "\"", "\\", "/", "<", ">", "&", "'", "\n", "\t", "ä", "€", "😀", "\u007f"))
		} else {
			b.WriteByte(byte('a' + g.IntN(26)))
		}
	}
	return b.String()
}

func (g *refGenerator) space() string {
	if !g.is(0.2) {
		return ""
	}
	return pick(g, " ", "\n", "\r\n\t", "        ")
}

// follow returns the name of a link to a page with more rows of an expanded feed, mostly "". It adds it to nested.
func (g *refGenerator) follow(page func() string) string {
	if !g.is(0.1) || g.nested == nil {
		return ""
	}
	doc := page()
	name := "n" + strconv.Itoa(len(g.nested))
	g.nested[name] = doc
	return name
}

// quote returns a text as a string of JSON, with escapes. U+FFFD becomes half a surrogate pair.
func (g *refGenerator) quote(s string) string {
	var b strings.Builder
	for _, c := range s {
		quoted, _ := json.Marshal(string(c))
		switch {
		case c == '\ufffd':
			b.WriteString(`\ud83d`)
		case c == '/' && g.IntN(2) == 0:
			b.WriteString(`\/`)
		case c < 0x10000 && g.is(0.05):
			fmt.Fprintf(&b, pick(g, `\u%04x`, `\u%04X`), c)
		case c == '"' || c == '\\' || c < ' ':
			b.Write(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(c)
		}
	}
	return `"` + b.String() + `"`
}

// list joins members or items between an opening and a closing bracket.
func (g *refGenerator) list(parts []string, open, closing string) string {
	for i, part := range parts {
		parts[i] = g.space() + part + g.space()
	}
	return open + strings.Join(parts, ",") + g.space() + closing
}

func (g *refGenerator) member(name, value string) string {
	return g.quote(name) + g.space() + ":" + g.space() + value
}

const refDeferred = `{"__deferred":{"uri":"x"}}`

func (g *refGenerator) jsonRow(s *RowSchema) string {
	switch {
	case g.is(0.01):
		return pick(g, "null", "5", `"a"`, "[]", "true")
	case g.is(0.02):
		return `{"@odata.context":"x/$deletedEntity","id":"T(1)","when":"\/Date(5)\/"}`
	}
	return g.jsonObject(s)
}

func (g *refGenerator) jsonObject(s *RowSchema) string {
	var members []string
	if g.IntN(2) == 0 {
		members = append(members, g.member("__metadata", `{"uri":"x","type":"N.T"}`))
	}
	for _, i := range g.order(s) {
		if i < 0 {
			value := pick(g, "1", `"a\"b"`, "null", "[{},[1]]", `{"a":{"b":[]}}`, refDeferred)
			members = append(members, g.member(g.otherName(), value))
			continue
		}
		members = append(members, g.member(s.Columns[i].Name, g.jsonValue(&s.Columns[i])))
	}
	return g.list(members, "{", "}")
}

func (g *refGenerator) jsonValue(c *Column) string {
	switch {
	case g.is(0.2) && (c.Optional || g.IntN(10) == 0):
		return "null"
	case g.is(0.01):
		return pick(g, `"x"`, "5", "[]", "{}", `{"results":5}`, `{"results":[],"results":[]}`, refDeferred)
	case c.Kind == Primitive:
		text := g.scalar(c)
		isNumber := json.Valid([]byte(text)) && text != "" && text[0] != '"'
		if isNumber && (c.Type != edm.Decimal && c.Type != edm.Int64) != g.is(0.2) {
			return strings.TrimSpace(text)
		}
		return g.quote(text)
	case g.is(0.1) && c.Kind != Complex && !c.Inline:
		return refDeferred
	case c.Kind != NavigationToMany:
		return g.jsonObject(c.Nested)
	case g.is(0.2):
		return g.list(g.jsonItems(c.Nested), "[", "]")
	}
	return g.jsonFeed(c.Nested)
}

func (g *refGenerator) jsonFeed(s *RowSchema) string {
	members := []string{g.member("results", g.list(g.jsonItems(s), "[", "]"))}
	if next := g.follow(func() string { return `{"d":` + g.jsonFeed(s) + `}` }); next != "" {
		members = append(members, g.member("__next", g.quote(next)))
	}
	if g.is(0.1) {
		members = append(members, g.member("__count", `"5"`))
	}
	if g.is(0.3) {
		g.Shuffle(len(members), func(i, k int) { members[i], members[k] = members[k], members[i] })
	}
	return g.list(members, "{", "}")
}

func (g *refGenerator) jsonItems(s *RowSchema) (items []string) {
	for range pick(g, 0, 1, 1, 2) {
		items = append(items, g.jsonObject(s))
	}
	return items
}

// jsonPage returns a page in one of its forms.
func (g *refGenerator) jsonPage(s *RowSchema) string {
	var rows, members []string
	for range g.IntN(8) {
		rows = append(rows, g.jsonRow(s))
	}
	array := g.list(rows, "[", "]")
	switch {
	case g.is(0.1):
		return array
	case g.is(0.1):
		return pick(g, `{"d":`+array+`}`, `{"d":{"Fn":`+array+`}}`, "\ufeff"+`{"d":{"Fn":{"results":`+array+`}}}`)
	case g.is(0.05) && len(s.Columns) > 3:
		g.odd = 0
		return `{"d":` + g.jsonObject(s) + `}`
	}
	for _, member := range []string{`"__next":"T?$skiptoken=\u0031"`, `"__delta":"T?!delta"`, `"__count":"17"`} {
		if g.IntN(2) == 0 {
			members = append(members, member)
		}
	}
	members = append(members, g.member("results", array))
	if g.is(0.5) {
		g.Shuffle(len(members), func(i, k int) { members[i], members[k] = members[k], members[i] })
	}
	page := g.list(members, "{", "}")
	if g.is(0.2) {
		return g.space() + page
	}
	return `{"d":` + page + `}` + g.space()
}
