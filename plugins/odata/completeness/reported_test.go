package completeness

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/paging"
)

// reportedService is a service of which a load was proven, or ended, although rows were missing. It is described by the
// values of its dimensions.
type reportedService struct {
	name    string
	values  map[dimension]string
	variant variant
	verdict string
	rows    int    // number of rows that arrive, unless the load fails
	message string // part of the error
}

// reportedServices have the users' numbers of rows.
var reportedServices = []reportedService{
	{name: "an extraction of ODP that ends without a link",
		values:  map[dimension]string{trackingToken: "ODP DeltaLinksOf", cutting: "page without"},
		variant: variant{rows: 77, page: 20}, verdict: failed, message: "the service counts 77 rows"},
	{name: "an extraction of ODP that ends without a link, no count",
		values:  map[dimension]string{trackingToken: "ODP DeltaLinksOf", cutting: "page without", counts: "absent"},
		variant: variant{rows: 77, page: 20}, verdict: paging.Unproven, rows: 20},
	{name: "rows are cut before they are sorted",
		values: map[dimension]string{cutting: "before sorting", counts: "of the page", storageOrder: "rotated",
			skips: "after cutting"},
		variant: variant{rows: 25_000, page: 1000}, verdict: failed,
		message: "and the service still has the row"},
	{name: "rows are cut before they are sorted, and stored in the order of the keys",
		values:  map[dimension]string{cutting: "before sorting", counts: "absent", skips: "after cutting"},
		variant: variant{rows: 25_000, page: 1000}, verdict: paging.Unproven, rows: 25_000},
	{name: "a set that has grown beyond a page",
		values:  map[dimension]string{cutting: "page without", counts: "of the page", loadCount: "grown"},
		variant: variant{rows: 1000, page: 1000}, verdict: paging.ProvenByKey, rows: 2001},
	{name: "texts that are sorted by a collation and compared by bytes, no count",
		values: map[dimension]string{keyType: "mixed case", sortOrder: "another collation", filterOrder: "by bytes",
			counts: "absent"},
		variant: variant{rows: 25_000, page: 1000, pattern: 24}, verdict: paging.Unproven, rows: 24_500},
	{name: "texts that are sorted by a collation and compared by bytes, a count that moves",
		values: map[dimension]string{keyType: "mixed case", sortOrder: "another collation", filterOrder: "by bytes",
			changes: "insert", pagingMode: "keys"},
		variant: variant{rows: 25_000, page: 1000, pattern: 24, request: 4, changed: "last"},
		verdict: paging.ProvenByCount, rows: 25_001},
	{name: "answers end at a number of rows",
		values:  map[dimension]string{cutting: "a total", counts: "of what was cut"},
		variant: variant{rows: 25_000, page: 2500}, verdict: paging.Unproven, rows: 25_000},
	{name: "hidden rows under expand", values: map[dimension]string{notShown: "under expand"},
		variant: variant{rows: 25_000, page: 1000, place: "middle", specialRows: 1000}, verdict: failed,
		message: "Remove sap.odata#00.expand"},
	{name: "hidden rows under expand, no count",
		values:  map[dimension]string{notShown: "under expand", countMode: "off"},
		variant: variant{rows: 25_000, page: 1000, place: "middle", specialRows: 1000}, verdict: failed,
		message: "Remove sap.odata#00.expand"},
}

// TestReportedServices reads services of which reports said that rows were missing.
func TestReportedServices(t *testing.T) {
	byConfiguration := readers{}
	for _, test := range reportedServices {
		t.Run(test.name, func(t *testing.T) {
			d := defaults()
			for dimension, value := range test.values {
				d[dimension] = value
			}
			require.True(t, d.isPossible(), "expected a possible service, found %s", d)
			loaded := byConfiguration.find(t, &d).read(newService(d, test.variant))
			t.Logf("%s: complete=%s, %d rows in %d requests, %d missing, %d twice, %v", d, loaded.verdict,
				len(loaded.arrived), len(loaded.requests), len(loaded.missing), loaded.doubled, loaded.err)
			assert.True(t, loaded.verdict == test.verdict && (loaded.err != nil || len(loaded.arrived) == test.rows),
				"expected %s and %d rows", test.verdict, test.rows)
			assert.True(t, loaded.err == nil || strings.Contains(loaded.err.Error(), test.message),
				"expected %q in the error", test.message)
		})
	}
}
