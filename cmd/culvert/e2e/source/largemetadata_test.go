package source

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// largeMetadata returns the demo service's metadata document, filled up to size bytes with types as SuccessFactors has
// them.
func largeMetadata(s http.Handler, path string, size int) string {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	types, after, _ := strings.Cut(w.Body.String(), "<EntityContainer")
	var b strings.Builder
	b.WriteString(types)
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, "<EntityType Name=\"EmpCustom%d\"><Key><PropertyRef Name=\"userId\"/></Key>\n"+
			"<Property Name=\"userId\" Type=\"Edm.String\" Nullable=\"false\" MaxLength=\"100\"/>\n", n)
		for i := range 60 {
			fmt.Fprintf(&b, "<Property Name=\"customString%d\" Type=\"Edm.String\" Nullable=\"true\" "+
				"sap:required=\"false\" sap:creatable=\"true\" sap:updatable=\"true\" sap:upsertable=\"true\" "+
				"sap:visible=\"true\" sap:sortable=\"true\" sap:filterable=\"true\" "+
				"sap:label=\"Custom String &amp; %d\" MaxLength=\"4000\"></Property>\n", i, i)
		}
		fmt.Fprintf(&b, "<NavigationProperty Name=\"userNav\" Relationship=\"SFOData.user_of_%d\" FromRole=\"a\" "+
			"ToRole=\"b\"/></EntityType>\n", n)
	}
	b.WriteString("<EntityContainer" + after)
	return b.String()
}

// A metadata document may have 40 MB: the default limits of plugins allow it in reading and in checks.
func TestLargeMetadata(t *testing.T) {
	t.Parallel()
	s := odatatest.New(odatatest.Options{Rows: 20, PageSize: 10})
	document := sync.OnceValue(func() string {
		return largeMetadata(s, "/V2/Northwind/Northwind.svc/$metadata", 40<<20)
	})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/$metadata") {
			s.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		io.WriteString(w, document())
	}))
	if n := len(document()); n < 40<<20 || !strings.HasPrefix(document(), "<?xml") {
		t.Fatalf("expected a document of 40 MB, found %d bytes, %.100s", n, document())
	}
	p := e2etest.NewPlace(t)
	file := p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)
	p.MustRunOnce(file)
	assert.Equal(t, 20, len(p.Records("Orders")), "rows")
	p.Run("validate", "--online", "--wait", "2m", "--plugins", e2etest.Plugins(t), file).WantCode(0)
}
