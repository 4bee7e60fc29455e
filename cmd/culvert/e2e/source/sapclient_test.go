package source

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Behind a gateway that takes headers off, every request of a source, a sink and the tools names client and language in
// its query, those of the host included, and has them as headers all the same.
func TestClientInQuery(t *testing.T) {
	t.Parallel()
	folder := e2etest.Plugins(t, "odata-sink")
	for in, query := range map[string]string{"header": "", "query": "sap-client=100&sap-language=DE"} {
		t.Run(in, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			s := odatatest.New(odatatest.Options{Rows: 60, PageSize: 25, User: "me", Password: e2etest.Password,
				Switches: odatatest.Switches{CSRF: true, RotateSession: "both"}})
			var mu sync.Mutex
			kinds := map[string]bool{}
			address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
			common := []string{"sap.odata.sap.client=100", "sap.odata.sap.language=DE", "sap.odata.sap.client.in=" + in}
			there := p.File("there.properties", e2etest.AsMe(e2etest.Source("there", address, "Orders"), common...)...)
			back := p.File("back.properties", e2etest.AsMe(e2etest.SinkOf("back", address, "Orders", "OrderCopies"), common...)...)
			for _, args := range [][]string{{"run", "--once", there, back}, {"ping", "-p", there, "-s",
				odatatest.NorthwindPath}, {"doctor", "-p", back}} {
				p.Run(append(args, "--plugins", folder, "--data", p.Data)...).Exits(0)
			}
			e2etest.Copied(t, s)
			want := map[string]bool{"metadata": true, "document": true, "page": true, "next page": true, "token": true,
				"POST": true, "logoff": true, "catalogue": true}
			e2etest.Equal(t, "kinds of requests", want, kinds)
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
