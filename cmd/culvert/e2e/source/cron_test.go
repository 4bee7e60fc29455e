package source

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// TestCron reads a set again at the times of a cron expression.
func TestCron(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 40})
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--set",
		"listeners=http://"+porttest.Address(t),
		p.File("nightly.properties", append(e2etest.Source("nightly", address, "Orders"),
			"sap.odata#00.cron.expression=* * * * * ?")...))
	c.Eventually("three extractions", func() bool {
		return strings.Count(c.Stderr.String(), "the next load starts as scheduled") >= 3
	})
	c.MustStop()
}
