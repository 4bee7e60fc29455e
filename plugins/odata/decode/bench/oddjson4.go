package bench

import "slices"

// json4Base has the members of the row from which the odd rows of v4 differ.
var json4Base = slices.Concat(jsonBase[1:4], []string{`"OrderDate":"2015-01-01T00:00:00Z"`, `"ShippedDate":"2015-01-12"`},
	jsonBase[6:10], []string{`"Weight":12.5`}, jsonBase[11:13], []string{`"@odata.etag":"W/\"7\""`})

var oddForm4 = oddForm{members: json4Base, addressType: `"@odata.type":"#Demo.Address"`, shipped: `"2015-01-12"`,
	weight: "12.5"}

// oddJSON4 returns the rows of the page Odd in JSON of v4.
func oddJSON4() []oddRow {
	f := oddForm4
	const (
		etag     = `,"@odata.etag":"W/\"7\""`
		item     = `{"Position":1,"Product":"Chai","Amount":"18.0000","Changed":"2015-01-01T00:00:00Z"` + etag + `}`
		customer = `"Customer":{"CustomerID":"ALFKI","CompanyName":"Alfreds","Address":{"City":"Berlin"}` + etag + `}`
		deleted  = `"@odata.context":"$metadata#Orders/$deletedEntity"`
		date     = `"2015-01-01T00:00:00Z"`
	)
	items := func(branch, want, value string) oddRow { return f.add(branch, want, `"Items":`+value) }
	return append(f.commonRows(),
		items("an expanded feed of three items", itemWants(3), "["+item+","+item+","+item+"]"),
		items("an expanded feed of one item and its count", itemWants(1), "["+item+`],"Items@odata.count":1`),
		items("an expanded feed without items", "Items=[]", "[]"),
		items("an expanded feed that is null", "", "null"),
		items("an item without a required value", `error property Items/Position: expected a value (it is not `+
			`nullable), found none`, `[{"Product":"Chai"}]`),
		items("an expanded feed as an object", `error property Items: expected an array of results, found `+
			`"{\"value\":[]}"`, `{"value":[]}`),
		f.add("an expanded entity", customerWant, customer),
		f.add("an expanded entity that is null", "", `"Customer":null`),
		f.row("a point in time that does not exist", `error property OrderDate: expected Edm.DateTimeOffset of the `+
			`years 1 to 9999, found "\"2015-02-30T00:00:00Z\""`, date, `"2015-02-30T00:00:00Z"`),
		f.row("a date with a time", `error property ShippedDate: expected Edm.Date of the years 1 to 9999, found `+
			`"\"2015-01-12T00:00:00Z\""`, f.shipped, `"2015-01-12T00:00:00Z"`),
		f.row("three digits of a second", "OrderDate=2015-01-01T10:20:30.123Z", date, `"2015-01-01T10:20:30.123Z"`),
		f.row("twelve digits of a second", "OrderDate=2015-01-01T10:20:30.123Z", date, `"2015-01-01T10:20:30.123456789012Z"`),
		f.row("a time zone", "OrderDate=2014-12-31T22:30:00Z", date, `"2015-01-01T00:00:00+01:30"`),
		f.row("a point in time without seconds", "OrderDate=2015-01-01T10:20:00Z", date, `"2015-01-01T10:20Z"`),
		f.row("dates before 1970", "OrderDate=1900-01-01T00:00:00Z ShippedDate=1582-10-15T00:00:00Z", date,
			`"1900-01-01T00:00:00Z"`, f.shipped, `"1582-10-15"`),
		f.row("texts as numbers", "", `"71248937214"`, "71248937214", `"32.3800"`, "32.38"),
		f.row("a number as a text of a Double", "", "12.5", `"12.5"`),
		f.row("properties left out", "Freight=null ShipName=null ShipCity=null ShipCountry=null",
			`"Freight":"32.3800","ShipName":"Alfreds","ShipCity":"Berlin","ShipCountry":"Germany",`, ""),
		f.add("a derived type", "unknown Deadline", `"@odata.type":"#Demo.RushOrder","Deadline":"2015-01-01"`),
		oddRow{"a deleted entity", "deleted Orders(10248)", `{` + deleted + `,"id":"Orders(10248)","reason":"deleted"}`},
		oddRow{"a removed entity", "deleted Orders(10248)", `{"@removed":{"reason":"changed"},"@id":"Orders(10248)"}`},
		oddRow{"a removed entity with its key", "deleted OrderID 10248", `{"@odata.removed":{},"OrderID":10248}`},
		f.name("the word of a deleted entity in a value", `"/$deletedEntity"`, "/$deletedEntity"),
		f.add("annotations of all metadata", "", `"Freight@odata.type":"#Decimal","@odata.id":"Orders(10248)",`+
			`"@odata.editLink":"Orders(10248)","Items@odata.navigationLink":"Orders(10248)/Items"`),
		f.add("annotations with short names", "", `"Freight@type":"Decimal","@id":"Orders(10248)"`),
		f.add("annotations of a vocabulary", "", `"@Core.Computed":{"a":[1,"}"]},"Paid@Core.Description":"x"`),
		f.add("an action", "", `"#Demo.Ship":{"title":"Ship","target":"Orders(10248)/Demo.Ship"}`),
		oddRow{"the ETag in front", "", jsonObject(append(slices.Clip(json4Base[len(json4Base)-1:]),
			json4Base[:len(json4Base)-1]...))},
	)
}
