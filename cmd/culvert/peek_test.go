package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// TestPeek shows rows as the connector's file has them read, with pages inside followed, and writes nothing.
func TestPeek(t *testing.T) {
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 40, Switches: service.Switches{ExpandPageSize: 1}})
	file := p.file("peek.properties", append(source("peek", address, "Orders"),
		"sap.odata#00.select=OrderDate,Freight,Order_Details/Quantity", "sap.odata#00.expand=Order_Details",
		"sap.odata#00.filter#00.property=OrderID", "sap.odata#00.filter#00.option=ge",
		"sap.odata#00.filter#00.low=10250")...)
	common := []string{"-p", file, "-s", service.NorthwindPath, "-e", "Orders", "--plugins", plugins(t), "--data",
		p.data}
	r := p.run(append([]string{"peek", "-n", "2", "--json"}, common...)...)
	var shown struct {
		Fields []struct{ Name, Type string }
		Rows   []struct {
			OrderID      int
			OrderDate    string
			Freight      json.Number
			OrderDetails []struct{ OrderID, ProductID, Quantity int } `json:"Order_Details"`
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil || r.code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	if len(shown.Rows) != 2 || shown.Rows[0].OrderID != 10250 || len(shown.Rows[0].OrderDetails) < 2 ||
		!strings.HasSuffix(shown.Rows[0].OrderDate, "Z") {
		t.Errorf("expected two orders from 10250 on with all their lines, found %s", r.stdout)
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
	r = p.run(append([]string{"peek", "-n", "1"}, common...)...)
	if r.code != 0 || !strings.Contains(r.stdout, "ORDERID") || !strings.Contains(r.stdout, "10250") ||
		strings.Contains(r.stdout, "10251") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r = p.run(append([]string{"peek", "-n", "0"}, common...)...); r.code != 2 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r = p.run("peek", "-p", file, "-s", service.NorthwindPath, "-e", "Order", "--plugins", plugins(t), "--data",
		p.data); r.code == 0 ||
		!strings.Contains(r.stderr, "the nearest name is Orders") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if rows := s.Ledger().Rows; rows == 0 || rows > 20 {
		t.Errorf("%d rows were read", rows)
	}
	for format, says := range map[string]string{"connect": `"field": "Freight"`,
		"avro":        `"connect.name": "org.apache.kafka.connect.data.Decimal"`,
		"json-schema": `"title": "NorthwindModel.Order.Key"`} {
		r = p.run(append([]string{"extract-schema", "--format", format}, common...)...)
		if r.code != 0 || !strings.Contains(r.stdout, says) || !json.Valid([]byte(r.stdout)) {
			t.Errorf("%s: exit code %d: expected %s in %s%s", format, r.code, says, r.stdout, r.stderr)
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
				w.Write(
					[]byte(
						`{"d":{"results":[{"TechnicalServiceName":"ZA_SRV","TechnicalServiceVersion":1,"Title":"ZA_SRV","Description":"The first","ServiceUrl":"https://erp.internal:44300/sap/opu/odata/sap/ZA_SRV"}],` +
							`"__next":"` + root + `/ServiceCollection?$format=json&$skiptoken=1"}}`))
				return
			}
			w.Write(
				[]byte(
					`{"d":{"results":[{"TechnicalServiceName":"YB_SRV","TechnicalServiceVersion":"0002","Title":"The second","ServiceUrl":"/sap/opu/odata/sap/YB_SRV;v=2/"}]}}`))
		})
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		p := newPlace(t)
		file := p.file("x.properties", source("x", strings.TrimPrefix(server.URL, "http://"), "Orders")...)
		r := p.run("list-services", "--json", "-p", file, "--plugins", plugins(t), "--data", p.data)
		want := `[{"service":"/sap/opu/odata/sap/ZA_SRV","name":"ZA_SRV","version":"1","title":"The first"},{"service":"/sap/opu/odata/sap/YB_SRV;v=2","name":"YB_SRV","version":"0002","title":"The second"}]`
		if r.code != 0 || strings.TrimSpace(r.stdout) != want {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		r = p.run("list-services", "--prefix", "yb", "-p", file, "--plugins", plugins(t), "--data", p.data)
		if r.code != 0 || !strings.HasPrefix(r.stdout, "SERVICE ") || !strings.Contains(r.stdout, "The second") ||
			strings.Contains(r.stdout, "ZA_SRV") {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
	}
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 4})
	r := p.run("list-services", "-p", p.file("x.properties", source("x", address, "Orders")...), "--plugins",
		plugins(t), "--data", p.data)
	if r.code != 1 || !strings.Contains(r.stderr, "/IWFND/MAINT_SERVICE") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
