//go:build real

package real

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Paths of the OData v4 services of testdata/peers.
const (
	cap4Path    = "/odata/v4/peer4"
	olingo4Path = "/odata4.svc"
)

// odata4Service is an OData v4 service. Its rows are read by code that shares nothing with Culvert's.
type odata4Service struct {
	entityModel
	address string
	path    string
	peer    *e2etest.Peer
}

// startCAP4 starts SAP CAP with a number of products. env may have PAGE, the number of rows in a page, and IEEE754=0,
// which makes the service ignore the media type parameter IEEE754Compatible, as CAP does by default.
func startCAP4(t *testing.T, products int, env ...string) *odata4Service {
	t.Helper()
	port := e2etest.FreePort(t)
	dir := t.TempDir()
	peer := e2etest.StartPeer(t, "cap/start.sh", dir, env, port, strconv.Itoa(products), dir)
	return newOData4Service(t, peer, port, cap4Path)
}

// startOlingo4 starts a service that is built with Apache Olingo 5, with a number of products. env may have PAGE.
func startOlingo4(t *testing.T, products int, env ...string) *odata4Service {
	t.Helper()
	port := e2etest.FreePort(t)
	dir := t.TempDir()
	peer := e2etest.StartPeer(t, "olingo4/start.sh", dir, env, port, strconv.Itoa(products), dir)
	return newOData4Service(t, peer, port, olingo4Path)
}

func newOData4Service(t *testing.T, peer *e2etest.Peer, port, path string) *odata4Service {
	t.Helper()
	s := &odata4Service{address: "127.0.0.1:" + port, path: path, peer: peer}
	s.entityModel = readMetadata(t, s.get(t, "$metadata", "application/xml"))
	return s
}

// reader returns the settings of a connector that reads sets of the service into records without schemas.
func (s *odata4Service) reader(name string, sets ...[]string) []string {
	settings := append(serviceSettings(s.address, name, "OData4Source"), "value.converter.schemas.enable=false",
		"key.converter=org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable=false")
	for n, set := range sets {
		settings = append(settings, setSettings(n, s.path, set[0], set[1], append(set[2:], "id="+set[1])...)...)
	}
	return settings
}

// get returns the body of an answer with status 200. resource is an address below the service root, or a whole one.
func (s *odata4Service) get(t *testing.T, resource, accept string) []byte {
	t.Helper()
	if !strings.HasPrefix(resource, "http:") {
		resource = "http://" + s.address + s.path + "/" + resource
	}
	r, err := http.NewRequest(http.MethodGet, resource, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.True(t, err == nil && response.StatusCode == http.StatusOK,
		"GET %s: expected status 200, found %s, error %v:\n%s", resource, response.Status, err, body)
	return body
}

// odata4Page is a page of an entity set.
type odata4Page struct {
	Value    []map[string]any
	NextLink string `json:"@odata.nextLink"`
}

// rows returns the rows of all pages, and the number of pages. The row of a singleton is a page.
func (s *odata4Service) rows(t *testing.T, resource string) (rows []map[string]any, pages int) {
	t.Helper()
	for resource != "" {
		body := s.get(t, resource, "application/json;odata.metadata=minimal;IEEE754Compatible=true")
		var page odata4Page
		var single map[string]any
		for _, v := range []any{&page, &single} {
			d := json.NewDecoder(bytes.NewReader(body))
			d.UseNumber()
			require.NoError(t, d.Decode(v))
		}
		if page.Value == nil {
			page.Value = append(page.Value, single)
		}
		rows = append(rows, page.Value...)
		pages++
		resource = page.NextLink
	}
	return rows, pages
}

// TestRealOData4Peers reads the metadata and all pages of a set of each OData v4 service.
func TestRealOData4Peers(t *testing.T) {
	t.Parallel()
	const (
		products = 7
		pageSize = "PAGE=3"
	)
	tests := []struct {
		name     string
		start    func(t *testing.T, products int, env ...string) *odata4Service
		env      []string
		set      string // a set whose rows have large numbers
		property string
		number   any // its first row's
	}{
		{name: "CAP", start: startCAP4, set: "Values", property: "big", number: "9007199254740995"},
		{name: "CAP without IEEE754", start: startCAP4, env: []string{"IEEE754=0"}, set: "Values", property: "big",
			number: json.Number("9007199254740996")},
		{name: "Olingo", start: startOlingo4, set: "Products", property: "Big", number: "9007199254740994"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := test.start(t, products, append(test.env, pageSize)...)
			metadata := string(s.get(t, "$metadata", "application/xml"))
			assert.True(t, strings.Contains(metadata, `<EntitySet Name="Products"`), "expected a set Products, found:\n%s",
				metadata)
			rows, pages := s.rows(t, "Products")
			assert.Equal(t, products, len(rows), "rows")
			assert.Equal(t, 3, pages, "pages")
			rows, _ = s.rows(t, test.set)
			assert.Equal(t, test.number, rows[0][test.property], test.set)
		})
	}
}
