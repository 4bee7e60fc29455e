//go:build real

package real

import (
	"cmp"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealOData4CAP reads SAP CAP's own OData v4.
func TestRealOData4CAP(t *testing.T) {
	t.Parallel()
	s := startCAP4(t, manyRows)
	t.Run("Read", s.testRead)
	t.Run("Cursor", s.testCursor)
	t.Run("Untracked", s.testUntracked)
	t.Run("Rounded", func(t *testing.T) {
		plain := startCAP4(t, 10, "IEEE754=0")
		plain.compare(t, []odata4Part{{set: "Products", topic: "products"}, {set: "Values", topic: "values"}},
			"sap.odata.decimal.scale.fallback=20").WantStderrTimes(1, roundedNumbers)
	})
}

// odata4Part is a set, or a part of one, that a connector reads into a topic.
type odata4Part struct {
	set      string
	typ      string // a set with the same type; "" means set
	topic    string
	resource string // what the plain HTTP client reads; "" means set
	settings []string
	absent   string // a property that rows lack, so that records have null
}

// compare reads each part into its topic and compares the records with the entities that a plain HTTP client reads.
func (s *odata4Service) compare(t *testing.T, parts []odata4Part, more ...string) e2etest.Result {
	t.Helper()
	p := e2etest.NewPlace(t)
	var sets [][]string
	for _, part := range parts {
		sets = append(sets, append([]string{part.set, part.topic}, part.settings...))
	}
	r := p.MustRunOnce(p.File("read.properties", append(s.reader("read", sets...), more...)...))
	for _, part := range parts {
		typ := cmp.Or(part.typ, part.set)
		entities, _ := s.rows(t, cmp.Or(part.resource, part.set))
		want := s.rowsByKey(t, typ, entities)
		require.True(t, len(want) > 0, "%s: expected rows of the service", part.topic)
		for _, row := range want {
			if part.absent != "" {
				row[part.absent] = nil
			}
		}
		compareRows(t, part.topic, want, s.topic(t, p, typ, part.topic))
	}
	return r
}

// A service without IEEE754Compatible rounds numbers, of which a line of the log warns once for a set.
const roundedNumbers = "the service ignores IEEE754Compatible=true"

// testRead reads whole sets, parts of them, and entities with expanded ones.
func (s *odata4Service) testRead(t *testing.T) {
	const (
		active = "Requests?$filter=IsActiveEntity%20eq%20true"
		order  = "Orders(ID=00000001-0000-4000-8000-000000000007)/Items"
		items  = "Orders?$expand=Items($select=ID,pos;$filter=pos%20gt%2010;$orderby=pos%20desc)"
	)
	s.compare(t, []odata4Part{
		{set: "Products", topic: "products"},
		{set: "AllTypes", topic: "types", absent: "lbin"},
		{set: "Values", topic: "values"},
		{set: "Prices", topic: "prices"},
		{set: "Settings", topic: "settings"},
		{set: "Requests", topic: "active", resource: active, absent: "DraftMessages"},
		{set: "Requests", topic: "lines", resource: active + "&$expand=Lines", absent: "DraftMessages", settings: []string{
			"expand=Lines"}},
		// CAP returns no drafts unless a condition selects them.
		{set: "Requests", topic: "unfiltered", absent: "DraftMessages", settings: []string{"drafts=all"}},
		{set: "Requests", topic: "drafts", resource: "Requests?$filter=IsActiveEntity%20eq%20false", settings: []string{
			"drafts=all", "filter#0.property=IsActiveEntity", "filter#0.option=eq", "filter#0.low=false"}},
		{set: order, typ: "OrderItems", topic: "contained"},
		{set: "Orders", topic: "nested", resource: "Orders?$select=ID,modifiedAt&$expand=Items($select=ID,pos;" +
			"$filter=pos%20gt%2010;$expand=Schedule($select=ID,qty))", settings: []string{
			"expand=Items/Schedule", "select=modifiedAt,Items/pos,Items/Schedule/qty", "filter#0.property=Items/pos",
			"filter#0.option=gt", "filter#0.low=10"}},
		{set: "Orders", topic: "raw", resource: items, settings: []string{
			"query=$expand=Items($select=ID,pos;$filter=pos gt 10;$orderby=pos desc)"}},
	}, "sap.odata.decimal.scale.fallback=20").WantNo(roundedNumbers).
		WantStderr("entity set Settings of " + cap4Path + ": extraction finished: 1 rows in ").WantNo(
		"entity set Settings of " + cap4Path + ": nothing proves")
}

// testCursor reads a set by a cursor, changes rows of it, and reads the changed rows alone.
func (s *odata4Service) testCursor(t *testing.T) {
	p := e2etest.NewPlace(t)
	w := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, p.File("cursor.properties",
		s.reader("cursor", []string{"Products", "changed", "cursor.property=changed", "exec-period=1"})...))
	w.AwaitRecords(p, "changed", manyRows)
	for _, id := range []string{"1", "12345"} {
		s.patch(t, "Products("+id+")", `{"changed":"2030-01-01T00:00:00.`+id+`Z"}`)
	}
	w.AwaitRecords(p, "changed", manyRows+2)
	w.AwaitStderr("extraction finished: 1 rows") // the last one is read again, and not delivered
	w.MustStop()
	ids := map[any]int{}
	for _, record := range p.Records("changed") {
		ids[payload(t, record, "value")["ID"]]++
	}
	assert.True(t, len(ids) == manyRows && ids[1.0] == 2 && ids[12345.0] == 2 && ids[2.0] == 1,
		"expected each of %d rows once and the changed ones twice, found %d", manyRows, len(ids))
}

// patch changes an entity.
func (s *odata4Service) patch(t *testing.T, resource, body string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodPatch, "http://"+s.address+s.path+"/"+resource, strings.NewReader(body))
	require.NoError(t, err)
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer r.Body.Close()
	require.True(t, r.StatusCode < 300, "PATCH %s: expected success, found %s", resource, r.Status)
}

// A service that tracks no changes is read by a cursor, which the failure names.
func (s *odata4Service) testUntracked(t *testing.T) {
	p := e2etest.NewPlace(t)
	r := p.RunOnce(p.File("tracked.properties", s.reader("tracked", []string{"Categories", "tracked",
		"track-changes=1", "exec-period=60"})...))
	r.WantCode(1).WantLastLine("expected a delta link at the end of the load, found none",
		"sap.odata#00.cursor.property, a property that grows with each change, reads changed rows only")
}
