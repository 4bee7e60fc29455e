package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// namesOnly reports whether a message names one changed part of a query, and that its name begins with name.
func namesOnly(message, name string) bool {
	difference, _, _ := strings.Cut(message, ")")
	_, current, ok := strings.Cut(difference, ", now ")
	current = strings.TrimLeft(current, `\"`)
	return ok && strings.HasPrefix(current, name) && !strings.Contains(current, " ")
}

// TestChangedQuery checks that a stored delta link is not used with another filter, client or user, and that the
// message names the change; query.change=reload reads the set again, and the topic equals the service again.
func TestChangedQuery(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 20,
		Switches: odatatest.Switches{Delta: "links"}})
	run := func(settings ...string) e2etest.Result {
		lines := append(e2etest.Source("changes", address, "Products"), "sap.odata.sap.client=100",
			"sap.odata.user.name=one",
			"sap.odata.user.pwd=secret", "sap.odata#00.track-changes=1", "sap.odata#00.exec-period=60")
		return p.RunOnce(p.File("changes.properties", e2etest.WithSettings(lines, settings...)...))
	}
	run().WantCode(0)
	rows := len(p.Records("Products"))
	for part, settings := range map[string][]string{
		"filter=": {"sap.odata#00.filter#00.property=UnitPrice", "sap.odata#00.filter#00.option=ge",
			"sap.odata#00.filter#00.low=0"},
		"client=": {"sap.odata.sap.client=200"},
		"user=":   {"sap.odata.user.name=two"},
	} {
		r := run(settings...)
		_, message, ok := strings.Cut(r.Stderr, "the stored offset belongs to something else (")
		assert.True(t, r.Code != 0 && ok && namesOnly(message, part),
			"expected a failure that names %s, found exit %d\n%s", part, r.Code, r.Stderr)
	}
	n := len(p.Records("Products"))
	assert.True(t, n == rows, "expected that nothing is read with a changed query, found %d more records", n-rows)
	e2etest.NewAuthor(t, address).Change(1)
	run("sap.odata.sap.client=200", "sap.odata#00.query.change=reload").WantCode(0)
	n = len(p.Records("Products"))
	assert.True(t, n == 2*rows, "expected all %d rows a second time, found %d records", rows, n-rows)
	names := map[string]string{}
	for _, record := range p.Records("Products")[rows:] {
		product := record["value"].(map[string]any)["payload"].(map[string]any)
		names[fmt.Sprintf("%.0f", product["ProductID"])], _ = product["ProductName"].(string)
	}
	s.Each("Products", func(_ string, fields map[string]string) {
		if name, ok := names[fields["ProductID"]]; !ok || name != fields["ProductName"] {
			t.Errorf("%s: expected %q, found %q", fields["ProductID"], fields["ProductName"], name)
		}
	})
}
