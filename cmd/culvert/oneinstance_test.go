package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A connector is checked, planned and run by one instance of its plugin: making one for each takes
// longer than all that a start has them do.
func TestStartsWithOneInstance(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20, PageSize: 10})
	p.subfolder("conf")
	p.file("conf/in.properties", source("in", address, "Orders")...)
	f := p.follows("conf")
	f.eventually("all rows", func() bool { return f.rows("in") == s.Count("Orders") })
	made := ""
	for line := range strings.Lines(f.metrics()) {
		if strings.HasPrefix(line, "culvert_plugin_instances_started_total{") &&
			strings.Contains(line, `plugin="odata-source"`) {
			made = line
		}
	}
	if !strings.HasSuffix(made, "} 1\n") {
		t.Errorf("expected one instance to be made, found %q", made)
	}
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}
