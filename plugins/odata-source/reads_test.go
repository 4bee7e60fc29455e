package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/wit"
)

// join returns the settings of all lists.
func join(lists ...[]string) (settings []string) {
	for _, list := range lists {
		settings = append(settings, list...)
	}
	return settings
}

// fieldNames returns the schema of a feed's values in short: the names of the fields, nested ones in brackets.
func fieldNames(nodes []wit.SchemaNode, root uint32) string {
	var names []string
	for _, m := range nodes[root].Fields {
		n := m.Node
		if nodes[n].Kind == wit.Array {
			n = nodes[n].Element
		}
		name := m.Name
		if nodes[n].Kind == wit.Struct {
			name += fieldNames(nodes, n)
		}
		names = append(names, name)
	}
	return "(" + strings.Join(names, " ") + ")"
}

// readCase is a set that is read with options.
type readCase struct {
	name     string
	set      string
	settings []string
	// wantQuery is the query of the first request, unescaped, without the options that every request has.
	wantQuery string
	rows      int    // -1 means any number but zero.
	shown     string // "" is not compared.
	// first is the first row. "" is not compared.
	first string
}

// checkReads checks the query, the content and the number of rows, in both formats.
func checkReads(t *testing.T, reads []readCase) {
	t.Helper()
	for _, test := range reads {
		for _, format := range []string{"json", "atom"} {
			t.Run(test.name+" "+format, func(t *testing.T) { test.check(t, format) })
		}
	}
}

func (c *readCase) check(t *testing.T, format string) {
	s := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{PageSize: 25}})
	load := newLoad(t, s, append(join(set("00", c.set), c.settings), "sap.odata.format="+format)...)
	load.targets = nil
	load.readAll(nil)
	_, query, _ := strings.Cut(load.targets[0], "?")
	query, err := url.PathUnescape(query)
	require.NoError(t, err)
	var options []string
	for option := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(option, "=")
		if name != "$orderby" && name != "$inlinecount" && name != "$format" {
			options = append(options, option)
		}
	}
	got := strings.Join(options, "&")
	assert.True(t, got == c.wantQuery, "expected the request\n%s, found\n%s", c.wantQuery, got)
	if len(load.faults) > 0 {
		t.Errorf("faults: %v", load.faults[0])
	}
	assert.True(t, (len(load.rows) == c.rows || c.rows < 0) && len(load.rows) != 0,
		"expected %d rows, found %d", c.rows, len(load.rows))
	shown := fieldNames(load.opened.Feeds[0].Value.Nodes, 0)
	assert.True(t, c.shown == "" || shown == c.shown, "rows are %s, expected %s", shown, c.shown)
	if c.first != "" && load.values[0] != c.first {
		t.Errorf("the first row is %s, expected %s", load.values[0], c.first)
	}
}

// Rows have the selected properties and their keys. Properties of a condition are requested, but not shown.
func TestReadsSelectedProperties(t *testing.T) {
	checkReads(t, []readCase{
		{name: "projection", set: "Orders", settings: []string{"sap.odata#00.select=ShipCountry, Freight"}, rows: 40,
			wantQuery: "$select=OrderID,Freight,ShipCountry", shown: "(OrderID Freight ShipCountry)"},
		{name: "keys are always there", set: "Order_Details", settings: []string{"sap.odata#00.select=Quantity"},
			rows: 100, wantQuery: "$select=OrderID,ProductID,Quantity", shown: "(OrderID ProductID Quantity)"},
		{name: "all", set: "Order_Details", settings: []string{"sap.odata#00.select=*"}, rows: 100,
			wantQuery: "$select=OrderID,ProductID,UnitPrice,Quantity,Discount"},
		{name: "a property that is not shown", set: "Order_Details",
			settings:  join(condition("0", "Quantity", "gt", "10"), []string{"sap.odata#00.select=Discount"}),
			wantQuery: "$filter=Quantity gt 10&$select=OrderID,ProductID,Quantity,Discount",
			shown:     "(OrderID ProductID Discount)", rows: -1},
	})
}

// Conditions become a filter, next to the filter of the user's own query.
func TestReadsFilteredRows(t *testing.T) {
	checkReads(t, []readCase{
		{name: "equal", set: "Orders", settings: condition("0", "OrderID", "eq", "10250"),
			wantQuery: "$filter=OrderID eq 10250", rows: 1},
		{name: "between", set: "Orders", settings: condition("0", "OrderID", "bt", "10250", "10259"),
			wantQuery: "$filter=(OrderID ge 10250 and OrderID le 10259)", rows: 10},
		{name: "not between", set: "Orders", settings: condition("0", "OrderID", "nb", "10250", "10259"),
			wantQuery: "$filter=(OrderID lt 10250 or OrderID gt 10259)", rows: 30},
		{name: "in", set: "Orders", settings: condition("0", "OrderID", "IN", "10250, 10252,1"),
			wantQuery: "$filter=(OrderID eq 10250 or OrderID eq 10252 or OrderID eq 1)", rows: 2},
		{name: "two conditions", set: "Orders",
			settings:  join(condition("0", "OrderID", "ge", "10250"), condition("1", "OrderID", "lt", "10253")),
			wantQuery: "$filter=OrderID ge 10250 and OrderID lt 10253", rows: 3},
		{name: "a literal of a URL", set: "Orders", settings: condition("0", "OrderDate", "ge", "datetime'1996-07-10'"),
			wantQuery: "$filter=OrderDate ge datetime'1996-07-10T00:00:00'", rows: -1},
		{name: "the user's own", set: "Orders", settings: join(condition("0", "OrderID", "ge", "10250"),
			[]string{"sap.odata#00.query=$filter=OrderID lt 10253&search=a b"}),
			wantQuery: "$filter=(OrderID lt 10253) and (OrderID ge 10250)&search=a b", rows: 3},
	})
}

// Expanded entities have the selected properties. Conditions on them select inner rows.
func TestReadsExpandedEntities(t *testing.T) {
	checkReads(t, []readCase{
		{name: "nested property", set: "Orders", settings: join(condition("0", "Customer/Country", "eq", "Germany"),
			[]string{"sap.odata#00.expand=Customer", "sap.odata#00.select=OrderID,Customer/City"}),
			wantQuery: "$filter=Customer/Country eq 'Germany'&$select=OrderID,Customer/CustomerID,Customer/City," +
				"Customer/Country&$expand=Customer",
			rows: -1, shown: "(OrderID Customer(CustomerID City))"},
		{name: "nested property, not expanded", set: "Order_Details",
			settings:  condition("0", "Order/ShipCountry", "in", "Germany,'France'"),
			wantQuery: "$filter=(Order/ShipCountry eq 'Germany' or Order/ShipCountry eq 'France')", rows: -1},
		{name: "to many", set: "Orders", settings: []string{"sap.odata#00.expand=Order_Details",
			"sap.odata#00.select=Order_Details/Quantity,OrderID"}, rows: 40,
			wantQuery: "$select=OrderID,Order_Details/OrderID,Order_Details/ProductID,Order_Details/Quantity&" +
				"$expand=Order_Details",
			shown: "(OrderID Order_Details(OrderID ProductID Quantity))"},
		{name: "nested", set: "Orders", settings: []string{"sap.odata#00.expand=Order_Details/Product, Customer",
			"sap.odata#00.select=OrderID,Customer/CompanyName,Order_Details/Quantity," +
				"Order_Details/Product/ProductName"}, rows: 40,
			wantQuery: "$select=OrderID,Customer/CustomerID,Customer/CompanyName,Order_Details/OrderID," +
				"Order_Details/ProductID,Order_Details/Quantity,Order_Details/Product/ProductID," +
				"Order_Details/Product/ProductName&$expand=Customer,Order_Details/Product",
			shown: "(OrderID Customer(CustomerID CompanyName) Order_Details(OrderID ProductID Quantity " +
				"Product(ProductID ProductName)))"},
		{name: "inner rows", set: "Orders", settings: join(condition("0", "Order_Details/ProductID", "ge", "1000"),
			condition("1", "OrderID", "lt", "10250"),
			[]string{"sap.odata#00.expand=Order_Details", "sap.odata#00.select=OrderID,Order_Details/Quantity"}),
			wantQuery: "$filter=OrderID lt 10250&$select=OrderID,Order_Details/OrderID,Order_Details/ProductID," +
				"Order_Details/Quantity&$expand=Order_Details", rows: 2, first: "[10248 []]"},
		{name: "inner rows by what is not shown", set: "Orders", settings: join(condition("0", "Order_Details/Quantity",
			"gt", "0"), condition("1", "Order_Details/Product/Discontinued", "eq", "false"),
			[]string{"sap.odata#00.expand=Order_Details/Product",
				"sap.odata#00.select=OrderID,Order_Details/Discount,Order_Details/Product/ProductID"}),
			wantQuery: "$select=OrderID,Order_Details/OrderID,Order_Details/ProductID,Order_Details/Quantity," +
				"Order_Details/Discount,Order_Details/Product/ProductID,Order_Details/Product/Discontinued&" +
				"$expand=Order_Details/Product",
			rows: 40, shown: "(OrderID Order_Details(OrderID ProductID Discount Product(ProductID)))"},
	})
}

// TestServicesThatIgnoreOptions reads from services that accept options but ignore them. If rows would be lost or
// unrequested, the read fails with an error that names the setting. Otherwise the result is as expected.
func TestServicesThatIgnoreOptions(t *testing.T) {
	for _, test := range []struct {
		name     string
		options  []string
		settings []string
		message  string // "" means that the result equals that of a service that applies the options
		setting  string
	}{
		{name: "filter", options: []string{"$filter"}, settings: condition("03", "OrderID", "gt", "10250"),
			message: `OrderID is "10248", but sap.odata#00.filter#03.option requires gt "10250": the service accepts $filter but ignores it`, setting: "sap.odata#00.filter#03.option"},
		{name: "filter by what is not shown", options: []string{"$filter"},
			settings: append(condition("0", "ShipCountry", "eq", "Nowhere"), "sap.odata#00.select=Freight"),
			message:  `requires eq "Nowhere"`, setting: "sap.odata#00.filter#0.option"},
		{name: "select", options: []string{"$select"}, settings: []string{"sap.odata#00.select=Freight",
			"sap.odata#00.expand=Order_Details", "sap.odata#00.select=Order_Details/Quantity"}},
		{name: "order and select", options: []string{"$select", "$orderby"},
			settings: []string{"sap.odata#00.select=Freight"}},
	} {
		for _, format := range []string{"json", "atom"} {
			service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{PageSize: 25}})
			settings := append(join(set("00", "Orders"), test.settings), "sap.odata.format="+format)
			load := newLoad(t, odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{PageSize: 25,
				Ignore: strings.Join(test.options, ",")}}), settings...)
			_, err := load.run(0, nil)
			if test.message == "" {
				applying := newLoad(t, service, settings...)
				if _, applyingErr := applying.run(0, nil); err != nil || applyingErr != nil || len(load.faults) > 0 {
					t.Errorf("%s, %s: %v, %v, %v", test.name, format, err, applyingErr, load.faults)
				} else if strings.Join(load.values, "\n") != strings.Join(applying.values, "\n") {
					t.Errorf("%s, %s: the rows differ from a service that applies the options", test.name, format)
				}
				continue
			}
			f := faultOf(err)
			assert.True(t, strings.Contains(f.Message, test.message) && f.Setting != nil && *f.Setting == test.setting,
				"%s, %s: expected %s, found %v", test.name, format, test.message, err)
			assert.Equal(t, 0, len(load.rows), test.name, format, "rows")
		}
	}
	for _, format := range []string{"json", "atom"} {
		for _, navigation := range []string{"Customer", "Order_Details"} {
			load := loadSet(t, odatatest.New(odatatest.Options{Rows: 40,
				Switches: odatatest.Switches{Ignore: "$expand,$select"}}),
				append(set("00", "Orders"), "sap.odata#00.expand="+navigation, "sap.odata.format="+format)...)
			if len(load.rows) > 0 || len(load.faults) != 40 || !strings.Contains(load.faults[0].Error.Message,
				"expected the expanded entity, found a link to it; the service accepts $expand but ignores it") {
				t.Errorf("%s, %s: %d rows, %d faults, %v", navigation, format, len(load.rows), len(load.faults),
					load.faults[:min(1, len(load.faults))])
			}
		}
	}
}

// TestMicros: digits after milliseconds arrive in values, in the keys of page requests and in cursors. Rows are
// requested in Atom, and JSON is rejected.
func TestMicros(t *testing.T) {
	metadata := metadataOf("At", `<Property Name="At" Type="Edm.DateTime" Nullable="false" Precision="7"/>`+
		`<Property Name="Seen" Type="Edm.DateTimeOffset" Precision="7"/>`)
	var filters []string
	times := [][2]string{
		{"2024-01-31T00:00:00.000001", "2024-01-31T00:00:00.1234567Z"},
		{"2024-01-31T00:00:00.000002", "2024-01-31T00:00:00.5+01:00"},
		{"2024-01-31T00:00:00.000003", "2024-01-31T00:00:00.123457Z"},
	}
	service := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		assert.True(t, strings.Contains(r.Header.Get("Accept"), "atom"),
			"%v", "unexpected Accept "+r.Header.Get("Accept"))
		rows := slices.Clone(times)
		query := r.URL.Query()
		if _, condition, ok := strings.Cut(query.Get("$filter"), "At "); ok {
			filters = append(filters, query.Get("$filter"))
			operator, bound, _ := strings.Cut(condition, " datetime'")
			rows = slices.DeleteFunc(rows, func(row [2]string) bool {
				return (operator == "lt") != (row[0] < strings.Trim(bound, "'"))
			})
		}
		if strings.Contains(query.Get("$orderby"), "desc") {
			slices.Reverse(rows)
		}
		body := `<feed` + atomSpaces + `>`
		if query.Get("$filter") == "" {
			body += `<m:count>3</m:count>`
		}
		for _, row := range rows[:min(2, len(rows))] {
			body += `<entry><content type="application/xml"><m:properties><d:At>` + row[0] + `</d:At><d:Seen>` + row[1] +
				`</d:Seen></m:properties></content></entry>`
		}
		w.Write([]byte(body + "</feed>"))
	})
	settings := setOf("/s", "X", "sap.odata#00.cursor.property=Seen", "sap.odata.timestamp.precision=MICROS")
	load := newLoad(t, service, settings...)
	offset := load.readAll(nil)
	want := []string{"[1706659200000001 1706659200123456]", "[1706659200000002 1706655600500000]",
		"[1706659200000003 1706659200123457]"}
	assert.True(t, strings.Join(load.values, ",") == strings.Join(want, ","),
		"expected %v, found %v", want, load.values)
	assert.True(t, len(filters) != 0 && slices.Contains(filters, "At ge datetime'2024-01-31T00:00:00.000002'") &&
		slices.Contains(filters, "At ge datetime'2024-01-31T00:00:00.000003'"), "unexpected filters %v", filters)
	high := stringOf(offset, "high")
	assert.True(t, high == "2024-01-31T00:00:00.123457Z", "unexpected cursor %v", high)
	nodes := load.opened.Feeds[0].Value.Nodes
	name := *nodes[nodes[0].Fields[0].Node].Name
	assert.True(t, name == wit.NameMicroTimestamp, "unexpected schema %s", name)
	err := load.open(append(settings, "sap.odata.format=json")...)
	assert.Error(t, err, "sap.odata#00.format = atom with it, since JSON has milliseconds only")
}

// TestDates: properties that the metadata declare as dates become dates if configured, in both formats, in filters and
// in cursors.
func TestDates(t *testing.T) {
	metadata := metadataOf("ID", `<Property Name="ID" Type="Edm.Int32" Nullable="false"/>`+
		`<Property Name="Day" Type="Edm.DateTime" sap:display-format="Date"/><Property Name="At" Type="Edm.DateTime"/>`)
	service := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"d":{"__count":"2","results":[`+
			`{"ID":1,"Day":"\/Date(1706659200000)\/","At":"\/Date(1706702400000)\/"},`+
			`{"ID":2,"Day":"\/Date(-86400000)\/","At":null}]}}`)
	})
	settings := setOf("/s", "X", condition("0", "Day", "ge", "1969-12-31")...)
	for _, test := range []struct {
		settings []string
		kind     string
		rows     []string
	}{
		{kind: wit.NameTimestamp, rows: []string{"[1 1706659200000 1706702400000]", "[2 -86400000 <nil>]"}},
		{settings: []string{"sap.odata#00.date.mapping=DATE"}, kind: wit.NameDate,
			rows: []string{"[1 19753 1706702400000]", "[2 -1 <nil>]"}},
		{settings: []string{"sap.odata.date.mapping=date", "sap.odata#00.cursor.property=Day",
			"sap.odata.cursor.lookback=86400"},
			kind: wit.NameDate, rows: []string{"[1 19753 1706702400000]", "[2 -1 <nil>]"}},
	} {
		load := newLoad(t, service, join(settings, test.settings)...)
		offset := load.readAll(nil)
		nodes := load.opened.Feeds[0].Value.Nodes
		kind := *nodes[nodes[0].Fields[1].Node].Name
		assert.True(t, kind == test.kind && strings.Join(load.values, ",") == strings.Join(test.rows, ","),
			"%v: expected %s, %v, found %s, %v", test.settings, test.kind, test.rows, kind, load.values)
		assert.True(t, len(test.settings) != 3 || stringOf(offset, "high") == "2024-01-31T00:00:00",
			"%v: unexpected cursor %v", test.settings, offset)
	}
}

// TestZones: local times of the service become points in time, in both formats, in structures and with microseconds.
// Keys, dates and times with an offset do not change. Conditions and cursors use local time.
func TestZones(t *testing.T) {
	metadata := metadataOf("From", `<Property Name="From" Type="Edm.DateTime" Nullable="false"/>`+
		`<Property Name="Day" Type="Edm.DateTime" sap:display-format="Date"/><Property Name="At" Type="Edm.DateTime"/>`+
		`<Property Name="Off" Type="Edm.DateTimeOffset"/><Property Name="S" Type="N.C"/>`,
		`<ComplexType Name="C"><Property Name="In" Type="Edm.DateTime"/></ComplexType>`)
	// noon and night are the times noonText, and nightText, which the clocks of Berlin skipped.
	const noon, night = "1706702400000", "1711852200000"
	inJSON := `{"d":{"__count":"2","results":[{"From":"/Date(` + noon +
		`)/","Day":"/Date(1706659200000)/","At":"/Date(` + noon + `)/","Off":"/Date(` + noon +
		`+0000)/","S":{"In":"/Date(` + noon + `)/"}},` +
		`{"From":"/Date(` + night + `)/","Day":null,"At":"/Date(` + night + `)/","Off":null,"S":{"In":null}}]}}`
	row := func(from, day, at, off, in string) string {
		return `<entry><content type="application/xml"><m:properties><d:From>` + from + `</d:From><d:Day>` + day +
			`</d:Day><d:At>` + at + `</d:At><d:Off>` + off + `</d:Off><d:S><d:In>` + in +
			`</d:In></d:S></m:properties></content></entry>`
	}
	const noonText, nightText = "2024-01-31T12:00:00", "2024-03-31T02:30:00"
	inAtom := `<feed` + atomSpaces + `><m:count>2</m:count>` +
		row(noonText, "2024-01-31T00:00:00", noonText, noonText+"Z", noonText) +
		row(nightText, "", nightText, "", "") + `</feed>`
	var filters []string
	service := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		filters = append(filters, r.URL.Query().Get("$filter"))
		if strings.Contains(r.Header.Get("Accept"), "atom") {
			fmt.Fprint(w, inAtom)
		} else {
			fmt.Fprint(w, inJSON)
		}
	})
	berlin := setOf("/s", "X", "sap.odata#00.datetime.zone=Europe/Berlin")
	const noonUTC, nightUTC = "1706698800000", "1711848600000" // an hour earlier
	rows := []string{"[" + noon + " 1706659200000 " + noonUTC + " " + noon + " [" + noonUTC + "]]",
		"[" + night + " <nil> " + nightUTC + " <nil> [<nil>]]"}
	for _, format := range []string{"json", "atom"} {
		filters = nil
		load := newLoad(t, service, join(berlin, append([]string{"sap.odata.format=" + format,
			"sap.odata#00.cursor.property=At"}, condition("0", "At", "le", "2024-03-31T02:40:00")...),
			condition("1", "At", "ge", "2024-01-31T12:00:00+01:00"), condition("2", "From", "ge", noonText))...)
		offset := load.readAll(nil)
		assert.True(t, strings.Join(load.values, ",") == strings.Join(rows, ","),
			"%s: expected %v, found %v", format, rows, load.values)
		if filters[0] != "At le datetime'2024-03-31T02:40:00' and At ge datetime'2024-01-31T12:00:00' and From ge "+
			"datetime'2024-01-31T12:00:00'" {
			t.Errorf("%s: unexpected filter %s", format, filters[0])
		}
		high := stringOf(offset, "high")
		assert.True(t, high == nightText, "%s: unexpected cursor %v", format, high)
	}
	load := newLoad(t, service, join(berlin, []string{"sap.odata.timestamp.precision=micros"})...)
	if _, err := load.run(0, nil); err != nil || !strings.Contains(load.values[0], " "+noonUTC+"000 ") {
		t.Errorf("expected the time %s000, found %v, %v", noonUTC, load.values, err)
	}
	load = newLoad(t, service, join(berlin, condition("0", "At", "le", "2024-01-31T12:30:00"))...)
	if _, err := load.run(0, nil); !errorContains(err, "accepts $filter but ignores it") {
		t.Errorf("a row with the local time 02:30 met a condition: %v", err)
	}
	err := load.open(setOf("/s", "X", "sap.odata.datetime.zone=Europe/Atlantis")...)
	assert.True(t, errorContains(err, "sap.odata.datetime.zone") && errorContains(err, "Europe/Berlin"),
		"expected an error that suggests Europe/Berlin, found %v", err)
}

// TestFunctionImports: the entities that a function import returns are read like those of a set, including pages,
// filters and parameters.
func TestFunctionImports(t *testing.T) {
	const metadata = `<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">` +
		`<edmx:DataServices><Schema Namespace="N" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="T"><Key><PropertyRef Name="ID"/></Key>` +
		`<Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType><EntityContainer Name="C"><EntitySet Name="S" EntityType="N.T"/>` +
		`<FunctionImport Name="Rated" ReturnType="Collection(N.T)" EntitySet="S" m:HttpMethod="GET"><Parameter Name="rating" Type="Edm.Int32" Mode="In" Nullable="false"/></FunctionImport>` +
		`<FunctionImport Name="Post" ReturnType="Collection(N.T)" EntitySet="S" m:HttpMethod="POST"/><FunctionImport Name="One" ReturnType="N.T" EntitySet="S"/>` +
		`</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`
	service := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/s/Rated" || r.URL.Query().Get("rating") != "3":
			http.NotFound(w, r)
		case r.URL.Query().Get("$skiptoken") == "":
			fmt.Fprint(w, `{"d":{"__count":"3","results":[{"ID":1},{"ID":2}],`+
				`"__next":"/s/Rated?rating=3&$skiptoken=x"}}`)
		default:
			fmt.Fprint(w, `{"d":{"results":[{"ID":7}]}}`)
		}
	})
	load := newLoad(t, service, append(setOf("/s", "Rated", "sap.odata#00.query=rating=3"),
		condition("0", "ID", "gt", "0")...)...)
	if _, err := load.run(0, nil); err != nil || strings.Join(load.rows, "") != "[1][2][7]" {
		t.Errorf("expected the rows 1, 2 and 7, found %v, %v", load.rows, err)
	}
	// The doctor requests them with the same parameters.
	options := []wit.Setting{{Name: "step", Value: "entityset /s/Rated"}}
	output, err := load.runCommand(probe.Doctor, options, setOf("/s", "Rated", "sap.odata#00.query=rating=3")...)
	assert.True(t, err == nil && strings.Contains(output, "readable"),
		"expected the doctor to report a readable set, found %s, %v", output, err)
	for name, want := range map[string]string{"Rated": "needs the parameter rating (Edm.Int32)",
		"Post": "is called by POST", "One": `returns "N.T"; expected one that returns entities`} {
		assert.ErrorOrNone(t, load.open(setOf("/s", name)...), want, name)
	}
}
