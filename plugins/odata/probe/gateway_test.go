package probe

import (
	"os"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
)

// TestGroupsOfV4 reads SAP's catalogue of services of v4: each service of all groups once, and the next link.
func TestGroupsOfV4(t *testing.T) {
	const target = "/sap/opu/odata4/iwfnd/config/default/iwfnd/catalog/0002/ServiceGroups?" +
		"$expand=DefaultSystem($expand=Services)&sap-client=100"
	sample, err := os.ReadFile("../../../testdata/samples/catalog/sap_v4ServiceGroups.json")
	require.NoError(t, err)
	for _, test := range []struct {
		name   string
		body   string
		count  int
		fourth CatalogueEntry
		next   string
	}{
		{name: "a real answer", body: string(sample), count: 14, fourth: CatalogueEntry{Name: "/AIF/MESSAGEMONITOR",
			Version: "0001", Title: "AIF Interface Monitor Service",
			Path: "/sap/opu/odata4/aif/msgmonitoring_cds/srvd/aif/messagemonitor/0001"}},
		{name: "no system", body: `{"value":[{"GroupId":"A","DefaultSystem":null},{"GroupId":"B"}]}`},
		{name: "a page", body: `{"@odata.nextLink":"ServiceGroups?$skiptoken=8","value":[{"DefaultSystem":{"Services":` +
			`[{"ServiceUrl":"https://erp.internal/a/0001/"},{"ServiceUrl":"/b/"}]}}]}`, count: 2,
			next: "ServiceGroups?$skiptoken=8"},
	} {
		prober := &Prober{Dialect: edm.V4}
		_, err := prober.Catalogue("sap-client=100")
		require.True(t, err == ErrMissing && prober.missing[0].Target == target, "%s: found a request for %v, %v",
			test.name, prober.missing, err)
		prober.responses = []wit.Response{{Tag: prober.missing[0].Tag, Status: 200, Body: []byte(test.body)}}
		page, err := prober.Catalogue("sap-client=100")
		require.NoError(t, err, test.name)
		assert.Equal(t, test.next, page.Next, test.name)
		assert.Equal(t, target, page.Target, test.name)
		require.Equal(t, test.count, len(page.Services), test.name)
		if test.count > 4 {
			assert.Equal(t, test.fourth, page.Services[3], test.name)
		}
	}
	prober := &Prober{Dialect: edm.V4}
	_, err = prober.Catalogue("")
	require.ErrorIs(t, err, ErrMissing)
	prober.responses = []wit.Response{{Tag: prober.missing[0].Tag, Status: 404}}
	_, err = prober.Catalogue("")
	assert.Contains(t, err.Error(), "SAP systems have it where the service group /IWFND/CONFIG is published")
}
