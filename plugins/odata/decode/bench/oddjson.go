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

// oddJSON returns the rows of the page Odd in verbose JSON.
func oddJSON() []oddRow {
	base := jsonObject(jsonBase)
	reversed := slices.Clone(jsonBase)
	slices.Reverse(reversed)

	// row replaces texts of the base row. name sets the ShipName, add adds members, items sets the value of Items.
	row := func(branch, want string, pairs ...string) oddRow {
		return oddRow{branch, want, replaceOnce(base, pairs...)}
	}
	name := func(branch, want, value string) oddRow {
		return row(branch, "ShipName="+want, `"Alfreds"`, `"`+value+`"`)
	}
	add := func(branch, want, members string) oddRow {
		return row(branch, want, `"Paid":true`, `"Paid":true,`+members)
	}
	items := func(branch, want, value string) oddRow { return row(branch, want, jsonItems, value) }
	return []oddRow{
		name("simple escapes", `"a\"b\\c/\n\t"`, `a\"b\\c\/\n\t`),
		name(`\u escapes`, `"Straße 1"`, `Stra\u00dfe\u00201`),
		name("a surrogate pair", `"by 🚚"`, `by \ud83d\ude9a`),
		row("half a surrogate pair", `error property ShipName: expected a string of valid escapes and UTF-8, found `+
			`"\"\\ud83d\""`, `"Alfreds"`, `"\ud83d"`),
		name("characters beyond ASCII", `"Zürich 東京 🚚"`, `Zürich 東京 🚚`),
		row("bytes that are not UTF-8", `error property ShipName: expected a string of valid escapes and UTF-8, found `+
			`"\"\xff\""`, `"Alfreds"`, "\"\xff\""),
		row("an escape that does not exist", `error property ShipName: expected a string of valid escapes and UTF-8, `+
			`found "\"\\x41\""`, `"Alfreds"`, `"\x41"`),
		row("an escaped name", `ShipName="Graz"`, `"ShipName":"Alfreds"`, `"Ship\u004eame":"Graz"`),
		{"white space between tokens", "", strings.NewReplacer(`,"`, ",\n    \"", `":`, `" : `, `{"`, "{\r\n\t\"",
			"}", "\n}").Replace(base)},
		{"one space after names and commas", "", strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(base)},
		add("a nested struct", `Address={Street="Obere Str. 57" City="Berlin" Geo=null}`,
			`"Address":{"__metadata":{"type":"Demo.Address"},"Street":"Obere Str. 57","City":"Berlin"}`),
		add("two nested structs in another order", `Address={Street=null City="Ulm" Geo={Lat=48.4 Lon=10}}`,
			`"Address":{"Geo":{"Lon":"10","Lat":4.84e1},"City":"Ulm"}`),
		add("a nested struct that is null", "", `"Address":null`),
		add("a nested struct without members", `Address={Street=null City=null Geo=null}`, `"Address":{ }`),
		add("null in a nested struct", `error property Address/Geo/Lat: expected a value (it is not nullable), found null`,
			`"Address":{"Geo":{"Lat":null,"Lon":"10"}}`),
		add("a text instead of a nested struct", `error property Address: expected an object, found "\"Ulm\""`,
			`"Address":"Ulm"`),
		items("an expanded feed of three items", itemWants(3),
			`{"results":[`+jsonItem+","+jsonItem+","+jsonItem+`]}`),
		items("an expanded feed as an array", itemWants(1), "["+jsonItem+"]"),
		items("an expanded feed without items", "Items=[]", `{"results":[],"__count":"0"}`),
		items("an expanded feed that is null", "", "null"),
		items("an item without a required value", `error property Items/Position: expected a value (it is not `+
			`nullable), found none`, `{"results":[{"Product":"Chai"}]}`),
		items("an expanded feed without results", `error property Items: expected an array of results, found `+
			`"{\"value\":[]}"`, `{"value":[]}`),
		row("an expanded entity", customerWant, jsonCustomer, `{"__metadata":{"uri":"Customers('ALFKI')",`+
			`"type":"Demo.Customer"},"CustomerID":"ALFKI","CompanyName":"Alfreds","Address":{"City":"Berlin"}}`),
		row("an expanded entity that is null", "", jsonCustomer, "null"),
		add("an unknown scalar", "unknown Surprise", `"Surprise":"x"`),
		add("an unknown object", "unknown Status", `"Status":{"Code":7,"Texts":[{"A":"}"},[1,2]]}`),
		add("an unknown member of a nested struct", `Address={Street=null City="Ulm" Geo=null} unknown Address/Floor`,
			`"Address":{"City":"Ulm","Floor":3}`),
		add("a repeated property", "error property Paid: expected one value, found two", `"Paid":true`),
		add("a repeated property of a nested struct", "error property Address/City: expected one value, found two",
			`"Address":{"City":"Ulm","City":null}`),
		row("nulls", `CustomerID=null ShippedDate=null Weight=null Paid=null`, `"ALFKI"`, "null",
			`"\/Date(1421020800000)\/"`, "null", `"12.5"`, "null", "true", "null"),
		row("null of a required property", "error property OrderID: expected a value (it is not nullable), found null",
			`"OrderID":10248`, `"OrderID":null`),
		row("no required property", "error property OrderID: expected a value (it is not nullable), found none",
			`"OrderID":10248,`, ""),
		row("a word that is no boolean", `error property Paid: expected Edm.Boolean, found "\"yes\""`, "true", `"yes"`),
		row("an object that is no number", `error property Weight: expected Edm.Double, found "{\"kg\":12.5}"`, `"12.5"`,
			`{"kg":12.5}`),
		row("a number beyond its type", `error property OrderID: expected Edm.Int32, found "3000000000"`,
			`"OrderID":10248`, `"OrderID":3000000000`),
		row("a decimal with too many digits", `error property Freight: expected Edm.Decimal of scale 4, found `+
			`"\"1.23456\""`, "32.3800", "1.23456"),
		row("a date that does not exist", `error property OrderDate: expected Edm.DateTime of the years 1 to 9999, `+
			`found "\"2015-02-30T00:00:00\""`, `\/Date(1420070400000)\/`, "2015-02-30T00:00:00"),
		row("an empty text", `CustomerID=""`, `"ALFKI"`, `""`),
		row("empty texts that are null", `Number=null OrderDate=null Freight=null`, `"71248937214"`, `""`,
			`"\/Date(1420070400000)\/"`, `""`, `"32.3800"`, `""`),
		row("dates in ISO 8601", `OrderDate=2015-01-01T10:20:30.123Z`, `\/Date(1420070400000)\/`,
			"2015-01-01T10:20:30.123", `\/Date(1421020800000)\/`, "2015-01-12T00:00:00"),
		row("dates in ISO 8601 of other forms", `OrderDate=2015-01-01T10:20:30.123Z ShippedDate=2015-01-11T23:30:00Z`,
			`\/Date(1420070400000)\/`, "2015-01-01T10:20:30.1234567Z", `\/Date(1421020800000)\/`,
			"2015-01-12T01:30+02:00"),
		row("dates with an offset", `OrderDate=2014-12-31T23:00:00Z ShippedDate=2015-01-12T01:00:00Z`,
			`1420070400000`, "1420070400000+0060", `1421020800000`, "1421020800000-0060"),
		row("dates without escaped slashes", "", `\/Date(1420070400000)\/`, "/Date(1420070400000)/",
			`\/Date(1421020800000)\/`, "/Date(1421020800000)/"),
		row("a date before 1970", `OrderDate=1900-01-01T00:00:00Z`, "1420070400000", "-2208988800000"),
		row("a number as a text", "", `"OrderID":10248`, `"OrderID":"10248"`),
		row("texts as numbers", "", `"71248937214"`, "71248937214", `"32.3800"`, "32.38", `"12.5"`, "12.5"),
		row("a Double with an exponent", "Weight=-0.00125", `"12.5"`, `"-1.25E-3"`),
		row("a Decimal with an exponent", "", `"32.3800"`, "3.238e1"),
		row("signs and zeros", "Number=-1 Freight=-5000", "71248937214", "-01", "32.3800", "-.5"),
		row("infinity", "Weight=+Inf", "12.5", "INF"),
		row("a boolean as a text", "Paid=false", "true", `"false"`),
		row("a boolean as a number", "", "true", "1"),
		row("a GUID in capitals", `Reference="00112233-4455-6677-8899-AABBCCDDEEFF"`, "aabbccddeeff", "AABBCCDDEEFF"),
		row("a derived type", "unknown Deadline", "Demo.Order", "Demo.RushOrder", `"Paid":true`,
			`"Paid":true,"Deadline":"\/Date(1420070400000)\/"`),
		{"a deleted entry", "deleted Orders(10248) at 2015-01-01T00:00:00Z", jsonTombstone},
		name("the word of a deleted entry in a value", `"/$deletedEntity"`, "/$deletedEntity"),
		add("annotations", "", `"Freight@odata.type":"Edm.Decimal","@odata.etag":"W/\"7\""`),
		add("a member with two underscores", "", `"__extension":{"a":[1,"}"]}`),
		row("metadata with more members", "", `"type":"Demo.Order"`, `"type":"Demo.Order","etag":"W/\"7\"",`+
			`"properties":{"Items":{"associationuri":"Orders(10248)/$links/Items"}}`),
		{"metadata at the end", "", jsonObject(append(slices.Clone(jsonBase[1:]), jsonBase[0]))},
		add("ignored properties", "", `"Internal":"x","Employee":{"FirstName":"}"}`),
		add("a link to an unknown navigation", "", `"Shipper":{"__deferred":{"uri":"Orders(10248)/Shipper"}}`),
		{"properties in another order", "", jsonObject(reversed)},
		row("properties left out", "Freight=null ShipName=null ShipCity=null ShipCountry=null",
			`"Freight":"32.3800","ShipName":"Alfreds","ShipCity":"Berlin","ShipCountry":"Germany",`, ""),
		{"nothing but the key", "CustomerID=null Number=null OrderDate=null ShippedDate=null Freight=null " +
			"ShipName=null ShipCity=null ShipCountry=null Weight=null Paid=null Reference=null", `{"OrderID":10248}`},
		name("a text of 100 bytes", strconv.Quote(longText(100)), longText(100)),
		name("a text of 9,000 bytes", strconv.Quote(longText(9000)), longText(9000)),
		name("a text of 9,000 bytes and an escape", strconv.Quote(longText(9000)+"\n"), longText(9000)+`\n`),
		{"a number instead of a row", `error expected an object, found "10248"`, "10248"},
	}
}

func jsonObject(members []string) string { return "{" + strings.Join(members, ",") + "}" }
