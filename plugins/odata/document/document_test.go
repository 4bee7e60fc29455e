package document_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
)

const namespaces = ` xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"` +
	` xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"`

// An entity or a feed has the same tree in Atom and in JSON, as far as Atom can express it. want begins with ! for an
// error.
func TestParse(t *testing.T) {
	entry := `<entry` + namespaces + ` m:etag="W/&quot;1&quot;"><id> http://x/Es(1) </id><title>T</title><author><name>N</name>` +
		`</author><category term="S.E"/><link rel="edit" href="Es(1)"/>` +
		`<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items" href="Es(1)/Items"/>` +
		`<link rel="via" href="v"><m:inline><feed><entry><content><m:properties><d:K>2</d:K></m:properties></content>` +
		`</entry></feed></m:inline></link><content><m:properties><d:A>a&amp;<!-- b -->c</d:A><d:B m:null="true"/>` +
		`<d:C><d:D>1</d:D></d:C></m:properties></content></entry>`
	entity := `{"A":"a&c","B":null,"C":{},"__metadata":{"etag":"W/\"1\"","title":"T","user":"N","type":"S.E",` +
		`"uri":"Es(1)"},"Items":{"__deferred":{"uri":"Es(1)/Items"}},` +
		`"via":{"results":[{"K":"2","__metadata":{}}],"__deferred":{"uri":"v"}}}`
	for _, test := range []struct{ name, body, want string }{
		{"entry", entry, entity},
		{"feed", `<feed` + namespaces + `><title/>` + entry + `<link rel="next" href="n"/></feed>`,
			`{"results":[` + entity + `],"__next":"n"}`},
		{"JSON", ` {"d":{"results":[]}}`, `{"results":[]}`},
		{"JSON without d", `[{"A":1}]`, `[{"A":1}]`},
		{"another document", `<service/>`, `!expected an entry or a feed, found another element`},
		{"cut off", entry[:len(entry)-3], `!XML, line 1: the document ends inside of a tag, comment or CDATA section`},
		{"a link named id", `<entry` + namespaces + `><id>e</id><link rel="x/id" href="v"/></entry>`,
			`{"__metadata":{"uri":"e"},"id":{"__deferred":{"uri":"v"}}}`},
		{"many entries", `<feed` + namespaces + `>` + strings.Repeat(`<entry/>`, document.MaxEntries+1),
			`!expected at most 10000 entries, found more`},
		{"many entries in links", `<feed` + namespaces + `>` + strings.Repeat(`<entry><link><m:inline><feed>`+
			strings.Repeat(`<entry/>`, document.MaxEntries/2)+`</feed></m:inline></link></entry>`, 2) + `</feed>`,
			`!expected at most 10000 entries, found more`},
		{"two documents", entry + entry, `!XML, line 1: a second root element`},
	} {
		v, err := document.Parse([]byte(test.body))
		got := string(jsontext.Append(nil, v))
		if err != nil {
			assert.Equal(t, "null", got, test.name, "nothing with an error")
			got = "!" + err.Error()
		}
		assert.Equal(t, test.want, got, test.name)
	}
}

// The ETag of an entity is the same as in the tree of its document.
func TestETagOfDocuments(t *testing.T) {
	const atom = `<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:m="M" `
	for _, body := range []string{`{"d":{"__metadata":{"etag":"W/\"1\""}}}`, "\ufeff {\"__metadata\":{\"etag\":\"x\"}} ",
		`{"d":{"A":{"__metadata":{"etag":"1"}},"__metadata":{"uri":"x","etag":"2"}}}`, `{"d":{"__metadata":{"etag":17}}}`,
		`{"d":{"__metadata":{"etag":null}}}`, `{"d":{"__metadata":{"etag":{}}}}`, `{"d":null}`, `{"d":[]}`, `{}`, `[]`,
		`{"\u0064":{"__meta\u0064ata":{"et\u0061g":"\u00fc\ud83d\ude00"}}}`, `{"d":{"__metadata":{"etag":"a","etag":"b"}}}`,
		`{"d":{"__metadata":{"etag":"1"}}`, `{"d":{"__metadata":{"etag":"1"}}} x`, `{"d":{"__metadata":{"etag":"\x"}}}`,
		``, `text`, `"text"`, atom + `m:etag="W/&quot;1&quot;"><a:id/></a:entry>`, atom + `etag="1" m:etag="2"/>`,
		atom + `m:etag="1"></a:entry >` + "\n<!-- end -->", atom + `m:etag="1">`, atom + `><a:id/></a:entry>`,
		`<feed><entry etag="1"/></feed>`, `<other etag="1"></other>`, `<?xml version="1.0"?>` + atom + `m:etag=1></a:entry>`,
	} {
		parsed, wantErr := document.Parse([]byte(body))
		want := parsed.Get("__metadata", "etag").Text
		found, err := document.ETag([]byte(body))
		assert.True(t, (err != nil || found == want) && (err != nil) == (wantErr != nil),
			"%s: expected %q (%v), found %q (%v)", body, want, wantErr, found, err)
	}
}
