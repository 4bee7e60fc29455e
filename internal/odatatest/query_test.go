package odatatest_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

// keysOf gives the orders, or else the first key, of the rows.
func keysOf(rows []entity, name string) string {
	var keys []string
	for _, r := range rows {
		keys = append(keys, r[name])
	}
	return strings.Join(keys, " ")
}

func TestQueryOptions(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 40})
	tests := []struct{ query, key, want string }{
		{"Orders?$filter=OrderID eq 10250", "OrderID", "10250"},
		{"Orders?$filter=OrderID gt 10250 and OrderID le 10253", "OrderID", "10251 10252 10253"},
		{"Orders?$filter=OrderID lt 10250 or OrderID ge 10286", "OrderID", "10248 10249 10286 10287"},
		{"Orders?$filter=not (OrderID gt 10249)", "OrderID", "10248 10249"},
		{"Orders?$filter=10249 ge OrderID", "OrderID", "10248 10249"},
		{"Orders?$filter=OrderID lt 10252 and ShipCountry ne 'France'", "OrderID", "10249 10250 10251"},
		{"Orders?$filter=ShippedDate eq null", "OrderID", "10259 10282"},
		{"Orders?$filter=CustomerID eq null", "OrderID", "10255"},
		{"Orders?$filter=OrderDate lt datetime'1996-07-05T00:00:00'", "OrderID", "10248 10249 10250 10251"},
		{"Orders?$filter=OrderDate ge datetime'1996-07-13T00%3A00%3A00'", "OrderID", "10284 10285 10286 10287"},
		{"Orders?$filter=Freight eq 79.19M", "OrderID", "10249"},
		{"Orders?$filter=Freight lt 80 and Freight gt 0.5", "OrderID", "10249 10261 10274 10286"},
		{"Orders?$filter=substringof('O''Leary',ShipName)", "OrderID", "10258 10274"},
		{"Orders?$filter=startswith(ShipCity,'S%C3%A3o') eq true", "OrderID", "10250 10266 10282"},
		{"Orders?$filter=endswith(ShipName,'Ale') and length(ShipCity) eq 7", "OrderID", "10263 10279"},
		{"Orders?$filter=toupper(ShipCity) eq 'CORK'", "OrderID", "10253 10269 10285"},
		{"Orders?$filter=year(OrderDate) eq 1996 and day(OrderDate) eq 4", "OrderID", "10248 10249 10250 10251"},
		{"Orders?$orderby=OrderID desc&$top=3", "OrderID", "10287 10286 10285"},
		{"Orders?$orderby=ShipVia desc,Freight&$top=3", "OrderID", "10286 10274 10262"},
		{"Orders?$orderby=OrderID&$top=2&$skip=3", "OrderID", "10251 10252"},
		{"Orders?$skip=38", "OrderID", "10286 10287"},
		{"Orders?$top=0", "OrderID", ""},
		{"Order_Details?$filter=OrderID eq 10250", "ProductID", "15 20 25"},
		{"Order_Details?$filter=(OrderID eq 10250 and ProductID gt 15) or (OrderID gt 10250 and OrderID lt 10252)",
			"ProductID", "20 25 22 27 32 37"},
		{"Order_Details?$orderby=OrderID,ProductID&$top=2", "ProductID", "1 8"},
		{"Orders(10250)/Order_Details", "ProductID", "15 20 25"},
		{"Orders(10251)/Order_Details?$filter=ProductID gt 25&$top=2&$skip=1", "ProductID", "32 37"},
		{"Customers('AAAAC')/Orders", "OrderID", "10250"},
		{"Employees(3)/Orders?$orderby=OrderID desc", "OrderID", "10286 10277 10268 10259 10250"},
		{"Products(15)/Order_Details", "OrderID", "10250 10258 10266"},
		{"Customers?$filter=CustomerID gt 'AAADJ'", "CustomerID", "AAADK AAADL AAADM"},
		{"AllTypes?$filter=Mark eq guid'34C6020A-AAAA-1111-2222-AF75A376B0F9' and ID lt 12&$select=ID", "ID", "3 7 11"},
		{"AllTypes?$filter=Long eq 9223372036854775807L and ID lt 15&$select=ID", "ID", "4 11"},
		{"AllTypes?$filter=Flag eq false and ID lt 6&$select=ID", "ID", "1 3 5"},
		{"AllTypes?$filter=Clock eq time'PT12H34M56S' and ID lt 20&$select=ID", "ID", "2 8 14"},
		{"AllTypes?$filter=Raw eq X'00' and ID lt 12&$select=ID", "ID", "2 10"},
		{"AllTypes?$filter=Stamp eq datetimeoffset'2000-02-29T12:00:00%2B00:00' and ID lt 20&$select=ID", "ID", "4 16"},
		{"AllTypes?$filter=Place/City eq 'Cork' and ID lt 20&$select=ID", "ID", "4"},
		{"AllTypes?$filter=Ratio eq 0.5f and ID lt 20&$select=ID", "ID", "3 12"},
		{"AllTypes?$filter=Precise gt 1E300D and ID lt 15&$select=ID", "ID", "5"},
		{"Codes?$filter=Code eq '000003a/b'&$select=Code", "Code", "000003a/b"},
	}
	for _, test := range tests {
		for format, read := range map[string]func(string) feed{"json": c.jsonFeed, "atom": c.atomFeed} {
			t.Run(format+" "+test.query, func(t *testing.T) {
				c.t = t
				if got := keysOf(read(odatatest.NorthwindPath+test.query).rows, test.key); got != test.want {
					t.Errorf("found %q, expected %q", got, test.want)
				}
				// The same by pages of two, where the links have to carry the options on.
				if strings.Contains(test.query, "$top=0") {
					return
				}
				c.set("page-size", "2")
				defer c.set("page-size", "0")
				if got := keysOf(c.walk(read, odatatest.NorthwindPath+test.query), test.key); got != test.want {
					t.Errorf("by pages %q, expected %q", got, test.want)
				}
			})
		}
	}
}

func TestWrongQueriesAreRefused(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 40})
	tests := []struct {
		path   string
		status int
	}{
		{"Orders?$filter=Nope eq 1", 400}, {"Orders?$filter=OrderID eq", 400}, {"Orders?$filter=OrderID eq 'x'", 400},
		{"Orders?$filter=OrderID", 400},
		{"Orders?$filter=nope(OrderID) eq 1", 400}, {"Orders?$filter=ShipCity eq 'x", 400},
		{"Orders?$filter=(OrderID eq 1", 400},
		{"Orders?$filter=OrderDate eq datetime'1996-02-30T00:00:00'", 400}, {"Orders?$top=-1", 400},
		{"Orders?$top=x", 400}, {"Orders?$skip=-1", 400},
		{"Orders?$orderby=Nope", 400}, {"Orders?$select=Nope", 400}, {"Orders?$expand=Nope", 400},
		{"Orders?$inlinecount=some", 400}, {"Orders?$nope=1", 400},
		{"Orders?$top=1&$top=2", 400}, {"Orders?$skiptoken=abc", 400}, {"Orders?$format=pdf", 415}, {"Nope", 404},
		{"Orders(1)", 404}, {"Orders('x')", 400},
		{"Order_Details(10250)", 400}, {"Order_Details(OrderID=10250)", 400}, {"Orders(10248)/Nope", 404},
		{"Orders/Nope", 404}, {"$batch", 405},
		{"Orders(10248)/OrderID/$value/x", 404}, {"Orders(10255)/Customer", 404}, {"Orders(OrderID=10248,OrderID=1)",
			400},
	}
	for _, test := range tests {
		for _, mount := range []string{odatatest.NorthwindPath, odatatest.SAPPath} {
			r := c.do("GET", mount+test.path, "", "Accept", "application/json")
			var body struct {
				Error struct {
					Code       *string
					Message    struct{ Lang, Value string }
					InnerError *struct {
						ErrorDetails []struct{ Message, Severity string }
					}
				}
			}
			if err := json.Unmarshal(r.body, &body); test.path != "Orders?$format=pdf" &&
				(err != nil || body.Error.Code == nil ||
					body.Error.Message.Value == "") {
				t.Errorf("%s: no error body: %v\n%s", test.path, err, r.body)
			}
			if r.status != test.status {
				t.Errorf("%s: %d, expected %d\n%s", test.path, r.status, test.status, r.body)
			}
			if sap := mount == odatatest.SAPPath; sap && body.Error.InnerError == nil || !sap &&
				body.Error.InnerError != nil {
				t.Errorf("%s%s: innererror: %s", mount, test.path, r.body)
			}
		}
	}
	r := c.do("GET", odatatest.SAPPath+"Orders(1)", "")
	if want := `<message xml:lang="en">Resource not found for the segment &#39;Orders&#39;.</message>`; !strings.Contains(string(r.body), want) || !strings.Contains(string(r.body), "<errordetail>") {
		t.Errorf("XML error: %s", r.body)
	}
}

func TestSingleValues(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 40})
	tests := []struct{ path, want string }{
		{"Orders/$count", "40"}, {"Orders()/$count", "40"}, {"Order_Details/$count", "100"},
		{"Orders/$count?$filter=OrderID gt 10280", "7"}, {"Orders(10251)/Order_Details/$count", "4"},
		{"Orders(10249)/ShipCity/$value", "Münster"}, {"Orders(10249)/Customer/CompanyName/$value", "Vins et alcools"},
		{"Orders(OrderID=10249)/Freight/$value", "79.1900"},
		{"Order_Details(ProductID=15,OrderID=10250)/Quantity/$value", "40"},
		{"Orders(10250)/Order_Details(OrderID=10250,ProductID=20)/Product/ProductID/$value", "20"},
		{"Codes('000002O%27%27Neil')/Code/$value", "000002O'Neil"}, {"Codes('000003a%2Fb')/Code/$value", "000003a/b"},
		{"AllTypes(2)/Place/City/$value", "Århus"},
		{"Orders(10249)/ShipCity?$format=json", `{"d":{"ShipCity":"Münster"}}`},
		{"Orders(10255)/CustomerID?$format=json", `{"d":{"CustomerID":null}}`},
		{"Orders(10249)/$links/Customer?$format=json", `{"d":{"uri":"` + c.origin + odatatest.NorthwindPath +
			`Customers('AAAAB')"}}`},
		{"Orders(10248)/$links/Order_Details?$format=json",
			`{"d":{"results":[{"uri":"` + c.origin + odatatest.NorthwindPath +
				`Order_Details(OrderID=10248,ProductID=1)"}]}}`},
		{"Orders(10249)/Freight",
			`<?xml version="1.0" encoding="utf-8" standalone="yes"?><d:Freight xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:type="Edm.Decimal">79.1900</d:Freight>`},
	}
	for _, test := range tests {
		if got := string(c.get(odatatest.NorthwindPath + test.path).body); got != test.want {
			t.Errorf("%s: %s, expected %s", test.path, got, test.want)
		}
	}
}

func TestCountStandsWithEveryPage(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 40, PageSize: 15})
	for format, read := range map[string]func(string) feed{"json": c.jsonFeed, "atom": c.atomFeed} {
		for _, mount := range []string{odatatest.NorthwindPath, odatatest.SAPPath} {
			if f := read(mount + "Orders?$inlinecount=allpages&$filter=OrderID ge 10258"); f.count != "30" ||
				len(f.rows) != 15 {
				t.Errorf("%s: count %q, %d rows", format, f.count, len(f.rows))
			}
			if f := read(mount + "Orders"); f.count != "" {
				t.Errorf("%s: count %q without being asked", format, f.count)
			}
		}
	}
}

func TestSelectLeavesOthersOut(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 3})
	document := read[struct {
		D struct{ Results []map[string]json.RawMessage }
	}](c, odatatest.NorthwindPath+"Orders?$select=OrderID,ShipCity,Customer&$top=1")
	names := slices.Sorted(maps.Keys(document.D.Results[0]))
	equal(t, []string{"Customer", "OrderID", "ShipCity", "__metadata"}, names)
	if row := c.atomFeed(odatatest.NorthwindPath + "Orders?$select=ShipCity").rows[0]; len(row) != 1 ||
		row["ShipCity"] != "Lyon" {
		t.Errorf("Atom: %v", row)
	}
}

// innerJSON is an order with its expanded lines.
type innerJSON struct {
	OrderID  int
	Customer struct{ CompanyName string }
	Details  struct {
		Results []struct{ ProductID int }
		Next    string `json:"__next"`
	} `json:"Order_Details"`
}

func TestExpandedFeedPagesInside(t *testing.T) {
	for _, links := range []string{"absolute", "relative"} {
		for _, tokens := range []string{"key", "offset"} {
			t.Run(links+" "+tokens, func(t *testing.T) {
				c := start(t, odatatest.Options{Rows: 12, PageSize: 5, Switches: odatatest.Switches{ExpandPageSize: 2,
					Links: links, SkipToken: tokens}})
				c.set("page-size", "0")
				want := map[string]string{}
				for _, r := range c.jsonFeed(odatatest.NorthwindPath + "Order_Details").rows {
					want[r["OrderID"]] += r["ProductID"] + " "
				}
				c.set("page-size", "5")
				equal(t, want, c.expandedJSON(), "JSON")
				equal(t, want, c.expandedAtom(), "Atom")
			})
		}
	}
}

// absolute resolves a link as a reader of this document does.
func (c *client) absolute(link string) string {
	if link == "" || strings.HasPrefix(link, "http") {
		return link
	}
	return c.origin + odatatest.NorthwindPath + link
}

func (c *client) expandedJSON() map[string]string {
	lines := map[string]string{}
	inner := 0
	for address := odatatest.NorthwindPath + "Orders?$expand=Order_Details,Customer"; address != ""; {
		document := read[struct {
			D struct {
				Results []innerJSON
				Next    string `json:"__next"`
			}
		}](c, address)
		for _, order := range document.D.Results {
			id := strconv.Itoa(order.OrderID)
			if order.OrderID != 10255 && order.Customer.CompanyName == "" {
				c.t.Errorf("order %s without customer", id)
			}
			for _, line := range order.Details.Results {
				lines[id] += strconv.Itoa(line.ProductID) + " "
			}
			if order.Details.Next != "" {
				inner++
				for _, line := range c.walk(c.jsonFeed, c.absolute(order.Details.Next)) {
					lines[id] += line["ProductID"] + " "
				}
			}
		}
		address = c.absolute(document.D.Next)
	}
	if inner != 6 { // two of four orders have more than two lines
		c.t.Errorf("%d inner links, expected 6", inner)
	}
	return lines
}

func (c *client) expandedAtom() map[string]string {
	lines := map[string]string{}
	for address := odatatest.NorthwindPath + "Orders?$expand=Order_Details,Customer"; address != ""; {
		document := c.atom(address)
		for i := range document.Entries {
			order := &document.Entries[i]
			id := order.fields()["OrderID"]
			for _, link := range order.Links {
				if link.Inline == nil || link.Inline.Feed == nil {
					continue
				}
				for j := range link.Inline.Feed.Entries {
					lines[id] += link.Inline.Feed.Entries[j].fields()["ProductID"] + " "
				}
				if next := link.Inline.Feed.next(); next != "" {
					for _, line := range c.walk(c.atomFeed, c.absolute(next)) {
						lines[id] += line["ProductID"] + " "
					}
				}
			}
		}
		address = c.absolute(document.next())
	}
	return lines
}
