package odatatest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

func TestWritesOfOneEntity(t *testing.T) {
	for _, format := range []string{"json", "atom"} {
		t.Run(format, func(t *testing.T) {
			c := start(t, odatatest.Options{Rows: 3})
			media := map[string]string{"json": "application/json", "atom": "application/atom+xml"}[format]
			send := func(status int, method, path string, fields ...string) {
				t.Helper()
				c.expect(status, method, odatatest.NorthwindPath+path, bodyOf(format, fields), "Content-Type", media)
			}
			fields := func() entity { return c.jsonFeed(odatatest.NorthwindPath + "ProductCopies").rows[0] }
			send(201, "POST", "ProductCopies", "ProductID", "7", "ProductName", " Süß & <salty> ", "UnitPrice", "1.2500",
				"Discontinued", "true")
			want := entity{"ProductID": "7", "ProductName": " Süß & <salty> ", "SupplierID": "(null)",
				"CategoryID": "(null)", "QuantityPerUnit": "(null)", "UnitPrice": "1.2500", "UnitsInStock": "(null)",
				"UnitsOnOrder": "(null)", "ReorderLevel": "(null)", "Discontinued": "true"}
			equal(t, want, fields())
			send(409, "POST", "ProductCopies", "ProductID", "7", "ProductName", "x", "Discontinued", "true")
			send(204, "MERGE", "ProductCopies(7)", "UnitsInStock", "5")
			want["UnitsInStock"] = "5"
			equal(t, want, fields())
			send(204, "PATCH", "ProductCopies(7)", "UnitsOnOrder", "6", "UnitPrice", "null")
			want["UnitsOnOrder"], want["UnitPrice"] = "6", "(null)"
			equal(t, want, fields())
			send(204, "PUT", "ProductCopies(7)", "ProductName", "new", "Discontinued", "false")
			want["ProductName"], want["Discontinued"], want["UnitsInStock"], want["UnitsOnOrder"] = "new", "false",
				"(null)", "(null)"
			equal(t, want, fields())
			c.expect(204, "POST", odatatest.NorthwindPath+"ProductCopies(7)", bodyOf(format, []string{"ReorderLevel", "3"}),
				"Content-Type", media, "X-HTTP-Method", "MERGE")
			if fields()["ReorderLevel"] != "3" {
				t.Error("the tunnelled MERGE did not change the row")
			}
			c.expect(204, "DELETE", odatatest.NorthwindPath+"ProductCopies(7)", "")
			c.expect(404, "DELETE", odatatest.NorthwindPath+"ProductCopies(7)", "")
			send(404, "MERGE", "ProductCopies(7)", "ReorderLevel", "3")
			equal(t, odatatest.Write{Created: 1, Updated: 4, Deleted: 1}, c.service.Ledger().Writes["ProductCopies(7)"])
		})
	}
}

// bodyOf makes a request body from names and values; "null" is null, true and false are Boolean.
func bodyOf(format string, fields []string) string {
	var b strings.Builder
	if format == "json" {
		object := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			switch text := fields[i+1]; text {
			case "null":
				object[fields[i]] = nil
			case "true", "false":
				object[fields[i]] = text == "true"
			default:
				object[fields[i]] = text
			}
		}
		raw, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		return string(raw)
	}
	b.WriteString(
		`<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:x="http://schemas.microsoft.com/ado/2007/08/dataservices" xmlns:y="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><a:title/><a:content type="application/xml"><y:properties>`)
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] == "null" {
			fmt.Fprintf(&b, `<x:%s y:null="true"/>`, fields[i])
		} else {
			fmt.Fprintf(&b, `<x:%s>%s</x:%s>`, fields[i], escape.Replace(fields[i+1]), fields[i])
		}
	}
	b.WriteString(`</y:properties></a:content></a:entry>`)
	return b.String()
}

func TestEveryRowOfAllTypesCanBeWrittenBack(t *testing.T) {
	c := start(t, odatatest.Options{})
	document := read[struct {
		D struct{ Results []map[string]any }
	}](c, odatatest.SAPPath+"AllTypes")
	for _, row := range document.D.Results {
		delete(row, "__metadata")
		if place, ok := row["Place"].(map[string]any); ok {
			delete(place, "__metadata")
		}
		body, err := json.Marshal(row)
		ok(t, err)
		c.expect(201, "POST", odatatest.SAPPath+"AllTypesCopies", string(body), "Content-Type", "application/json")
	}
	was, is := c.jsonFeed(odatatest.SAPPath+"AllTypes"), c.jsonFeed(odatatest.SAPPath+"AllTypesCopies")
	equal(t, was.rows, is.rows)
}

func TestAtomEntriesCanBeWrittenBack(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 30})
	for _, row := range c.atomFeed(odatatest.NorthwindPath + "Orders").rows {
		var fields []string
		for name, text := range row {
			if text == "(null)" {
				text = "null"
			}
			fields = append(fields, name, text)
		}
		c.expect(201, "POST", odatatest.NorthwindPath+"OrderCopies", bodyOf("atom", fields), "Content-Type",
			"application/atom+xml;type=entry")
	}
	equal(t, c.atomFeed(odatatest.NorthwindPath+"Orders").rows, c.atomFeed(odatatest.NorthwindPath+"OrderCopies").rows)
}

func TestWrongBodiesAreRefused(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 3})
	tests := []struct {
		set, media, body string
		status           int
	}{
		{"Order_DetailCopies", "application/json", `{`, 400},
		{"Order_DetailCopies", "application/json", ``, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":1} {}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":1,"Nope":1}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":"x"}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":2147483648}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":1,"Quantity":1.5}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":1,"Quantity":null}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":1,"UnitPrice":"1.23456"}`, 400},
		{"Order_DetailCopies", "application/json", `{"OrderID":1,"ProductID":1,"UnitPrice":"1e3"}`, 400},
		{"OrderCopies", "application/json", `{"OrderID":1,"OrderDate":"yesterday"}`, 400},
		{"OrderCopies", "application/json", `{"OrderID":1,"ShipCity":"longer than fifteen"}`, 400},
		{"Orders", "application/json", `{"OrderID":1,"Order_Details":[{"ProductID":1}]}`, 501},
		{"OrderCopies", "text/plain", `{"OrderID":1}`, 415},
		{"OrderCopies", "application/atom+xml", `<entry/>`, 400},
		{"OrderCopies", "application/atom+xml", `<entry xmlns="http://www.w3.org/2005/Atom">`, 400},
		{"Nope", "application/json", `{}`, 404},
	}
	for _, test := range tests {
		c.expect(test.status, "POST", odatatest.NorthwindPath+test.set, test.body, "Content-Type", test.media)
	}
	if l := c.service.Ledger(); len(l.Writes) != 0 {
		t.Errorf("applied all the same: %v", l.Writes)
	}
}

func TestGeneratedRowsCanBeChangedAndDeleted(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 20, PageSize: 3})
	for _, step := range []struct{ method, path, body string }{
		{"DELETE", "Orders(10250)", ""}, {"DELETE", "Orders(10267)", ""}, {"MERGE", "Orders(10252)",
			`{"ShipCity":"Nowhere"}`},
		{"POST", "Orders", `{"ShipCity":"numbered"}`}, {"POST", "Orders", `{"OrderID":5,"ShipCity":"first"}`},
		{"POST", "Orders(10249)/Order_Details", `{"ProductID":70}`},
	} {
		if r := c.do(step.method, odatatest.NorthwindPath+step.path, step.body, "Content-Type",
			"application/json"); r.status >= 300 {
			t.Fatalf("%+v: %d\n%s", step, r.status, r.body)
		}
	}
	want := "5 10248 10249 10251 10252 10253 10254 10255 10256 10257 10258 10259 10260 10261 10262 10263 " +
		"10264 10265 10266 10268"
	for _, tokens := range []string{"key", "offset"} {
		c.set("skiptoken", tokens)
		if got := keysOf(c.walk(c.jsonFeed, odatatest.NorthwindPath+"Orders"), "OrderID"); got != want {
			t.Errorf("%s: %s, expected %s", tokens, got, want)
		}
		for skip := range 21 {
			all := strings.Fields(want + " ")
			if got := keysOf(c.jsonFeed(fmt.Sprintf("%sOrders?$top=1&$skip=%d", odatatest.NorthwindPath, skip)).rows,
				"OrderID"); skip < 20 &&
				got != all[skip] {
				t.Errorf("$skip=%d: %s, expected %s", skip, got, all[skip])
			}
		}
	}
	if got := keysOf(c.jsonFeed(odatatest.NorthwindPath+"Orders?$filter=ShipCity eq 'Nowhere'").rows,
		"OrderID"); got != "10252" {
		t.Errorf("changed: %s", got)
	}
	if got := keysOf(c.jsonFeed(odatatest.NorthwindPath+"Orders(10249)/Order_Details").rows,
		"ProductID"); got != "8 13 70" {
		t.Errorf("lines: %s", got)
	}
	if n := string(c.get(odatatest.NorthwindPath + "Orders/$count").body); n != "20" {
		t.Errorf("count %s", n)
	}
}

func TestETags(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 3})
	address := odatatest.SAPPath + "Suppliers(2)"
	r := c.get(address, "Accept", "application/json")
	etag := r.header.Get("ETag")
	var row struct {
		D struct {
			Metadata struct{ ETag string } `json:"__metadata"`
		}
	}
	if err := json.Unmarshal(r.body, &row); err != nil || etag != `W/"1"` || row.D.Metadata.ETag != etag {
		t.Fatalf("ETag %s in the header, %s in the body, %v", etag, row.D.Metadata.ETag, err)
	}
	if e := c.atom(odatatest.SAPPath + "Suppliers").Entries[1].ETag; e != etag {
		t.Errorf("m:etag %s", e)
	}
	c.expect(304, "GET", address, "", "If-None-Match", etag)
	for _, step := range []struct {
		method, match string
		status        int
	}{{"MERGE", "", 428}, {"MERGE", `W/"7"`, 412}, {"MERGE", etag, 204}, {"MERGE", etag, 412}, {"PUT", "*", 204},
		{"DELETE", `W/"2"`, 412}, {"DELETE", `W/"3"`, 204}} {
		var headers = []string{"Content-Type", "application/json"}
		if step.match != "" {
			headers = append(headers, "If-Match", step.match)
		}
		c.expect(step.status, step.method, address, `{"CompanyName":"n","City":"x"}`, headers...)
	}
}
