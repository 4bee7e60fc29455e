package main

import (
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// Record headers contain what happened to the entity, in every mode. If a service does not distinguish created from
// changed entities, both are "changed".
func TestHeadersContainChange(t *testing.T) {
	const enabled = sourceconfig.HeadersEnable + "=1"
	wholeSet := setOf(northwind, "Products")
	for _, test := range []struct {
		name     string
		path     string
		set      string
		settings []string
		// after contains the headers of the changes after the load: one row changed, one created and one deleted.
		after []string
	}{
		{name: "full mode", path: northwind, set: "Products", settings: wholeSet},
		{name: "full mode, Atom", path: northwind, set: "Products",
			settings: append(wholeSet, "sap.odata#00.format=atom")},
		{name: "delta mode", path: sapNorthwind, set: "Products", settings: deltaSet("Products"),
			after: []string{"changed", "changed", "deleted"}},
		{name: "delta mode, both forms", path: sapNorthwind, set: "Products",
			settings: deltaSet("Products", "sap.odata#00.deletes=both"),
			after:    []string{"changed", "changed", "deleted", "deleted"}},
		{name: "ODP", path: odpNorthwind, set: "FactsOfProducts", settings: odpSet("Products"),
			after: []string{"before", "changed", "created", "deleted"}},
		{name: "ODP, additive", path: odpNorthwind, set: "FactsOfProducts",
			settings: odpSet("Products", "sap.odata#00.delta.kind=additive"),
			after:    []string{"before", "changed", "created", "deleted"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30})
			follower := followSet(t, service, append(slices.Clone(test.settings), enabled)...)
			loaded := len(follower.log)
			require.True(t, loaded == service.Count("Products"), "%d rows of %d", loaded, service.Count("Products"))
			if test.after != nil {
				write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
				write(t, service, "POST", "Products", product(9000, "New"))
				write(t, service, "DELETE", "Products(4)", nil)
				require.NoError(t, follower.catchUp(poll))
			}
			var after []string
			for i, event := range follower.log {
				want := "read"
				if i >= loaded {
					want = event.headers[sourceconfig.HeaderChange]
					after = append(after, want)
				}
				headers := map[string]string{
					sourceconfig.HeaderService:   test.path,
					sourceconfig.HeaderEntitySet: test.set,
					sourceconfig.HeaderVersion:   version,
					sourceconfig.HeaderChange:    want,
				}
				require.Equal(t, headers, event.headers, "row", i)
			}
			slices.Sort(after)
			assert.True(t, slices.Equal(after, slices.Sorted(slices.Values(test.after))),
				"expected %v, found %v", test.after, after)
		})
	}
}
