package operate

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Nobody waits through ten retries to learn that a port is closed: a command asks once.
func TestPingToAClosedPort(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	file := p.File("orders.properties", e2etest.Instead(e2etest.Source("orders", porttest.Address(t), "Orders"),
		"sap.odata.max.retries=10",
		"sap.odata.min.retry.backoff.ms=3600000", "sap.odata.max.retry.backoff.ms=3600000")...)
	// compiles what ping needs
	p.Run("list-entitysets", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).Exits(1)
	p.Run("ping", "-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t)).
		Exits(1).Says("connection refused")
}

// Seconds in which plugins are compiled are explained, and only then.
func TestCompilingIsSaid(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	file := p.File("orders.properties", e2etest.Source("orders", address, "Orders")...)
	data := filepath.Join(p.Dir, "empty")
	uncompiled := filepath.Join(data, "plugins.cache")
	e2etest.NoError(t, os.MkdirAll(uncompiled, 0o700))
	said := regexp.MustCompile(`compiling plugins, once: \d+ s`)
	args := []string{"-p", file, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t), "--data", data}
	for round, want := range []bool{true, false} {
		r := p.Run(append([]string{"ping"}, args...)...)
		if r.Code != 0 || said.MatchString(r.Stderr) != want || strings.Contains(r.Stdout, "compiling") {
			t.Errorf("round %d: expected a line about it: %t, found exit %d and\n%s%s", round, want, r.Code, r.Stdout,
				r.Stderr)
		}
	}
	e2etest.NoError(t, os.RemoveAll(uncompiled))
	e2etest.NoError(t, os.Mkdir(uncompiled, 0o700))
	r := p.Run("run", "--once", "--plugins", e2etest.Plugins(t), "--data", data, file)
	if r.Code != 0 || !said.MatchString(r.Stderr) || !strings.Contains(r.Stderr, "level=INFO") {
		t.Errorf("expected a line of the log, found exit %d and\n%s", r.Code, r.Stderr)
	}
}
