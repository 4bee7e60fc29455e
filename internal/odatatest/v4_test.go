package odatatest_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
)

const exactNumbers = "application/json;odata.metadata=minimal;IEEE754Compatible=true"

// v4Context starts an answer; v4Category are the members of a row.
const (
	v4Context  = `{"@odata.context":"$metadata#`
	v4Category = `"CategoryID":1,"CategoryName":"Beverages","Description":"Drinks, hot & cold"`
)

// v4Answers are requests to the v4 addresses, and their answers, or parts of them.
var v4Answers = map[string]struct {
	switches odatatest.Switches
	target   string
	accept   string // empty means JSON
	prefer   string
	status   int // Zero means 200.
	answer   string
}{
	"entity": {target: "Categories(1)", answer: v4Context + `Categories/$entity",` + v4Category + `}`},
	"selected rows": {target: "Orders?$select=OrderID&$top=1",
		answer: v4Context + `Orders(OrderID)","value":[{"OrderID":10248}]}`},
	"pages": {switches: odatatest.Switches{PageSize: 2}, target: "Orders?$select=OrderID&$count=true",
		answer: v4Context + `Orders(OrderID)","@odata.count":20,"value":[{"OrderID":10248},{"OrderID":10249}],` +
			`"@odata.nextLink":"Orders?$select=OrderID&$count=true&$skiptoken=10249"}`},
	"links in front, short and encoded": {switches: odatatest.Switches{PageSize: 1, Annotations: "front",
		Links: "encoded", ShortNames: true, SkipToken: "offset"}, target: "Suppliers?$select=SupplierID,Version",
		answer: `{"@context":"$metadata#Suppliers(SupplierID,Version)","@nextLink":"Suppliers?%24select=` +
			`SupplierID,Version&%24skiptoken=1","value":[{"SupplierID":1,"Version":1,"@etag":"W/\"1\""}]}`},
	"no rows": {target: "Inbox", answer: v4Context + `Inbox","value":[]}`},
	"page without rows": {switches: odatatest.Switches{PageSize: 1, EmptyPages: 2},
		target: "Orders?$select=OrderID&$skiptoken=10250",
		answer: v4Context + `Orders(OrderID)","@odata.nextLink":"Orders?$select=OrderID&$skiptoken=10250&again=1"}`},
	"error behind rows": {switches: odatatest.Switches{PageSize: 1, RowErrors: 2}, target: "Orders?$select=OrderID",
		answer: v4Context + `Orders(OrderID)","value":[{"OrderID":10248}],"@odata.error":{"code":"500",` +
			`"message":"The rows could not be read to their end"}}`},
	"exact numbers": {target: "AllTypes?$filter=ID eq 4&$select=Long,Amount,Precise&$count=true", accept: exactNumbers,
		answer: v4Context + `AllTypes(Long,Amount,Precise)","@odata.count":"1","value":` +
			`[{"Long":"9223372036854775807","Amount":"1.0000","Precise":0.1}]}`},
	"ignored exact numbers": {switches: odatatest.Switches{PlainNumbers: true}, accept: exactNumbers,
		target: "AllTypes?$filter=ID eq 4&$select=Long,Amount",
		answer: v4Context + `AllTypes(Long,Amount)","value":[{"Long":9223372036854775807,"Amount":1.0000}]}`},
	"dates and bytes": {target: "AllTypes?$filter=ID eq 4&$select=Clock,Moment,Stamp,Raw,Day",
		answer: v4Context + `AllTypes(Clock,Moment,Stamp,Raw,Day)","value":[{"Clock":"00:00:00.5","Moment":` +
			`"1582-10-15T00:00:00Z","Stamp":"2000-02-29T08:30:00-03:30","Raw":"-__-","Day":"1900-03-01"}]}`},
	"literals": {target: "AllTypes?$select=ID&$filter=ID ge 3 and Mark eq 0A0B0C0D-0102-0304-0506-0708090a0b0c and " +
		"(Day gt 1582-10-15 and Stamp lt 2024-01-01T00:00:00%2B01:00) and Clock eq 00:00:00.5 and Raw eq " +
		"binary'-__-' and Amount eq 1.0 and Precise lt 1e3",
		answer: v4Context + `AllTypes(ID)","value":[{"ID":4}]}`},
	"functions": {target: "Products?$select=ProductID&$top=1&$filter=startswith(ProductName,'Uncle') and " +
		"contains(ProductName,'b''s')", answer: v4Context + `Products(ProductID)","value":[{"ProductID":7}]}`},
	"wrong filter inside an expand": {target: "Orders?$expand=Order_Details($filter=ProductID lt)", status: 400,
		answer: "expected a property"},
	"nested expands": {switches: odatatest.Switches{ExpandPageSize: 1}, target: "Orders(10251)?$select=OrderID&" +
		"$expand=Customer($select=City),Order_Details($filter=ProductID lt 37;$orderby=Quantity desc;" +
		"$select=ProductID;$expand=Product($select=ProductID;$expand=Category($select=CategoryName)))",
		answer: v4Context + `Orders(OrderID)/$entity","OrderID":10251,"Customer":{"City":"Århus"},` +
			`"Order_Details":[{"ProductID":32,"Product":{"ProductID":32,"Category":{"CategoryName":"Seafood"}}}],"Order_Details@odata.nextLink":` +
			`"Orders(10251)/Order_Details?$filter=ProductID%20lt%2037&$orderby=Quantity%20desc&$select=ProductID&` +
			`$expand=Product%28%24select%3DProductID%3B%24expand%3DCategory%28%24select%3DCategoryName%29%29&` +
			`$skiptoken=@1"}`},
	"ignored options": {switches: odatatest.Switches{Ignore: "$expand,$filter"},
		target: "Categories?$expand=Products&$filter=CategoryID gt 1&$top=1",
		answer: v4Context + `Categories","value":[{` + v4Category + `}]}`},
	"both links": {switches: odatatest.Switches{PageSize: 1, BothLinks: true}, target: "Orders?$select=OrderID",
		prefer: "track-changes", answer: `"@odata.deltaLink":"Orders?$deltatoken=D`},
	"page size":    {target: "Orders?$select=OrderID", prefer: "maxpagesize=1", answer: `$skiptoken=10248"}`},
	"option of v2": {target: "Orders?$inlinecount=allpages", status: 400, answer: `{"error":{"code":`},
	"Atom":         {target: "Orders", accept: "application/atom+xml", status: 406, answer: `{"error":{"code":`},
	"refused count": {switches: odatatest.Switches{RefuseCount: true}, target: "Orders?$count=true",
		status: 400, answer: "'$count'"},
	"unknown segment": {target: "Nope", status: 404, answer: `"message":"Resource not found for the segment 'Nope'."`},
}

// TestV4Answers: both v4 addresses answer the same. Links and contexts are relative, unless a case says otherwise.
func TestV4Answers(t *testing.T) {
	for name, test := range v4Answers {
		t.Run(name, func(t *testing.T) {
			if test.switches.Links == "" {
				test.switches.Links = "relative"
			}
			c := start(t, odatatest.Options{Rows: 20, Switches: test.switches})
			if test.accept != "" {
				c.headers["Accept"] = test.accept
			}
			for _, root := range []string{odatatest.Northwind4Path, odatatest.SAP4Path} {
				h, body := c.expect(max(test.status, 200), "GET", root+strings.ReplaceAll(test.target, " ", "%20"), "",
					"Prefer", test.prefer)
				assert.Equal(t, "4.0", h.Get("OData-Version"), "OData-Version")
				assert.Equal(t, strings.Contains(body, `"9223372036854775807"`),
					strings.Contains(h.Get("Content-Type"), "IEEE754Compatible=true") && strings.Contains(body, "Long"),
					"numbers as texts")
				isWhole := strings.HasPrefix(test.answer, "{") && strings.HasSuffix(test.answer, "}")
				assert.True(t, strings.Contains(body, test.answer) && (!isWhole || body == test.answer),
					"%s: expected\n%s\nfound\n%s", test.target, test.answer, body)
			}
		})
	}
}

// TestV4Changes follows delta links: changed rows, both forms of tombstones, rows that no longer meet the filter, and a
// token that is ignored.
func TestV4Changes(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, Switches: odatatest.Switches{Links: "relative"}})
	read := func(address string) (rows, link string) {
		h, body := c.expect(200, "GET", odatatest.SAP4Path+address, "", "Prefer", "odata.track-changes,track-changes")
		var document struct {
			Value json.RawMessage
			Delta string `json:"@odata.deltaLink"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &document))
		assert.Equal(t, document.Delta != "", h.Get("Preference-Applied") != "", "a delta link and Preference-Applied")
		return string(document.Value), document.Delta
	}
	_, whole := read("Customers?$select=City")
	_, filtered := read("Customers?$select=City&$filter=City%20eq%20'Lyon'")
	c.expect(204, "DELETE", odatatest.SAPPath+"Customers('AAAAB')", "")
	c.expect(204, "MERGE", odatatest.SAPPath+"Customers('AAAAA')", `{"City":"Ulm"}`)
	rows, next := read(whole)
	const tombstone = `{"@odata.context":"$metadata#Customers/$deletedEntity","id":"Customers('AAAAB')","reason":"deleted"}`
	assert.Equal(t, `[`+tombstone+`,{"City":"Ulm"}]`, rows, "changes")
	rows, _ = read(next)
	assert.Equal(t, `[]`, rows, "changes since these")
	require.NoError(t, c.service.Set("tombstones", "removed"))
	rows, _ = read(filtered)
	assert.Equal(t, `[{"@removed":{"reason":"changed"},"@id":"Customers('AAAAB')"},`+
		`{"@removed":{"reason":"changed"},"@id":"Customers('AAAAA')"}]`, strings.Replace(rows, "deleted", "changed", 1),
		"changes of filtered rows")
	require.NoError(t, c.service.Set("delta", "off"))
	require.NoError(t, c.service.Set("ignore", "$deltatoken"))
	rows, next = read(whole)
	assert.True(t, next == "" && strings.Count(rows, `"City"`) == 90, "expected the set without a link, found %s, %s",
		rows, next)
}

// TestV4Metadata: the documents are well-formed, and annotations are in their targets or name them.
func TestV4Metadata(t *testing.T) {
	for _, prefixes := range []bool{false, true} {
		c := start(t, odatatest.Options{Rows: 10, Switches: odatatest.Switches{Prefixes: prefixes, RefuseCount: true}})
		for root, part := range map[string]string{
			odatatest.Northwind4Path: `Nullable="false"><Annotation Term="Core.Computed" Bool="true"/></Property>`,
			odatatest.SAP4Path: `<Annotations Target="SAP__self.Container/Orders"><Annotation ` +
				`Term="Capabilities.ChangeTracking">`,
		} {
			_, document := c.expect(200, "GET", root+"$metadata", "", "Accept", "application/xml")
			if prefixes {
				assert.True(t, strings.Contains(document, "<edm:Schema "), "expected prefixes, found %s", document)
				document = strings.ReplaceAll(document, "edm:", "")
			}
			decoder := xml.NewDecoder(strings.NewReader(document))
			var err error
			for err == nil {
				_, err = decoder.Token()
			}
			assert.Equal(t, io.EOF, err, root)
			for _, expected := range []string{part, `Type="Edm.TimeOfDay" Nullable="true" Precision="7"`,
				`Property="Countable" Bool="false"`, `<PropertyPath>Version</PropertyPath>`,
				`<NavigationPropertyBinding Path="Order_Details" Target="Order_Details"/>`} {
				assert.True(t, strings.Contains(document, expected), "%s: expected %s, found\n%s", root, expected,
					document)
			}
		}
	}
}
