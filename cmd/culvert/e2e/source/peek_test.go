package source

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestPeek shows rows as the connector would read them, with expanded pages, and writes nothing.
func TestPeek(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 40,
		Switches: odatatest.Switches{ExpandPageSize: 1}})
	file := p.File("peek.properties", append(e2etest.Source("peek", address, "Orders"),
		"sap.odata#00.select=OrderDate,Freight,Order_Details/Quantity", "sap.odata#00.expand=Order_Details",
		"sap.odata#00.filter#00.property=OrderID", "sap.odata#00.filter#00.option=ge",
		"sap.odata#00.filter#00.low=10250")...)
	common := []string{"-p", file, "-s", odatatest.NorthwindPath, "-e", "Orders", "--plugins", e2etest.Plugins(t),
		"--data", p.Data}
	r := p.MustRun(append([]string{"peek", "-n", "2", "--json"}, common...)...)
	shown := e2etest.Decode[struct {
		Fields []struct{ Name, Type string }
		Rows   []struct {
			OrderID      int
			OrderDate    string
			Freight      json.Number
			OrderDetails []struct{ OrderID, ProductID, Quantity int } `json:"Order_Details"`
		}
	}](t, r.Stdout)
	assert.True(t, len(shown.Rows) == 2 && shown.Rows[0].OrderID == 10250 && len(shown.Rows[0].OrderDetails) >= 2 &&
		strings.HasSuffix(shown.Rows[0].OrderDate, "Z"),
		"expected two orders from 10250 on with all their lines, found %s", r.Stdout)
	types := map[string]string{}
	for _, f := range shown.Fields {
		types[f.Name] = f.Type
	}
	assert.True(t, len(types) == 4 && types["OrderID"] == "int32" && types["OrderDate"] == "Timestamp, optional" &&
		types["Freight"] == "Decimal, scale 4, optional" &&
		types["Order_Details"] == "array of struct NorthwindModel.Order_Detail",
		"expected the types of the four selected properties, found %v", types)
	p.MustRun(append([]string{"peek", "-n", "1"}, common...)...).WantStdout("ORDERID", "10250")
	p.Run("peek", "-p", file, "-e", "Order", "--plugins", e2etest.Plugins(t), "--data", p.Data).WantCode(1).WantStderr("the nearest name is Orders")
	rows := s.Ledger().Rows
	assert.True(t, rows != 0 && rows <= 20, "expected 1 to 20 rows to be read, found %d", rows)
	for format, want := range map[string]string{
		"connect":     `"field": "Freight"`,
		"avro":        `"connect.name": "org.apache.kafka.connect.data.Decimal"`,
		"json-schema": `"title": "NorthwindModel.Order.Key"`,
	} {
		r = p.Run(append([]string{"extract-schema", "--format", format}, common...)...)
		r.WantCode(0).WantStdout(want)
		assert.True(t, json.Valid([]byte(r.Stdout)), "%s: expected JSON, found %s", format, r.Stdout)
	}
}

// TestListServices reads the catalogue, or the older one if a service has no newer one.
func TestListServices(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/sap/opu/odata/IWFND/CATALOGSERVICE/ServiceCollection",
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"d":{"results":[` +
				`{"TechnicalServiceName":"ZA_SRV","TechnicalServiceVersion":1,"Title":"ZA_SRV","Description":"The first","ServiceUrl":"https://erp.internal:44300/sap/opu/odata/sap/ZA_SRV"},` +
				`{"TechnicalServiceName":"YB_SRV","TechnicalServiceVersion":"0002","Title":"The second","ServiceUrl":"/sap/opu/odata/sap/YB_SRV;v=2/"}]}}`))
		})
	list := func(address string, more ...string) e2etest.Result {
		return p.Run(append([]string{"list-services", "-p", p.File("x.properties", e2etest.Source("x", address,
			"Orders")...), "--plugins", e2etest.Plugins(t), "--data", p.Data}, more...)...)
	}
	older := e2etest.Serve(t, mux)
	list(older, "--json").WantCode(0).
		WantStdout(`[{"service":"/sap/opu/odata/sap/ZA_SRV","name":"ZA_SRV","version":"1",` +
			`"title":"The first"},{"service":"/sap/opu/odata/sap/YB_SRV;v=2","name":"YB_SRV","version":"0002",` +
			`"title":"The second"}]`)
	r := list(older, "--prefix", "yb").WantCode(0)
	assert.True(t, strings.HasPrefix(r.Stdout, "SERVICE ") && strings.Contains(r.Stdout, "The second") &&
		!strings.Contains(r.Stdout, "ZA_SRV"), "expected a table of YB_SRV alone, found\n%s", r.Stdout)
	_, noCatalogue := e2etest.StartDemo(t, odatatest.Options{Rows: 4})
	list(noCatalogue).WantCode(1).WantStderr("/IWFND/MAINT_SERVICE")
}
