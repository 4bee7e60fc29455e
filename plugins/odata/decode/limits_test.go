package decode

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/zone"
)

const (
	feedFront  = `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">`
	entryFront = `<entry><content><m:properties>`
	entryBack  = `</m:properties></content></entry>`
)

func TestRejectsRowsOverTheLimit(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nText Edm.String?")
	long := strings.Repeat("x", 2*maxRow)
	for _, c := range []struct {
		d   Decoder
		doc string
	}{
		{NewJSON(schema), `{"d":{"results":[{"ID":1},{"ID":2,"Text":"` + long + `"}]}}`},
		{NewAtom(schema), feedFront + entryFront + "<d:ID>1</d:ID>" + entryBack + entryFront +
			"<d:ID>2</d:ID><d:Text>" + long + "</d:Text>" + entryBack + "</feed>"},
	} {
		out, err := decodePieces(c.d, []byte(c.doc), cuts{size: 64 << 10}, nil)
		var e *PageError
		if !errors.As(err, &e) || e.Row != 1 || !strings.Contains(e.Expected, strconv.Itoa(maxRow)+" bytes") ||
			len(out.Rows) != 1 {
			t.Errorf("expected one row, then the limit, found %d rows and %v", len(out.Rows), err)
		}
	}
}

// A row of 300 KB in pieces of one byte is not scanned again for each byte.
func TestSmallPiecesAreNotQuadratic(t *testing.T) {
	schema := parseSchema(t, "Text Edm.String?")
	long := strings.Repeat("x", 300_000)
	json := NewJSON(schema)
	if out, err := decodePieces(json, []byte(`{"d":[{"Text":"`+long+`"}]}`), cuts{size: 1}, nil); err != nil ||
		len(out.Rows) != 1 || json.steps > 3000 {
		t.Errorf("JSON: %d rows, %d tries, %v", len(out.Rows), json.steps, err)
	}
	atom := NewAtom(schema)
	doc := feedFront + entryFront + "<d:Text>" + long + "</d:Text>" + entryBack + "</feed>"
	if out, err := decodePieces(atom, []byte(doc), cuts{size: 1}, nil); err != nil || len(out.Rows) != 1 ||
		atom.steps > 3000 {
		t.Errorf("Atom: %d rows, %d tries, %v", len(out.Rows), atom.steps, err)
	}
}

func TestRejectsMisuse(t *testing.T) {
	l := parseSchema(t, "ID Edm.Int32")
	decoder := NewJSON(l)
	out := &Output{}
	if err := decoder.Write([]byte("[]"), true, out); err != nil || !out.Page.Done {
		t.Fatalf("done %v, %v", out.Page.Done, err)
	}
	if err := decoder.Write([]byte("[]"), true, out); err == nil {
		t.Error("expected a piece after the last to be rejected")
	}
	decoder.Reset()
	if err := decoder.Feed("nested page 1", nil, true, out); err == nil {
		t.Error("expected a nested page without a request to be rejected")
	}
	if err := decoder.Write([]byte("[]"), true, out); err == nil {
		t.Error("expected a piece after an error to be rejected")
	}
}

func TestLocalTimes(t *testing.T) {
	schema := parseSchema(t, "A Edm.DateTime\nB Edm.DateTimeOffset\nC Edm.DateTime date\nD Edm.DateTime")
	berlin, err := zone.Load("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	schema.Columns[0].Zone, schema.Columns[3].Zone = berlin, berlin
	doc := []byte(
		`[{"A":"2020-01-01T12:00:00","B":"2020-01-01T12:00:00Z","C":"2020-01-01","D":"2020-01-01T12:00:00Z"}]`)
	out, err := decodePieces(NewJSON(schema), doc, cuts{size: len(doc)}, nil)
	want := "0 value {A: 2020-01-01T11:00:00Z, B: 2020-01-01T12:00:00Z, C: 2020-01-01, D: 2020-01-01T12:00:00Z}\n"
	if got := describeAll(t, schema, out, err); got != want {
		t.Errorf("expected %s, found %s", want, got)
	}
}

// A service that fails during a response reports it in the page, with a status of success. The page fails, and no
// missing value becomes null.
func TestErrorBetweenRowsFailsPage(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nName Edm.String?")
	const failed = `<m:error><m:code>X/1</m:code><m:message>dump</m:message></m:error>`
	entry := func(inside string) string {
		return `<entry><content><m:properties><d:ID>1</d:ID>` + inside + `</m:properties></content></entry>`
	}
	for doc, fails := range map[string]bool{
		`{"d":{"results":[{"ID":1}],"error":{"code":"X/1","message":{"value":"dump"}}}}`: true,
		`{"d":{"results":[{"ID":1}]},"error":{"code":"X/1"}}`:                            true,
		`{"error":{"code":"X/1"},"d":{"results":[{"ID":1}]}}`:                            true,
		`{"d":{"error":{"code":"X/1"},"results":[{"ID":1}]}}`:                            true,
		`{"d":{"results":[{"ID":1}],"error":null}}`:                                      false,
		feedFront + entry("") + failed + `</feed>`:                                       true,
		feedFront + entry("") + entry(failed) + `</feed>`:                                true,
		feedFront + strings.Repeat(entry(""), 20) + entry(failed) + `</feed>`:            true,
		feedFront + `<entry>` + failed + `</entry></feed>`:                               true,
		feedFront + entry(`<d:error/>`) + `</feed>`:                                      false,
	} {
		for _, size := range []int{1, 7, len(doc)} {
			_, err := decodePieces(newDecoder(schema, []byte(doc)), []byte(doc), cuts{size: size}, nil)
			var e *PageError
			if fails != errors.As(err, &e) || fails && (!e.Failed || !strings.Contains(e.Found, "X/1")) {
				t.Errorf("%s in pieces of %d: expected a failure %v, found %v", doc, size, fails, err)
			}
		}
	}
}

// The metadata of expanded feeds and pages are read in every notation.
func TestOddFeedsInJSON(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many {\n  N Edm.Int32\n}")
	for doc, want := range map[string]struct {
		rows, faults int
		next         string
	}{
		`{"d":{"results":[{"ID":1,"Items":null}]}}`:                                      {1, 0, ""},
		`{"d":{"results":[{"ID":1,"Items":{"results":[{"N":1}],"results":[{"N":2}]}}]}}`: {0, 1, ""},
		`{"d":{"results":[{"ID":1,"Items":{"r\u0065sults":[{"N":1}]}}],"__ne\u0078t":"X?$skip=1"}}`: {1, 0,
			"X?$skip=1"},
	} {
		out, err := decodePieces(NewJSON(schema), []byte(doc), cuts{size: len(doc)}, nil)
		if err != nil || len(out.Rows) != want.rows || len(out.RowErrors) != want.faults ||
			out.Page.Next.Href != want.next {
			t.Errorf("%s: expected %+v, found %d rows, %d faults, next link %q, %v", doc, want, len(out.Rows),
				len(out.RowErrors), out.Page.Next.Href, err)
		}
	}
}
