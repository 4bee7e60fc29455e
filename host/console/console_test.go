package console

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/culvert-project/culvert/host/rest"
)

func TestSmoke(t *testing.T) {
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"counts":{"failed":1},"total":1,"connectors":[{"name":"a/b","state":"failed","cause":"x<y","tasks":2}]}`))
	})
	c := New(rest.Pages{API: api, Reads: func(*http.Request) string { return "" }})
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "/console/", nil))
	t.Log(w.Code, w.Body.String())
}
