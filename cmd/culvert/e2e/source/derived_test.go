package source

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Rows of derived types are read without the properties that these types add; one message names all of them.
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
	p.MustRunOnce(p.File("people.properties", append(e2etest.Source("people", address, "People"),
		"sap.odata#00.topic=people")...)).
		WantStderrTimes(1, "rows of types that are derived from N.Person are read without the properties that these "+
			"add: Salary N.Employee, Room N.Employee; sap.odata#00.derived = include reads them")
	values, keys := p.TopicValues("people")
	if printed := fmt.Sprint(values); len(keys) != 2 || strings.Contains(printed, "Room") {
		t.Errorf("expected two rows without Room, found %s", printed)
	}
}
