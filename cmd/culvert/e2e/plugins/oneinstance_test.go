package plugins

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A connector is checked, planned and run by one instance of its plugin: making one for each takes
// longer than all that a start has them do.
func TestStartsWithOneInstance(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 20, PageSize: 10})
	p.File("conf/in.properties", e2etest.Source("in", address, "Orders")...)
	f := p.Follows("conf")
	f.Eventually("all rows", func() bool { return f.Rows("in") == s.Count("Orders") })
	made := ""
	for line := range strings.Lines(f.Metrics()) {
		if strings.HasPrefix(line, "culvert_plugin_instances_started_total{") &&
			strings.Contains(line, `plugin="odata-source"`) {
			made = line
		}
	}
	if !strings.HasSuffix(made, "} 1\n") {
		t.Errorf("expected one instance to be made, found %q", made)
	}
	f.MustStop()
}
