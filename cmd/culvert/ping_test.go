package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
)

// Nobody waits through ten retries to be told that a port is closed: a command asks once.
func TestPingToAClosedPort(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := p.file("orders.properties", instead(source("orders", porttest.Address(t), "Orders"),
		"sap.odata.max.retries=10",
		"sap.odata.min.retry.backoff.ms=3600000", "sap.odata.max.retry.backoff.ms=3600000")...)
	// compiles what ping needs
	r := p.run("list-entitysets", "-p", file, "-s", service.NorthwindPath, "--plugins", plugins(t))
	if r.code != 1 {
		t.Errorf("expected exit 1, found %d\n%s", r.code, r.stderr)
	}
	r = p.run("ping", "-p", file, "-s", service.NorthwindPath, "--plugins", plugins(t))
	if r.code != 1 || !strings.Contains(r.stderr, "connection refused") {
		t.Errorf("expected exit 1 at once, found %d\n%s", r.code, r.stderr)
	}
}

// Seconds in which plugins are compiled are explained, and only then.
func TestCompilingIsSaid(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 5})
	file := p.file("orders.properties", source("orders", address, "Orders")...)
	data := filepath.Join(p.dir, "empty")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`compiling plugins, once: \d+ s`)
	args := []string{"-p", file, "-s", service.NorthwindPath, "--plugins", plugins(t), "--data", data}
	for round, want := range []bool{true, false} {
		r := p.run(append([]string{"ping"}, args...)...)
		if r.code != 0 || said.MatchString(r.stderr) != want || strings.Contains(r.stdout, "compiling") {
			t.Errorf("round %d: expected a line about it: %t, found exit %d and\n%s%s", round, want, r.code, r.stdout,
				r.stderr)
		}
	}
	if err := os.RemoveAll(filepath.Join(data, "plugins.cache")); err != nil {
		t.Fatal(err)
	}
	r := p.run("run", "--once", "--plugins", plugins(t), "--data", data, file)
	if r.code != 0 || !said.MatchString(r.stderr) || !strings.Contains(r.stderr, "level=INFO") {
		t.Errorf("expected a line of the log, found exit %d and\n%s", r.code, r.stderr)
	}
}
