package decode

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// oddSchema is the schema of rows that are each odd in one way. They run after and between regular rows.
const oddSchema = `
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
Clock Edm.Time?
Whole Edm.Decimal?(5,0) int64
Real Edm.Decimal?(0,0) float64
Last Edm.Int16?
known Left Items
`

const regularJSON = `{"__metadata":{"uri":"https://h/s/T(1)","type":"N.T"},"ID":1,"Str":"text","Int":"12345678901","Dec":"12.345","Dbl":1.5,"Bool":true,"At":"\/Date(1467981296000)\/","Guid":"01234567-89ab-cdef-0123-456789abcdef","AVeryLongNameThatDoesNotFitIntoThreeWords":"v","Bin":"AP8Q","Address":{"Street":"s"},"Clock":"PT12H34M56S","Whole":"12","Real":"1.5","Last":5,"Items":{"__deferred":{"uri":"https://h/s/T(1)/Items"}}}`

// oddJSON are rows of oddSchema that are each odd in one way.
var oddJSON = []string{
	// names and order
	`{"ID":2}`,
	`{}`,
	`{"ID":2,"Last":7}`,
	`{"Last":7,"ID":2}`,
	`{"Str":"x"}`,
	`{"ID":2,"ID":3}`,
	`{"ID":2,"Str":"a","Str":"b"}`,
	`{"Last":1,"ID":2,"Last":3}`,
	`{"Guid":null,"ID":2,"Dec":"1","Bool":false,"Str":"s","Last":1}`,
	`{"ID":2,"Left":{"a":[1,2,{"b":null}]},"Str":"s"}`,
	`{"ID":2,"Left":"a\"b","Str":"s"}`,
	`{"ID":2,"Unknown":1}`,
	`{"ID":2,"Unknown":2,"Str":"again"}`,
	`{"ID":2,"Other":{"__deferred":{"uri":"x"}}}`,
	`{"ID":2,"Other":{"x":1}}`,
	`{"\u0049D":2}`,
	`{"ID":2,"I\u0064x":2}`,
	`{"ID":2,"AVeryLongNameThatDoesNotFitIntoThreeWordX":"v"}`,
	`{"ID":2,"":1}`,
	`{"@odata.context":"$metadata#T/$deletedEntity","id":"T(2)","when":"\/Date(0)\/"}`,
	`{"__metadata":{"uri":"https:\/\/h","type":"N.T"},"ID":2}`,
	`{"__metadata":{"uri":"a","type":"N.T","etag":"W/\"1\""},"ID":2}`,
	`{"__metadata":null,"ID":2}`,
	"{\n  \"ID\" : 2 ,\n \"Str\"\t: \"x\"\n}",
	`{ "ID":2}`,
	`{"ID":2 }`,
	`{"ID":2, "Str":"a"}`,
	`{"ID":2,"Items":{"results":[]}}`,
	`{"ID":2,"Items":null}`,
	// values
	`{"ID":"2"}`,
	`{"ID":null}`,
	`{"ID":2.0}`,
	`{"ID":2147483648}`,
	`{"ID":-0}`,
	`{"ID":"-0"}`,
	`{"ID":""}`,
	`{"ID":"007"}`,
	`{"ID":"+5"}`,
	`{"ID":true}`,
	`{"ID":2e0}`,
	`{"ID":2,"Int":9223372036854775807}`,
	`{"ID":2,"Int":"-9223372036854775808"}`,
	`{"ID":2,"Int":"9223372036854775808"}`,
	`{"ID":2,"Int":null,"Dec":null}`,
	`{"ID":2,"Dec":"1.2345"}`,
	`{"ID":2,"Dec":"1.2340000"}`,
	`{"ID":2,"Dec":"-0.001"}`,
	`{"ID":2,"Dec":1.5}`,
	`{"ID":2,"Dec":"1e2"}`,
	`{"ID":2,"Dec":"999999999999.999"}`,
	`{"ID":2,"Dec":"1000000000000"}`,
	`{"ID":2,"Dec":".5"}`,
	`{"ID":2,"Dec":"5."}`,
	`{"ID":2,"Dec":"123456789012345678901234567890"}`,
	`{"ID":2,"Dec":"000000000000000000001"}`,
	`{"ID":2,"Dec":" 1"}`,
	`{"ID":2,"Dbl":"1.5"}`,
	`{"ID":2,"Dbl":"NaN"}`,
	`{"ID":2,"Dbl":"-INF"}`,
	`{"ID":2,"Dbl":-0.0}`,
	`{"ID":2,"Dbl":1e3}`,
	`{"ID":2,"Dbl":"1."}`,
	`{"ID":2,"Dbl":123456789012345678}`,
	`{"ID":2,"Dbl":9007199254740993}`,
	`{"ID":2,"Dbl":0.1234567890123456789}`,
	`{"ID":2,"Dbl":179769313486231570000}`,
	`{"ID":2,"Dbl":4.35}`,
	`{"ID":2,"Dbl":"1E400"}`,
	`{"ID":2,"Bool":"true"}`,
	`{"ID":2,"Bool":"1"}`,
	`{"ID":2,"Bool":0}`,
	`{"ID":2,"Bool":"yes"}`,
	`{"ID":2,"Bool":false}`,
	`{"ID":2,"At":"/Date(-1)/"}`,
	`{"ID":2,"At":"\/Date(0+0060)\/"}`,
	`{"ID":2,"At":"\/Date(5+0000)\/"}`,
	`{"ID":2,"At":"2016-07-08T12:34:56.1234567"}`,
	`{"ID":2,"At":"2016-07-08"}`,
	`{"ID":2,"At":"2016-02-30T00:00:00"}`,
	`{"ID":2,"At":"2016-07-08T12:34:56Z"}`,
	`{"ID":2,"At":"2016-07-08T12:34:56+01:00"}`,
	`{"ID":2,"At":"\/Date(253402300800000)\/"}`,
	`{"ID":2,"At":""}`,
	`{"ID":2,"At":"\u002fDate(0)/"}`,
	`{"ID":2,"At":"\/Date(1)\/x"}`,
	`{"ID":2,"At":"0001-01-01T00:00:00"}`,
	`{"ID":2,"At":"9999-12-31T23:59:59.999"}`,
	`{"ID":2,"At":"0000-01-01T00:00:00"}`,
	`{"ID":2,"At":"2016-07-08T24:00:00"}`,
	`{"ID":2,"Guid":"01234567-89AB-CDEF-0123-456789ABCDEF"}`,
	`{"ID":2,"Guid":"0123456789abcdef0123456789abcdef0123"}`,
	`{"ID":2,"Guid":""}`,
	`{"ID":2,"Guid":"01234567-89ab-cdef-0123-456789abcdeg"}`,
	`{"ID":2,"Str":""}`,
	`{"ID":2,"Str":"\u00e4\ud83d\ude00\n\/\\\""}`,
	`{"ID":2,"Str":"\ud83d"}`,
	`{"ID":2,"Str":"\q"}`,
	"{\"ID\":2,\"Str\":\"\xff\"}",
	"{\"ID\":2,\"Str\":\"ünïcödé ünïcödé ünïcödé ünïcödé ünïcödé\"}",
	"{\"ID\":2,\"Str\":\"a\tb\"}",
	"{\"ID\":2,\"Str\":\"a\x00b\"}",
	`{"ID":2,"Str":5}`,
	`{"ID":2,"Str":{"a":1}}`,
	`{"ID":2,"Bin":""}`,
	`{"ID":2,"Bin":"*"}`,
	`{"ID":2,"Str":"` + strings.Repeat("long text ", 30) + `"}`,
	`{"ID":2,"Str":"` + strings.Repeat(`long \"text\" `, 900) + `"}`,
	`{"ID":2,"Str":"` + strings.Repeat("x", 63) + `"}`,
	`{"ID":2,"Str":"` + strings.Repeat("x", 64) + `"}`,
	`{"ID":2,"Address":{"Street":null}}`,
	`{"ID":2,"Address":{"City":"unknown"}}`,
	`{"ID":2,"Address":null}`,
	`{"ID":2,"Address":"x"}`,
	`{"ID":2,"Address":{}}`,
	`{"ID":2,"Clock":"PT00H00M00S"}`,
	`{"ID":2,"Clock":"PT23H59M59S"}`,
	`{"ID":2,"Clock":"PT24H00M00S"}`,
	`{"ID":2,"Clock":"PT00H90M99S"}`,
	`{"ID":2,"Clock":"PT1H2M3S"}`,
	`{"ID":2,"Clock":"PT12H34M56.7S"}`,
	`{"ID":2,"Clock":""}`,
	`{"ID":2,"Clock":"PT12H34M5xS"}`,
	`{"ID":2,"Whole":"99999"}`,
	`{"ID":2,"Whole":"100000"}`,
	`{"ID":2,"Whole":-99999}`,
	`{"ID":2,"Whole":"5.00"}`,
	`{"ID":2,"Whole":"5.5"}`,
	`{"ID":2,"Real":"-0"}`,
	`{"ID":2,"Real":"123456789012345678901.5"}`,
	`{"ID":2,"Real":"1e3"}`,
	`{"ID":2,"Real":"NaN"}`,
	`{"ID":2,"Real":0.1}`,
	// broken
	`{"ID":2,}`,
	`{"ID":02}`,
	`{"ID":-02}`,
	`{"ID":2,"Str":"x"`,
	`{"ID":2 "Str":"x"}`,
	`{"ID":2,"Dbl":1.}`,
	`{"ID":2,"Bool":truex}`,
	`{"ID":2,"Str":nullx}`,
	`{"ID":2,"Left":tru}`,
	`{,"ID":2}`,
	`["ID"]`,
	`null`,
	`{"ID":2]`,
}

const regularProperties = `<d:ID>1</d:ID><d:Str>text</d:Str><d:Int>12345678901</d:Int><d:Dec>12.345</d:Dec><d:Dbl>1.5</d:Dbl><d:Bool>true</d:Bool><d:At>2016-07-08T12:34:56.123</d:At><d:Guid>01234567-89ab-cdef-0123-456789abcdef</d:Guid><d:AVeryLongNameThatDoesNotFitIntoThreeWords>v</d:AVeryLongNameThatDoesNotFitIntoThreeWords><d:Bin>AP8Q</d:Bin><d:Address><d:Street>s</d:Street></d:Address><d:Clock>PT12H34M56S</d:Clock><d:Whole>12</d:Whole><d:Real>1.5</d:Real><d:Last>5</d:Last>`

const entryHead = `<entry><id>https://h/s/T(1)</id><title type="text"></title><updated>2024-01-01T00:00:00Z</updated><author><name/></author><link href="T(1)" rel="edit" title="T"/><link href="T(1)/Items" rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items" title="Items"/><content type="application/xml"><m:properties>`

func oddEntry(properties string) string { return entryHead + properties + entryBack }

// nestedSchema is the schema of rows with structures, as in the golden files json-expand and atom-expand.
const nestedSchema = `
ID Edm.Int32 key
Address complex? {
  Street Edm.String?
  Geo complex? {
    Lat Edm.Double
  }
}
Owner one? {
  Name Edm.String
}
Items many? {
  Pos Edm.Int32
  Text Edm.String?
  Sub many {
    N Edm.Int16
  }
}
Last Edm.String?
known Left
`

const nestedJSON = `{"ID":1,"Address":{"__metadata":{"type":"N.A"},"Street":"s","Geo":{"Lat":1.5}},"Owner":{"__metadata":{"uri":"u"},"Name":"o"},"Items":{"results":[{"Pos":1,"Text":"a","Sub":{"results":[]}},{"Pos":2,"Text":null,"Sub":{"results":[{"N":1},{"N":2}]}}]},"Last":"l"}`

// oddNested are rows of nestedSchema that are each odd in one way.
var oddNested = []string{
	// unknown properties belong to the row, not to the structure that was odd
	`{"Unknown":2,"Owner":{"Name":1}}`,
	`{"Owner":{"Name":1},"Unknown":2}`,
	`{"ID":2}`,
	`{"Last":"x","ID":2,"Items":{"results":[]}}`,
	`{"ID":2,"Items":{"results":[]},"Last":"y"}`,
	`{"ID":2,"Items":[]}`,
	`{"ID":2,"Items":[{"Sub":[],"Pos":5}],"Last":"z"}`,
	`{"ID":2,"Items":{"__count":"1","results":[{"Pos":5,"Sub":[]}],"x":{}}}`,
	`{"ID":2,"Items":{"results":[],"__next":null}}`,
	`{"ID":2,"Items":{"results":[],"__next":""}}`,
	`{"ID":2,"Items":{"results":[{"Pos":1,"Sub":[]}],"__next":"more"}}`,
	`{"ID":2,"Items":{"__next":"more","results":[]}}`,
	`{"ID":2,"Items":{"results":[],"results":[]}}`,
	`{"ID":2,"Items":{"__deferred":{"uri":"x"}}}`,
	`{"ID":2,"Items":null,"Owner":null,"Address":null}`,
	`{"ID":2,"Owner":{"__deferred":{"uri":"x"}}}`,
	`{"ID":2,"Owner":{ "__deferred":{"uri":"x"}}}`,
	`{"ID":2,"Owner":{}}`,
	`{"ID":2,"Owner":{"Name":"x","More":1}}`,
	`{"ID":2,"Owner":{"Name":"x","More":2}}`,
	`{"ID":2,"Items":{}}`,
	`{"ID":2,"Items":{"a":1}}`,
	`{"ID":2,"Items":5}`,
	`{"ID":2,"Items":"x"}`,
	`{"ID":2,"Items":{"results":5}}`,
	`{"ID":2,"Items":{"results":[null]}}`,
	`{"ID":2,"Items":{"results":[{"Pos":1,"Sub":[]},{"Pos":"x","Sub":[]}]}}`,
	`{"ID":2,"Items":{"results":[{"Pos":1}]}}`,
	`{"ID":2,"Items":{"results":[{"Pos":1,"Sub":[],"@odata.context":"x/$deletedEntity"}]}}`,
	`{"ID":2,"Items":{"results":[{"Pos":1,"Sub":[],"Pos":2}]}}`,
	`{"ID":2,"Address":{"Street":"x","Street":"y"}}`,
	`{"ID":2,"Address":{"Geo":{"Lat":"x"}}}`,
	`{"ID":2,"Address":[]}`,
	`{"ID":2,"Items":{"results":[` + strings.Repeat(`{"Pos":1,"Text":"t","Sub":[]},`, 62) + `{"Pos":1,"Sub":[]}]}}`,
	`{"ID":2,"Items":{"results":[` + strings.Repeat(`{"Pos":1,"Text":"t","Sub":[]},`, 63) + `{"Pos":1,"Sub":[]}]}}`,
	`{"ID":2,"Items":{"results":[` + strings.Repeat(`{"Pos":1,"Text":"`+strings.Repeat("t", 70)+`","Sub":[{"N":1}]},`,
		200) + `{"Pos":1,"Sub":[]}]},"Last":"z"}`,
	`{"ID":2,"Items":{"results":[{"Pos":1,"Sub":[]},]}}`,
	`{"ID":2,"Items":{"results":[{"Pos":1,"Sub":[]}`,
	`{"ID":2,"Address":{"Street":"x"`,
	`{"ID":2,"Items":{"results":[}}`,
	`{"ID":2,"Address":{"Street":"x",}}`,
	`{"ID":2,"Left":{"a":` + strings.Repeat("[", 61) + strings.Repeat("]", 61) + `}}`,
	`{"ID":2,"Address":{"Geo":{"__x":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `,"Lat":1}}}`,
	`{"ID":2,"Address":{"Geo":{"__x":` + strings.Repeat("[", 61) + strings.Repeat("]", 61) + `,"Lat":1}}}`,
	`{"ID":2,"Address":{"Geo":{"__x":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `,"Lat":1}}}`,
}

func inlined(name, inner string) string {
	return `<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/` + name + `" title="` + name +
		`" href="x"><m:inline>` + inner + `</m:inline></link>`
}

func withLinks(links, properties string) string {
	return `<entry><id>x</id><title/>` + links + `<content type="application/xml"><m:properties>` + properties +
		`</m:properties></content></entry>`
}

const nestedProperties = `<d:ID>1</d:ID><d:Address m:type="N.A"><d:Street>s</d:Street><d:Geo><d:Lat>1.5</d:Lat></d:Geo></d:Address><d:Last>l</d:Last>`

func item(pos, subs string) string {
	return withLinks(inlined("Sub", "<feed>"+subs+"</feed>"), "<d:Pos>"+pos+"</d:Pos><d:Text>t</d:Text>")
}

func sub(n string) string { return withLinks("", "<d:N>"+n+"</d:N>") }

func feedOf(entries string) string {
	return `<feed><title type="text">x</title><id>y</id>` + entries + `</feed>`
}

// nestedOwner is an expanded entity, nestedEntry a regular entry of nestedSchema.
var (
	nestedOwner = inlined("Owner", withLinks("", "<d:Name>o</d:Name>"))
	nestedEntry = withLinks(nestedOwner+inlined("Items", feedOf(item("1", "")+item("2", sub("1")+sub("2")))),
		nestedProperties)
)

// oddNestedAtom returns entries of nestedSchema that are each odd in one way.
func oddNestedAtom() []string {
	const other = `xmlns:d="other" xmlns:e="http://schemas.microsoft.com/ado/2007/08/dataservices"`
	owner := nestedOwner
	return []string{
		withLinks("", nestedProperties),
		withLinks(owner, nestedProperties),
		withLinks(inlined("Items", feedOf("")), nestedProperties),
		withLinks(inlined("Items", "<feed/>"), nestedProperties),
		withLinks(inlined("Items", ""), nestedProperties),
		withLinks(inlined("Owner", "")+inlined("Items", feedOf(item("5", ""))), nestedProperties),
		withLinks(owner+owner, nestedProperties),
		withLinks(inlined("Other", feedOf(item("5", ""))), nestedProperties),
		withLinks(owner+inlined("Items", feedOf(item("x", ""))), nestedProperties),
		withLinks(owner+inlined("Items", feedOf(item("1", sub("x")))), nestedProperties),
		withLinks(owner+inlined("Items", feedOf(item("1", `<link rel="next" href="more"/>`))), nestedProperties),
		withLinks(owner+inlined("Items", feedOf(item("1", "")+`<link rel="next" href="more"/>`)), nestedProperties),
		withLinks(owner+inlined("Items", feedOf(strings.Repeat(item("3", sub("1")), 70))), nestedProperties),
		withLinks(owner+inlined("Items", feedOf(withLinks("", "<d:Pos>1</d:Pos>"))), nestedProperties),
		withLinks(owner+inlined("Items", feedOf("\n "+item("1", "")+"\n "+item("2", "")+"\n")), nestedProperties),
		withLinks(owner+inlined("Items", `<feed `+other+`>`+strings.ReplaceAll(item("4", ""), "d:", "e:")+`</feed>`),
			nestedProperties),
		withLinks(owner+inlined("Items", `<feed `+other+`>`+item("4", "")+`</feed>`), nestedProperties),
		strings.Replace(withLinks(owner+inlined("Items", feedOf(item("1", ""))), nestedProperties), "<link ",
			"<link "+other+" ", 1),
		`<entry><content><m:properties>` + nestedProperties + `</m:properties></content>` + owner + `</entry>`,
		withLinks(owner, `<d:ID>2</d:ID><d:Address/>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address m:null="true"/>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address></d:Address>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address><d:Geo m:null="true"/></d:Address><d:Last>z</d:Last>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address><d:City>unknown</d:City></d:Address>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address><d:Geo><d:Lat>x</d:Lat></d:Geo></d:Address>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address>text</d:Address>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address><d:Street>x</d:Street><d:Street>y</d:Street></d:Address>`),
		withLinks(owner, `<d:Address><d:Street>x</d:Street></d:Address><d:ID>2</d:ID>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address `+other+
			`><e:Street>x</e:Street><d:Street>no</d:Street></d:Address>`),
		withLinks(owner, `<d:ID>2</d:ID><d:Address><d:Street>x</d:Street>`),
		withLinks(inlined("Owner", `<entry/>`), nestedProperties),
		withLinks(inlined("Owner", withLinks("", "<d:Name>a</d:Name>")+withLinks("",
			"<d:Name>b</d:Name>")),
			nestedProperties),
		withLinks(inlined("Items", feedOf(item("1", "")+item("2", "")+`<link rel="next" href="n9"/>`)), nestedProperties),
		withLinks(inlined("Items", feedOf(item("x", "")+item("2", sub("q")))), nestedProperties),
		oddEntry(nestedProperties),
		withLinks(inlined("Items", "")+inlined("Items", ""), nestedProperties),
	}
}

// oddAtom returns entries of oddSchema that are each odd in one way.
func oddAtom() []string {
	var entries []string
	for _, properties := range []string{
		// names and order
		`<d:ID>2</d:ID>`,
		``,
		`<d:ID>2</d:ID><d:Last>7</d:Last>`,
		`<d:Last>7</d:Last><d:ID>2</d:ID>`,
		`<d:Str>x</d:Str>`,
		`<d:ID>2</d:ID><d:ID>3</d:ID>`,
		`<d:ID>2</d:ID><d:Str>a</d:Str><d:Str>b</d:Str>`,
		`<d:Guid m:null="true"/><d:ID>2</d:ID><d:Dec>1</d:Dec><d:Bool>0</d:Bool><d:Str>s</d:Str>`,
		`<d:ID>2</d:ID><d:Left>x</d:Left><d:Str>s</d:Str>`,
		`<d:ID>2</d:ID><d:Left><d:A>1</d:A></d:Left><d:Str>s</d:Str>`,
		`<d:ID>2</d:ID><d:Left/><d:Str>s</d:Str>`,
		`<d:ID>2</d:ID><d:Unknown>1</d:Unknown>`,
		`<d:ID>2</d:ID><d:Unknown>2</d:Unknown><d:Str>again</d:Str>`,
		`<d:ID>2</d:ID><x:Str xmlns:x="other">no</x:Str>`,
		`<d:ID>2</d:ID><x:Str xmlns:x="http://schemas.microsoft.com/ado/2007/08/dataservices">yes</x:Str>`,
		`<d:ID>2</d:ID><d:Str xmlns:d="other">no</d:Str>`,
		`<d:ID>2</d:ID><m:Str>no</m:Str>`,
		`<d:ID>2</d:ID><Str>no</Str>`,
		`<d:ID m:type="Edm.Int32">2</d:ID><d:Str m:type="Edm.String" xml:space="preserve"> x </d:Str>`,
		`<d:ID >2</d:ID >`,
		"\n <d:ID>2</d:ID>\n <d:Str>x</d:Str>\n",
		`<d:ID>2</d:ID><!-- c --><d:Str>x</d:Str>`,
		`<d:ID>2</d:ID><?pi?><d:Str>x</d:Str>`,
		`<d:ID>2</d:ID>text<d:Str>x</d:Str>`,
		`<d:AVeryLongNameThatDoesNotFitIntoThreeWordX>v</d:AVeryLongNameThatDoesNotFitIntoThreeWordX><d:ID>2</d:ID>`,
		// nulls
		`<d:ID>2</d:ID><d:Str m:null="true"/>`,
		`<d:ID>2</d:ID><d:Str m:null="true" />`,
		`<d:ID>2</d:ID><d:Str m:null="true"></d:Str>`,
		`<d:ID>2</d:ID><d:Str m:null="false">x</d:Str>`,
		`<d:ID>2</d:ID><d:Str m:null='1'>x</d:Str>`,
		`<d:ID>2</d:ID><d:Str null="true">x</d:Str>`,
		`<d:ID m:null="true"/>`,
		`<d:ID/>`,
		`<d:ID>2</d:ID><d:Str/>`,
		`<d:ID>2</d:ID><d:Str></d:Str>`,
		`<d:ID>2</d:ID><d:Int/><d:Dec></d:Dec><d:At/><d:Guid/><d:Bool/><d:Dbl/>`,
		`<d:ID>2</d:ID><d:Address m:null="true"/>`,
		`<d:ID>2</d:ID><d:Address/>`,
		`<d:ID>2</d:ID><d:Address><d:City>unknown</d:City></d:Address>`,
		`<d:ID>2</d:ID><d:Address><d:Street m:null="true"/></d:Address>`,
		// values
		`<d:ID> 2 </d:ID>`,
		`<d:ID>2.0</d:ID>`,
		`<d:ID>2147483648</d:ID>`,
		`<d:ID>-0</d:ID>`,
		`<d:ID>+5</d:ID>`,
		`<d:ID>007</d:ID>`,
		`<d:ID>2<!-- c --></d:ID>`,
		`<d:ID><![CDATA[2]]></d:ID>`,
		`<d:ID>&#50;</d:ID>`,
		`<d:ID>2</d:ID><d:Int>9223372036854775807</d:Int>`,
		`<d:ID>2</d:ID><d:Dec>1.2345</d:Dec>`,
		`<d:ID>2</d:ID><d:Dec>1.2340000</d:Dec>`,
		`<d:ID>2</d:ID><d:Dec>-0.001</d:Dec>`,
		`<d:ID>2</d:ID><d:Dec>999999999999.999</d:Dec>`,
		`<d:ID>2</d:ID><d:Dec>1000000000000</d:Dec>`,
		`<d:ID>2</d:ID><d:Dec>1e2</d:Dec>`,
		`<d:ID>2</d:ID><d:Dbl>1.5E3</d:Dbl>`,
		`<d:ID>2</d:ID><d:Dbl>INF</d:Dbl>`,
		`<d:ID>2</d:ID><d:Dbl>-0</d:Dbl>`,
		`<d:ID>2</d:ID><d:Dbl>4.35</d:Dbl>`,
		`<d:ID>2</d:ID><d:Dbl>9007199254740993</d:Dbl>`,
		`<d:ID>2</d:ID><d:Bool>1</d:Bool>`,
		`<d:ID>2</d:ID><d:Bool>false</d:Bool>`,
		`<d:ID>2</d:ID><d:Bool>True</d:Bool>`,
		`<d:ID>2</d:ID><d:At>2016-07-08</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-07-08T12:34</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-07-08T12:34:56Z</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-07-08T12:34:56+01:00</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-02-29T00:00:00.1234567</d:At>`,
		`<d:ID>2</d:ID><d:At>2015-02-29T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>1900-02-29T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>2000-02-29T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-04-31T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>0001-01-01T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>9999-12-31T23:59:59.999</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-07-08T24:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-07-08T12:60:00</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-07-08T12:34:60</d:At>`,
		`<d:ID>2</d:ID><d:At>1582-10-04T00:00:00.5</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-13-01T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>2016-00-01T00:00:00</d:At>`,
		`<d:ID>2</d:ID><d:At>/Date(5)/</d:At>`,
		`<d:ID>2</d:ID><d:Guid>01234567-89AB-CDEF-0123-456789ABCDEF</d:Guid>`,
		`<d:ID>2</d:ID><d:Guid>0123456789</d:Guid>`,
		`<d:ID>2</d:ID><d:Str>a &lt; b &amp;&amp; c &gt; d &quot;e&quot; &apos;f&apos;</d:Str>`,
		`<d:ID>2</d:ID><d:Str>&#228;&#xe4;&#x1F600;</d:Str>`,
		`<d:ID>2</d:ID><d:Str>&nbsp;</d:Str>`,
		`<d:ID>2</d:ID><d:Str>&amp</d:Str>`,
		`<d:ID>2</d:ID><d:Str>&</d:Str>`,
		`<d:ID>2</d:ID><d:Str>a<![CDATA[<b>]]>c<!-- d -->e</d:Str>`,
		"<d:ID>2</d:ID><d:Str>a\r\nb\rc\nd\te</d:Str>",
		`<d:ID>2</d:ID><d:Str>a<b/>c</d:Str>`,
		"<d:ID>2</d:ID><d:Str>\xff</d:Str>",
		"<d:ID>2</d:ID><d:Str>a\uffff</d:Str>",
		"<d:ID>2</d:ID><d:Str>a\ufffd</d:Str>",
		"<d:ID>2</d:ID><d:Str>\x01</d:Str>",
		"<d:ID>2</d:ID><d:Str>\x00</d:Str>",
		`<d:ID>2</d:ID><d:Str>` + strings.Repeat("ünïcödé €𝄞 ", 30) + `</d:Str>`,
		`<d:ID>2</d:ID><d:Str>` + strings.Repeat("long text &amp; more ", 500) + `</d:Str>`,
		`<d:ID>2</d:ID><d:Str>]]></d:Str>`,
		`<d:ID>2</d:ID><d:Bin> A P 8 = </d:Bin>`,
		`<d:ID>2</d:ID><d:Bin>*</d:Bin>`,
		`<d:ID>2</d:ID><d:Clock>PT23H59M59S</d:Clock>`,
		`<d:ID>2</d:ID><d:Clock>PT24H00M00S</d:Clock>`,
		`<d:ID>2</d:ID><d:Clock>PT5M</d:Clock>`,
		`<d:ID>2</d:ID><d:Clock>PT12H34M56S </d:Clock>`,
		`<d:ID>2</d:ID><d:Clock>-PT12H34M56S</d:Clock>`,
		`<d:ID>2</d:ID><d:Clock/>`,
		`<d:ID>2</d:ID><d:Whole>100000</d:Whole>`,
		`<d:ID>2</d:ID><d:Whole>-99999</d:Whole>`,
		`<d:ID>2</d:ID><d:Real>-0</d:Real>`,
		`<d:ID>2</d:ID><d:Real>INF</d:Real>`,
		// broken
		`<d:ID>2</d:Str>`,
		`<d:ID>2`,
		`<d:ID>2</d:ID></d:ID>`,
		`<d:ID 2</d:ID>`,
		`<d:ID a=b>2</d:ID>`,
		`<d:ID>2</d:ID></m:properties><m:properties><d:Str>x</d:Str>`,
	} {
		entries = append(entries, oddEntry(properties))
	}
	return append(entries,
		`<entry m:etag="x">`+strings.TrimPrefix(oddEntry(`<d:ID>2</d:ID>`), "<entry>"),
		strings.Replace(oddEntry(`<d:ID>2</d:ID>`), "<author>", "<author><!-- c -->", 1),
		strings.Replace(oddEntry(`<d:ID>2</d:ID>`), `<title type="text"></title>`,
			`<title type="text">a &amp; b</title>`, 1),
		strings.Replace(oddEntry(`<d:ID>2</d:ID>`), `<title type="text"></title>`, `<title type="text"/>`, 1),
		strings.Replace(oddEntry(`<d:ID>2</d:ID>`), `title="T"`, `title='<'`, 1),
		strings.Replace(oddEntry(`<d:ID>2</d:ID>`), `title="T"`, `title='"'`, 1),
		`<entry><content type="image/png" src="x"/><m:properties><d:ID>2</d:ID></m:properties></entry>`,
		`<entry><content><m:properties/></content></entry>`,
		`<entry/>`,
		`<entry></entry>`,
		`<entry xmlns:d="other"><content><m:properties><d:ID>2</d:ID></m:properties></content></entry>`,
		`<entry xmlns:d="other" xmlns:e="http://schemas.microsoft.com/ado/2007/08/dataservices"><content><m:properties><e:ID>2</e:ID><d:Str>no</d:Str></m:properties></content></entry>`,
		`<entry xmlns:e="http://schemas.microsoft.com/ado/2007/08/dataservices"><content><m:properties><e:ID>2</e:ID><d:Str>both</d:Str></m:properties></content></entry>`,
		`<a:entry xmlns:a="http://www.w3.org/2005/Atom"><a:content><m:properties><d:ID>2</d:ID></m:properties></a:content></a:entry>`,
		`<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="T(3)" when="2020-01-01T00:00:00Z"/>`,
		`<link rel="x" href="y"/>`,
		`<!-- between -->`,
		`<entry><content><m:properties><d:ID>2</d:ID></m:properties></content><m:properties><d:Str>two</d:Str></m:properties></entry>`,
	)
}

// Prefixes that another page bound to other namespaces are forgotten: a decoder that read it works like a new one.
func TestForgetsOtherNamespaces(t *testing.T) {
	schema := parseSchema(t, oddSchema)
	entries := strings.Repeat(oddEntry(regularProperties), 3)
	for _, front := range []string{
		strings.Replace(feedFront, "xmlns:d", "xmlns:e", 1),
		strings.Replace(feedFront, `ado/2007/08/dataservices">`, `other">`, 1),
	} {
		d := NewAtom(schema)
		for _, doc := range []string{feedFront + entries + "</feed>", front + entries + "</feed>",
			feedFront + entries + "</feed>"} {
			d.Reset()
			out, err := decodePieces(d, []byte(doc), cuts{size: 500}, nil)
			want, wantErr := decodePieces(NewAtom(schema), []byte(doc), cuts{size: 500}, nil)
			if got, want := describeAll(t, schema, out, err), describeAll(t, schema, want, wantErr); got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", front, excerpt(got, want), excerpt(want, got))
			}
		}
	}
}

// The kernel decodes consecutive rows by itself with the result that it has for each alone: keys at their place in the
// row, values without hidden fields. If a key has to be assembled, or rows are watched, it stops after each row.
func TestKernelDecodesConsecutiveRows(t *testing.T) {
	for name, test := range map[string]struct {
		layout        string
		isConsecutive bool // the kernel decodes more than one row by itself
	}{
		"one key":  {layout: "A Edm.Int32 key\nB Edm.String?\nC Edm.Int64?\nD Edm.String?", isConsecutive: true},
		"two keys": {layout: "A Edm.Int32?\nB Edm.String key\nC Edm.Int64 key\nD Edm.String?", isConsecutive: true},
		"the last as key": {layout: "A Edm.Int32?\nB Edm.String?\nC Edm.Int64?\nD Edm.String key",
			isConsecutive: true},
		"two hidden": {layout: "A Edm.Int32 key\nB Edm.String\nC Edm.Int64? hidden\nD Edm.String? hidden",
			isConsecutive: true},
		"the key is hidden": {layout: "A Edm.Int32\nB Edm.String?\nC Edm.Int64 key hidden\nD Edm.String? hidden",
			isConsecutive: true},
		"keys apart":         {layout: "A Edm.Int32 key\nB Edm.String\nC Edm.Int64 key\nD Edm.String?"},
		"keys turned":        {layout: "A Edm.Int32?\nB Edm.String?\nC Edm.Int64?\nD Edm.String?"},
		"an optional key":    {layout: "A Edm.Int32? key\nB Edm.String?\nC Edm.Int64?\nD Edm.String?"},
		"a tail to each key": {layout: "A Edm.Int32 key\nB Edm.String\nC Edm.Int64?\nD Edm.String?\ntail x"},
		"a watched column":   {layout: "A Edm.Int32 key\nB Edm.String watch\nC Edm.Int64?\nD Edm.String?"},
	} {
		t.Run(name, func(t *testing.T) {
			schema := parseSchema(t, test.layout)
			if name == "keys turned" {
				schema.Keys = []int{3, 2}
				schema.Columns[2].Optional = false
				schema.Columns[3].Optional = false
			}
			var rows []string
			for i := range 200 {
				row := fmt.Sprintf(`{"A":%d,"B":%q,"C":"%d","D":%q}`, i, strings.Repeat("b", i%90), 1<<(i%60),
					strings.Repeat("ü", i%7*i))
				if i%50 == 49 { // members in another order, one missing, one repeated
					row = []string{`{"B":"b","A":1,"C":"3","D":"d"}`, `{"A":1,"B":"b","C":"3"}`,
						`{"A":1,"A":1,"B":"b","C":"3","D":"d"}`, `{"A":1,"B":"b","C":"3","D":"d"} `}[i/50]
				}
				rows = append(rows, row)
			}
			doc := []byte("[" + strings.Join(rows, ",") + "]")
			inOnePiece, inOnePieceErr := decodePieces(NewJSON(schema), doc, cuts{size: len(doc)}, nil)
			inBytes, inBytesErr := decodePieces(NewJSON(schema), doc, cuts{size: 1}, nil)
			if !same(inOnePiece, inBytes) || fmt.Sprint(inOnePieceErr) != fmt.Sprint(inBytesErr) {
				t.Errorf("expected the same rows in one piece and in bytes, found\n%s\nand\n%s",
					describeAll(t, schema, inOnePiece, inOnePieceErr), describeAll(t, schema, inBytes, inBytesErr))
			}
			d := NewJSON(schema)
			var out Output
			require.NoError(t, d.Write([]byte("["+strings.Join(rows[:20], ",")+"]"), true, &out))
			count := d.root.RowCount
			assert.True(t, (count > 10) == test.isConsecutive && (test.isConsecutive || count <= 0),
				"the kernel decoded %d of 20 rows by itself, expected consecutive rows: %v", count, test.isConsecutive)
		})
	}
}

// Entries that package kernel must leave to Go, because they only look usual.
func TestEntriesThatLookUsual(t *testing.T) {
	schema := parseSchema(t, nestedSchema)
	items := `<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items" title="Items" href="x">`
	for name, test := range map[string]struct{ before, after, problem string }{
		"entry with a colon":   {"<entry>", "<:entry>", "expected </:entry>, found </entry>"},
		"content with a colon": {`<content type="application/xml">`, "<:content>", "expected </:content>, found </content>"},
		"link with a colon":    {"<link ", "<:link ", "expected </:link>, found </link>"},
		"zero byte for <":      {"<id>y</id>", "\x00id>y</id>", "expected </feed>, found </id>"},
		"empty link":           {items, items[:len(items)-1] + "/>", "expected </entry>, found </link>"},
	} {
		odd := strings.Replace(nestedEntry, test.before, test.after, 1)
		require.True(t, odd != nestedEntry, "%s: expected %q in the entry", name, test.before)
		doc := feedFront + nestedEntry + odd + "</feed>"
		out, err := decodePieces(NewAtom(schema), []byte(doc), cuts{size: len(doc)}, nil)
		assert.True(t, err != nil && strings.HasPrefix(err.Error(), test.problem) && len(out.Rows) == 1,
			"%s: expected one row and %q, found %d and %v", name, test.problem, len(out.Rows), err)
	}
	// The first of two relations counts.
	doc := feedFront + nestedEntry + strings.Replace(nestedEntry, "<link ", `<link rel="http://x/y" `, 1) + "</feed>"
	out, err := decodePieces(NewAtom(schema), []byte(doc), cuts{size: len(doc)}, nil)
	text := describeAll(t, schema, out, err)
	assert.True(t, strings.Count(text, "Owner: null") == 1, "expected an owner and none, found %s", text)
}

// Package kernel compares the elements of an entry with the previous entry. Each entry returns the row, or the failed
// row, that it returns alone.
func TestElementsOfConsecutiveEntries(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nItems many? {\n  N Edm.Int32?\n}")
	schema.Columns[1].Inline = true // a row with a link to Items fails
	const related = `"http://schemas.microsoft.com/ado/2007/08/dataservices/related/Items"`
	elements := []string{
		"", "<id/>", "<id></id>", "<id>1</id>", "<id>22</id>", `<id>a"b</id>`, `<id>x="y</id>`,
		`<id> rel=` + related + `</id>`, "<id>a=</id>", "<id>a>b</id>", "<id><i/></id>", "<id><i>1</i><k/>2</id>",
		`<link rel="edit" href="1"/>`, `<link rel="edit" href="&gt;"/>`, `<link rel="edit" href=">1"/>`,
		`<link rel="edit" href=""/>`, `<link rel="edit" href=""></link>`, `<link rel=` + related + ` href="1"/>`,
		`<link rel=` + related + ` href="22"/>`, `<link href="1" rel=` + related + `/>`, `<link href="1" rel="edit"/>`,
		`<link href="=" rel="edit"/>`, `<link href="=" rel=` + related + `/>`, `<link href="=" xel=` + related + `/>`,
		`<link href="1" xel=` + related + `/>`, `<id a="1"/>`, `<id a="1" b="1"/>`, `<id a="1"></id>`,
		`<id>"a"1"</id>`, `<id>"b"1"</id>`, inlined("Items", "<feed/>"), inlined("Items", "<feed></feed>"),
	}
	// rowsOf returns the values of the rows, empty for a row that failed.
	rowsOf := func(entries string) []string {
		out := &Output{Data: make([]byte, 0, 1<<16)}
		err := NewAtom(schema).Write([]byte(feedFront+entries+"</feed>"), true, out)
		values := make([]string, out.Page.Rows)
		for _, row := range out.Rows {
			values[row.RowIndex] = string(out.Data[row.Value.Start:][:row.Value.Size])
		}
		if err != nil || len(out.Rows)+len(out.RowErrors) != len(values) {
			t.Fatalf("%s: %s", entries, describeAll(t, schema, out, err))
		}
		return values
	}
	entryOf := map[string]string{}
	rowOf := map[string]string{}
	failed := 0
	for _, links := range elements {
		entryOf[links] = withLinks(links, "<d:ID>1</d:ID>")
		rowOf[links] = rowsOf(entryOf[links])[0]
		if rowOf[links] == "" {
			failed++
		}
	}
	assert.Equal(t, 4, failed, "entries that fail because of a link to Items")
	for _, first := range elements {
		for _, second := range elements {
			for _, third := range elements {
				entries := entryOf[first] + entryOf[second] + entryOf[third] + entryOf[third]
				want := []string{rowOf[first], rowOf[second], rowOf[third], rowOf[third]}
				rows := rowsOf(entries)
				require.True(t, slices.Equal(rows, want), "%s: expected the rows %q, found %q", entries, want, rows)
			}
		}
	}
	for broken, usual := range map[string]string{
		"<id><i/></ie>":     "<id>1</id>",
		"<id><i></j></id>":  "<id><i></i></id>",
		"<id>1</ie>":        "<id>1</id>",
		"<id>1</id/>":       "<id>1</id>",
		"<id>1":             "<id>1</id>",
		"1</id>":            "<id>1</id>",
		`<id b="1" c"=1"/>`: `<id b="1" c="1"/>`,
		`<id b="=" c"=1"/>`: `<id b="=" c="1"/>`,
		`<id b="1"=c="1"/>`: `<id b="1" c="1"/>`,
		`<id b="1"/c="1"/>`: `<id b="1" c="1"/>`,
	} {
		doc := feedFront
		for _, links := range []string{usual, usual, strings.Replace(usual, `b="1"`, `b="="`, 1), broken} {
			doc += withLinks(links, "<d:ID>1</d:ID>")
		}
		err := NewAtom(schema).Write([]byte(doc+"</feed>"), true, &Output{})
		assert.True(t, err != nil, "expected an error for %s after %s", broken, usual)
	}
}

// A name with a backslash, which an earlier row had, is not mistaken for a name with an escape.
func TestNamesWithBackslashes(t *testing.T) {
	schema := parseSchema(t, oddSchema)
	for _, doc := range []string{`[{"\\u0049D":1,"ID":2},{"\\u0049D":1,"ID":2},{"\u0049D":3}]`,
		`[{"ID":1,"a\"b":1},{"ID":2,"a\"b":1},{"ID":3}]`} {
		out, err := decodePieces(NewJSON(schema), []byte(doc), cuts{size: len(doc)}, nil)
		if err != nil || len(out.Rows) != 3 {
			t.Errorf("%s: expected 3 rows, found %s", doc, describeAll(t, schema, out, err))
		}
	}
}

// Texts that package kernel must not take for properties of an entry, for the end of a row or for a null.
func TestTextsThatLookLikeProperties(t *testing.T) {
	schema := parseSchema(t, "ID Edm.Int32 key\nN Edm.Int32?\nItems many? {\n  N Edm.Int32?\n  M Edm.Int32?\n}")
	nested := withLinks("", "<d:M>1</d:M>")
	item := inlined("Items", "<feed><m:properties><d:N>9</d:N></m:properties>"+nested+nested+"</feed>")
	const (
		metadata = `="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"`
		bound    = ` xmlns:x` + metadata + ` xmlns:m` + metadata
		unbound  = ` xmlns:x="other" xmlns:m` + metadata
	)
	// nullOrFive returns an entry whose N is null if the declaration binds x to the namespace of metadata, else 5.
	nullOrFive := func(declaration string) string {
		entry := withLinks("", `<d:ID>1</d:ID><d:N x:null="true">5</d:N>`)
		return strings.Replace(entry, "<entry", "<entry"+declaration, 1)
	}
	for name, test := range map[string]struct{ entries, want string }{
		"properties in a feed": {
			entries: withLinks(item, "<d:ID>1</d:ID>"),
			want:    "{ID: 1, N: null, Items: [{N: null, M: 1}, {N: null, M: 1}]}",
		},
		"an object after content": {
			entries: strings.Replace(withLinks("", "<d:ID>1</d:ID>"), "</content>", ",{</content>", 1),
			want:    "{ID: 1, N: null, Items: null}",
		},
		"an object after content with a namespace": {
			entries: strings.NewReplacer("<content", `<content xmlns:x="y"`, "</content>", ",{</content>").
				Replace(withLinks("", "<d:ID>1</d:ID>")),
			want: "{ID: 1, N: null, Items: null}",
		},
		"null after a number": {
			entries: strings.Repeat(nullOrFive(unbound), 4) + nullOrFive(bound),
			want:    "{ID: 1, N: null, Items: null}",
		},
		"number after a null": {
			entries: strings.Repeat(nullOrFive(bound), 4) + nullOrFive(unbound),
			want:    "{ID: 1, N: 5, Items: null}",
		},
	} {
		doc := []byte(feedFront + strings.Repeat(withLinks("", "<d:ID>0</d:ID>"), 3) + test.entries + "</feed>")
		inOnePiece := &Output{Data: make([]byte, 0, 1<<16)}
		err := NewAtom(schema).Write(doc, true, inOnePiece)
		inBytes, inBytesErr := decodePieces(NewAtom(schema), doc, cuts{size: 1}, nil)
		if err != nil || inBytesErr != nil || !same(inOnePiece, inBytes) {
			t.Errorf("%s: expected the same rows in one piece and in many, found %s and %s", name,
				describeAll(t, schema, inOnePiece, err), describeAll(t, schema, inBytes, inBytesErr))
			continue
		}
		text := describeAll(t, schema, inOnePiece, err)
		if lines := strings.Split(strings.TrimSpace(text), "\n"); !strings.Contains(lines[len(lines)-1], test.want) {
			t.Errorf("%s: expected %s in the last row, found %s", name, test.want, text)
		}
	}
}
