package source

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// TestPeek shows rows as the connector's file has them read, with pages inside followed, and writes nothing.
func TestPeek(t *testing.T) {
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 40, Switches: odatatest.Switches{ExpandPageSize: 1}})
	file := p.File("peek.properties", append(e2etest.Source("peek", address, "Orders"),
		"sap.odata#00.select=OrderDate,Freight,Order_Details/Quantity", "sap.odata#00.expand=Order_Details",
		"sap.odata#00.filter#00.property=OrderID", "sap.odata#00.filter#00.option=ge",
		"sap.odata#00.filter#00.low=10250")...)
	common := []string{"-p", file, "-s", odatatest.NorthwindPath, "-e", "Orders", "--plugins", e2etest.Plugins(t), "--data",
		p.Data}
	r := p.MustRun(append([]string{"peek", "-n", "2", "--json"}, common...)...)
	shown := e2etest.As[struct {
		Fields []struct{ Name, Type string }
		Rows   []struct {
			OrderID      int
			OrderDate    string
			Freight      json.Number
			OrderDetails []struct{ OrderID, ProductID, Quantity int } `json:"Order_Details"`
		}
	}](t, r.Stdout)
	if len(shown.Rows) != 2 || shown.Rows[0].OrderID != 10250 || len(shown.Rows[0].OrderDetails) < 2 ||
		!strings.HasSuffix(shown.Rows[0].OrderDate, "Z") {
		t.Errorf("expected two orders from 10250 on with all their lines, found %s", r.Stdout)
	}
	types := map[string]string{}
	for _, f := range shown.Fields {
		types[f.Name] = f.Type
	}
	if len(types) != 4 || types["OrderID"] != "int32" || types["OrderDate"] != "Timestamp, optional" ||
		types["Freight"] != "Decimal, scale 4, optional" ||
		types["Order_Details"] != "array of struct NorthwindModel.Order_Detail" {
		t.Errorf("found the types %v", types)
	}
	r = p.Run(append([]string{"peek", "-n", "1"}, common...)...)
	if r.Code != 0 || !strings.Contains(r.Stdout, "ORDERID") || !strings.Contains(r.Stdout, "10250") ||
		strings.Contains(r.Stdout, "10251") {
		t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	p.Run(append([]string{"peek", "-n", "0"}, common...)...).Exits(2)
	p.Run("peek", "-p", file, "-s", odatatest.NorthwindPath, "-e", "Order", "--plugins", e2etest.Plugins(t), "--data",
		p.Data).Exits(1).Says("the nearest name is Orders")
	if rows := s.Ledger().Rows; rows == 0 || rows > 20 {
		t.Errorf("%d rows were read", rows)
	}
	for format, says := range map[string]string{"connect": `"field": "Freight"`,
		"avro":        `"connect.name": "org.apache.kafka.connect.data.Decimal"`,
		"json-schema": `"title": "NorthwindModel.Order.Key"`} {
		r = p.Run(append([]string{"extract-schema", "--format", format}, common...)...)
		if r.Code != 0 || !strings.Contains(r.Stdout, says) || !json.Valid([]byte(r.Stdout)) {
			t.Errorf("%s: exit code %d: expected %s in %s%s", format, r.Code, says, r.Stdout, r.Stderr)
		}
	}
}

// TestListServices asks the catalogue: the newer one, which pages, or the older one where that is all there is.
func TestListServices(t *testing.T) {
	for _, newest := range []bool{true, false} {
		mux := http.NewServeMux()
		root := "/sap/opu/odata/IWFND/CATALOGSERVICE"
		if newest {
			root += ";v=2"
		}
		mux.HandleFunc(root+"/ServiceCollection", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Query().Get("$skiptoken") == "" {
				w.Write([]byte(
					`{"d":{"results":[{"TechnicalServiceName":"ZA_SRV","TechnicalServiceVersion":1,"Title":"ZA_SRV","Description":"The first","ServiceUrl":"https://erp.internal:44300/sap/opu/odata/sap/ZA_SRV"}],` +
						`"__next":"` + root + `/ServiceCollection?$format=json&$skiptoken=1"}}`))
				return
			}
			w.Write([]byte(
				`{"d":{"results":[{"TechnicalServiceName":"YB_SRV","TechnicalServiceVersion":"0002","Title":"The second","ServiceUrl":"/sap/opu/odata/sap/YB_SRV;v=2/"}]}}`))
		})
		p := e2etest.NewPlace(t)
		file := p.File("x.properties", e2etest.Source("x", e2etest.Serve(t, mux), "Orders")...)
		r := p.Run("list-services", "--json", "-p", file, "--plugins", e2etest.Plugins(t), "--data", p.Data)
		want := `[{"service":"/sap/opu/odata/sap/ZA_SRV","name":"ZA_SRV","version":"1","title":"The first"},{"service":"/sap/opu/odata/sap/YB_SRV;v=2","name":"YB_SRV","version":"0002","title":"The second"}]`
		if r.Code != 0 || strings.TrimSpace(r.Stdout) != want {
			t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		r = p.Run("list-services", "--prefix", "yb", "-p", file, "--plugins", e2etest.Plugins(t), "--data", p.Data)
		if r.Code != 0 || !strings.HasPrefix(r.Stdout, "SERVICE ") || !strings.Contains(r.Stdout, "The second") ||
			strings.Contains(r.Stdout, "ZA_SRV") {
			t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
	}
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 4})
	r := p.Run("list-services", "-p", p.File("x.properties", e2etest.Source("x", address, "Orders")...), "--plugins",
		e2etest.Plugins(t), "--data", p.Data)
	r.Exits(1).Says("/IWFND/MAINT_SERVICE")
}
