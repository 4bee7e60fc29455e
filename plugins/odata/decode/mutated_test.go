package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/culvert-project/culvert/internal/base/require"
)

// corpus is a source of pages, most of them invalid: documents, or rows in a page, of which parts are cut, repeated,
// moved or replaced.
type corpus struct {
	schema  *RowSchema
	markup  bool
	front   string // of a page of rows
	back    string
	regular string
	rows    []string // odd ones
	// document is a page without rows of the corpus.
	document string
	answers  []string // to requests for nested pages
}

// corpora returns the golden documents, and pages of odd and regular rows.
func corpora(t testing.TB) (all []*corpus) {
	files, _ := filepath.Glob(filepath.Join(testdata, "decode", "*.txt"))
	for _, file := range files {
		g := readGolden(t, file)
		c := &corpus{schema: parseSchema(t, g.layout), document: g.doc, markup: isMarkup([]byte(g.doc))}
		for _, link := range slices.Sorted(maps.Keys(g.nested)) {
			c.answers = append(c.answers, g.nested[link])
		}
		all = append(all, c)
	}
	odd := parseSchema(t, oddSchema)
	nested := parseSchema(t, nestedSchema)
	const jsonFront = `{"d":{"results":[`
	pages := []*corpus{
		{schema: odd, front: jsonFront, back: `],"__next":"n"}}`, rows: oddJSON, regular: regularJSON},
		{schema: nested, front: jsonFront, back: `]}}`, rows: oddNested, regular: nestedJSON},
		{schema: odd, markup: true, front: feedFront, back: `<link rel="next" href="n"/></feed>`, rows: oddAtom(),
			regular: oddEntry(regularProperties)},
		{schema: nested, markup: true, front: feedFront, back: `</feed>`, rows: oddNestedAtom(),
			regular: nestedEntry},
	}
	all = append(all, slices.Repeat(pages, 4)...)
	for _, c := range all {
		switch {
		case len(c.answers) > 0:
			continue
		case c.markup:
			c.answers = []string{`<feed xmlns="http://www.w3.org/2005/Atom"/>`}
		default:
			c.answers = []string{`[]`, `{"d":{"results":[{"Pos":7,"Sub":[]}]}}`, `[{"ID":5},{"ID":6}]`, `{`,
				`{"d":{"results":[{"Pos":1},{"Pos":8}],"__next":"n9"}}`, `[{"Pos":7,"Sub":[]}]`, `[{"Pos":7},{"Pos":7}]`}
		}
	}
	return all
}

var jsonTokens = []string{`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, ` `, "\n", `null`, `true`, `1`, `-`, `0`, `.5`, `e1`,
	`"ID"`, `"ID":3,`, `"results":`, `"__next":"n9",`, `{"__deferred":{"uri":"x"}}`, `\u00e4`, `\ud83d\ude00`, "\xff",
	"\x00", "\x01", `"Str":"x",`, `"Items":[],`, `"Pos":3`, `[]`, `{}`, `"@odata.context":"x/$deletedEntity",`,
	`"error":{"code":"x"},`, `"\/Date(1)\/"`, `12345678901234567890`}

var atomTokens = []string{`<`, `>`, `/`, `&`, `&amp;`, `&#x41;`, `"`, `'`, `=`, ` `, "\n", `<!-- c -->`,
	`<![CDATA[x]]>`, `<?pi x?>`, `<d:ID>3</d:ID>`, `<d:Str m:null="true"/>`, `<d:Str/>`, ` m:null="true"`,
	` xmlns:d="other"`, ` xmlns="http://www.w3.org/2005/Atom"`, ` xml:base="b"`, `</m:properties>`, `<m:properties>`,
	`<content>`, `</content>`, `<entry>`, `</entry>`, `<m:error>x</m:error>`,
	`<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items"/>`, "\xff", "\x00", "\x01",
	`<x><y/></x>`, `<d:Unknown>1</d:Unknown>`, `</d:Str>`, ` m:type="Edm.String"`,
	`<e:ID xmlns:e="http://schemas.microsoft.com/ado/2007/08/dataservices">4</e:ID>`,
	`<d:Address><d:Street>s</d:Street></d:Address>`}

// page returns a page that the random numbers select. Every sixth is as the corpus has it.
func (c *corpus) page(r *rand.Rand) []byte {
	b := []byte(c.document)
	if len(c.rows) > 0 {
		maxRows := 7
		if r.IntN(8) == 0 {
			maxRows = 90
		}
		var rows []string
		for range 1 + r.IntN(maxRows) {
			row := c.regular
			if i := r.IntN(4 * len(c.rows) / 3); i < len(c.rows) {
				row = c.rows[i]
			}
			rows = append(rows, row)
		}
		separator := ""
		if !c.markup {
			separator = ","
		}
		if r.IntN(4) == 0 {
			separator += "\n "
		}
		b = []byte(c.front + strings.Join(rows, separator) + c.back)
	}
	if r.IntN(6) == 0 {
		return b
	}
	for n := 1 + r.IntN(3); n > 0 && len(b) > 3; n-- {
		b = c.mutate(r, b)
	}
	return b
}

func (c *corpus) decoder() Decoder {
	if c.markup {
		return NewAtom(c.schema)
	}
	return NewJSON(c.schema)
}

func (c *corpus) mutate(r *rand.Rand, b []byte) []byte {
	tokens := jsonTokens
	if c.markup {
		tokens = atomTokens
	}
	i := r.IntN(len(b))
	part := slices.Clone(b[i:min(len(b), i+r.IntN(60))])
	switch r.IntN(8) {
	case 0:
		return b[:i]
	case 1:
		b[i] = byte(r.IntN(256))
		return b
	case 2:
		return slices.Delete(b, i, min(len(b), i+1+r.IntN(20)))
	case 3:
		return slices.Insert(b, r.IntN(len(b)), part...)
	case 4:
		if b = slices.Delete(b, i, i+len(part)); len(b) == 0 {
			return b
		}
		return slices.Insert(b, r.IntN(len(b)), part...)
	}
	return slices.Insert(b, i, []byte(tokens[r.IntN(len(tokens))])...)
}

// decodeAnswering decodes a document and responds to each nested link with the answer that its number selects.
func decodeAnswering(decoder Decoder, doc []byte, c cuts, nested []string) (*Output, []NestedPageRequest, error) {
	out := &Output{}
	var requests []NestedPageRequest
	pieces := c.pieces(doc)
	for i, piece := range pieces {
		err := decoder.Write(bytes.Clone(piece), i == len(pieces)-1, out)
		for err == nil && len(out.NestedPages) > 0 {
			request := out.NestedPages[0]
			out.NestedPages = out.NestedPages[:0]
			f2 := request
			f2.Tag = ""
			requests = append(requests, f2)
			answer := []byte(nested[(len(requests)+len(doc))%len(nested)])
			parts := cuts{size: max(c.size, 1)}.pieces(answer)
			for j, part := range parts {
				if err = decoder.Feed(request.Tag, part, j == len(parts)-1, out); err != nil {
					break
				}
			}
		}
		if err != nil {
			return out, requests, err
		}
	}
	return out, requests, nil
}

// pageDigests holds a digest of 32 bits for each page of eachPage: what the decoder before this one returned.
var pageDigests = filepath.Join(testdata, "decode", "pages.digests")

// eachPage calls visit for pages with each odd row alone, after and between regular rows, then for pages of the
// corpora, until it has seen so many invalid ones.
func eachPage(t testing.TB, invalid int, visit func(c *corpus, doc []byte) (isValid bool)) {
	sources := corpora(t)
	for _, c := range sources {
		separator := ","
		if c.markup {
			separator = ""
		}
		for _, odd := range c.rows {
			for _, rows := range [][]string{{odd}, {c.regular, c.regular, odd, odd, c.regular, c.regular, odd},
				{odd, odd, c.regular, "\n " + c.regular, odd}} {
				visit(c, []byte(c.front+strings.Join(rows, separator)+c.back))
			}
		}
	}
	for n := uint64(0); invalid > 0; n++ {
		r := rand.New(rand.NewPCG(0, n))
		c := sources[r.IntN(len(sources))]
		if !visit(c, c.page(r)) {
			invalid--
		}
	}
}

// resultDigest hashes rows, row errors, requests for nested pages and the page's error.
func resultDigest(out *Output, requests []NestedPageRequest, err error) uint32 {
	h := fnv.New32a()
	type tombstone struct {
		rowIndex uint32
		ref      string
		when     int64
		timed    bool
	}
	var tombstones []tombstone // with the fields that v2 has
	for _, t := range out.Tombstones {
		tombstones = append(tombstones, tombstone{t.RowIndex, t.Ref, t.When, t.Timed})
	}
	fmt.Fprint(h, out.Rows, out.Data, tombstones, out.Tracked, requests, err, out.Page.Rows, out.Page.Next,
		out.Page.Delta, out.Page.Count)
	for _, e := range out.RowErrors {
		fmt.Fprint(h, e.RowIndex, e.Error.Message, e.RawStart, e.RawSize)
	}
	return h.Sum32()
}

// Pages have the rows and the errors that an earlier decoder returned (see pageDigests), in pieces of any size. Pages
// with a link that cannot be read are exempt: the earlier decoder ignored the link, or used a part of it. So are texts.
func TestPagesAreAsBefore(t *testing.T) {
	want, err := os.ReadFile(pageDigests)
	require.NoError(t, err)
	invalid := 20_000
	if testing.Short() {
		invalid = 150
	}
	n := 0
	eachPage(t, invalid, func(c *corpus, doc []byte) (isValid bool) {
		out, requests, err := decodeAnswering(c.decoder(), doc, cuts{size: len(doc) + 1}, c.answers)
		isLinkRefused := strings.Contains(fmt.Sprint(err, out.RowErrors), "expected a link in ")
		got := resultDigest(out, requests, err)
		// The error describes a text, or HTML that follows it.
		isText := err != nil && strings.IndexFunc(strings.TrimSpace(string(doc)), unicode.IsLetter) == 0
		isText = isText || strings.Contains(fmt.Sprint(err), "found text: ")
		if got != binary.LittleEndian.Uint32(want[4*n:]) && !isLinkRefused && !isText {
			t.Fatalf("page %d has another result: %v\n%s%q", n, err, render(t, c.schema, out), doc)
		}
		size := []int{1, 7, 64, 4096}[n%4]
		pieces, _, piecesErr := decodeAnswering(c.decoder(), doc, cuts{size: size}, c.answers)
		if !failedByService(err) && !failedByService(piecesErr) && !utf16(doc) &&
			(!same(out, pieces) || fmt.Sprint(err) != fmt.Sprint(piecesErr)) {
			t.Fatalf("page %d in pieces of %d: expected %v\n%s, found %v\n%s%q", n, size, err,
				render(t, c.schema, out), piecesErr, render(t, c.schema, pieces), doc)
		}
		n++
		return err == nil && len(out.RowErrors) == 0
	})
}

// failedByService reports whether a page failed because of the service's error among rows. What is read before it
// depends on the pieces.
func failedByService(err error) bool {
	var failure *PageError
	return errors.As(err, &failure) && failure.Failed
}
