package source

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// With completeness=require, a load without proof fails at its end, and a restart reads nothing again. The setting that
// the message names lets the connector continue: no offset is reset, and no row arrives twice.
func TestRequiredProof(t *testing.T) {
	t.Parallel()
	const rows, page = 250, 5
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: rows, PageSize: page,
		Switches: odatatest.Switches{RefuseOrderBy: true, SkipToken: "opaque"}})
	p := e2etest.NewPlace(t)
	run := func(settings ...string) e2etest.Result {
		return p.RunOnce(p.File("required.properties", e2etest.WithSettings(e2etest.Source("required", address,
			"Orders"), append([]string{fmt.Sprint("sap.odata#00.page.size=", page)}, settings...)...)...))
	}
	const advice = "sap.odata#00.completeness = warn reads it nevertheless"
	run("sap.odata#00.completeness=require", "sap.odata#00.count=none",
		"sap.odata#00.paging=links").WantCode(1).WantStderr(advice)
	assert.Equal(t, 0, s.Ledger().Pages, "pages of a load that cannot be proven")
	run("sap.odata#00.completeness=require").WantCode(1).WantStderr(advice)
	pages := s.Ledger().Pages
	run("sap.odata#00.completeness=require").WantCode(1).WantStderr(advice)
	result := run("sap.odata#00.completeness=warn").WantCode(0)
	if n := s.Ledger().Pages; pages < rows/page || n != pages {
		t.Errorf("expected all pages in the failed load and none after it, found %d and %d more", pages, n-pages)
	}
	assert.NotContains(t, result.Stderr, "reset the connector's offsets to read", "advice to reset offsets")
	p.CheckRecordCount("Orders", rows)
}
