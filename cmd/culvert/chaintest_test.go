package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example's tests run with the plugins that are built in the binary, and a wrong one tells by exit code, output and
// report.
func TestTestsOfTransforms(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	folder, err := filepath.Abs("../../examples/transforms")
	if err != nil {
		t.Fatal(err)
	}
	if r := p.run("test", folder, "--plugins", plugins(t, "smt")); r.code != 0 ||
		!strings.Contains(r.stdout, "orders_test.yaml: 6 tests") {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	text, err := os.ReadFile(filepath.Join(folder, "orders_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(text), "connector: orders.properties", "connector: "+filepath.Join(folder,
		"orders.properties"), 1)
	wrong = strings.Replace(wrong, "value: {OrderID: 7, OrderDate: \"1970-01-01\"",
		"value: {OrderID: 8, OrderDate: \"1970-01-01\"", 1)
	file, report := p.file("wrong_test.yaml", wrong), filepath.Join(t.TempDir(), "report.xml")
	r := p.run("test", file, "--plugins", plugins(t, "smt"), "--junit", report)
	xml, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if r.code != 1 || !strings.Contains(r.stdout, `-   "OrderID": 8,`) || !strings.Contains(r.stdout,
		`+   "OrderID": 7,`) ||
		!strings.Contains(r.stdout, "a row without schema") || !strings.Contains(r.stderr, "1 test failed") ||
		!strings.Contains(string(xml), `<testsuites tests="6" failures="1"`) {
		t.Errorf("exit %d\n%s%s\n%s", r.code, r.stdout, r.stderr, xml)
	}
	// What the tests said is told also where the report cannot be written.
	r = p.run("test", file, "--plugins", plugins(t, "smt"), "--junit", filepath.Join(t.TempDir(), "none", "report.xml"))
	if r.code != 1 || !strings.Contains(r.stdout, `-   "OrderID": 8,`) || !strings.Contains(r.stderr, "--junit: ") ||
		!strings.Contains(r.stderr, "1 test failed") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := p.run("test", t.TempDir()); r.code != 2 || !strings.Contains(r.stderr, "found none") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}
