package decode

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// This file has a second reader of whole pages, slow and simple: encoding/json and encoding/xml read the text,
// refPrimitive the values. It shares only RowSchema and Column with the decoder, and expects well-formed pages. U+FFFD,
// with which encoding/json replaces half a surrogate pair, means text that cannot be read.

// refPage has the contents of a page.
type refPage struct {
	rows  []refRow
	next  Link
	delta Link
	count int64
	// unknown are paths of unknown properties. If the value is false, only rows that failed or were deleted have them.
	unknown map[string]bool
}

// refRow is a row of the page, with key and columns encoded; a failed row has only raw.
type refRow struct {
	raw          string
	hasNextLinks bool
	failed       bool
	tombstone    *Tombstone
	key          []byte
	columns      [][]byte
	unknownNames []string
}

// refReader reads a page.
type refReader struct {
	schema *RowSchema
	nested map[string]string // the responses to links inside of rows
	page   refPage
	row    refRow // the current row
}

type refKind int

const (
	refNull refKind = iota
	refScalar
	refStruct
	refFeed
	refWrong
)

// refValue is a value in the form that both formats share.
type refValue struct {
	kind    refKind
	text    string
	members []refMember
	items   []refValue
}

type refMember struct {
	name  string
	value refValue
}

func readReference(schema *RowSchema, doc string, nested map[string]string) refPage {
	doc = strings.TrimPrefix(strings.TrimSpace(doc), "\ufeff")
	r := refReader{schema: schema, nested: nested, page: refPage{count: -1, unknown: map[string]bool{}}}
	if isMarkup([]byte(doc)) {
		r.readAtom(doc)
	} else if doc = strings.TrimSpace(doc); doc[0] == '{' && slices.Contains(readTexts(doc).names, "value") {
		r.readJSON4(doc)
	} else {
		r.readJSON(doc)
	}
	return r.page
}

// begin starts a row.
func (r *refReader) begin(raw string) { r.row = refRow{raw: raw} }

// finish adds the current row to the page.
func (r *refReader) finish(value refValue) {
	row := &r.row
	if row.tombstone == nil {
		columns, ok := r.columns(r.schema, value.members)
		row.failed = !ok || value.kind != refStruct
		for _, i := range r.schema.Keys {
			if c := &r.schema.Columns[i]; !row.failed && c.Optional && columns[i][0] == 0 {
				row.failed = true
			} else if !row.failed {
				branchSize := map[bool]int{true: 1}[c.Optional]
				row.key = append(row.key, columns[i][branchSize:]...)
			}
		}
		row.columns = columns
	}
	for _, path := range row.unknownNames {
		r.page.unknown[path] = r.page.unknown[path] || (!row.failed && row.tombstone == nil)
	}
	r.page.rows = append(r.page.rows, *row)
}

// columns returns the encoded columns of a struct. ok is false if a value does not fit, or a column has two.
func (r *refReader) columns(schema *RowSchema, members []refMember) (columns [][]byte, ok bool) {
	ok = true
	for i := range schema.Columns {
		c := &schema.Columns[i]
		value := refValue{}
		count := 0
		for _, m := range members {
			if m.name == c.Name {
				value = m.value
				count++
			}
		}
		encoded, fits := r.value(c, value)
		columns = append(columns, encoded)
		ok = ok && fits && count <= 1
	}
	return columns, ok
}

// value encodes a value. ok is false if it does not fit the column.
func (r *refReader) value(c *Column, v refValue) (encoded []byte, ok bool) {
	if v.kind == refScalar && v.text == "" && !slices.Contains(refTextTypes, c.Type) {
		v.kind = refNull
	}
	switch v.kind {
	case refNull:
		return []byte{0}, c.Optional
	case refWrong:
		return nil, false
	case refScalar:
		if strings.Contains(v.text, "\ufffd") {
			return nil, false
		}
		var err error
		encoded, err = refPrimitive(c, v.text)
		ok = err == nil
	case refStruct:
		columns, fits := r.columns(c.Nested, v.members)
		encoded = bytes.Join(columns, nil)
		ok = fits
	case refFeed:
		ok = true
		for _, item := range v.items {
			columns, fits := r.columns(c.Nested, item.members)
			encoded = append(encoded, bytes.Join(columns, nil)...)
			ok = ok && fits && item.kind == refStruct
		}
		encoded = append(binary.AppendVarint(nil, int64(len(v.items))), encoded...)
		if len(v.items) > 0 {
			encoded = append(encoded, 0)
		}
	}
	if c.Optional {
		encoded = append([]byte{2}, encoded...)
	}
	return encoded, ok
}

// column returns a named column, or nil after reporting an unknown property.
func (r *refReader) column(schema *RowSchema, path, name string) *Column {
	i := slices.IndexFunc(schema.Columns, func(c Column) bool { return c.Kind != Synthetic && c.Name == name })
	if i >= 0 {
		return &schema.Columns[i]
	}
	if !slices.Contains(schema.Ignored, name) {
		r.row.unknownNames = append(r.row.unknownNames, path+name)
	}
	return nil
}

// refWhen returns the time of a deletion in milliseconds. ok is false if the text is no time.
func refWhen(text string) (ms int64, ok bool) {
	encoded, err := refInstant(&Column{}, text)
	ms, _ = binary.Varint(encoded)
	return ms, err == nil
}

// refTexts is an object or array of JSON, with the texts of its values.
type refTexts struct {
	names  []string // nil for an array
	values []string
}

func readTexts(raw string) (texts refTexts) {
	d := json.NewDecoder(strings.NewReader(raw))
	_, _ = d.Token()
	for d.More() {
		if raw[0] == '{' {
			name, _ := d.Token()
			texts.names = append(texts.names, name.(string))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			panic(err)
		}
		texts.values = append(texts.values, strings.TrimSpace(string(value)))
	}
	return texts
}

// refText returns a scalar: the value of a string, the digits of a number.
func refText(raw string) string {
	if raw[0] == '"' {
		if err := json.Unmarshal([]byte(raw), &raw); err != nil {
			panic(err)
		}
	}
	return raw
}

// refLinks are a page's links and rows in JSON.
type refLinks struct {
	rows  []string
	next  string
	delta string
	count string
}

func (r *refReader) readJSON(doc string) {
	page := r.jsonPage(doc)
	r.page.next.Href = page.next
	r.page.delta.Href = page.delta
	if n, err := strconv.ParseInt(page.count, 10, 64); err == nil {
		r.page.count = n
	}
	for _, row := range page.rows {
		r.begin(row)
		value := refValue{kind: refWrong}
		if row[0] == '{' {
			value = refValue{kind: refStruct, members: r.jsonMembers(r.schema, "", row)}
			r.readJSONTombstone(row)
		}
		r.finish(value)
	}
}

func (r *refReader) readJSONTombstone(row string) {
	var t Tombstone
	texts := readTexts(row)
	for i, name := range texts.names {
		switch value := texts.values[i]; name {
		case "@odata.context":
			if strings.HasSuffix(refText(value), "/$deletedEntity") {
				r.row.tombstone = &t
			}
		case "id":
			t.Ref = refText(value)
		case "when":
			t.When, t.Timed = refWhen(refText(value))
		}
	}
}

// jsonPage finds the rows in a page or in an object around them.
func (r *refReader) jsonPage(raw string) (page refLinks) {
	texts := readTexts(raw)
	properties := 0
	hasPage := false // in a member
	if raw[0] == '[' {
		page.rows = texts.values
		return page
	}
	for i, name := range texts.names {
		switch value := texts.values[i]; name {
		case "__next":
			page.next = refText(value)
		case "__delta":
			page.delta = refText(value)
		case "__count":
			page.count = refText(value)
		case "d", "results":
			hasPage = true
			if value[0] != 'n' {
				inner := r.jsonPage(value)
				page.rows = inner.rows
				page.next = page.next + inner.next
				page.delta = page.delta + inner.delta
				page.count = page.count + inner.count
			}
		case "__metadata": // no property
		default:
			properties++
		}
	}
	if !hasPage && properties == 1 && r.column(r.schema, "", texts.names[0]) == nil &&
		strings.ContainsAny(texts.values[0][:1], "{[") {
		return r.jsonPage(texts.values[0]) // the name of a function
	}
	if !hasPage && properties > 0 {
		page.rows = []string{raw}
	}
	return page
}

func (r *refReader) jsonMembers(schema *RowSchema, path, raw string) (members []refMember) {
	texts := readTexts(raw)
	for i, name := range texts.names {
		value := texts.values[i]
		isDeferred := value[0] == '{' && slices.Index(readTexts(value).names, "__deferred") == 0
		if strings.HasPrefix(name, "__") || strings.Contains(name, "@") {
			continue
		}
		reported := len(r.row.unknownNames)
		c := r.column(schema, path, name)
		switch {
		case c == nil && isDeferred:
			r.row.unknownNames = r.row.unknownNames[:reported]
		case c != nil && c.Kind != Primitive && isDeferred && !c.Inline:
			members = append(members, refMember{name, refValue{}})
		case c != nil && c.Kind != Primitive && isDeferred:
			members = append(members, refMember{name, refValue{kind: refWrong}})
		case c != nil:
			members = append(members, refMember{name, r.jsonValue(c, path+name+"/", value)})
		}
	}
	return members
}

func (r *refReader) jsonValue(c *Column, path, raw string) refValue {
	isObject := raw[0] == '{'
	isArray := raw[0] == '['
	switch {
	case raw == "null" && c.Kind == NavigationToMany && !c.Optional:
		return refValue{kind: refFeed}
	case raw == "null":
		return refValue{}
	case c.Kind == Primitive && !isObject && !isArray:
		return refValue{kind: refScalar, text: refText(raw)}
	case c.Kind == NavigationToMany && (isObject || isArray):
		return r.jsonFeed(c, path, raw)
	case (c.Kind == Complex || c.Kind == NavigationToOne) && isObject:
		return refValue{kind: refStruct, members: r.jsonMembers(c.Nested, path, raw)}
	}
	return refValue{kind: refWrong}
}

func (r *refReader) jsonFeed(c *Column, path, raw string) refValue {
	texts := readTexts(raw)
	rows := texts.values
	results := 1
	next := ""
	if raw[0] == '{' {
		results = 0
		for i, name := range texts.names {
			switch value := texts.values[i]; {
			case name == "results" && value[0] == '[':
				rows = readTexts(value).values
				results++
			case name == "results":
				results += 2 // no array
			case name == "__next" && value != "null":
				next = refText(value)
			}
		}
	}
	if results != 1 {
		return refValue{kind: refWrong}
	}
	for next != "" {
		page := r.jsonPage(r.nested[next])
		rows = append(rows, page.rows...)
		next = page.next
		r.row.hasNextLinks = true
	}
	feed := refValue{kind: refFeed}
	for _, row := range rows {
		item := refValue{kind: refWrong}
		if row[0] == '{' {
			item = refValue{kind: refStruct, members: r.jsonMembers(c.Nested, path, row)}
		}
		feed.items = append(feed.items, item)
	}
	return feed
}

// refElement is an element of XML. text is the text directly inside of it.
type refElement struct {
	xml.Name
	attributes []xml.Attr
	children   []*refElement
	text       string
	base       string
	start      int64
	end        int64
}

const (
	refAtom = "http://www.w3.org/2005/Atom"
	refData = "http://schemas.microsoft.com/ado/2007/08/dataservices"
	refMeta = refData + "/metadata"
)

// readXML returns an element around the root.
func readXML(doc string) *refElement {
	d := xml.NewDecoder(strings.NewReader(doc))
	d.Entity = map[string]string{"nbsp": "\ufffd"}
	open := []*refElement{{}}
	for {
		start := d.InputOffset()
		parent := open[len(open)-1]
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return parent
		}
		if err != nil {
			panic(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &refElement{Name: token.Name, attributes: token.Copy().Attr, base: parent.base, start: start}
			if base, ok := e.attribute("http://www.w3.org/XML/1998/namespace", "base"); ok {
				e.base = base
			}
			parent.children = append(parent.children, e)
			open = append(open, e)
		case xml.EndElement:
			parent.end = d.InputOffset()
			open = open[:len(open)-1]
		case xml.CharData:
			parent.text += string(token)
		}
	}
}

func (e *refElement) is(space, local string) bool { return e.Space == space && e.Local == local }

func (e *refElement) attribute(space, local string) (string, bool) {
	i := slices.IndexFunc(e.attributes, func(a xml.Attr) bool { return a.Name == xml.Name{Space: space, Local: local} })
	if i < 0 {
		return "", false
	}
	return e.attributes[i].Value, true
}

func (e *refElement) relation() string {
	rel, _ := e.attribute("", "rel")
	return strings.TrimPrefix(rel, "http://www.iana.org/assignments/relation/")
}

func (e *refElement) link() Link {
	href, _ := e.attribute("", "href")
	return Link{Href: href, Base: e.base}
}

func (r *refReader) readAtom(doc string) {
	root := readXML(doc).children[0]
	rows := []*refElement{root}
	if root.is(refAtom, "feed") {
		rows = root.children
	} else if root.Space == refData && len(root.children) > 0 && root.children[0].Local == "element" {
		rows = root.children
	}
	for _, e := range rows {
		r.begin(doc[e.start:e.end])
		switch {
		case e.is(refAtom, "entry"):
			r.finish(refValue{kind: refStruct, members: r.atomEntry(r.schema, "", e)})
		case e.Space == refData:
			r.finish(refValue{kind: refStruct, members: r.atomProperties(r.schema, "", e)})
		case e.Local == "deleted-entry" && e.Space != refAtom:
			var t Tombstone
			t.Ref, _ = e.attribute("", "ref")
			when, _ := e.attribute("", "when")
			t.When, t.Timed = refWhen(when)
			r.row.tombstone = &t
			r.finish(refValue{})
		case e.is(refAtom, "link") && e.relation() == "next":
			r.page.next = e.link()
		case e.is(refAtom, "link") && e.relation() == "delta":
			r.page.delta = e.link()
		case e.is(refMeta, "count"):
			if n, err := strconv.ParseInt(strings.TrimSpace(e.text), 10, 64); err == nil {
				r.page.count = n
			}
		}
	}
}

func (r *refReader) atomEntry(schema *RowSchema, path string, entry *refElement) (members []refMember) {
	for _, e := range entry.children {
		switch _, navigation, _ := strings.Cut(e.relation(), "/related/"); {
		case e.is(refMeta, "properties"):
			members = append(members, r.atomProperties(schema, path, e)...)
		case e.is(refAtom, "content"):
			for _, inner := range e.children {
				if inner.is(refMeta, "properties") {
					members = append(members, r.atomProperties(schema, path, inner)...)
				}
			}
		case e.is(refAtom, "link") && navigation != "":
			members = append(members, r.atomLink(schema, path, navigation, e, members)...)
		}
	}
	for i := range schema.Columns {
		c := &schema.Columns[i]
		if isNamed := func(m refMember) bool { return m.name == c.Name }; c.Kind == Primitive &&
			!slices.ContainsFunc(members, isNamed) {
			members = append(members, refMember{c.Name, refTarget(c, entry)})
		}
	}
	return members
}

// atomLink reads a link with an expanded navigation property. others are the entry's members before it.
func (r *refReader) atomLink(schema *RowSchema, path, name string, link *refElement,
	others []refMember) (members []refMember) {
	i := slices.IndexFunc(schema.Columns, func(c Column) bool { return c.isNavigation() && c.Name == name })
	if i < 0 {
		return nil
	}
	c := &schema.Columns[i]
	for _, e := range link.children {
		if e.is(refMeta, "inline") {
			members = append(members, refMember{name, r.atomValue(c, path+name+"/", e)})
		}
	}
	isNamed := func(m refMember) bool { return m.name == name }
	if c.Inline && !slices.ContainsFunc(slices.Concat(others, members), isNamed) {
		members = append(members, refMember{name, refValue{kind: refWrong}})
	}
	return members
}

// refTarget returns the value at the column's path in the entry, whatever the namespaces.
func refTarget(c *Column, e *refElement) refValue {
	for _, step := range c.steps {
		if name, ok := strings.CutPrefix(step, "@"); ok {
			i := slices.IndexFunc(e.attributes, func(a xml.Attr) bool { return a.Name.Local == name })
			if i < 0 {
				return refValue{}
			}
			return refScalarOf(c, e.attributes[i].Value, nil)
		}
		i := slices.IndexFunc(e.children, func(e *refElement) bool { return e.Local == step })
		if i < 0 {
			return refValue{}
		}
		e = e.children[i]
	}
	if null, _ := e.attribute(refMeta, "null"); null == "true" || len(c.steps) == 0 {
		return refValue{}
	}
	return refScalarOf(c, e.text, e.children)
}

func refScalarOf(c *Column, text string, children []*refElement) refValue {
	if c.Type != refTextTypes[0] {
		text = strings.Trim(text, " \t\r\n")
	}
	if len(children) > 0 {
		return refValue{kind: refWrong}
	}
	return refValue{kind: refScalar, text: text}
}

func (r *refReader) atomProperties(schema *RowSchema, path string, parent *refElement) (members []refMember) {
	for _, e := range parent.children {
		if e.Space != refData {
			continue
		}
		if c := r.column(schema, path, e.Local); c != nil {
			members = append(members, refMember{c.Name, r.atomValue(c, path+c.Name+"/", e)})
		}
	}
	return members
}

func (r *refReader) atomValue(c *Column, path string, e *refElement) refValue {
	null, _ := e.attribute(refMeta, "null")
	switch {
	case null == "true" || null == "1":
		return refValue{}
	case c.Kind == Primitive:
		return refScalarOf(c, e.text, e.children)
	case c.Kind == Complex:
		return refValue{kind: refStruct, members: r.atomProperties(c.Nested, path, e)}
	}
	name := map[ColumnKind]string{NavigationToOne: "entry", NavigationToMany: "feed"}[c.Kind]
	i := slices.IndexFunc(e.children, func(e *refElement) bool { return e.is(refAtom, name) })
	switch {
	case c.Kind == NavigationToMany && i < 0:
		return refValue{kind: refFeed}
	case i < 0:
		return refValue{}
	case c.Kind == NavigationToOne:
		return refValue{kind: refStruct, members: r.atomEntry(c.Nested, path, e.children[i])}
	}
	feed := refValue{kind: refFeed}
	next := ""
	for page := e.children[i]; page != nil; page = r.nextPage(next) {
		next = ""
		for _, e := range page.children {
			switch {
			case e.is(refAtom, "entry"):
				item := refValue{kind: refStruct, members: r.atomEntry(c.Nested, path, e)}
				feed.items = append(feed.items, item)
			case e.is(refAtom, "link") && e.relation() == "next":
				next = e.link().Href
			}
		}
	}
	return feed
}

// nextPage returns the page of a next link, nil without one, and records in the row that it has one.
func (r *refReader) nextPage(href string) *refElement {
	if href == "" {
		return nil
	}
	r.row.hasNextLinks = true
	return readXML(r.nested[href]).children[0]
}

// refPages is the number of pages that TestPagesEqualReference reads.
const refPages = 3000

// Random pages of random schemas are decoded as the second reader reads them.
func TestPagesEqualReference(t *testing.T) {
	pages := refPages
	if testing.Short() {
		pages /= 10
	}
	const pagesOfSchema = 5
	for n := range pages / pagesOfSchema {
		g := &refGenerator{Rand: rand.New(rand.NewPCG(54, uint64(n)))}
		schema := g.rootSchema()
		require.NoError(t, schema.Init())
		isAtom := n%2 == 0
		g.compare(t, schema, isAtom, pagesOfSchema)
	}
}

// Pages of every entity type in the metadata documents.
func TestPagesOfMetadataEqualReference(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(testdata, "samples", "metadata", "*"))
	types := 0
	for _, file := range files {
		document, err := os.ReadFile(file)
		require.NoError(t, err)
		model, err := edm.Parse(document, edm.V2)
		if err != nil {
			continue // annotations alone
		}
		for i, set := range model.Sets {
			if testing.Short() && i%8 != 0 {
				continue
			}
			otherOptions := edm.Options{PrimitiveDecimals: true, Dates: true, Micros: true, Lenient: true}
			for _, options := range []edm.Options{{}, otherOptions} {
				schema, err := NewRowSchema(model, edm.WholeView(model.Structure(set.Type)), options)
				if err != nil {
					continue // without properties, or of types that this version does not read
				}
				schema.KeySchema = 7
				schema.ValueSchema = 8
				types++
				g := &refGenerator{Rand: rand.New(rand.NewPCG(55, uint64(i)))}
				const isAtom = true
				g.compare(t, schema, !isAtom, 2)
				hasSpace := func(c Column) bool { return strings.Contains(c.Name, " ") }
				if !slices.ContainsFunc(schema.Columns, hasSpace) { // as in RMTSAMPLEFLIGHT: no name of XML
					g.compare(t, schema, isAtom, 2)
				}
			}
		}
	}
	least := 150
	if testing.Short() { // inside Wasm: each eighth set
		least = 40
	}
	assert.AtLeast(t, least, types, "types")
}

// compare decodes pages of a schema, in one decoder, and compares them with the reference.
func (g *refGenerator) compare(t *testing.T, schema *RowSchema, isAtom bool, pages int) {
	t.Helper()
	decoder := Decoder(NewJSON(schema))
	newPage := g.jsonPage
	if isAtom {
		decoder = NewAtom(schema)
		newPage = g.atomPage
	}
	g.compareWith(t, schema, decoder, newPage, pages)
}

// compareWith is compare for any decoder.
func (g *refGenerator) compareWith(t *testing.T, schema *RowSchema, decoder Decoder,
	newPage func(*RowSchema) string, pages int) {
	t.Helper()
	for range pages {
		g.odd = pick(g, 0, 0.1, 0.3, 1)
		g.nested = map[string]string{}
		doc := newPage(schema)
		want := readReference(schema, doc, g.nested)
		c := cuts{size: pick(g, len(doc)+1, 1+g.IntN(8), 1+g.IntN(64), 1+g.IntN(1000))}
		decoder.Reset()
		out, err := decodePieces(decoder, []byte(doc), c, g.nested)
		problem := fmt.Sprint(err)
		if err == nil {
			problem = want.differs(schema, out, g.nested)
		}
		require.True(t, problem == "",
			"odd %v, %+v: %s\n%.3000s\nnested %.1000q\n%+v", g.odd, c, problem, doc, g.nested, schema)
	}
}

// differs compares the page with the decoder's output. It returns an empty string if they are equal.
func (p *refPage) differs(schema *RowSchema, out *Output, nested map[string]string) string {
	rows := out.Rows
	failed := out.RowErrors
	tombstones := out.Tombstones
	tracked := out.Tracked
	for i, want := range p.rows {
		index := uint32(i)
		problem := ""
		switch {
		case want.failed && len(failed) > 0:
			raw := string(out.Data[failed[0].RawStart:][:failed[0].RawSize])
			problem = want.rawDiffers(schema, raw, nested)
			if failed[0].RowIndex != index {
				problem = "another row failed"
			}
			failed = failed[1:]
		case want.tombstone != nil && len(tombstones) > 0:
			if want.tombstone.RowIndex = index; !reflect.DeepEqual(*want.tombstone, tombstones[0]) {
				problem = fmt.Sprintf("expected %+v, found %+v", *want.tombstone, tombstones[0])
			}
			tombstones = tombstones[1:]
		case !want.failed && want.tombstone == nil && len(rows) > 0:
			problem = want.rowDiffers(schema, index, rows[0], out.Data, tracked)
			rows = rows[1:]
			tracked = tracked[len(schema.Tracked):]
		default:
			problem = fmt.Sprintf("found no such row: %+v", want)
		}
		if problem != "" {
			return fmt.Sprintf("row %d: %s", i, problem)
		}
	}
	if len(rows)+len(failed)+len(tombstones)+len(tracked) > 0 || int(out.Page.Rows) != len(p.rows) {
		return fmt.Sprintf("more rows than %d: %d, %+v, %+v", len(p.rows), len(out.Rows), failed, tombstones)
	}
	if out.Page.Next != p.next || out.Page.Delta != p.delta || out.Page.Count != p.count {
		return fmt.Sprintf("expected %+v, %+v, %d, found %+v", p.next, p.delta, p.count, out.Page)
	}
	found := map[string]bool{}
	for _, path := range out.Page.Unknown {
		if _, ok := p.unknown[path]; !ok || found[path] {
			return "unknown property " + path
		}
		found[path] = true
	}
	for path, isCertain := range p.unknown {
		if isCertain && !found[path] && len(found) < 100 {
			return "missing unknown property " + path
		}
	}
	return ""
}

// rowDiffers compares a row with the decoder's. It returns an empty string if they are equal.
func (r *refRow) rowDiffers(schema *RowSchema, index uint32, row wit.Row, data []byte, tracked []Span) string {
	slice := func(v wit.ValueSlice) []byte { return data[v.Start:][:v.Size] }
	value := wit.ValueSlice{Encoding: wit.WithSchema, Schema: 8}
	key := wit.ValueSlice{}
	if len(schema.Keys) > 0 {
		key = wit.ValueSlice{Encoding: wit.WithSchema, Schema: 7, Start: row.Key.Start, Size: row.Key.Size}
		r.key = append(r.key, schema.KeyTail...)
	}
	value.Start = row.Value.Start
	value.Size = row.Value.Size
	want := wit.Row{RowIndex: index, Partition: -1, Offset: -1, Timestamp: -1, Key: key, Value: value}
	encoded := bytes.Join(r.columns[:schema.ValueColumns], nil)
	if row != want || !bytes.Equal(slice(value), encoded) || !bytes.Equal(slice(key), r.key) {
		return fmt.Sprintf("expected %x: %x in %+v, found %x: %x in %+v", r.key, encoded, want, slice(key),
			slice(value), row)
	}
	for n, i := range schema.Tracked {
		if span := tracked[n]; !bytes.Equal(data[span.Start:][:span.Size], r.columns[i]) {
			return fmt.Sprintf("expected tracked %x, found %x", r.columns[i], data[span.Start:][:span.Size])
		}
	}
	return ""
}

// rawDiffers checks the text of a failed row: a document with only this row, which fails again.
func (r *refRow) rawDiffers(schema *RowSchema, raw string, nested map[string]string) string {
	page := readReference(schema, raw, nested)
	ok := r.hasNextLinks
	if isMarkup([]byte(r.raw)) && !ok {
		nameEnd := strings.IndexAny(r.raw, " \t\r\n/>")
		ok = strings.HasPrefix(raw, r.raw[:nameEnd]) && strings.HasSuffix(raw, r.raw[nameEnd:])
	} else if !ok {
		ok = raw == `{"d":{"results":[`+r.raw+`]}}` || raw == `{"value":[`+r.raw+`]}`
	}
	if !ok || len(page.rows) != 1 || !page.rows[0].failed {
		return fmt.Sprintf("expected that %s fails, found %s", r.raw, raw)
	}
	return ""
}
