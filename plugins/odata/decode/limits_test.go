package decode

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/datetime"
)

const (
	feedFront  = `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">`
	entryFront = `<entry><content><m:properties>`
	entryBack  = `</m:properties></content></entry>`
)

// A row of more than maxRow bytes fails the page, after the rows before it.
func TestRejectsRowsOverTheLimit(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nText Edm.String?")
	long := strings.Repeat("x", 2*maxRow)
	for _, page := range []struct {
		decoder Decoder
		doc     string
	}{
		{NewJSON(schema), `{"d":{"results":[{"ID":1},{"ID":2,"Text":"` + long + `"}]}}`},
		{NewAtom(schema), feedFront + entryFront + "<d:ID>1</d:ID>" + entryBack + entryFront +
			"<d:ID>2</d:ID><d:Text>" + long + "</d:Text>" + entryBack + "</feed>"},
	} {
		out, err := decodePieces(page.decoder, []byte(page.doc), cuts{size: 64 << 10}, nil)
		var e *PageError
		assert.True(t, errors.As(err, &e) && e.Row == 1 &&
			strings.Contains(e.Expected, strconv.Itoa(maxRow)+" bytes") && len(out.Rows) == 1,
			"expected one row, then the limit, found %d rows and %v", len(out.Rows), err)
	}
}

// A row of 300 KB in pieces of one byte is not scanned again for each byte.
func TestSmallPiecesAreNotQuadratic(t *testing.T) {
	schema := parseSchema(t, "Text Edm.String?")
	long := strings.Repeat("x", 300_000)
	json := NewJSON(schema)
	out, err := decodePieces(json, []byte(`{"d":[{"Text":"`+long+`"}]}`), cuts{size: 1}, nil)
	assert.True(t, err == nil && len(out.Rows) == 1 && json.steps <= 3000,
		"JSON: expected one row in 3000 steps, found %d in %d, %v", len(out.Rows), json.steps, err)
	atom := NewAtom(schema)
	doc := feedFront + entryFront + "<d:Text>" + long + "</d:Text>" + entryBack + "</feed>"
	out, err = decodePieces(atom, []byte(doc), cuts{size: 1}, nil)
	assert.True(t, err == nil && len(out.Rows) == 1 && atom.steps <= 3000,
		"Atom: expected one row in 3000 steps, found %d in %d, %v", len(out.Rows), atom.steps, err)
}

// nastyDocument is a kind of document for which a careless decoder needs more than linear time.
type nastyDocument struct {
	name    string
	isValid bool // the document can be read to its end
	// write returns a document of about size bytes, and the number of its repeated parts.
	write func(size int) (doc []byte, parts int)
}

// fill repeats a part until the document has the size. A # in the part is another number each time.
func fill(front, part, back string) func(size int) (doc []byte, parts int) {
	return func(size int) (doc []byte, parts int) {
		for doc = []byte(front); len(doc) < size-len(back); parts++ {
			doc = append(doc, strings.Replace(part, "#", strconv.Itoa(1_000_000+parts), 1)...)
		}
		return append(doc, back...), parts
	}
}

// manyNamespaces fills half of a nasty document with declarations.
var manyNamespaces = func() string {
	declarations, _ := fill("", ` xmlns:a#="x"`, "")(nastySize / 2)
	return string(declarations)
}()

var nastyDocuments = []nastyDocument{
	{name: "JSON open braces", write: fill(`[{"Text":`, `{"a":`, "")},
	{name: "JSON open brackets", write: fill(`[{"Other":`, "[", "")},
	{name: "JSON open braces of rows", write: fill("", "{", "")},
	{name: "JSON depth in each row", isValid: true,
		write: fill("[{}", `,{"Other":`+strings.Repeat("[", 60)+strings.Repeat("]", 60)+"}", "]")},
	{name: "JSON string", isValid: true, write: fill(`[{"Text":"`, "0123456789", `"}]`)},
	{name: "JSON string of a column that it does not fit", isValid: true, write: fill(`[{"ID":"`, "0123456789", `"}]`)},
	{name: "JSON string without end", write: fill(`[{"Text":"`, "0123456789", "")},
	{name: "JSON escapes", isValid: true, write: fill(`[{"Text":"`, `\u0041\"`, `"}]`)},
	{name: "JSON backslashes", isValid: true, write: fill(`[{"Text":"`, `\\\\`, `"}]`)},
	{name: "JSON backslashes of an unknown property", isValid: true, write: fill(`[{"Other":"`, `\\\\`, `"}]`)},
	{name: "JSON quotes", write: fill(`[{"Text":`, `"`, "")},
	{name: "JSON name", isValid: true, write: fill(`[{"`, "0123456789", `":1}]`)},
	{name: "JSON names", isValid: true, write: fill(`[{"ID":1`, `,"`+strings.Repeat("x", 1000)+`#":1`, `}]`)},
	{name: "JSON escaped names", isValid: true, write: fill(`[{"ID":1`, `,"\u0041#":1`, `}]`)},
	{name: "JSON properties", isValid: true, write: fill(`[{"ID":1`, `,"P#":1`, `}]`)},
	{name: "JSON rows of unknown properties", isValid: true, write: fill(`[{"ID":1}`, `,{"P#":1}`, `]`)},
	{name: "JSON repeated properties", isValid: true, write: fill(`[{"ID":1`, `,"ID":1`, `}]`)},
	{name: "JSON empty rows", isValid: true, write: fill("[{}", ",{}", "]")},
	{name: "JSON rows that are no objects", isValid: true, write: fill("[1", ",1", "]")},
	{name: "JSON white space", isValid: true, write: fill("[", " ", "]")},
	{name: "JSON white space in a row", isValid: true, write: fill(`[{"ID":`, " ", "1}]")},
	{name: "JSON digits", isValid: true, write: fill(`[{"Price":`, "1", "}]")},
	{name: "JSON members around the rows", isValid: true, write: fill(`{"a":1`, `,"b#":1`, `,"results":[]}`)},
	{name: "JSON next links", isValid: true, write: fill(`{"results":[]`, `,"__next":"x"`, `}`)},
	{name: "JSON items", isValid: true, write: fill(`[{"ID":1,"Items":[{}`, `,{}`, `]}]`)},
	{name: "JSON items that are repeated", isValid: true, write: fill(`[{"ID":1,"Items":[]`, `,"Items":[]`, `}]`)},
	{name: "JSON metadata of a row", isValid: true, write: fill(`[{"ID":1,"__metadata":{"a":1`, `,"b":1`, `}}]`)},
	{name: "Atom depth", write: fill(feedFront, "<entry>", "")},
	{name: "Atom depth in a property", write: fill(feedFront+entryFront, "<d:Text>", "")},
	{name: "Atom text", isValid: true,
		write: fill(feedFront+entryFront+"<d:Text>", "0123456789", "</d:Text>"+entryBack+"</feed>")},
	{name: "Atom text without end", write: fill(feedFront+entryFront+"<d:Text>", "0123456789", "")},
	{name: "Atom entities", isValid: true,
		write: fill(feedFront+entryFront+"<d:Text>", "&amp;&#65;", "</d:Text>"+entryBack+"</feed>")},
	{name: "Atom ampersands", isValid: true,
		write: fill(feedFront+entryFront+"<d:Text>", "&", "</d:Text>"+entryBack+"</feed>")},
	{name: "Atom CDATA", isValid: true,
		write: fill(feedFront+entryFront+"<d:Text>", "<![CDATA[x]]>", "</d:Text>"+entryBack+"</feed>")},
	{name: "Atom open comments", write: fill(feedFront+entryFront, "<!-- ", "")},
	{name: "Atom comments", isValid: true, write: fill(feedFront+entryFront, "<!---->", entryBack+"</feed>")},
	{name: "Atom comments in a value", isValid: true, write: fill(feedFront+entryFront+"<d:Text>", "<!---->",
		"</d:Text>"+entryBack+"</feed>")},
	{name: "Atom comments in a feed", isValid: true, write: fill(feedFront, "<!---->", "</feed>")},
	{name: "Atom attributes", isValid: true,
		write: fill(feedFront+entryFront+"<d:Text", ` a#="1"`, "/>"+entryBack+"</feed>")},
	{name: "Atom attributes of an entry", isValid: true, write: fill(feedFront+"<entry", ` a#="1"`, "/></feed>")},
	{name: "Atom attributes of the feed", isValid: true,
		write: fill(feedFront[:len(feedFront)-1], ` a#="1"`, "></feed>")},
	{name: "Atom namespaces", isValid: true,
		write: fill(feedFront+"<entry", ` xmlns:a#="x"`,
			"><content><m:properties>"+strings.Repeat("<d:ID>1</d:ID>", 100)+entryBack+"</feed>")},
	{name: "Atom namespaces of the feed", isValid: true, write: fill(feedFront[:len(feedFront)-1], ` xmlns:a#="x"`, ">"+
		strings.Repeat(entryFront+"<d:ID>1</d:ID>"+entryBack, 100)+"</feed>")},
	{name: "Atom rows in many namespaces", isValid: true,
		write: fill(feedFront[:len(feedFront)-1]+manyNamespaces+">", "<entry/>", "</feed>")},
	{name: "Atom items in many namespaces", isValid: true, write: fill(feedFront+"<entry"+manyNamespaces+
		`><link rel="a/related/Items"><m:inline><feed>`, "<entry/>", "</feed></m:inline></link></entry></feed>")},
	{name: "Atom namespaces in a row", isValid: true,
		write: fill(feedFront+entryFront, `<d:P xmlns:a#="x"/>`, entryBack+"</feed>")},
	{name: "Atom name", isValid: true, write: fill(feedFront+entryFront+"<d:", "0123456789", "/>"+entryBack+"</feed>")},
	{name: "Atom properties", isValid: true, write: fill(feedFront+entryFront, "<d:P#/>", entryBack+"</feed>")},
	{name: "Atom rows of unknown properties", isValid: true,
		write: fill(feedFront, entryFront+"<d:P#/>"+entryBack, "</feed>")},
	{name: "Atom repeated properties", isValid: true,
		write: fill(feedFront+entryFront, "<d:ID>1</d:ID>", entryBack+"</feed>")},
	{name: "Atom empty rows", isValid: true, write: fill(feedFront, "<entry/>", "</feed>")},
	{name: "Atom links", isValid: true,
		write: fill(feedFront+"<entry>", `<link rel="a/related/Items#"/>`, "</entry></feed>")},
	{name: "Atom feeds", isValid: true,
		write: fill(feedFront+"<entry>", inlined("Items", "<feed/>"), "</entry></feed>")},
	{name: "Atom items", isValid: true,
		write: fill(feedFront+`<entry><link rel="a/related/Items"><m:inline><feed>`, "<entry/>",
			"</feed></m:inline></link></entry></feed>")},
	{name: "Atom white space", isValid: true, write: fill(feedFront, " ", "</feed>")},
	{name: "Atom white space in a row", isValid: true, write: fill(feedFront+entryFront, " ", entryBack+"</feed>")},
	{name: "Atom text in a feed", isValid: true, write: fill(feedFront, "x", "</feed>")},
	{name: "Atom quotes", write: fill(feedFront+`<entry a="`, `'`, "")},
}

// nastySize is the size of each document in bytes. Each of 16 MiB takes less than 2 s.
const nastySize = 512 << 10

// A long document of each nasty kind takes time in proportion to its length: the format is called at most once for each
// piece and each repeated part, and rereads no more than that. -v shows the time of each.
func TestNastyDocumentsTakeLinearTime(t *testing.T) {
	schema := parseSchema(t, `ID Edm.Int32?
		Text Edm.String? target=geo/text
		Price Edm.Decimal?(15,2)
		Items many? {
			N Edm.Int32?
		}`)
	size := nastySize
	if testing.Short() {
		size /= 8
	}
	for _, nasty := range nastyDocuments {
		doc, parts := nasty.write(size)
		for _, piece := range []int{64 << 10, 1 << 10} {
			decoder := newDecoder(schema, doc)
			pieces := cuts{size: piece}.pieces(doc)
			out := &Output{}
			rows := 0
			failed := 0
			var err error
			start := time.Now()
			for i := 0; i < len(pieces) && err == nil; i++ {
				err = decoder.Write(pieces[i], i == len(pieces)-1, out)
				rows += len(out.Rows)
				failed += len(out.RowErrors)
				out.Reset()
			}
			duration := time.Since(start)
			t.Logf("%s in pieces of %d: %v, %d rows, %d failed, %.99v", nasty.name, piece, duration, rows, failed, err)
			steps := stepsOf(decoder)
			maxSteps := 2*len(pieces) + parts + 200
			assert.True(t, (err == nil) == nasty.isValid && steps <= maxSteps && duration <= 3*time.Second,
				"%s in pieces of %d: expected a valid page %t and at most %d steps, found %d in %v, %v", nasty.name,
				piece, nasty.isValid, maxSteps, steps, duration, err)
		}
	}
}

func stepsOf(d Decoder) int {
	if atom, ok := d.(*Atom); ok {
		return atom.steps
	}
	return d.(*JSON).steps
}

// Calls in a wrong order are errors.
func TestRejectsMisuse(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32")
	decoder := NewJSON(schema)
	out := &Output{}
	err := decoder.Write([]byte("[]"), true, out)
	require.True(t, err == nil && out.Page.Done, "expected the end of the page, found %v, %v", out.Page.Done, err)
	assert.True(t, decoder.Write([]byte("[]"), true, out) != nil, "expected a piece after the last to be rejected")
	decoder.Reset()
	err = decoder.Feed("nested page 1", nil, true, out)
	assert.True(t, err != nil, "expected a nested page without a request to be rejected")
	assert.True(t, decoder.Write([]byte("[]"), true, out) != nil, "expected a piece after an error to be rejected")
}

// Times without a time zone are in the column's zone, if it has one.
func TestLocalTimes(t *testing.T) {
	schema := parseSchema(t, "A Edm.DateTime\nB Edm.DateTimeOffset\nC Edm.DateTime date\nD Edm.DateTime")
	berlin, err := datetime.LoadZone("Europe/Berlin")
	require.NoError(t, err)
	schema.Columns[0].Zone = berlin
	schema.Columns[3].Zone = berlin
	doc := []byte(
		`[{"A":"2020-01-01T12:00:00","B":"2020-01-01T12:00:00Z","C":"2020-01-01","D":"2020-01-01T12:00:00Z"}]`)
	out, err := decodePieces(NewJSON(schema), doc, cuts{size: len(doc)}, nil)
	want := "0 value {A: 2020-01-01T11:00:00Z, B: 2020-01-01T12:00:00Z, C: 2020-01-01, D: 2020-01-01T12:00:00Z}\n"
	assert.Equal(t, want, describeAll(t, schema, out, err))
}

// A service that fails during a response reports it in the page, with a status of success. The page fails, and no
// missing value becomes null.
func TestErrorBetweenRowsFailsPage(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nName Edm.String?")
	const serviceError = `<m:error><m:code>X/1</m:code><m:message>dump</m:message></m:error>`
	entry := func(content string) string {
		return `<entry><content><m:properties><d:ID>1</d:ID>` + content + `</m:properties></content></entry>`
	}
	for doc, isFailure := range map[string]bool{
		`{"d":{"results":[{"ID":1}],"error":{"code":"X/1","message":{"value":"dump"}}}}`: true,
		`{"d":{"results":[{"ID":1}]},"error":{"code":"X/1"}}`:                            true,
		`{"error":{"code":"X/1"},"d":{"results":[{"ID":1}]}}`:                            true,
		`{"d":{"results":[{"ID":1}]},"odata.error":{"code":"X/1"}}`:                      true,
		`{"d":{"error":{"code":"X/1"},"results":[{"ID":1}]}}`:                            true,
		`{"d":{"results":[{"ID":1}],"error":null}}`:                                      false,
		feedFront + entry("") + serviceError + `</feed>`:                                 true,
		feedFront + entry("") + entry(serviceError) + `</feed>`:                          true,
		feedFront + strings.Repeat(entry(""), 20) + entry(serviceError) + `</feed>`:      true,
		feedFront + `<entry>` + serviceError + `</entry></feed>`:                         true,
		feedFront + entry(`<d:error/>`) + `</feed>`:                                      false,
	} {
		for _, size := range []int{1, 7, len(doc)} {
			_, err := decodePieces(newDecoder(schema, []byte(doc)), []byte(doc), cuts{size: size}, nil)
			var e *PageError
			if isFailure != errors.As(err, &e) || (isFailure && (!e.Failed || !strings.Contains(e.Found, "X/1"))) {
				t.Errorf("%s in pieces of %d: expected a failure %v, found %v", doc, size, isFailure, err)
			}
		}
	}
}

// A page whose link cannot be read is not the last one.
func TestLinksThatCannotBeRead(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many? {\n N Edm.Int32?\n}")
	entry := entryFront + "<d:ID>1</d:ID>" + entryBack
	nested := func(href string) string {
		feed := `<feed><link rel="next" href="` + href + `"/></feed>`
		return strings.Replace(entry, "<content", inlined("Items", feed)+"<content", 1)
	}
	for doc, problem := range map[string]string{
		`{"d":{"results":[{"ID":1}],"__next":"S?a=\x"}}`:                        "expected a link in __next",
		`{"d":{"results":[{"ID":1}],"__next":{"uri":"S"}}}`:                     "expected a link in __next",
		`{"d":{"__delta":["S"],"results":[{"ID":1}]}}`:                          "expected a link in __delta",
		`[{"ID":1,"Items":{"results":[],"__next":7}},{"ID":2}]`:                 "expected a link in __next",
		`{"d":{"results":[{"ID":1}],"__next":null}}`:                            "",
		`{"d":{"results":[{"ID":1}],"__next":""}}`:                              "",
		feedFront + entry + `<link rel="next" href="S?a=1&$filter=x"/></feed>`:  "expected a link in href",
		feedFront + entry + `<link rel="delta" href="S?a=1&$filter=x"/></feed>`: "expected a link in href",
		feedFront + nested("S?a=1&$filter=x") + "</feed>":                       "expected a link in href",
		feedFront + entry + `<link rel="self" href="S?a=1&$filter=x"/></feed>`:  "",
		feedFront + entry + `<link rel="next"/></feed>`:                         "",
	} {
		out, err := decodePieces(newDecoder(schema, []byte(doc)), []byte(doc), cuts{size: 7}, nil)
		found := fmt.Sprint(err)
		if err == nil && len(out.RowErrors) > 0 {
			found = out.RowErrors[0].Error.Message
		}
		assert.True(t, (problem != "" || found == "<nil>") && strings.Contains(found, problem),
			"%s: expected %q, found %s", doc, problem, found)
	}
}

// After the first d:element of a function result, another element is an error: the result is not read as a row too.
func TestElementsOfAFunctionResult(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32?")
	doc := `<d:Rows xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"><d:element><d:ID>1</d:ID></d:element>` +
		`<d:ID>2</d:ID></d:Rows>`
	out, err := decodePieces(NewAtom(schema), []byte(doc), cuts{size: len(doc)}, nil)
	assert.True(t, err != nil && len(out.Rows) == 1,
		"expected one row and an error, found %d and %v", len(out.Rows), err)
}

// A next link in a function result is an error: to follow it, the decoder would decode the result once more as an
// entry, which has no such properties, and its nullable columns would be null.
func TestFunctionResultWithNextLinkFails(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32?\nItems many? {\n N Edm.Int32?\n}")
	doc := `<d:Row xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">` +
		`<d:Items><feed><link rel="next" href="n"/></feed></d:Items></d:Row>`
	nested := map[string]string{"n": feedFront + "</feed>"}
	_, err := decodePieces(NewAtom(schema), []byte(doc), cuts{size: 7}, nested)
	const want = "expected a function result without next links, found one in Items: "
	assert.True(t, err != nil && strings.HasPrefix(err.Error(), want), "expected %q, found %v", want, err)
}

// The metadata of expanded feeds and pages are read in every notation.
func TestOddFeedsInJSON(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many {\n  N Edm.Int32\n}")
	for doc, want := range map[string]struct {
		rows   int
		faults int
		next   string
	}{
		`{"d":{"results":[{"ID":1,"Items":null}]}}`:                                      {rows: 1},
		`{"d":{"results":[{"ID":1,"Items":{"results":[{"N":1}],"results":[{"N":2}]}}]}}`: {faults: 1},
		`{"d":{"results":[{"ID":1,"Items":{"r\u0065sults":[{"N":1}]}}],"__ne\u0078t":"X?$skip=1"}}`: {
			rows: 1,
			next: "X?$skip=1",
		},
	} {
		out, err := decodePieces(NewJSON(schema), []byte(doc), cuts{size: len(doc)}, nil)
		assert.True(t, err == nil && len(out.Rows) == want.rows && len(out.RowErrors) == want.faults &&
			out.Page.Next.Href == want.next, "%s: expected %+v, found %d rows, %d faults, next link %q, %v", doc, want,
			len(out.Rows), len(out.RowErrors), out.Page.Next.Href, err)
	}
}

// Rows may have more unknown properties than a structure keeps, and entries more prefixes than there are structures.
func TestMoreNamesThanAreKept(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nName Edm.String?")
	for _, count := range []int{maxOthers - 1, maxOthers, maxOthers + 1, 2 * maxOthers} {
		var members strings.Builder
		for i := range count {
			fmt.Fprintf(&members, `"P%d":%d,`, i, i)
		}
		row := "{" + members.String() + `"ID":1,"Name":"x"}`
		doc := []byte("[" + row + "," + row + "," + row + "]")
		out, err := decodePieces(NewJSON(schema), doc, cuts{size: len(doc)}, nil)
		assert.True(t, err == nil && len(out.Rows) == 3 && len(out.Page.Unknown) == 100,
			"%d properties: expected 3 rows and 100 unknown properties, found %d, %d and %v", count, len(out.Rows),
			len(out.Page.Unknown), err)
	}
	var entries strings.Builder
	for i := range 2 * maxRoots {
		for range 2 {
			fmt.Fprintf(&entries, `<entry xmlns:p%[1]d="http://schemas.microsoft.com/ado/2007/08/dataservices"><content>`+
				`<m:properties><p%[1]d:ID>%[1]d</p%[1]d:ID><p%[1]d:Name>x</p%[1]d:Name></m:properties></content></entry>`, i)
		}
	}
	doc := []byte(feedFront + entries.String() + "</feed>")
	out, err := decodePieces(NewAtom(schema), doc, cuts{size: len(doc)}, nil)
	text := describeAll(t, schema, out, err)
	for i := range 2 * maxRoots {
		value := fmt.Sprintf(`value {ID: %d, Name: "x"}`, i)
		assert.True(t, err == nil && strings.Count(text, value) == 2, "expected %s twice, found %s", value, text)
	}
}

// The error of a row that is decoded from a copy of its text names the place in the page.
func TestPlaceOfErrorInNestedPage(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many? {\n N Edm.Int32?\n More many? {\n  N Edm.Int32?\n }\n}")
	feed := func(link string) string { return "<feed>" + link + "</feed>" }
	const broken = `<link rel="next" href="a&b"/>`
	doc := feedFront + withLinks(inlined("Items", feed(`<link rel="next" href="more"/>`)), "<d:ID>1</d:ID>") + "</feed>"
	page := feedFront + withLinks("", "<d:N>1</d:N>") + withLinks(inlined("More", feed(broken)), "") + "</feed>"
	_, err := decodePieces(NewAtom(schema), []byte(doc), cuts{size: 1 << 16}, map[string]string{"more": page})
	var e *PageError
	assert.True(t, errors.As(err, &e) && e.Byte == int64(strings.Index(page, broken)),
		"expected an error at byte %d of the nested page, found %v", strings.Index(page, broken), err)
}
