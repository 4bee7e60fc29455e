package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/wit"
)

// TestWrongReads: what the metadata don't have is refused before a row is asked for, with the setting and what is
// there.
func TestWrongReads(t *testing.T) {
	for _, c := range []struct {
		settings []string
		// setting is below sap.odata#00.
		setting, message string
	}{
		{[]string{"sap.odata#00.entityset=Order"}, "entityset", "the nearest name is Orders; expected one of "},
		{[]string{"sap.odata#00.select=Fright"}, "select", "Invalid value Fright for configuration " +
			"sap.odata#00.select: Fright is no property of NorthwindModel.Order; the nearest name is Freight; " +
			"expected one of OrderID, "},
		{[]string{"sap.odata#00.select=Customer"}, "select",
			"Customer is a navigation property: name Customer in sap.odata#00.expand, too"},
		{[]string{"sap.odata#00.select=Customer/City"}, "select", "name Customer in sap.odata#00.expand, too"},
		{[]string{"sap.odata#00.expand=Order_Detail"}, "expand", "Order_Detail is no navigation property of " +
			"NorthwindModel.Order; the nearest name is Order_Details; expected one of Customer, "},
		{[]string{"sap.odata#00.expand=Order_Details/Produkt"}, "expand", "the nearest name is Product"},
		{[]string{"sap.odata#00.expand=Freight"}, "expand",
			"Freight is a property of NorthwindModel.Order, which needs no expansion"},
		{condition("0", "Fright", "eq", "1"), "filter#0.property", "the nearest name is Freight"},
		{condition("0", "Customer", "eq", "1"), "filter#0.property",
			"Customer is a navigation property; expected a property after it, such as Customer/CustomerID"},
		{condition("0", "Order_Details/Quantity", "eq", "1"), "filter#0.property",
			"name Order_Details in sap.odata#00.expand, too"},
		{condition("0", "OrderID", "eq", "ten"), "filter#0.low",
			`Invalid value ten for configuration sap.odata#00.filter#0.low: OrderID: expected a whole number of 32 bits (Edm.Int32), found "ten"`},
		{condition("0", "OrderID", "eq", "99999999999"), "filter#0.low", "a whole number of 32 bits"},
		{condition("0", "OrderID", "in", "1,,2"), "filter#0.low", `found ""`},
		{condition("0", "OrderID", "bt", "5", "4"), "filter#0.high", "expected at least sap.odata#00.filter#0.low, 5"},
		{condition("0", "OrderDate", "ge", "yesterday"), "filter#0.low",
			"expected a date such as 2024-01-31 or 2024-01-31T12:00:00 (Edm.DateTime)"},
		{condition("0", "OrderDate", "ge", "guid'00000000-0000-0000-0000-000000000000'"), "filter#0.low",
			"expected a date"},
		{condition("0", "Freight", "ge", "1,5"), "filter#0.low",
			"expected digits with a point, such as 12.5 (Edm.Decimal)"},
		{[]string{"sap.odata#00.query=$top=5"}, "query", "it holds $top, which the connector sets by itself"},
		{[]string{"sap.odata#00.query=$select=OrderID", "sap.odata#00.select=OrderID"}, "query", "found both"},
	} {
		s := service.New(service.Options{Rows: 4})
		l := &fullLoad{t: t, service: s, p: &plugin{}}
		settings := configuration(append(set("00", "Orders"), c.settings...)...)
		asked, err := l.p.Open(entry.Component, settings, nil, nil)
		if err != nil {
			t.Fatalf("%v: %v", c.settings, err)
		}
		_, err = l.p.Open(entry.Component, settings, nil, []wit.Response{l.exchange(&asked.Ask.Requests[0])})
		var f *wit.Fault
		if !errors.As(err, &f) || f.Kind != wit.FaultConfig || f.Setting == nil || *f.Setting != "sap.odata#00."+
			c.setting ||
			!strings.Contains(f.Message, c.message) {
			t.Errorf("%v: expected %s: %s, found %v", c.settings, c.setting, c.message, err)
		}
	}
}

// TestFingerprintOfReads: a set that says nothing of its rows keeps the fingerprint that installed offsets have.
func TestFingerprintOfReads(t *testing.T) {
	s := service.New(service.Options{Rows: 4})
	const plain = "origin=http://127.0.0.1:8080 client= user= " +
		"set=/V2/Northwind/Northwind.svc/Orders mode=full format=json"
	for _, c := range []struct {
		settings []string
		more     string
	}{
		{nil, ""},
		{[]string{"sap.odata#00.select="}, ""},
		{[]string{"sap.odata#00.select=Freight"}, " select=OrderID,Freight"},
		{[]string{"sap.odata#00.expand=Customer"}, " expand=Customer"},
		{append(condition("0", "Order_Details/Quantity", "gt", "5"), append(condition("1", "Freight", "lt", "5"),
			"sap.odata#00.expand=Order_Details")...),
			" expand=Order_Details filter=Freight%20lt%205M inner=Order_Details/Quantity%20gt%205"},
		{[]string{"sap.odata#00.query=search=x"}, " query=search%3Dx"},
	} {
		l := newLoad(t, s, append(set("00", "Orders"), c.settings...)...)
		if found := l.opened.Feeds[0].Fingerprint; found != plain+c.more {
			t.Errorf("%v: expected\n%s, found\n%s", c.settings, plain+c.more, found)
		}
	}
}
