package decode

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// The host can have the row that a byte belongs to skipped before it passes that byte. The row becomes an error with
// its document, and all other rows are decoded as usual. Rows whose text is complete are decoded before.
func TestSkipsRowOnRequest(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nName Edm.String?")
	json := func(i int) string { return fmt.Sprintf(`{"ID":%d,"Name":"n%d"}`, i, i) }
	entry := func(i int) string {
		return fmt.Sprintf(`<entry><content type="application/xml"><m:properties><d:ID m:type="Edm.Int32">%d</d:ID>`+
			`<d:Name>n%d</d:Name></m:properties></content></entry>`, i, i)
	}
	const rows = 12
	for name, test := range map[string]struct {
		head    string
		between string
		tail    string
		row     func(int) string
	}{
		"json": {`{"d":{"results":[`, ",", `],"__next":"n"}}`, json},
		"atom": {`<feed xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" ` +
			`xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">`, "\n",
			`<link rel="next" href="n"/></feed>`, entry},
	} {
		doc := test.head
		starts := []int{}
		for i := range rows {
			if i > 0 {
				doc += test.between
			}
			starts = append(starts, len(doc))
			doc += test.row(i)
		}
		doc += test.tail
		whole, err := decodePieces(newDecoder(schema, []byte(doc)), []byte(doc), cuts{size: len(doc) + 1}, nil)
		require.True(t, err == nil && len(whole.Rows) == rows, "%v %v", name, err)
		for _, skipped := range []int{0, 5, rows - 1} {
			for at := starts[skipped] + 1; at < starts[skipped]+len(test.row(skipped)); at++ {
				d := newDecoder(schema, []byte(doc))
				out := &Output{}
				steps := []struct{ tag, piece string }{{"", doc[:at]}, {wit.TagComplete, ""}, {wit.TagSkipRow, ""},
					{"", doc[at:]}}
				for i, s := range steps {
					err := d.Feed(s.tag, []byte(s.piece), i == len(steps)-1, out)
					require.NoError(t, err, name, "row", skipped, "skipped at byte", at)
					if n := len(out.Rows); i > 0 && i < len(steps)-1 && n != skipped {
						t.Fatalf("%s: expected %d rows before byte %d, found %d", name, skipped, at, n)
					}
				}
				require.True(t, len(out.Rows) == rows-1 && len(out.RowErrors) == 1 &&
					out.RowErrors[0].RowIndex == uint32(skipped) && out.Page.Done && out.Page.Next.Href == "n" &&
					out.Page.Rows == rows, "%s: row %d left out at byte %d: %d rows, faults %+v, page %+v", name,
					skipped, at, len(out.Rows), out.RowErrors, out.Page)
				for i, r := range out.Rows {
					if i >= skipped {
						i++
					}
					w := whole.Rows[i]
					found := out.Data[r.Value.Start:][:r.Value.Size]
					want := whole.Data[w.Value.Start:][:w.Value.Size]
					require.True(t, r.RowIndex == uint32(i) && bytes.Equal(found, want),
						"%s: row %d skipped at byte %d: row %d differs", name, skipped, at, i)
				}
				raw := string(out.Data[out.RowErrors[0].RawStart:][:out.RowErrors[0].RawSize])
				again, err := decodePieces(newDecoder(schema, []byte(raw)), []byte(raw), cuts{size: len(raw) + 1}, nil)
				if err != nil || len(again.Rows) != 1 || !strings.Contains(raw, fmt.Sprintf("n%d", skipped)) {
					t.Fatalf("%s: the document of the skipped row: %q, %v", name, raw, err)
				}
			}
		}
	}
}

// The row after a deleted entry that is skipped is a row.
func TestSkipsDeletedEntry(t *testing.T) {
	d := NewJSON(parseSchema(t, "ID Edm.Int32 key"))
	out := &Output{}
	for _, s := range []struct{ tag, piece string }{
		{"", `{"d":{"results":[{"@odata.context":"x/$deletedEntity","id":"x"`}, {wit.TagSkipRow, ""},
		{"", `},{"ID":7}]}}`}} {
		require.NoError(t, d.Feed(s.tag, []byte(s.piece), strings.HasSuffix(s.piece, "}}"), out))
	}
	assert.True(t, len(out.Rows) == 1 && len(out.RowErrors) == 1 && len(out.Tombstones) == 0,
		"expected a row and a failed one, found %+v", out)
}

// A row that waits for a further page of an expanded feed can be skipped, and the rows after it are read.
func TestSkipsRowThatWaits(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many? {\n N Edm.Int32?\n}")
	item := withLinks("", "<d:N>1</d:N>")
	row := withLinks(inlined("Items", `<feed>`+item+`<link rel="next" href="more"/></feed>`), "<d:ID>1</d:ID>")
	for name, test := range map[string]struct{ doc, page string }{
		"json": {`{"d":{"results":[{"ID":1,"Items":{"results":[{"N":1}],"__next":"more"}},{"ID":2}]}}`,
			`{"d":{"results":[{"N":2}]}}`},
		"atom": {feedFront + row + withLinks("", "<d:ID>2</d:ID>") + "</feed>", feedFront + item + "</feed>"},
	} {
		d := newDecoder(schema, []byte(test.doc))
		out := &Output{}
		for i, s := range []struct{ tag, piece string }{{"", test.doc}, {wit.TagSkipRow, ""},
			{"nested page 1", test.page}} {
			require.NoError(t, d.Feed(s.tag, []byte(s.piece), i != 1, out), name, "step", i)
		}
		assert.True(t, len(out.Rows) == 1 && len(out.RowErrors) == 1 && out.Page.Done,
			"%s: expected a row, a failed one and the end of the page, found %+v", name, out)
	}
}

// Rows of an expanded feed without keys may be equal, also after a feed with keys in the same row.
func TestNestedRowsWithoutKey(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nA many? {\n N Edm.Int32 key\n}\nB many? {\n N Edm.Int32?\n}")
	feed := func(name, next string, entries ...string) string {
		return inlined(name, `<feed>`+strings.Join(entries, "")+`<link rel="next" href="`+next+`"/></feed>`)
	}
	entry := func(n string) string { return withLinks("", "<d:N>"+n+"</d:N>") }
	for name, c := range map[string]struct {
		page  string
		pages map[string]string
	}{
		"json": {`{"d":{"results":[{"ID":1,"A":{"results":[{"N":1}],"__next":"a"},` +
			`"B":{"results":[{"N":1},{"N":1}],"__next":"b"}}]}}`,
			map[string]string{"a": `{"d":{"results":[{"N":2}]}}`, "b": `{"d":{"results":[{"N":1}]}}`}},
		"atom": {feedFront + withLinks(feed("A", "a", entry("1"))+feed("B", "b", entry("1"), entry("1")),
			"<d:ID>1</d:ID>") + "</feed>",
			map[string]string{"a": feedFront + entry("2") + "</feed>", "b": feedFront + entry("1") + "</feed>"}},
	} {
		page := []byte(c.page)
		out, err := decodePieces(newDecoder(schema, page), page, cuts{size: len(page)}, c.pages)
		assert.True(t, err == nil && len(out.Rows) == 1 && len(out.RowErrors) == 0,
			"%s: expected a row, found %+v, %v", name, out, err)
	}
}
