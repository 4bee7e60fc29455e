package source

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// Behind a gateway that takes headers off, every request of a source, a sink and the tools names client and language in
// its query, those of the host included, and has them as headers all the same.
func TestClientInQuery(t *testing.T) {
	t.Parallel()
	folder := e2e.Plugins(t, "odata-sink")
	for in, query := range map[string]string{"header": "", "query": "sap-client=100&sap-language=DE"} {
		t.Run(in, func(t *testing.T) {
			p := e2e.NewPlace(t)
			s := service.New(service.Options{Rows: 60, PageSize: 25, User: "me", Password: e2e.Password,
				Switches: service.Switches{CSRF: true, RotateSession: "both"}})
			var mu sync.Mutex
			kinds := map[string]bool{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				kinds[kindOf(r)] = true
				mu.Unlock()
				if r.Header.Get("sap-client") != "100" || r.Header.Get("sap-language") != "DE" {
					t.Errorf("without the headers: %s %s", r.Method, r.RequestURI)
				}
				if !strings.Contains(r.URL.RawQuery, query) || strings.Count(r.RequestURI,
					"sap-") != strings.Count(query, "sap-") {
					t.Errorf("expected %q once, found %s %s", query, r.Method, r.RequestURI)
				}
				r.Header.Del("sap-client")
				r.Header.Del("sap-language")
				s.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			address := strings.TrimPrefix(server.URL, "http://")
			common := []string{"sap.odata.user.name=me", "sap.odata.user.pwd=" + e2e.Password, "sap.odata.sap.client=100",
				"sap.odata.sap.language=DE", "sap.odata.sap.client.in=" + in}
			there := p.File("there.properties", append(e2e.Source("there", address, "Orders"), common...)...)
			back := p.File("back.properties", append(e2e.SinkOf("back", address, "Orders", "OrderCopies"), common...)...)
			for _, args := range [][]string{{"run", "--once", there, back}, {"ping", "-p", there, "-s",
				service.NorthwindPath}, {"doctor", "-p", back}} {
				if r := p.Run(append(args, "--plugins", folder, "--data", p.Data)...); r.Code != 0 {
					t.Fatalf("%s: exit %d\n%s%s", args[0], r.Code, r.Stdout, r.Stderr)
				}
			}
			if diff := cmp.Diff(e2e.Entities(s, "Orders"), e2e.Entities(s, "OrderCopies")); diff != "" {
				t.Error(diff)
			}
			want := map[string]bool{"metadata": true, "document": true, "page": true, "next page": true, "token": true,
				"POST": true, "logoff": true, "catalogue": true}
			if diff := cmp.Diff(want, kinds); diff != "" {
				t.Errorf("kinds of requests (-expected +found)\n%s", diff)
			}
		})
	}
}

func kindOf(r *http.Request) string {
	switch path := r.URL.Path; {
	case strings.Contains(path, "/CATALOGSERVICE"):
		return "catalogue"
	case strings.HasSuffix(path, "/logoff"):
		return "logoff"
	case strings.HasSuffix(path, "/$metadata"):
		return "metadata"
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return r.Method
	case r.Header.Get("X-Csrf-Token") != "":
		return "token"
	case strings.HasSuffix(path, "/"):
		return "document"
	case strings.Contains(r.URL.RawQuery, "$skiptoken="):
		return "next page"
	}
	return "page"
}
