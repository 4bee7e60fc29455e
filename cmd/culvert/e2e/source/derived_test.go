package source

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Rows of derived types are read without what these add, which is said once and in full, or with it.
func TestPropertiesOfDerivedTypes(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "$metadata") {
			io.WriteString(w, `<Schema Namespace="N"><EntityType Name="Person"><Key><PropertyRef Name="ID"/></Key>`+
				`<Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>`+
				`<EntityType Name="Employee" BaseType="N.Person"><Property Name="Salary" Type="Edm.Int32"/>`+
				`<Property Name="Room" Type="Edm.String"/></EntityType>`+
				`<EntityContainer Name="C"><EntitySet Name="People" EntityType="N.Person"/></EntityContainer></Schema>`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"d":{"__count":"2","results":[{"ID":1},{"__metadata":{"type":"N.Employee"},"ID":2,`+
			`"Salary":3,"Room":"r"}]}}`)
	}))
	folder := e2etest.Plugins(t)
	for _, mode := range []string{"ignore", "include"} {
		lines := append(e2etest.Source(mode, address, "People"), "sap.odata#00.topic="+mode, "sap.odata#00.derived="+mode)
		said := strings.Count(p.MustOnceWith(folder, p.File(mode+".properties", lines...)).Stderr,
			"rows of types that are derived from N.Person are read without the properties that these add: "+
				"Salary N.Employee, Room N.Employee; sap.odata#00.derived = include reads them")
		if said != map[string]int{"ignore": 1}[mode] {
			t.Errorf("%s: the warning came %d times", mode, said)
		}
		values, keys := p.Topic(mode)
		if found := fmt.Sprint(values); len(keys) != 2 || strings.Contains(found, "Room:r Salary:3") != (mode == "include") {
			t.Errorf("%s: found %s", mode, found)
		}
	}
}
