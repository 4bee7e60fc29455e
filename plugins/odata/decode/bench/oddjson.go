package bench

import (
	"slices"
	"strconv"
	"strings"
)

// jsonBase has the members of the row from which the odd rows differ.
var jsonBase = []string{`"__metadata":{"id":"` + orderURI + `","uri":"` + orderURI + `","type":"Demo.Order"}`,
	`"OrderID":10248`, `"CustomerID":"ALFKI"`, `"Number":"71248937214"`, `"OrderDate":"\/Date(1420070400000)\/"`,
	`"ShippedDate":"\/Date(1421020800000)\/"`, `"Freight":"32.3800"`, `"ShipName":"Alfreds"`, `"ShipCity":"Berlin"`,
	`"ShipCountry":"Germany"`, `"Weight":"12.5"`, `"Paid":true`, `"Reference":"00112233-4455-6677-8899-aabbccddeeff"`,
	`"Customer":` + jsonCustomer, `"Items":` + jsonItems}

const (
	jsonCustomer = `{"__deferred":{"uri":"` + orderURI + `/Customer"}}`
	jsonItems    = `{"__deferred":{"uri":"` + orderURI + `/Items"}}`
	jsonItem     = `{"__metadata":{"uri":"Items(1)","type":"Demo.Item"},"Position":1,"Product":"Chai",` +
		`"Amount":"18.0000","Changed":"\/Date(1420070400000)\/"}`
	jsonTombstone = `{"@odata.context":"$metadata#Orders/$deletedEntity","id":"Orders(10248)",` +
		`"when":"\/Date(1420070400000)\/","reason":"deleted"}`
)

// oddForm is a form of JSON with odd rows.
type oddForm struct {
	members     []string // of the row from which the odd rows differ
	addressType string   // the member that names the type of an address
	shipped     string   // the value of ShippedDate
	weight      string   // the value of Weight
}

var oddForm2 = oddForm{members: jsonBase, addressType: `"__metadata":{"type":"Demo.Address"}`,
	shipped: `"\/Date(1421020800000)\/"`, weight: `"12.5"`}

// row replaces texts of the base row.
func (f oddForm) row(branch, want string, pairs ...string) oddRow {
	return oddRow{branch, want, replaceOnce(jsonObject(f.members), pairs...)}
}

// name sets the ShipName.
func (f oddForm) name(branch, want, value string) oddRow {
	return f.row(branch, "ShipName="+want, `"Alfreds"`, `"`+value+`"`)
}

// add adds members.
func (f oddForm) add(branch, want, members string) oddRow {
	return f.row(branch, want, `"Paid":true`, `"Paid":true,`+members)
}

// oddJSON returns the rows of the page Odd in verbose JSON.
func oddJSON() []oddRow {
	f := oddForm2
	items := func(branch, want, value string) oddRow { return f.row(branch, want, jsonItems, value) }
	return append(f.commonRows(),
		items("an expanded feed of three items", itemWants(3),
			`{"results":[`+jsonItem+","+jsonItem+","+jsonItem+`]}`),
		items("an expanded feed as an array", itemWants(1), "["+jsonItem+"]"),
		items("an expanded feed without items", "Items=[]", `{"results":[],"__count":"0"}`),
		items("an expanded feed that is null", "", "null"),
		items("an item without a required value", `error property Items/Position: expected a value (it is not `+
			`nullable), found none`, `{"results":[{"Product":"Chai"}]}`),
		items("an expanded feed without results", `error property Items: expected an array of results, found `+
			`"{\"value\":[]}"`, `{"value":[]}`),
		f.row("an expanded entity", customerWant, jsonCustomer, `{"__metadata":{"uri":"Customers('ALFKI')",`+
			`"type":"Demo.Customer"},"CustomerID":"ALFKI","CompanyName":"Alfreds","Address":{"City":"Berlin"}}`),
		f.row("an expanded entity that is null", "", jsonCustomer, "null"),
		f.row("a date that does not exist", `error property OrderDate: expected Edm.DateTime of the years 1 to 9999, `+
			`found "\"2015-02-30T00:00:00\""`, `\/Date(1420070400000)\/`, "2015-02-30T00:00:00"),
		f.row("empty texts that are null", `Number=null OrderDate=null Freight=null`, `"71248937214"`, `""`,
			`"\/Date(1420070400000)\/"`, `""`, `"32.3800"`, `""`),
		f.row("dates in ISO 8601", `OrderDate=2015-01-01T10:20:30.123Z`, `\/Date(1420070400000)\/`,
			"2015-01-01T10:20:30.123", `\/Date(1421020800000)\/`, "2015-01-12T00:00:00"),
		f.row("dates in ISO 8601 of other forms", `OrderDate=2015-01-01T10:20:30.123Z ShippedDate=2015-01-11T23:30:00Z`,
			`\/Date(1420070400000)\/`, "2015-01-01T10:20:30.1234567Z", `\/Date(1421020800000)\/`,
			"2015-01-12T01:30+02:00"),
		f.row("dates with an offset", `OrderDate=2014-12-31T23:00:00Z ShippedDate=2015-01-12T01:00:00Z`,
			`1420070400000`, "1420070400000+0060", `1421020800000`, "1421020800000-0060"),
		f.row("dates without escaped slashes", "", `\/Date(1420070400000)\/`, "/Date(1420070400000)/",
			`\/Date(1421020800000)\/`, "/Date(1421020800000)/"),
		f.row("a date before 1970", `OrderDate=1900-01-01T00:00:00Z`, "1420070400000", "-2208988800000"),
		f.row("texts as numbers", "", `"71248937214"`, "71248937214", `"32.3800"`, "32.38", `"12.5"`, "12.5"),
		f.row("a boolean as a number", "", "true", "1"),
		f.row("a derived type", "unknown Deadline", "Demo.Order", "Demo.RushOrder", `"Paid":true`,
			`"Paid":true,"Deadline":"\/Date(1420070400000)\/"`),
		oddRow{"a deleted entry", "deleted Orders(10248) at 2015-01-01T00:00:00Z", jsonTombstone},
		f.name("the word of a deleted entry in a value", `"/$deletedEntity"`, "/$deletedEntity"),
		f.add("annotations", "", `"Freight@odata.type":"Edm.Decimal","@odata.etag":"W/\"7\""`),
		f.add("a member with two underscores", "", `"__extension":{"a":[1,"}"]}`),
		f.row("metadata with more members", "", `"type":"Demo.Order"`, `"type":"Demo.Order","etag":"W/\"7\"",`+
			`"properties":{"Items":{"associationuri":"Orders(10248)/$links/Items"}}`),
		oddRow{"metadata at the end", "", jsonObject(append(slices.Clone(jsonBase[1:]), jsonBase[0]))},
		f.add("a link to an unknown navigation", "", `"Shipper":{"__deferred":{"uri":"Orders(10248)/Shipper"}}`),
		f.row("properties left out", "Freight=null ShipName=null ShipCity=null ShipCountry=null",
			`"Freight":"32.3800","ShipName":"Alfreds","ShipCity":"Berlin","ShipCountry":"Germany",`, ""),
	)
}

// commonRows returns the rows that each form has.
func (f oddForm) commonRows() []oddRow {
	base := jsonObject(f.members)
	reversed := slices.Clone(f.members)
	slices.Reverse(reversed)
	return []oddRow{
		f.name("simple escapes", `"a\"b\\c/\n\t"`, `a\"b\\c\/\n\t`),
		f.name(`\u escapes`, `"Straße 1"`, `Stra\u00dfe\u00201`),
		f.name("a surrogate pair", `"by 🚚"`, `by \ud83d\ude9a`),
		f.row("half a surrogate pair", `error property ShipName: expected a string of valid escapes and UTF-8, found `+
			`"\"\\ud83d\""`, `"Alfreds"`, `"\ud83d"`),
		f.name("characters beyond ASCII", `"Zürich 東京 🚚"`, `Zürich 東京 🚚`),
		f.row("bytes that are not UTF-8", `error property ShipName: expected a string of valid escapes and UTF-8, found `+
			`"\"\xff\""`, `"Alfreds"`, "\"\xff\""),
		f.row("an escape that does not exist", `error property ShipName: expected a string of valid escapes and UTF-8, `+
			`found "\"\\x41\""`, `"Alfreds"`, `"\x41"`),
		f.row("an escaped name", `ShipName="Graz"`, `"ShipName":"Alfreds"`, `"Ship\u004eame":"Graz"`),
		{"white space between tokens", "", strings.NewReplacer(`,"`, ",\n    \"", `":`, `" : `, `{"`, "{\r\n\t\"",
			"}", "\n}").Replace(base)},
		{"one space after names and commas", "", strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(base)},
		f.add("a nested struct", `Address={Street="Obere Str. 57" City="Berlin" Geo=null}`,
			`"Address":{`+f.addressType+`,"Street":"Obere Str. 57","City":"Berlin"}`),
		f.add("two nested structs in another order", `Address={Street=null City="Ulm" Geo={Lat=48.4 Lon=10}}`,
			`"Address":{"Geo":{"Lon":"10","Lat":4.84e1},"City":"Ulm"}`),
		f.add("a nested struct that is null", "", `"Address":null`),
		f.add("a nested struct without members", `Address={Street=null City=null Geo=null}`, `"Address":{ }`),
		f.add("null in a nested struct", `error property Address/Geo/Lat: expected a value (it is not nullable), found null`,
			`"Address":{"Geo":{"Lat":null,"Lon":"10"}}`),
		f.add("a text instead of a nested struct", `error property Address: expected an object, found "\"Ulm\""`,
			`"Address":"Ulm"`),
		f.add("an unknown scalar", "unknown Surprise", `"Surprise":"x"`),
		f.add("an unknown object", "unknown Status", `"Status":{"Code":7,"Texts":[{"A":"}"},[1,2]]}`),
		f.add("an unknown member of a nested struct", `Address={Street=null City="Ulm" Geo=null} unknown Address/Floor`,
			`"Address":{"City":"Ulm","Floor":3}`),
		f.add("a repeated property", "error property Paid: expected one value, found two", `"Paid":true`),
		f.add("a repeated property of a nested struct", "error property Address/City: expected one value, found two",
			`"Address":{"City":"Ulm","City":null}`),
		f.row("nulls", `CustomerID=null ShippedDate=null Weight=null Paid=null`, `"ALFKI"`, "null",
			f.shipped, "null", f.weight, "null", "true", "null"),
		f.row("null of a required property",
			"error property OrderID: expected a value (it is not nullable), found null",
			`"OrderID":10248`, `"OrderID":null`),
		f.row("no required property", "error property OrderID: expected a value (it is not nullable), found none",
			`"OrderID":10248,`, ""),
		f.row("a word that is no boolean", `error property Paid: expected Edm.Boolean, found "\"yes\""`, "true", `"yes"`),
		f.row("an object that is no number", `error property Weight: expected Edm.Double, found "{\"kg\":12.5}"`, f.weight,
			`{"kg":12.5}`),
		f.row("a number beyond its type", `error property OrderID: expected Edm.Int32, found "3000000000"`,
			`"OrderID":10248`, `"OrderID":3000000000`),
		f.row("a decimal with too many digits", `error property Freight: expected Edm.Decimal of scale 4, found `+
			`"\"1.23456\""`, "32.3800", "1.23456"),
		f.row("an empty text", `CustomerID=""`, `"ALFKI"`, `""`),
		f.row("a number as a text", "", `"OrderID":10248`, `"OrderID":"10248"`),
		f.row("a Double with an exponent", "Weight=-0.00125", f.weight, `"-1.25E-3"`),
		f.row("a Decimal with an exponent", "", `"32.3800"`, "3.238e1"),
		f.row("signs and zeros", "Number=-1 Freight=-5000", "71248937214", "-01", "32.3800", "-.5"),
		f.row("infinity", "Weight=+Inf", f.weight, `"INF"`),
		f.row("a boolean as a text", "Paid=false", "true", `"false"`),
		f.row("a GUID in capitals", `Reference="00112233-4455-6677-8899-AABBCCDDEEFF"`, "aabbccddeeff", "AABBCCDDEEFF"),
		f.add("ignored properties", "", `"Internal":"x","Employee":{"FirstName":"}"}`),
		{"properties in another order", "", jsonObject(reversed)},
		{"nothing but the key", "CustomerID=null Number=null OrderDate=null ShippedDate=null Freight=null " +
			"ShipName=null ShipCity=null ShipCountry=null Weight=null Paid=null Reference=null", `{"OrderID":10248}`},
		f.name("a text of 100 bytes", strconv.Quote(longText(100)), longText(100)),
		f.name("a text of 9,000 bytes", strconv.Quote(longText(9000)), longText(9000)),
		f.name("a text of 9,000 bytes and an escape", strconv.Quote(longText(9000)+"\n"), longText(9000)+`\n`),
		{"a number instead of a row", `error expected an object, found "10248"`, "10248"},
	}
}

func jsonObject(members []string) string { return "{" + strings.Join(members, ",") + "}" }
