package main

import (
	"slices"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/google/go-cmp/cmp"
)

// Records say what happened to their entity, in every mode; a service that does not tell created entities from changed
// ones has both changed.
func TestHeadersSayWhereRecordsComeFrom(t *testing.T) {
	const enabled = entry.HeadersEnable + "=1"
	whole := []string{"sap.odata#00.service=" + northwind, "sap.odata#00.entityset=Products", "sap.odata#00.topic=t"}
	for _, c := range []struct {
		name     string
		path     string
		set      string
		settings []string
		// after are the changes behind the load of one row changed, one made and one deleted.
		after []string
	}{
		{"full mode", northwind, "Products", whole, nil},
		{"full mode, Atom", northwind, "Products", append(whole, "sap.odata#00.format=atom"), nil},
		{"delta mode", sapNorthwind, "Products", tracked00("Products"), []string{"changed", "changed", "deleted"}},
		{"delta mode, both forms", sapNorthwind, "Products", tracked00("Products", "sap.odata#00.deletes=both"),
			[]string{"changed", "changed", "deleted", "deleted"}},
		{"ODP", odpNorthwind, "FactsOfProducts", odpSet("Products"), []string{"before", "changed", "created",
			"deleted"}},
		{"ODP, additive", odpNorthwind, "FactsOfProducts", odpSet("Products", "sap.odata#00.delta.kind=additive"),
			[]string{"before", "changed", "created", "deleted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := service.New(service.Options{Rows: 30})
			f := loaded(t, s, append(slices.Clone(c.settings), enabled)...)
			loaded := len(f.log)
			if loaded != s.Count("Products") {
				t.Fatalf("%d rows of %d", loaded, s.Count("Products"))
			}
			if c.after != nil {
				write(t, s, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
				write(t, s, "POST", "Products", map[string]any{"ProductID": 9000, "ProductName": "New",
					"Discontinued": false})
				write(t, s, "DELETE", "Products(4)", nil)
				noError(t, f.catchUp(poll))
			}
			var after []string
			for i, e := range f.log {
				want := "read"
				if i >= loaded {
					want = e.headers[entry.HeaderChange]
					after = append(after, want)
				}
				all := map[string]string{entry.HeaderService: c.path, entry.HeaderEntitySet: c.set,
					entry.HeaderVersion: version,
					entry.HeaderChange:  want}
				if d := cmp.Diff(all, e.headers); d != "" {
					t.Fatalf("row %d: %s", i, d)
				}
			}
			slices.Sort(after)
			if !slices.Equal(after, slices.Sorted(slices.Values(c.after))) {
				t.Errorf("expected %v, found %v", c.after, after)
			}
		})
	}
}

// A load that takes the place of a lost token has its own headers beside them.
func TestHeadersOfAReload(t *testing.T) {
	s := service.New(service.Options{Rows: 30, Switches: service.Switches{PageSize: 20}})
	f := loaded(t, s, tracked00("Products", "sap.odata#00.delta.lost=reload", entry.HeadersEnable+"=true")...)
	s.Set("expire-tokens", "")
	before := len(f.log)
	noError(t, f.catchUp(poll))
	for i, e := range f.log {
		if again := i >= before; e.headers[entry.HeaderChange] != "read" ||
			(e.headers[feed.HeaderSnapshot] != "") != again {
			t.Errorf("row %d of %d: headers %v", i, len(f.log), e.headers)
		}
	}
	first, last := f.log[before].headers, f.log[len(f.log)-1].headers
	if first[feed.HeaderMark] != "begin" || last[feed.HeaderMark] != "end" {
		t.Errorf("headers of the first and the last row: %v, %v", first, last)
	}
}
