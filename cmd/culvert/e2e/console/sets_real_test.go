//go:build real

package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

var containerEnd = regexp.MustCompile(`</(\w*:?)EntityContainer>`)

// addSets adds sets of orders to the metadata document of a service.
func addSets(service http.Handler, count int) http.Handler {
	var sets strings.Builder
	for n := range count {
		fmt.Fprintf(&sets, `<${1}EntitySet Name="Set%03d" EntityType="NorthwindModel.Order"/>`, n)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Trim(r.URL.Path, "/") == strings.Trim(odatatest.NorthwindPath, "/") {
			http.NotFound(w, r) // it would list the other sets only
			return
		}
		if !strings.HasSuffix(r.URL.Path, "$metadata") {
			service.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Accept-Encoding")
		recorder := httptest.NewRecorder()
		service.ServeHTTP(recorder, r)
		w.Header().Set("Content-Type", recorder.Header().Get("Content-Type"))
		w.Header().Set("DataServiceVersion", "2.0")
		w.WriteHeader(recorder.Code)
		w.Write(containerEnd.ReplaceAll(recorder.Body.Bytes(), []byte(sets.String()+"$0")))
	})
}

// The field of a set proposes all sets of a service that has 400: the browser filters them while one types. A set that
// the service does not serve is explained where its rows would be.
func TestRealSearchOfManySets(t *testing.T) {
	t.Parallel()
	address := e2etest.Serve(t, addSets(odatatest.New(odatatest.Options{Rows: 5}), 400))
	worker := e2etest.NewPlace(t).StartWorker("conf")
	worker.Create(e2etest.Source("orders", address, "Orders")...)
	worker.AwaitStderr("extraction finished: 5 rows")
	tab := NewBrowser(t).Open(nil)
	tab.Load(worker.URL + "/console/form?name=orders#step-sets")
	sets := proposals("sap.odata#00.entityset")
	tab.Await("all sets", sets+".filter(v => v.startsWith('Set')).length === 400")
	tab.Await("one of the last sets", sets+".filter(v => v.includes('t399')).length === 1")
	tab.Type(set, "Set399")
	tab.Await("fields in step with the text", textHasLine("sap.odata#00.entityset=Set399")+" && "+formIsIdle)
	tab.Click(`button[value="peek:Entity set 00"]`)
	tab.AwaitText("No rows of Set399", "404")
	tab.Type(set, "Orders")
	tab.Await("fields in step with the text", textHasLine("sap.odata#00.entityset=Orders")+" && "+formIsIdle)
	tab.Click(`button[value="peek:Entity set 00"]`)
	tab.AwaitText("First rows of Orders", "10248")
	tab.CheckQuiet(hostPort(worker))
}
