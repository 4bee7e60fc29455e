package main

import (
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/google/go-cmp/cmp"
)

// Record headers contain what happened to the entity, in every mode. If a service does not distinguish created from
// changed entities, both are "changed".
func TestHeadersContainChange(t *testing.T) {
	const enabled = sourceconfig.HeadersEnable + "=1"
	whole := of(northwind, "Products")
	for _, test := range []struct {
		name     string
		path     string
		set      string
		settings []string
		// after contains the headers of the changes after the load: one row changed, one created and one deleted.
		after []string
	}{
		{"full mode", northwind, "Products", whole, nil},
		{"full mode, Atom", northwind, "Products", append(whole, "sap.odata#00.format=atom"), nil},
		{"delta mode", sapNorthwind, "Products", tracked00("Products"), []string{"changed", "changed", "deleted"}},
		{"delta mode, both forms", sapNorthwind, "Products", tracked00("Products", "sap.odata#00.deletes=both"),
			[]string{"changed", "changed", "deleted", "deleted"}},
		{"ODP", odpNorthwind, "FactsOfProducts", odpSet("Products"),
			[]string{"before", "changed", "created", "deleted"}},
		{"ODP, additive", odpNorthwind, "FactsOfProducts", odpSet("Products", "sap.odata#00.delta.kind=additive"),
			[]string{"before", "changed", "created", "deleted"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30})
			follower := loaded(t, service, append(slices.Clone(test.settings), enabled)...)
			loaded := len(follower.log)
			if loaded != service.Count("Products") {
				t.Fatalf("%d rows of %d", loaded, service.Count("Products"))
			}
			if test.after != nil {
				write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
				write(t, service, "POST", "Products", product(9000, "New"))
				write(t, service, "DELETE", "Products(4)", nil)
				noError(t, follower.catchUp(poll))
			}
			var after []string
			for i, event := range follower.log {
				want := "read"
				if i >= loaded {
					want = event.headers[sourceconfig.HeaderChange]
					after = append(after, want)
				}
				all := map[string]string{sourceconfig.HeaderService: test.path, sourceconfig.HeaderEntitySet: test.set,
					sourceconfig.HeaderVersion: version,
					sourceconfig.HeaderChange:  want}
				if d := cmp.Diff(all, event.headers); d != "" {
					t.Fatalf("row %d: %s", i, d)
				}
			}
			slices.Sort(after)
			if !slices.Equal(after, slices.Sorted(slices.Values(test.after))) {
				t.Errorf("expected %v, found %v", test.after, after)
			}
		})
	}
}
