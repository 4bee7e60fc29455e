package decode

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plain makes a decoder without the fast path.
func plain(l *Layout, doc []byte) Decoder {
	if isMarkup(doc) {
		return newPlainAtom(l, Limits{})
	}
	return newPlainJSON(l, Limits{})
}

// sameAsPlain checks that a decoder makes of a document what the plain parser makes of it, for some cuts.
func sameAsPlain(t *testing.T, l *Layout, doc []byte, nested map[string]string, all bool) {
	t.Helper()
	want, wantErr := decodePieces(plain(l, doc), doc, cuts{size: len(doc) + 1}, nested)
	text := describeAll(t, l, want, wantErr)
	d := newDecoder(l, doc)
	list := []cuts{{size: len(doc) + 1}, {size: 64}, {size: 7}, {size: 700}}
	if all {
		for at := range len(doc) + 1 {
			list = append(list, cuts{at: at})
		}
	}
	for _, c := range list {
		d.Reset()
		out, err := decodePieces(d, doc, c, nested)
		if got := describeAll(t, l, out, err); got != text {
			t.Fatalf("cut %+v of %.300q:\ngot  %s\nwant %s", c, doc, excerpt(got, text), excerpt(text, got))
		}
	}
}

// Templates hide the full parser from tests: every golden row runs behind three regular rows too, and between them.
func TestFastPathOnGoldenRows(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(testdata, "decode", "*.txt"))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, file)
			l := parseLayout(t, g.layout)
			sameAsPlain(t, l, []byte(g.doc), g.nested, true)
		})
	}
}

// oddRows are rows of one layout that are odd in one way each; they run behind and between regular ones.
const oddLayout = `
ID Edm.Int32 key
Str Edm.String?
Int Edm.Int64?
Dec Edm.Decimal?(15,3)
Dbl Edm.Double?
Bool Edm.Boolean?
At Edm.DateTime?
Guid Edm.Guid?
AVeryLongNameThatDoesNotFitIntoThreeWords Edm.String?
Bin Edm.Binary?
Address complex? {
  Street Edm.String?
}
Last Edm.Int16?
known Left Items
`

const regularJSON = `{"__metadata":{"uri":"https://h/s/T(1)","type":"N.T"},"ID":1,"Str":"text","Int":"12345678901","Dec":"12.345","Dbl":1.5,"Bool":true,"At":"\/Date(1467981296000)\/","Guid":"01234567-89ab-cdef-0123-456789abcdef","AVeryLongNameThatDoesNotFitIntoThreeWords":"v","Bin":"AP8Q","Address":{"Street":"s"},"Last":5,"Items":{"__deferred":{"uri":"https://h/s/T(1)/Items"}}}`

var oddJSON = []string{
	// names and order
	`{"ID":2}`, `{}`, `{"ID":2,"Last":7}`, `{"Last":7,"ID":2}`, `{"Str":"x"}`, `{"ID":2,"ID":3}`, `{"ID":2,"Str":"a","Str":"b"}`, `{"Last":1,"ID":2,"Last":3}`,
	`{"Guid":null,"ID":2,"Dec":"1","Bool":false,"Str":"s","Last":1}`, `{"ID":2,"Left":{"a":[1,2,{"b":null}]},"Str":"s"}`, `{"ID":2,"Left":"a\"b","Str":"s"}`,
	`{"ID":2,"Unknown":1}`, `{"ID":2,"Unknown":2,"Str":"again"}`, `{"ID":2,"Other":{"__deferred":{"uri":"x"}}}`, `{"ID":2,"Other":{"x":1}}`, `{"\u0049D":2}`, `{"ID":2,"I\u0064x":2}`,
	`{"ID":2,"AVeryLongNameThatDoesNotFitIntoThreeWordX":"v"}`, `{"ID":2,"":1}`, `{"@odata.context":"$metadata#T/$deletedEntity","id":"T(2)","when":"\/Date(0)\/"}`,
	`{"__metadata":{"uri":"https:\/\/h","type":"N.T"},"ID":2}`, `{"__metadata":{"uri":"a","type":"N.T","etag":"W/\"1\""},"ID":2}`, `{"__metadata":null,"ID":2}`,
	"{\n  \"ID\" : 2 ,\n \"Str\"\t: \"x\"\n}", `{ "ID":2}`, `{"ID":2 }`, `{"ID":2, "Str":"a"}`, `{"ID":2,"Items":{"results":[]}}`, `{"ID":2,"Items":null}`,
	// values
	`{"ID":"2"}`, `{"ID":null}`, `{"ID":2.0}`, `{"ID":2147483648}`, `{"ID":-0}`, `{"ID":"-0"}`, `{"ID":""}`, `{"ID":"007"}`, `{"ID":"+5"}`, `{"ID":true}`, `{"ID":2e0}`,
	`{"ID":2,"Int":9223372036854775807}`, `{"ID":2,"Int":"-9223372036854775808"}`, `{"ID":2,"Int":"9223372036854775808"}`, `{"ID":2,"Int":null,"Dec":null}`,
	`{"ID":2,"Dec":"1.2345"}`, `{"ID":2,"Dec":"1.2340000"}`, `{"ID":2,"Dec":"-0.001"}`, `{"ID":2,"Dec":1.5}`, `{"ID":2,"Dec":"1e2"}`, `{"ID":2,"Dec":"999999999999.999"}`,
	`{"ID":2,"Dec":"1000000000000"}`, `{"ID":2,"Dec":".5"}`, `{"ID":2,"Dec":"5."}`, `{"ID":2,"Dec":"123456789012345678901234567890"}`, `{"ID":2,"Dec":"000000000000000000001"}`, `{"ID":2,"Dec":" 1"}`,
	`{"ID":2,"Dbl":"1.5"}`, `{"ID":2,"Dbl":"NaN"}`, `{"ID":2,"Dbl":"-INF"}`, `{"ID":2,"Dbl":-0.0}`, `{"ID":2,"Dbl":1e3}`, `{"ID":2,"Dbl":"1."}`, `{"ID":2,"Dbl":123456789012345678}`,
	`{"ID":2,"Dbl":9007199254740993}`, `{"ID":2,"Dbl":0.1234567890123456789}`, `{"ID":2,"Dbl":179769313486231570000}`, `{"ID":2,"Dbl":4.35}`, `{"ID":2,"Dbl":"1E400"}`,
	`{"ID":2,"Bool":"true"}`, `{"ID":2,"Bool":"1"}`, `{"ID":2,"Bool":0}`, `{"ID":2,"Bool":"yes"}`, `{"ID":2,"Bool":false}`,
	`{"ID":2,"At":"/Date(-1)/"}`, `{"ID":2,"At":"\/Date(0+0060)\/"}`, `{"ID":2,"At":"\/Date(5+0000)\/"}`, `{"ID":2,"At":"2016-07-08T12:34:56.1234567"}`, `{"ID":2,"At":"2016-07-08"}`,
	`{"ID":2,"At":"2016-02-30T00:00:00"}`, `{"ID":2,"At":"2016-07-08T12:34:56Z"}`, `{"ID":2,"At":"2016-07-08T12:34:56+01:00"}`, `{"ID":2,"At":"\/Date(253402300800000)\/"}`, `{"ID":2,"At":""}`, `{"ID":2,"At":"\u002fDate(0)/"}`,
	`{"ID":2,"At":"\/Date(1)\/x"}`, `{"ID":2,"At":"0001-01-01T00:00:00"}`, `{"ID":2,"At":"9999-12-31T23:59:59.999"}`, `{"ID":2,"At":"0000-01-01T00:00:00"}`, `{"ID":2,"At":"2016-07-08T24:00:00"}`,
	`{"ID":2,"Guid":"01234567-89AB-CDEF-0123-456789ABCDEF"}`, `{"ID":2,"Guid":"0123456789abcdef0123456789abcdef0123"}`, `{"ID":2,"Guid":""}`, `{"ID":2,"Guid":"01234567-89ab-cdef-0123-456789abcdeg"}`,
	`{"ID":2,"Str":""}`, `{"ID":2,"Str":"\u00e4\ud83d\ude00\n\/\\\""}`, `{"ID":2,"Str":"\ud83d"}`, `{"ID":2,"Str":"\q"}`, "{\"ID\":2,\"Str\":\"\xff\"}", "{\"ID\":2,\"Str\":\"ünïcödé ünïcödé ünïcödé ünïcödé ünïcödé\"}",
	"{\"ID\":2,\"Str\":\"a\tb\"}", "{\"ID\":2,\"Str\":\"a\x00b\"}", `{"ID":2,"Str":5}`, `{"ID":2,"Str":{"a":1}}`, `{"ID":2,"Bin":""}`, `{"ID":2,"Bin":"*"}`,
	`{"ID":2,"Str":"` + strings.Repeat("long text ", 30) + `"}`, `{"ID":2,"Str":"` + strings.Repeat(`long \"text\" `, 900) + `"}`, `{"ID":2,"Str":"` + strings.Repeat("x", 63) + `"}`, `{"ID":2,"Str":"` + strings.Repeat("x", 64) + `"}`,
	`{"ID":2,"Address":{"Street":null}}`, `{"ID":2,"Address":{"City":"unknown"}}`, `{"ID":2,"Address":null}`, `{"ID":2,"Address":"x"}`, `{"ID":2,"Address":{}}`,
	// broken
	`{"ID":2,}`, `{"ID":02}`, `{"ID":-02}`, `{"ID":2,"Str":"x"`, `{"ID":2 "Str":"x"}`, `{"ID":2,"Dbl":1.}`, `{"ID":2,"Bool":truex}`, `{"ID":2,"Str":nullx}`, `{"ID":2,"Left":tru}`, `{,"ID":2}`, `["ID"]`, `null`, `{"ID":2]`,
}

func TestFastPathOnOddJSONRows(t *testing.T) {
	l := parseLayout(t, oddLayout)
	for _, odd := range oddJSON {
		three := regularJSON + "," + regularJSON + "," + regularJSON
		for _, doc := range []string{odd, three + "," + odd, three + "," + odd + "," + odd + "," + odd + "," + three, odd + "," + odd + "," + three + "," + odd} {
			sameAsPlain(t, l, []byte(`{"d":{"results":[`+doc+`],"__next":"n"}}`), nil, false)
		}
		if len(odd) < 500 {
			sameAsPlain(t, l, []byte(`{"d":{"results":[`+three+","+odd+","+odd+","+regularJSON+`]}}`), nil, true)
		}
	}
}

// The samples, their rows repeated so that the fast path has something to learn from.
func TestFastPathOnSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(filepath.Base(s.file), func(t *testing.T) {
			doc, err := os.ReadFile(filepath.Join(testdata, "samples", s.file))
			if err != nil {
				t.Fatal(err)
			}
			l := parseLayout(t, s.layout)
			sameAsPlain(t, l, doc, s.nested, false)
			if i, k := bytes.Index(doc, []byte("<entry")), bytes.LastIndex(doc, []byte("</entry>")); i > 0 && k > 0 && bytes.Contains(doc, []byte("<feed")) && !bytes.HasPrefix(bytes.TrimSpace(doc), []byte("<entry")) {
				entries := doc[i : k+len("</entry>")]
				var many []byte
				many = append(append(append(append(many, doc[:i]...), entries...), entries...), doc[i:]...)
				sameAsPlain(t, l, many, s.nested, false)
			}
		})
	}
}
