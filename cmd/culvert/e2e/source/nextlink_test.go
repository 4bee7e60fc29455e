package source

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// relinked is a service whose next links have a text in the place of another.
func relinked(s http.Handler, old, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if i := bytes.Index(body, []byte(`"__next"`)); i >= 0 {
			body = append(bytes.Clone(body[:i]), bytes.ReplaceAll(body[i:], []byte(old), []byte(text))...)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	})
}

// A service repeats the filter wrongly in its next links. Where only the form differs all rows come; where it is
// another filter the load fails, and never are the rows of the first page taken for all.
func TestNextLinkRepeatsTheFilterWrongly(t *testing.T) {
	t.Parallel()
	s := odatatest.New(odatatest.Options{Rows: 10, PageSize: 20})
	write := e2etest.Writer{S: s}
	for id := range 50 {
		if !write.Send("POST", "Products", map[string]any{"ProductID": 1000 + id, "ProductName": "A+B", "Discontinued": false}) {
			t.Fatal("the service refused a row")
		}
	}
	for name, c := range map[string]struct{ old, text, fails string }{
		"plus for 2B":       {"%2B", "+", ""},
		"blank for 2B":      {"%2B", " ", ""},
		"another":           {"A%2B", "C", "$filter"},
		"nothing":           {"'A%2BB'", "''", "$filter"},
		"another selection": {",UnitPrice", "", "$select"},
	} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			address := e2etest.Serve(t, relinked(s, c.old, c.text))
			r := p.Once(p.File("products.properties", append(e2etest.Source("products", address, "Products"),
				"sap.odata.paging=links", "sap.odata.count=none", "sap.odata#00.select=ProductName,UnitPrice",
				"sap.odata#00.filter#00.property=ProductName", "sap.odata#00.filter#00.option=eq",
				"sap.odata#00.filter#00.low=A+B")...))
			if c.fails != "" {
				r.Exits(1).LastLineHas("expected "+c.fails+"=", "sap.odata#00.paging = top")
				return
			}
			if n := len(p.Records("Products")); r.Code != 0 || n != 50 {
				t.Errorf("expected 50 rows, found %d, exit %d\n%s", n, r.Code, r.Stderr)
			}
		})
	}
}
