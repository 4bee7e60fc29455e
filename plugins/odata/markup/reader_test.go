package markup_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/markup"
)

func outline(document string) string {
	r := markup.NewReader([]byte(document))
	var b strings.Builder
	for {
		kind, err := r.Next()
		if err != nil {
			return b.String() + "!" + err.Error()
		}
		switch kind {
		case markup.End:
			return b.String()
		case markup.Open:
			b.WriteString("<" + r.Namespace + "|" + r.Local)
			for _, a := range r.Attributes {
				b.WriteString(" " + a.Namespace + "|" + a.Local + "=" + a.Value)
			}
			b.WriteString(">")
		case markup.Close:
			b.WriteString("</" + r.Local + ">")
		case markup.Text:
			b.WriteString(r.Data)
		}
	}
}

func TestReader(t *testing.T) {
	for _, c := range []struct{ document, outline string }{
		{`<a/>`, `<|a></a>`},
		{"\ufeff<?xml version='1.0'?>\n<a x='1' y=\"&lt;&#65;&#x42;\" >t&amp;u</a >\n<!-- end -->",
			`<|a |x=1 |y=<AB>t&u</a>`},
		{`<p:a xmlns:p="P" xmlns="D"><b p:c="1" c="2"/><p:b xmlns:p="Q"/><p:b/></p:a>`,
			`<P|a><D|b P|c=1 |c=2></b><Q|b></b><P|b></b></a>`},
		{`<a><![CDATA[<&]]></a>`, `<|a><&</a>`},
		{`<a sap:b="1"/>`, `<|a sap|b=1></a>`},
		{`<a></b>`, `<|a>!XML, line 1: expected </a>, found </b>`},
		{"<a>\n<b>", "<|a>\n<|b>!XML, line 2: the document ends inside of <b>"},
		{`<a>&unknown;</a>`, `<|a>!XML, line 1: unknown entity &unknown;`},
		{`<a>& and a long text&amp;</a>`, `<|a>!XML, line 1: unknown entity & and a long;`},
		{`<a>&12345678901é</a>`, `<|a>!XML, line 1: unknown entity &12345678901;`},
		{`<a>&1234567890é</a>`, `<|a>!XML, line 1: unknown entity &1234567890;`},
		{`<a>&#0;</a>`, `<|a>!XML, line 1: unknown entity &#0;`},
		{"<a>\xff</a>", `<|a>!XML, line 1: expected UTF-8, found bytes that are not`},
		{`<a/><b/>`, `<|a></a>!XML, line 1: a second root element`},
		{`text`, `!XML, line 1: expected a tag, found text outside of the root element`},
		{`<p:a/>`, `!XML, line 1: the prefix of <p:a> is not declared`},
		{`<a b=c/>`, `!XML, line 1: expected a quote before an attribute's value, found 'c'`},
		{`<a b='1'c='2'/>`, `!XML, line 1: expected white space before an attribute, found 'c'`},
		{`<`, `!XML, line 1: the document ends inside of a tag, comment or CDATA section`},
	} {
		found := outline(c.document)
		assert.True(t, found == c.outline, "%s\nexpected %s\nfound    %s", c.document, c.outline, found)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(`<p:a xmlns:p="P" b='&amp;'><![CDATA[x]]>t</p:a>`)
	f.Fuzz(func(t *testing.T, document string) { outline(document) })
}
