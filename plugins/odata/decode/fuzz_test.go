package decode

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

const fuzzSchema = `
ID Edm.Int32 key
Str Edm.String?
Dec Edm.Decimal?(15,3) half_even
At Edm.DateTime?
Off Edm.DateTimeOffset?
Dbl Edm.Double?
I64 Edm.Int64?
Bin Edm.Binary?
Guid Edm.Guid?
Time Edm.Time?
Title Edm.String? target=SyndicationTitle
Address complex? {
  Street Edm.String?
}
Items many? {
  Pos Edm.Int32
  Sub one? {
    N Edm.Boolean?
  }
}
`

// The decoder of JSON never panics, the result does not depend on how the document is cut, and the raw row of an error
// is a document with the same error.
func FuzzJSON(f *testing.F) {
	const isXML = false
	addSeeds(f, isXML)
	f.Fuzz(func(t *testing.T, doc []byte, cut uint16) {
		checkCuts(t, fuzzSchema, doc, cut, func(schema *RowSchema) Decoder { return NewJSON(schema) })
	})
}

// FuzzAtom is FuzzJSON for Atom.
func FuzzAtom(f *testing.F) {
	const isXML = true
	addSeeds(f, isXML)
	f.Fuzz(func(t *testing.T, doc []byte, cut uint16) {
		checkCuts(t, fuzzSchema, doc, cut, func(schema *RowSchema) Decoder { return NewAtom(schema) })
	})
}

// addSeeds adds the documents of the other tests in one format.
func addSeeds(f *testing.F, isXML bool) {
	f.Add([]byte("0\x0000"), uint16(1)) // UTF-16, which its first byte does not show
	for _, c := range corpora(f) {
		for _, row := range c.rows {
			if c.markup == isXML && len(row) < 4096 {
				f.Add([]byte(c.front+row+c.regular+c.back), uint16(len(row)))
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(testdata, "decode", "*.txt"))
	for _, file := range files {
		if doc := []byte(readGolden(f, file).doc); isMarkup(doc) == isXML {
			f.Add(doc, uint16(len(doc)/2))
		}
	}
	files, _ = filepath.Glob(filepath.Join(testdata, "samples", "*", "*"))
	for _, file := range files {
		if doc, _ := os.ReadFile(file); len(doc) < 4096 && isMarkup(doc) == isXML {
			f.Add(doc, uint16(100))
		}
	}
}

// checkCuts decodes a document whole, in two pieces and in small pieces, and the raw rows of its errors.
func checkCuts(t *testing.T, layout string, doc []byte, cut uint16, newDecoder func(*RowSchema) Decoder) {
	schema := parseSchema(t, layout)
	whole, err := decodeWith(newDecoder(schema), doc, cuts{size: len(doc) + 1})
	want := describeAll(t, schema, whole, err)
	for _, c := range []cuts{{at: int(cut) % (len(doc) + 1)}, {size: 1 + int(cut)%97}} {
		out, err := decodeWith(newDecoder(schema), doc, c)
		if got := describeAll(t, schema, out, err); got != want {
			t.Fatalf("cut %+v:\ngot  %s\nwant %s", c, excerpt(got, want), excerpt(want, got))
		}
	}
	if err != nil {
		return
	}
	for _, rowError := range whole.RowErrors {
		raw := whole.Data[rowError.RawStart : rowError.RawStart+rowError.RawSize]
		out, err := decodeWith(newDecoder(schema), raw, cuts{size: len(raw) + 1})
		require.True(t, err == nil && len(out.RowErrors) == 1 &&
			cause(out.RowErrors[0].Error.Message) == cause(rowError.Error.Message),
			"raw row %q: expected the error %q again, found %v and %v", raw, rowError.Error.Message, out.RowErrors, err)
	}
}

// cause returns an error's message without the position.
func cause(message string) string { s, _, _ := strings.Cut(message, " (row "); return s }

// decodeWith decodes a document in pieces. Each nested link leads to an empty page.
func decodeWith(decoder Decoder, doc []byte, c cuts) (*Output, error) {
	empty := `[]`
	if _, ok := decoder.(*Atom); ok {
		empty = `<feed xmlns="http://www.w3.org/2005/Atom"/>`
	}
	out := &Output{}
	pieces := c.pieces(doc)
	for i, piece := range pieces {
		err := decoder.Write(piece, i == len(pieces)-1, out)
		for err == nil && len(out.NestedPages) > 0 {
			tag := out.NestedPages[0].Tag
			out.NestedPages = out.NestedPages[:0]
			err = decoder.Feed(tag, []byte(empty), true, out)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// The decoder converts every text of every type as the second reader does.
func FuzzValue(f *testing.F) {
	for _, text := range []string{
		"1", "-1.50", "1e3", "/Date(0+60)/", "2016-02-29T12:34:56.789+01:30", "PT1H2M3.4S", "AA==", "true", "INF",
		"01234567-89ab-cdef-0123-456789abcdef", "0001-01-01", "12345678901234567890.5",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) == 0 || len(text) > 300 || strings.ToValidUTF8(string(text), "") != string(text) {
			return
		}
		for e := edm.Binary; e <= edm.Time; e++ {
			column := Column{Name: "P", Type: e, Scale: 2}
			if column.Type == edm.Decimal && (len(text) > 60 || !hasSmallExponent(string(text))) {
				continue // the decoder rejects exponents over 400, the second reader does not
			}
			if column.Type == edm.Binary {
				continue // FuzzBase64 checks padding
			}
			schema := &RowSchema{Columns: []Column{column}, ValueColumns: 1}
			got, err := AppendText(nil, schema, &column, text)
			want, wantErr := refPrimitive(&column, string(text))
			require.True(t, (err == nil) == (wantErr == nil) && (err != nil || string(got) == string(want)),
				"%s %q: expected %x, %v; found %x, %v", column.Type, text, want, wantErr, got, err)
		}
	})
}

// hasSmallExponent reports whether a number has no exponent, or one of two characters.
func hasSmallExponent(s string) bool {
	i := strings.IndexAny(s, "eE")
	return i < 0 || len(s)-i <= 3
}

// The decoder accepts what encoding/base64 accepts with or without padding, in both alphabets and with blanks.
func FuzzBase64(f *testing.F) {
	for _, text := range []string{
		"", "A", "AA", "AA==", "AAA=", "AAAA", "AA=", "A===", "-_8", "+/8=", " A A\n= = ", "AA==AA", "=", "AAAA==",
		"AAA==",
	} {
		f.Add([]byte(text))
	}
	replace := strings.NewReplacer("-", "+", "_", "/", " ", "", "\t", "", "\r", "", "\n", "")
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := new(values).appendBase64(nil, text)
		standard := replace.Replace(string(text))
		encoding := base64.StdEncoding
		if !strings.HasSuffix(standard, "=") {
			encoding = base64.RawStdEncoding
		}
		want, err := encoding.DecodeString(standard)
		require.True(t, ok == (err == nil) && (!ok || bytes.Equal(got, want)),
			"%q: expected %x, %v, found %x, %v", text, want, err, got, ok)
	})
}
