package decode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// goldenJSON4 is the folder of golden files of OData v4. Their first line has the options of the decoder.
var goldenJSON4 = filepath.Join(testdata, "decode", "json4", "*.txt")

// readGolden4 returns a golden file of OData v4, its schema and its options.
func readGolden4(t testing.TB, file string) (goldenCase, *RowSchema, JSON4Options) {
	g := readGolden(t, file)
	words, layout, _ := strings.Cut(g.layout, "\n")
	options := JSON4Options{Exact: strings.Contains(words, "exact"), Partial: strings.Contains(words, "partial")}
	return g, parseSchema(t, layout), options
}

// Pages of OData v4 have the rows in the golden files, in pieces of any size.
func TestGoldenJSON4(t *testing.T) {
	files, _ := filepath.Glob(goldenJSON4)
	require.AtLeast(t, 15, len(files), "golden files")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			g, schema, options := readGolden4(t, file)
			doc := []byte(g.doc)
			decoder := NewJSON4(schema, options)
			out, err := decodePieces(decoder, doc, cuts{size: len(doc) + 1}, g.nested)
			got := describeAll(t, schema, out, err)
			if *update {
				raw, _ := os.ReadFile(file)
				i := strings.LastIndex(string(raw), "\n-----\n")
				require.NoError(t, os.WriteFile(file, []byte(string(raw[:i])+"\n-----\n"+got), 0o644))
				return
			}
			if got != g.want {
				t.Fatalf("got:\n%s\nwant:\n%s", excerpt(got, g.want), excerpt(g.want, got))
			}
			eachCutWith(t, NewJSON4(schema, options), schema, doc, g.nested, got)
			checkDeadLetters(t, schema, options, out, len(g.nested) > 0)
		})
	}
}

// checkDeadLetters decodes the raw text of each failed row: it fails again, for the same reason.
func checkDeadLetters(t *testing.T, schema *RowSchema, options JSON4Options, out *Output, isNested bool) {
	t.Helper()
	for _, rowError := range out.RowErrors {
		raw := out.Data[rowError.RawStart:][:rowError.RawSize]
		again, err := decodeWith(NewJSON4(schema, options), raw, cuts{size: 7})
		require.True(t, err == nil && len(again.RowErrors) == 1 && (isNested ||
			cause(again.RowErrors[0].Error.Message) == cause(rowError.Error.Message)),
			"raw row %s: expected the error %q again, found %v and %v", raw, rowError.Error.Message, again.RowErrors,
			err)
	}
}

// Documents without rows fail with a message that names what they are.
func TestJSON4RejectsOtherDocuments(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nName Edm.String?\nItems many? {\n N Edm.Int32?\n}")
	for doc, want := range map[string]string{
		`{"d":{"results":[{"ID":1}]}}`:                                    "a response of OData v2 (d): the path",
		`{"odata.metadata":"x","value":[]}`:                               "a response of OData v3 (odata.metadata)",
		`{"error":{"code":"404","message":"m"}}`:                          `an error document: "{\"code\":\"404\"`,
		`{"@odata.error":{"code":"404"}}`:                                 "an error document",
		`{"@odata.context":"$metadata","value":[{"name":"T","url":"T"}]}`: "a service document",
		`{"@odata.context":"$metadata#T/$entity"}`:                        "an object without properties",
		`{}`:         "an object without properties",
		`{"code":5}`: "none of the set's properties",
		`{"@odata.context":"$metadata#T(1)/Name","value":"x"}`: "none of the set's properties",
		`{"value":null}`:                    "none of the set's properties",
		`<html><title>Logon</title></html>`: "HTML: Logon",
		`Service unavailable`:               `text: "Service unavailable"`,
		"\x1f\x8b\x08":                      "gzip",
		"{\x00\"\x00":                       "UTF-16",
		`{"value":[{"ID":1}],"value":[]}`:   "a second value",
		`{"value":[{"ID":1}],"@odata.nextLink":{"uri":"x"}}`:                           "expected a link in @odata.nextLink",
		`{"@nextLink":7,"value":[{"ID":1}]}`:                                           "expected a link in @nextLink",
		`{"@odata.nextLink":"a","value":[{"ID":1}],"@nextLink":"b"}`:                   `found "\"b\"" after "a"`,
		`{"@odata.nextLink":"a","value":[{"ID":1}],"@odata.nextLink":null}`:            `found "null" after "a"`,
		`{"value":[{"ID":1}],"@deltaLink":"\x"}`:                                       "expected a link in @deltaLink",
		`{"value":[{"ID":1}],"@odata.error":{"code":"X/1"}}`:                           "an error among them",
		`{"value":[{"ID":1}],"error":{"code":"X/1"}}`:                                  "an error among them",
		`{"@error":{"code":"X/1"},"value":[{"ID":1}]}`:                                 "an error among them",
		`{"value":[{"ID":1}`:                                                           "the rest of the page",
		`{"value":[{"ID":1}]}x`:                                                        "expected the end of the page",
		`{"value":[{"ID":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}]}`: "less nesting",
	} {
		for _, size := range []int{1, 7, len(doc) + 1} {
			_, err := decodePieces(NewJSON4(schema, JSON4Options{}), []byte(doc), cuts{size: size}, nil)
			assert.True(t, err != nil && strings.Contains(err.Error(), want),
				"%q in pieces of %d: expected %q, found %v", doc, size, want, err)
		}
	}
}

// The set in a context is the last name of its path, without keys, selected properties and types.
func TestSetsInContexts(t *testing.T) {
	for context, want := range map[string]string{
		"$metadata#Orders": "Orders",
		"http://h/s/$metadata#Orders(ID,Items(Pos))/$delta": "Orders",
		"#Orders(ID,Address/City)/N.Rush/$entity":           "Orders",
		"#Orders(7)/Items/$deletedEntity":                   "Items",
		"#Orders('a)/(b''')/$deletedEntity":                 "Orders",
		"#Orders('a":                                        "Orders",
		"$metadata#Collection(N.Order)":                     "",
		"$metadata#N.C.Orders":                              "",
		"$metadata":                                         "",
		"":                                                  "",
	} {
		assert.Equal(t, want, setOf(context), context)
	}
}
