package bench

import (
	"slices"
	"strconv"
	"strings"
)

// atomProperties are the properties of the row from which the odd rows differ.
var atomProperties = []string{`<d:OrderID>10248</d:OrderID>`, `<d:CustomerID>ALFKI</d:CustomerID>`,
	`<d:Number>71248937214</d:Number>`, `<d:OrderDate>2015-01-01T00:00:00</d:OrderDate>`,
	`<d:ShippedDate>2015-01-12T00:00:00</d:ShippedDate>`, `<d:Freight>32.3800</d:Freight>`,
	`<d:ShipName>Alfreds</d:ShipName>`, `<d:ShipCity>Berlin</d:ShipCity>`, `<d:ShipCountry>Germany</d:ShipCountry>`,
	`<d:Weight>12.5</d:Weight>`, `<d:Paid>true</d:Paid>`,
	`<d:Reference>00112233-4455-6677-8899-aabbccddeeff</d:Reference>`}

const (
	atomHead = `<entry><id>` + orderURI + `</id><title type="text">Orders(10248)</title><updated>2024-01-01T00:00:00Z` +
		`</updated><category term="Demo.Order" scheme="` + dataURI + `/scheme"/><link href="Orders(10248)" rel="self" ` +
		`title="Orders"/>` + atomCustomer + `/>` + atomItems + `/><content type="application/xml"><m:properties>`
	atomTail = `</m:properties></content></entry>`

	atomCustomer = `<link href="Orders(10248)/Customer" rel="` + dataURI + `/related/Customer" ` +
		`type="application/atom+xml;type=entry" title="Customer"`
	atomItems = `<link href="Orders(10248)/Items" rel="` + dataURI + `/related/Items" ` +
		`type="application/atom+xml;type=feed" title="Items"`

	innerHead = `<entry><id>x</id><title type="text">x</title><updated>2024-01-01T00:00:00Z</updated>` +
		`<content type="application/xml"><m:properties>`
	feedHead = `<m:inline><feed><id>x</id><title type="text">Items</title><updated>2024-01-01T00:00:00Z</updated>`
	feedTail = `</feed></m:inline></link>`
	atomItem = innerHead + `<d:Position>1</d:Position><d:Product>Chai</d:Product><d:Amount>18.0000</d:Amount>` +
		`<d:Changed>2015-01-01T00:00:00</d:Changed>` + atomTail
)

// oddAtom returns the rows of the page Odd in Atom.
func oddAtom() []oddRow {
	base := atomEntry(atomProperties)
	reversed := slices.Clone(atomProperties)
	slices.Reverse(reversed)

	// row replaces texts of the base row once, replaced everywhere. name sets the ShipName, add adds properties, items
	// adds the content of the link to the items.
	row := func(branch, want string, pairs ...string) oddRow {
		return oddRow{branch, want, replaceOnce(base, pairs...)}
	}
	name := func(branch, want, value string) oddRow { return row(branch, "ShipName="+want, "Alfreds", value) }
	add := func(branch, want, properties string) oddRow {
		return row(branch, want, "<d:Paid>", properties+"<d:Paid>")
	}
	items := func(branch, want, inline string) oddRow {
		return row(branch, want, atomItems+"/>", atomItems+">"+inline)
	}
	replaced := func(branch, want string, pairs ...string) oddRow {
		return oddRow{branch, want, strings.NewReplacer(pairs...).Replace(base)}
	}
	return []oddRow{
		name("entities", `"a & b <c> \"'"`, `a &amp; b &lt;c&gt; &quot;&apos;`),
		name("character references", `"Straße 🚚"`, `Stra&#223;e &#x1F69A;`),
		name("characters beyond ASCII", `"Zürich 東京 🚚"`, `Zürich 東京 🚚`),
		name("line breaks", `"a\nb\nc"`, "a\r\nb\rc"),
		name("CDATA", `"<b> & ]"`, "<![CDATA[<b> &]]> ]"),
		name("a comment in a value", `"Graz"`, "Gr<!-- </d:ShipName> -->az"),
		name("a processing instruction in a value", `"Graz"`, "Gr<?x </d:ShipName>?>az"),
		add("a comment between properties", "", "<!-- <d:ShipName>no</d:ShipName> -->"),
		add("a processing instruction between properties", "", "<?x <d:ShipName>no</d:ShipName>?>"),
		row("a comment in the entry", "", "<content", "<!-- <content> --><content"),
		replaced("white space between elements", "", "><", ">\r\n  <"),
		replaced("white space in tags", "", "<d:ShipName>", "<d:ShipName\n>", "</d:", "</d:", "Name><d:", "Name ><d:",
			"/><", "  /><", "<m:properties>", "<m:properties\t>"),
		replaced("attributes in single quotes", "", `"`, "'"),
		replaced("types of the properties", "", "<d:OrderID>", `<d:OrderID m:type="Edm.Int32">`, "<d:Number>",
			`<d:Number m:type="Edm.Int64">`, "<d:OrderDate>", `<d:OrderDate m:type="Edm.DateTime">`, "<d:Freight>",
			`<d:Freight m:type="Edm.Decimal">`, "<d:Paid>", `<d:Paid m:type="Edm.Boolean">`),
		row("attributes of a text", "", "<d:ShipName>", `<d:ShipName xml:lang="de" xml:space="preserve" title="a&gt;b">`),
		row("another xml:base", "", "<entry>", `<entry xml:base="https://other.example.com/">`),
		row("an ETag", "", "<entry>", `<entry m:etag="W/&quot;7&quot;">`),
		replaced("other prefixes on the entry", "", "<entry>", `<entry xmlns:x="`+dataURI+`" xmlns:y="`+metadataURI+`">`,
			"<d:", "<x:", "</d:", "</x:", "<m:", "<y:", "</m:", "</y:"),
		replaced("a prefix for Atom", "", "<entry>", `<a:entry xmlns:a="http://www.w3.org/2005/Atom">`, "</entry>",
			"</a:entry>", "<content", "<a:content", "</content>", "</a:content>", "<link", "<a:link", "<id>", "<a:id>",
			"</id>", "</a:id>", "<title", "<a:title", "</title>", "</a:title>", "<updated>", "<a:updated>",
			"</updated>", "</a:updated>", "<category", "<a:category"),
		replaced("properties without a prefix", "", "<m:properties>", `<m:properties xmlns="`+dataURI+`">`, "<d:", "<",
			"</d:", "</"),
		row("a prefix on a property", `ShipName="Graz"`, "<d:ShipName>Alfreds</d:ShipName>",
			`<e:ShipName xmlns:e="`+dataURI+`">Graz</e:ShipName>`),
		row("a property of another namespace", "ShipName=null", "<d:ShipName>", `<d:ShipName xmlns:d="urn:other">`),
		row("properties next to the content", "", `<content type="application/xml">`,
			`<content type="image/png" src="Orders(10248)/$value"/>`, "</m:properties></content>", "</m:properties>"),
		row("more elements of Atom", "", "<content", `<author><name>x</name></author><summary>x</summary><content`),
		row("foreign elements", "", "<content", `<x:draft xmlns:x="urn:x"><content></content></x:draft><content`),
		row("links of other relations", "", "<content", `<link rel="edit-media" href="a?b=1&amp;c"/><link rel="`+dataURI+
			`/related/Shipper" href="x"/><content`),
		add("a nested struct", `Address={Street="Obere Str. 57" City="Berlin" Geo=null}`,
			`<d:Address m:type="Demo.Address"><d:Street>Obere Str. 57</d:Street><d:City>Berlin</d:City></d:Address>`),
		add("two nested structs in another order", `Address={Street=null City="Ulm" Geo={Lat=48.4 Lon=10}}`,
			`<d:Address><d:Geo><d:Lon>10</d:Lon><d:Lat>4.84e1</d:Lat></d:Geo><d:City>Ulm</d:City></d:Address>`),
		add("a nested struct that is null", "", `<d:Address m:null="true"/>`),
		add("a nested struct without members", `Address={Street=null City=null Geo=null}`, `<d:Address> </d:Address>`),
		add("null in a nested struct", `error property Address/Geo/Lat: expected a value (it is not nullable), found null`,
			`<d:Address><d:Geo><d:Lat m:null="true"/><d:Lon>10</d:Lon></d:Geo></d:Address>`),
		items("an expanded feed of three items", itemWants(3), feedHead+atomItem+atomItem+atomItem+feedTail),
		items("an expanded feed without items", "Items=[]", feedHead+feedTail),
		items("an expanded feed that is null", "Items=[]", `<m:inline/></link>`),
		items("an item without a required value", `error property Items/Position: expected a value (it is not `+
			`nullable), found none`, feedHead+innerHead+`<d:Product>Chai</d:Product>`+atomTail+feedTail),
		row("an expanded entity", customerWant, atomCustomer+"/>", atomCustomer+`><m:inline>`+innerHead+
			`<d:CustomerID>ALFKI</d:CustomerID><d:CompanyName>Alfreds</d:CompanyName><d:Address><d:City>Berlin</d:City>`+
			`</d:Address>`+atomTail+`</m:inline></link>`),
		row("an expanded entity that is null", "", atomCustomer+"/>", atomCustomer+`><m:inline/></link>`),
		add("an unknown scalar", "unknown Surprise", `<d:Surprise>x</d:Surprise>`),
		add("an unknown object", "unknown Status", `<d:Status><d:Code>7</d:Code><d:ShipName>no</d:ShipName></d:Status>`),
		add("an unknown member of a nested struct", `Address={Street=null City="Ulm" Geo=null} unknown Address/Floor`,
			`<d:Address><d:City>Ulm</d:City><d:Floor>3</d:Floor></d:Address>`),
		add("a repeated property", "error property Paid: expected one value, found two", `<d:Paid>true</d:Paid>`),
		add("a repeated property of a nested struct", "error property Address/City: expected one value, found two",
			`<d:Address><d:City>Ulm</d:City><d:City m:null="true"/></d:Address>`),
		row("nulls", `CustomerID=null ShippedDate=null Weight=null`, ">ALFKI<", ` m:null="true"><`,
			"<d:ShippedDate>2015-01-12T00:00:00</d:ShippedDate>", `<d:ShippedDate m:null="true"/>`,
			"<d:Weight>12.5</d:Weight>", `<d:Weight m:type="Edm.Double" m:null="true" />`),
		row("null as a number, with a text", "Paid=null", ">true<", ` m:null="1">true<`),
		row("no null", `ShipName="Graz"`, ">Alfreds", ` m:null="false" null="true">Graz`),
		row("null of a required property", "error property OrderID: expected a value (it is not nullable), found null",
			"<d:OrderID>10248</d:OrderID>", `<d:OrderID m:null="true"/>`),
		row("no required property", "error property OrderID: expected a value (it is not nullable), found none",
			"<d:OrderID>10248</d:OrderID>", ""),
		row("a word that is no boolean", `error property Paid: expected Edm.Boolean, found "yes"`, ">true<", ">yes<"),
		row("an element that is no number", `error property Weight: expected text of characters that XML allows, in `+
			`UTF-8, found "<d:kg>12.5</d:kg>"`, ">12.5<", "><d:kg>12.5</d:kg><"),
		row("a number beyond its type", `error property OrderID: expected Edm.Int32, found "3000000000"`,
			"<d:OrderID>10248", "<d:OrderID>3000000000"),
		row("a decimal with too many digits", `error property Freight: expected Edm.Decimal of scale 4, found "1.23456"`,
			"32.3800", "1.23456"),
		row("a date that does not exist", `error property OrderDate: expected Edm.DateTime of the years 1 to 9999, `+
			`found "2015-02-30T00:00:00"`, "2015-01-01T00:00:00", "2015-02-30T00:00:00"),
		row("empty texts", `CustomerID="" ShipName=""`, "<d:CustomerID>ALFKI</d:CustomerID>", "<d:CustomerID/>",
			"Alfreds", ""),
		row("empty texts that are null", `Number=null OrderDate=null Freight=null`, "71248937214", "",
			"2015-01-01T00:00:00", "", "<d:Freight>32.3800</d:Freight>", "<d:Freight/>"),
		row("a date with a fraction", `OrderDate=2015-01-01T10:20:30.123Z`, "2015-01-01T00:00:00",
			"2015-01-01T10:20:30.123"),
		row("dates of other forms", `OrderDate=2015-01-01T10:20:30.123Z ShippedDate=2015-01-11T23:30:00Z`,
			"2015-01-01T00:00:00", "2015-01-01T10:20:30.1234567Z", "2015-01-12T00:00:00", "2015-01-12T01:30+02:00"),
		row("dates in milliseconds", "ShippedDate=2015-01-12T01:00:00Z", "2015-01-01T00:00:00", "/Date(1420070400000)/",
			"2015-01-12T00:00:00", "/Date(1421020800000-0060)/"),
		row("a date before 1970", `OrderDate=1900-01-01T00:00:00Z`, "2015-01-01", "1900-01-01"),
		row("a Double with an exponent", "Weight=-0.00125", "12.5", "-1.25E-3"),
		row("a Decimal with an exponent", "", "32.3800", "3.238e1"),
		row("signs and zeros", "Number=-1 Freight=-5000", "71248937214", "-01", "32.3800", "-.5"),
		row("infinity", "Weight=+Inf", "12.5", "INF"),
		row("a boolean as a number", "Paid=false", ">true<", ">0<"),
		row("a GUID in capitals", `Reference="00112233-4455-6677-8899-AABBCCDDEEFF"`, "aabbccddeeff", "AABBCCDDEEFF"),
		row("a derived type", "unknown Deadline", "Demo.Order", "Demo.RushOrder", "<d:Paid>",
			"<d:Deadline>2015-01-01T00:00:00</d:Deadline><d:Paid>"),
		{"a deleted entry", "deleted Orders(10248) at 2015-01-01T00:00:00Z", `<at:deleted-entry xmlns:at="` +
			`http://purl.org/atompub/tombstones/1.0" ref="Orders(10248)" when="2015-01-01T00:00:00Z"/>`},
		{"a deleted entry without a reference", "error property ref: expected the id of the deleted entry, found none",
			`<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0"><at:comment>x</at:comment>` +
				`</at:deleted-entry>`},
		add("ignored properties", "", `<d:Internal>x</d:Internal><d:Employee><d:FirstName>Ann</d:FirstName></d:Employee>`),
		{"properties in another order", "", atomEntry(reversed)},
		row("properties left out", "Freight=null ShipName=null ShipCity=null ShipCountry=null",
			strings.Join(atomProperties[5:9], ""), ""),
		{"nothing but the key", "CustomerID=null Number=null OrderDate=null ShippedDate=null Freight=null " +
			"ShipName=null ShipCity=null ShipCountry=null Weight=null Paid=null Reference=null",
			"<entry><content><m:properties>" + atomProperties[0] + atomTail},
		name("a text of 100 bytes", strconv.Quote(longText(100)), longText(100)),
		name("a text of 9,000 bytes", strconv.Quote(longText(9000)), longText(9000)),
		name("a text of 9,000 bytes and an entity", strconv.Quote(longText(9000)+"&"), longText(9000)+"&amp;"),
	}
}

func atomEntry(properties []string) string { return atomHead + strings.Join(properties, "") + atomTail }
