package decode

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// newDecoder returns the decoder for a document, chosen by its first byte that is not a blank.
func newDecoder(l *RowSchema, doc []byte) Decoder {
	if isMarkup(doc) {
		return NewAtom(l)
	}
	return NewJSON(l)
}

func isMarkup(doc []byte) bool {
	doc = bytes.TrimLeft(bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(doc) > 0 && doc[0] == '<'
}

// cuts specifies how a document is passed: in pieces of a size, or in two pieces.
type cuts struct{ size, at int }

func (c cuts) pieces(doc []byte) [][]byte {
	if c.size <= 0 {
		return [][]byte{doc[:c.at], doc[c.at:]}
	}
	var all [][]byte
	for len(doc) > c.size {
		all = append(all, doc[:c.size])
		doc = doc[c.size:]
	}
	return append(all, doc)
}

// decodePieces decodes a document. nested contains the responses to links in it.
func decodePieces(decoder Decoder, doc []byte, c cuts, nested map[string]string) (*Output, error) {
	out := &Output{}
	for i, pieces := 0, c.pieces(doc); i < len(pieces); i++ {
		// the decoder must not retain the piece
		piece := bytes.Clone(pieces[i])
		err := decoder.Write(piece, i == len(pieces)-1, out)
		clear(piece)
		if err != nil {
			return out, err
		}
		for len(out.NestedPages) > 0 {
			request := out.NestedPages[0]
			out.NestedPages = out.NestedPages[:0]
			answer, ok := nested[request.Link.Href]
			if !ok {
				return out, fmt.Errorf("the response to the nested link %q is missing", request.Link.Href)
			}
			for j, parts := 0, c.nestedDecoder().pieces([]byte(answer)); j < len(parts); j++ {
				if err := decoder.Feed(request.Tag, parts[j], j == len(parts)-1, out); err != nil {
					return out, err
				}
			}
		}
	}
	if !out.Page.Done {
		return out, fmt.Errorf("the page is incomplete")
	}
	return out, nil
}

// nestedDecoder cuts nested pages into pieces too, if possible.
func (c cuts) nestedDecoder() cuts {
	if c.size <= 0 {
		return cuts{}
	}
	return c
}

// describeAll returns the whole result for a document as text.
func describeAll(t testing.TB, l *RowSchema, o *Output, err error) string {
	if err != nil {
		return render(t, l, o) + "error " + err.Error() + "\n"
	}
	return render(t, l, o) + renderPage(o.Page)
}

// eachCut decodes a document in pieces of all tested sizes, and, if it is short, in two pieces cut at every byte.
func eachCut(t *testing.T, schema *RowSchema, doc []byte, nested map[string]string, want string) {
	t.Helper()
	eachCutWith(t, newDecoder(schema, doc), schema, doc, nested, want)
}

func eachCutWith(t *testing.T, decoder Decoder, schema *RowSchema, doc []byte, nested map[string]string, want string) {
	t.Helper()
	whole, wholeErr := decodePieces(decoder, doc, cuts{size: len(doc) + 1}, nested)
	if got := describeAll(t, schema, whole, wholeErr); got != want {
		t.Fatalf("decoded again whole:\ngot  %s\nwant %s", excerpt(got, want), excerpt(want, got))
	}
	check := func(c cuts) bool {
		decoder.Reset()
		out, err := decodePieces(decoder, doc, c, nested)
		if !same(whole, out) || fmt.Sprint(wholeErr) != fmt.Sprint(err) {
			got := describeAll(t, schema, out, err)
			t.Errorf("cut %+v:\ngot  %s\nwant %s", c, excerpt(got, want), excerpt(want, got))
			return false
		}
		return true
	}
	sizes := []int{127, 1023, 4096, 65536, len(doc) + 1}
	for n := 1; n <= 64; n++ {
		sizes = append(sizes, n)
	}
	for _, size := range sizes {
		if !check(cuts{size: size}) {
			return
		}
	}
	if len(doc) > 30<<10 || testing.Short() {
		return
	}
	for at := 0; at <= len(doc); at++ {
		if !check(cuts{at: at}) {
			return
		}
	}
}

// same reports whether two outputs are byte for byte equal.
func same(a, b *Output) bool {
	return bytes.Equal(a.Data, b.Data) && slices.Equal(a.Rows, b.Rows) && slices.Equal(a.Tracked, b.Tracked) &&
		reflect.DeepEqual(a.Tombstones, b.Tombstones) &&
		slices.Equal(a.Links, b.Links) && slices.Equal(a.Partial, b.Partial) &&
		a.Page.LongNumber == b.Page.LongNumber && reflect.DeepEqual(a.RowErrors, b.RowErrors) &&
		a.Page.Next == b.Page.Next && a.Page.Delta == b.Page.Delta &&
		a.Page.Count == b.Page.Count && a.Page.Rows == b.Page.Rows &&
		slices.Equal(a.Page.Unknown, b.Page.Unknown)
}

// excerpt returns the part of a that differs from b.
func excerpt(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	i = max(strings.LastIndexByte(a[:i], '\n')+1, 0)
	return a[i:min(len(a), i+600)]
}
