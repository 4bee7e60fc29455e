package decode

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// The second reader and the generator of pages for OData v4.

var (
	refTimeOfDay  = regexp.MustCompile(`^[0-9]{2}:[0-9]{2}(:[0-9]{2})?([.,][0-9]+)?$`)
	refAnyISOTime = regexp.MustCompile(`^-?P[0-9.YMDTHS]+$`)
)

func refPrimitive4(column *Column, s string) ([]byte, error) {
	isValid := false
	switch column.Type {
	case edm.Date:
		day, err := time.Parse("2006-01-02", s)
		if err == nil && day.Year() == 0 {
			err = errConversion
		}
		return binary.AppendVarint(nil, day.Unix()/86400), err
	case edm.TimeOfDay:
		m := refTimeOfDay.FindStringSubmatch(s)
		if m == nil || (m[1] == "" && m[2] != "") {
			return nil, errConversion
		}
		clock, err := time.Parse("15:04:05", (s + ":00")[:8])
		millis := 0
		if m[2] != "" {
			millis, _ = strconv.Atoi((m[2][1:] + "00")[:3])
		}
		seconds := clock.Hour()*3600 + clock.Minute()*60 + clock.Second()
		return binary.AppendVarint(nil, int64(seconds)*1000+int64(millis)), err
	case edm.Duration:
		isValid = refAnyISOTime.MatchString(s) && s != "P"
	case edm.Enum:
		isValid = true
		for _, name := range strings.Split(s, ",") {
			isValid = isValid && slices.Contains(column.Enum.Members, strings.TrimSpace(name))
		}
		isValid = isValid && (column.Enum.Flags || !strings.Contains(s, ","))
	case edm.Geo:
		isValid = strings.HasPrefix(s, "{")
	}
	if !isValid {
		return nil, errConversion
	}
	return refBlock([]byte(s)), nil
}

// scalar4 is scalar for the types that only OData v4 has.
func (g *refGenerator) scalar4(c *Column) string {
	instant := time.Date(g.IntN(9999)+1, 1, 1+g.IntN(365), 0, 0, g.IntN(86400), g.IntN(1e9), time.UTC)
	switch c.Type {
	case edm.Date:
		return instant.Format("2006-01-02")
	case edm.TimeOfDay:
		return instant.Format(pick(g, "15:04", "15:04:05", "15:04:05.0", "15:04:05.000", "15:04:05.000000000"))
	case edm.Duration:
		return pick(g, "PT5M", "-P1DT2H", "P1Y", "PT0.5S")
	case edm.Enum:
		return pick(g, "Red", "Green", "Green", "Red,Green")
	}
	return `{"type": "Point","coordinates":[` + strconv.Itoa(g.IntN(100)) + `, 2]}`
}

// use4 replaces types of v2 in a schema, and makes some columns collections.
func (g *refGenerator) use4(s *RowSchema) *RowSchema {
	for i := range s.Columns {
		c := &s.Columns[i]
		switch {
		case c.Kind == NavigationToMany:
			c.Optional = false
		case c.Type == edm.DateTime:
			c.Type = pick(g, edm.DateTimeOffset, edm.Date)
		case c.Type == edm.Time:
			c.Type = pick(g, edm.TimeOfDay, edm.Duration, edm.Enum, edm.Geo)
		}
		if c.Type != edm.DateTimeOffset && c.Type != edm.Decimal {
			c.Mapping = DefaultMapping
		}
		c.Enum = &edm.EnumType{Members: []string{"Red", "Green"}, Flags: g.IntN(2) == 0}
		if c.Nested != nil {
			g.use4(c.Nested)
		}
		isItem := (c.Kind == Primitive && g.IntN(6) == 0) || (c.Kind == Complex && g.IntN(3) == 0)
		if isItem && !slices.Contains(s.Keys, i) {
			item := *c
			item.Name = ""
			*c = Column{Name: c.Name, Kind: Collection, Optional: g.IntN(2) == 0,
				Nested: &RowSchema{Columns: []Column{item}, ValueColumns: 1}}
		}
	}
	return s
}

func (g *refGenerator) json4Row(s *RowSchema) string {
	switch {
	case g.is(0.01):
		return pick(g, "null", "5", `"a"`, "[]", "true")
	case g.is(0.02):
		return pick(g, `{"@odata.context":"#T/$deletedEntity","id":"T(1)","reason":"deleted"}`,
			`{"@removed":{"reason":"changed"},"@id":"T(2)"}`)
	}
	return g.json4Object(s)
}

func (g *refGenerator) json4Object(s *RowSchema) string {
	var members []string
	for _, i := range g.order(s) {
		if i < 0 {
			name := pick(g, g.otherName(), "@odata.id", "#Act", "A0@odata.type", "@etag")
			members = append(members, g.member(name, pick(g, `"x"`, "5", "[1,{}]", "null")))
			continue
		}
		c := &s.Columns[i]
		next := ""
		if c.Kind == NavigationToMany {
			next = g.follow(func() string { return g.json4Items(c.Nested) })
		}
		link := g.member(c.Name+pick(g, "@odata.nextLink", "@nextLink"), g.quote(next))
		value := g.member(c.Name, g.json4Value(c, next != ""))
		switch {
		case next == "":
			members = append(members, value)
		case g.IntN(2) == 0:
			members = append(members, value, link)
		default:
			members = append(members, link, value)
		}
	}
	if g.IntN(2) == 0 {
		members = append(members, g.member("@odata.etag", `"W/\"1\""`))
	}
	return g.list(members, "{", "}")
}

func (g *refGenerator) json4Value(c *Column, isLinked bool) string {
	switch {
	case g.is(0.2) && !isLinked && (c.Optional || g.IntN(10) == 0):
		return "null"
	case g.is(0.01) && !isLinked:
		return pick(g, `"x"`, "5", "[]", "{}", `[5]`, `[null]`, `[[]]`)
	case c.Kind == Collection:
		var items []string
		for range pick(g, 0, 1, 1, 2, pick(g, 3, 3, 3, 3, 70)) {
			items = append(items, g.json4Value(&c.Nested.Columns[0], false))
		}
		return g.list(items, "[", "]")
	case c.Kind == NavigationToMany:
		return g.list(g.json4Objects(c.Nested), "[", "]")
	case c.Kind != Primitive:
		return g.json4Object(c.Nested)
	}
	text := g.scalar(c)
	isNumber := json.Valid([]byte(text)) && text != "" && text[0] != '"'
	if c.Type == edm.Geo || (isNumber && (c.Type != edm.Decimal && c.Type != edm.Int64) != g.is(0.2)) {
		if json.Valid([]byte(text)) {
			return strings.TrimSpace(text)
		}
	}
	return g.quote(text)
}

func (g *refGenerator) json4Objects(s *RowSchema) (items []string) {
	for range pick(g, 0, 1, 1, 2) {
		items = append(items, g.json4Object(s))
	}
	return items
}

// json4Items returns a page of an expanded collection.
func (g *refGenerator) json4Items(s *RowSchema) string {
	return g.json4Around(g.list(g.json4Objects(s), "[", "]"), g.follow(func() string { return g.json4Items(s) }))
}

func (g *refGenerator) json4Page(s *RowSchema) string {
	var rows []string
	for range g.IntN(8) {
		rows = append(rows, g.json4Row(s))
	}
	return g.json4Around(g.list(rows, "[", "]"), pick(g, "", "T?%24skiptoken=1"))
}

// json4Around returns the page around an array of rows.
func (g *refGenerator) json4Around(array, next string) string {
	prefix := pick(g, "@odata.", "@")
	members := []string{g.member(prefix+"context", `"$metadata#T"`), g.member("value", array)}
	if next != "" {
		members = append(members, g.member(prefix+"nextLink", g.quote(next)))
	}
	if g.IntN(2) == 0 {
		members = append(members, g.member(prefix+"count", pick(g, `"17"`, "17")), g.member(prefix+"deltaLink", `"d"`))
	}
	if g.is(0.7) {
		g.Shuffle(len(members), func(i, k int) { members[i], members[k] = members[k], members[i] })
	}
	return g.list(members, "{", "}")
}

// json4Rows returns the rows of a page and its next link, and reads its other members into the page.
func (r *refReader) json4Rows(doc string, page *refPage) (rows []string, next string) {
	texts := readTexts(doc)
	for i, name := range texts.names {
		value := texts.values[i]
		switch strings.Replace(name, "@odata.", "@", 1) {
		case "value":
			rows = readTexts(value).values
		case "@context":
			page.next.Base = refText(value)
			page.delta.Base = refText(value)
		case "@nextLink":
			next = refText(value)
		case "@deltaLink":
			page.delta.Href = refText(value)
		case "@count":
			page.count, _ = strconv.ParseInt(refText(value), 10, 64)
		}
	}
	return rows, next
}

func (r *refReader) readJSON4(doc string) {
	rows, next := r.json4Rows(doc, &r.page)
	r.page.next.Href = next
	for _, row := range rows {
		r.begin(row)
		value := refValue{kind: refWrong}
		if row[0] == '{' {
			value = refValue{kind: refStruct, members: r.json4Members(r.schema, "", row)}
		}
		switch {
		case strings.Contains(row, "$deletedEntity"):
			r.row.tombstone = &Tombstone{Ref: "T(1)", Reason: "deleted"}
		case strings.Contains(row, "@removed"):
			r.row.tombstone = &Tombstone{Ref: "T(2)", Reason: "changed"}
		}
		r.finish(value)
	}
}

func (r *refReader) json4Members(schema *RowSchema, path, raw string) (members []refMember) {
	texts := readTexts(raw)
	next := map[string]string{}
	for i, name := range texts.names {
		if base, term, ok := strings.Cut(name, "@"); ok && strings.HasSuffix(term, "nextLink") {
			next[base] = refText(texts.values[i])
		}
	}
	for i, name := range texts.names {
		if strings.ContainsAny(name, "@#") {
			continue
		}
		if c := r.column(schema, path, name); c != nil {
			members = append(members, refMember{name, r.json4Value(c, path+name+"/", texts.values[i], next[name])})
		}
	}
	for _, c := range schema.Columns {
		if c.Inline && !slices.Contains(texts.names, c.Name) {
			members = append(members, refMember{c.Name, refValue{kind: refWrong}})
		}
	}
	return members
}

func (r *refReader) json4Value(c *Column, path, raw, next string) refValue {
	isArray := raw[0] == '['
	switch {
	case raw == "null" && (!c.isArray() || c.Optional):
		return refValue{}
	case raw == "null":
		return refValue{kind: refFeed}
	case c.Kind == Primitive && c.Type == edm.Geo && raw[0] == '{':
		var compacted bytes.Buffer
		_ = json.Compact(&compacted, []byte(raw))
		return refValue{kind: refScalar, text: compacted.String()}
	case c.Kind == Primitive && raw[0] != '{' && !isArray:
		return refValue{kind: refScalar, text: refText(raw)}
	case (c.Kind == Complex || c.Kind == NavigationToOne) && raw[0] == '{':
		return refValue{kind: refStruct, members: r.json4Members(c.Nested, path, raw)}
	case !isArray || !c.isArray():
		return refValue{kind: refWrong}
	}
	feed := refValue{kind: refFeed}
	rows := readTexts(raw).values
	for next != "" {
		var more []string
		more, next = r.json4Rows(r.nested[next], &refPage{})
		rows = append(rows, more...)
		r.row.hasNextLinks = true
	}
	for _, row := range rows {
		item := refValue{kind: refWrong}
		if c.Kind == Collection {
			item = refValue{kind: refStruct, members: []refMember{{"", r.json4Value(&c.Nested.Columns[0], path, row, "")}}}
		} else if row[0] == '{' {
			item = refValue{kind: refStruct, members: r.json4Members(c.Nested, path, row)}
		}
		feed.items = append(feed.items, item)
	}
	return feed
}

// Random pages of OData v4 are decoded as the second reader reads them.
func TestPagesEqualReference4(t *testing.T) {
	pages := refPages
	if testing.Short() {
		pages /= 10
	}
	const pagesOfSchema = 5
	for n := range pages / pagesOfSchema {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			g := &refGenerator{Rand: rand.New(rand.NewPCG(56, uint64(n)))}
			schema := g.use4(g.rootSchema())
			require.NoError(t, schema.Init())
			g.compareWith(t, schema, NewJSON4(schema, JSON4Options{Exact: n%2 == 0}), g.json4Page, pagesOfSchema)
		})
	}
}
