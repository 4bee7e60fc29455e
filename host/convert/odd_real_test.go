//go:build real

package convert

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/culvert-project/culvert/host/convert/charset"
)

// oddCorpus is documents that are not as they should be, or that few writers make: names twice, numbers in odd forms,
// other encodings, bytes lost or changed, schemas with what does not belong there.
func oddCorpus(seed uint64, n int) []rewriting {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
	var all []rewriting
	for len(all) < n {
		w := rewriting{odd: true,
			reader: "replace.null.with.default=" + g.of("true", "false"),
			writer: fmt.Sprintf("schemas.enable=%s decimal.format=%s replace.null.with.default=%s",
				g.of("true", "false"),
				g.of("BASE64", "NUMERIC"), g.of("true", "false")),
		}
		schema := g.schema(2)
		g.odd = false
		text := schema.String()
		payload := g.value(schema, 1000)
		if g.in(2) {
			text = g.oddSchema(text)
		}
		if g.in(3) {
			payload = g.oddValue(payload)
		}
		switch g.IntN(10) {
		case 0:
			w.reader += " schemas.enable=false"
			w.document = payload
		case 1:
			w.reader += " schema.content=" + strings.ReplaceAll(text, " ", "")
			if strings.ContainsAny(text, "\t ") {
				continue
			}
			w.document = payload
		case 2:
			w.document = g.of(`{"payload":`+payload+`,"schema":`+text+`}`, `{"schema":`+text+`}`,
				`{"schema":`+text+`,"payload":`+payload+`,"x":1}`, `{"schema":null,"payload":`+payload+`}`,
				`{"schema":1,"schema":`+text+`,"payload":`+payload+`}`, payload,
				`{"schema":`+text+`,"payload":1,"payload":`+payload+`}`,
				`[`+text+`,`+payload+`]`, `{"schema":{},"payload":`+payload+`}`)
		default:
			w.document = `{"schema":` + text + `,"payload":` + payload + `}`
		}
		switch g.IntN(12) {
		case 0:
			w.document = g.wide(w.document)
		case 1:
			if len(w.document) > 0 {
				w.document = w.document[:g.IntN(len(w.document))]
			}
		case 2:
			if len(w.document) > 0 {
				at := g.IntN(len(w.document))
				w.document = w.document[:at] + string([]byte{byte(g.Uint32())}) + w.document[at+1:]
			}
		case 3:
			w.document = g.of(" ", "\n\t", "\ufeff", "\r") + w.document + g.of("", " ", "\n")
		}
		all = append(all, w)
	}
	return all
}

// oddSchema changes a place of a schema's text.
func (g *generator) oddSchema(text string) string {
	first := func(old, new string) string { return strings.Replace(text, old, new, 1) }
	switch g.IntN(12) {
	case 0:
		return first(`"optional":`, `"version":`+g.of("0", "-1", "2147483648", "99999999999999999999", "1.5", `"1"`,
			"null", "1e3", "true", "007")+`,"optional":`)
	case 1:
		return first(`"optional":`, `"default":null,"optional":`)
	case 2:
		return first(`"optional":false`, `"optional":`+g.of(`"true"`, "1", "null", "0", `"x"`))
	case 3:
		return first(`"optional":false,`, "")
	case 4:
		return first(`"type":"`, `"type":`+g.of("1", "null", `"INT32"`, `"int"`, `""`)+`,"x":"`)
	case 5:
		return first(`"optional":`, `"name":`+g.of("1", "null", `""`, `"`+logical+`Decimal"`, `"`+logical+`Date"`,
			`"`+logical+`Timestamp"`, "[]")+`,"optional":`)
	case 6:
		return first(`"optional":`, `"parameters":`+g.of("1", "null", "[]", `{"a":1}`, "{}", `{"a":"1","a":"2"}`,
			`{"scale":"x"}`, `{"scale":"2"}`)+`,"optional":`)
	case 7:
		return first(`"optional":`, `"doc":`+g.of("1", "null", `""`, "{}")+`,"optional":`)
	case 8:
		return first(`"items":`, g.of(`"items":null,"x":`, `"items":1,"x":`, `"x":`))
	case 9:
		return first(`"fields":`, g.of(`"fields":null,"x":`, `"fields":{},"x":`, `"x":`, `"fields":[1],"x":`,
			`"fields":[{"type":"int8"}],"x":`))
	case 10:
		return first(`"field":"`, g.of(`"field":1,"x":"`, `"field":null,"x":"`, `"field":"","x":"`, `"x":"`))
	}
	return first(`"optional":`, `"default":`+g.of(g.plain(1), "1e3", `"AQ=="`, "[]", "{}")+`,"optional":`)
}

// oddValue is another value, or the value with something odd in it.
func (g *generator) oddValue(text string) string {
	number := func() string {
		return g.of("1e3", "1E+2", "-1e0", "100e-2", "7.0", "0.0", "-0.0", "-0", "00", "007", "-007.5", "1.50", "1e400",
			"1e-400", "-1e-400", "0e0",
			"1e99999999999", "9223372036854775808", "-9223372036854775809", "1"+strings.Repeat("0", 400),
			"0."+strings.Repeat("1", 999),
			strings.Repeat("1", 1001), "128", "-129", "32768", "2147483648", "300.0", "1.5", "1e18", "1e19", ".5", "5.",
			"+5", "0x10", "NaN", "Infinity", "- 1", "1e", "1_0")
	}
	switch g.IntN(8) {
	case 0, 1, 2:
		return number()
	case 3:
		return `[` + number() + `,` + number() + `]`
	case 4:
		k := g.text()
		return `{` + k + `:` + number() + `,` + k + `:` + number() + `}`
	case 5:
		k := g.of("1", "null", `"a"`, "[1]", "true", `"AQ=="`)
		return `[[` + k + `,` + number() + `],[` + k + `,` + number() + `]]`
	case 6:
		return g.of(`[["a"]]`, `[[]]`, `[1]`, `[["a",1,2]]`, `{"a":1}`, `[[null,1]]`, `{"null":1}`, `[["a",null]]`)
	}
	if i := strings.LastIndexByte(text, '}'); i > 0 && text[0] == '{' && len(text) > 2 {
		return text[:i] + "," + text[1:] // every name twice
	}
	return g.of(`"\ud83d"`, `"\ude00x"`, `"\u00zz"`, "\"\x80\"", "\"\xc3\"", "\"\xed\xa0\x80\"",
		"\"\xf8\x88\x80\x80\x80\"", "\"a\x01b\"", `"\x"`, `'a'`, `"a`, "tru", "nul", "True", "[1,]", "[,1]", `{"a":1,}`,
		`{a:1}`, `{"a" 1}`, `/* */ 1`, "1 // c", "", " ", "1 2", "1,", `"A"`, `"A==="`, `"-_"`, `"AQ==\n"`, `"AQ"`,
		`"A Q=="`)
}

// wide is the text in UTF-16 or UTF-32.
func (g *generator) wide(text string) string {
	order := []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian}[g.IntN(2)]
	if g.in(2) {
		text = "\ufeff" + text
	}
	var out []byte
	if g.in(2) {
		for _, u := range utf16.Encode([]rune(text)) {
			out = order.AppendUint16(out, u)
		}
	} else {
		for _, r := range text {
			out = order.AppendUint32(out, uint32(r))
		}
	}
	if g.in(10) && len(out) > 0 {
		out = out[:len(out)-1]
	}
	return string(out)
}

// Texts of 20,000 rows of bytes by chance, most of them malformed, are Kafka's in every encoding.
func TestRealEncodings(t *testing.T) {
	g := rand.New(rand.NewPCG(5, 6))
	names := []string{"UTF-8", "UTF-8", "UTF-8", "UTF-16", "UTF-16BE", "UTF-16LE"}
	for _, all := range charset.Aliases() {
		names = append(names, all[0], all[g.IntN(len(all))])
	}
	bytesOf := []byte{'a', 0x7f, 0x80, 0x81, 0x8d, 0x8f, 0x90, 0x9d, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
		0xe2, 0xed, 0xef,
		0xf0, 0xf1, 0xf4, 0xf5, 0xff, 0xfe, 0xd8, 0xdb, 0xdc, 0x00, 0x00}
	type row struct{ reads, writes, data string }
	var rows []row
	var lines []string
	for range 20_000 {
		data := make([]byte, g.IntN(10))
		for i := range data {
			if data[i] = bytesOf[g.IntN(len(bytesOf))]; g.IntN(3) == 0 {
				data[i] = byte(g.IntN(256))
			}
		}
		r := row{names[g.IntN(len(names))], names[g.IntN(len(names))], string(data)}
		rows = append(rows, r)
		lines = append(lines, fmt.Sprintf("%s\t%s\t%x", r.reads, r.writes, data))
	}
	answers := ask(t, "kafka", "Decode.java", lines)
	for i, r := range rows {
		if got := rewriteText(t, r.reads, r.writes, fmt.Sprintf("%x", r.data)); got != answers[i] {
			t.Errorf("%s to %s, %x: expected %s, found %s", r.reads, r.writes, r.data, answers[i], got)
			if i > 2000 {
				return
			}
		}
	}
}
