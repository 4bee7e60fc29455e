package operate

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// A source that is limited is loading, with a note. One that refuses each row is refusing, although it has read
// everything. culvert status and the list agree.
func TestStatesOfSources(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 3000, PageSize: 20})
	p.File("conf/lines.properties", append(e2etest.Source("lines", address, "Orders"),
		"sap.odata.requests.per.second=5")...)
	_, other := e2etest.StartDemo(t, odatatest.Options{Rows: 300})
	p.File("conf/bad.properties", append(e2etest.Source("bad", other, "Products"), "errors.tolerance=all",
		"transforms=cast", "transforms.cast.type=org.apache.kafka.connect.transforms.Cast$Value",
		"transforms.cast.spec=ProductName:int32")...)
	f := p.StartWorkerWith(e2etest.Plugins(t, "smt"), "conf")
	list := func() map[string]rest.ConnectorSummary {
		var page rest.ConnectorList
		e2etest.Get(t, f.URL+"/culvert/connectors", &page)
		byName := map[string]rest.ConnectorSummary{}
		for _, c := range page.Connectors {
			byName[c.Name] = c
		}
		return byName
	}
	var summaries map[string]rest.ConnectorSummary
	f.Eventually("a load and refused rows", func() bool {
		summaries = list()
		return summaries["lines"].State == connect.ConditionLoading &&
			summaries["bad"].State == connect.ConditionRefusing
	})
	lines := summaries["lines"]
	bad := summaries["bad"]
	assert.True(t, lines.Note == "limited to 5 requests a second" && lines.Load != nil && lines.Load.Total != nil &&
		*lines.Load.Total == 3000 && lines.Load.Read != 0 && *lines.Lag == 3000-int64(lines.Load.Read),
		"expected a limited load of 3000 rows in progress, found %+v", lines)
	assert.True(t, bad.Refused != nil && *bad.Refused != 0 && bad.Action != nil && bad.Action.Do == "log" &&
		bad.Lag == nil && bad.Cause == "cast: Value (…) was out of range for requested data type",
		"expected refused rows, why, and the log as the action, found %+v", bad)
	out := p.Run("status", "--url", f.URL).Stdout
	assert.True(t, strings.Contains(out, "refusing") && strings.Contains(out, "loading") &&
		strings.Contains(out, "lines: limited to 5 requests a second"),
		"expected both states and the note, found\n%s", out)
	p.Run("status", "--url", f.URL).WantCode(1).WantStderr("refusing: bad")
}
