package plugins

import (
	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example's tests run with the plugins that are built in the binary, and a wrong one tells by exit code, output and
// report.
func TestTestsOfTransforms(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	folder, err := filepath.Abs("../../../../examples/transforms")
	e2e.NoError(t, err)
	if r := p.Run("test", folder, "--plugins", e2e.Plugins(t, "smt")); r.Code != 0 ||
		!strings.Contains(r.Stdout, "orders_test.yaml: 6 tests") {
		t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	text, err := os.ReadFile(filepath.Join(folder, "orders_test.yaml"))
	e2e.NoError(t, err)
	wrong := strings.Replace(string(text), "connector: orders.properties", "connector: "+filepath.Join(folder,
		"orders.properties"), 1)
	wrong = strings.Replace(wrong, "value: {OrderID: 7, OrderDate: \"1970-01-01\"",
		"value: {OrderID: 8, OrderDate: \"1970-01-01\"", 1)
	file, report := p.File("wrong_test.yaml", wrong), filepath.Join(t.TempDir(), "report.xml")
	r := p.Run("test", file, "--plugins", e2e.Plugins(t, "smt"), "--junit", report)
	xml, err := os.ReadFile(report)
	e2e.NoError(t, err)
	if r.Code != 1 || !strings.Contains(r.Stdout, `-   "OrderID": 8,`) || !strings.Contains(r.Stdout,
		`+   "OrderID": 7,`) ||
		!strings.Contains(r.Stdout, "a row without schema") || !strings.Contains(r.Stderr, "1 test failed") ||
		!strings.Contains(string(xml), `<testsuites tests="6" failures="1"`) {
		t.Errorf("exit %d\n%s%s\n%s", r.Code, r.Stdout, r.Stderr, xml)
	}
	// What the tests said is told also where the report cannot be written.
	r = p.Run("test", file, "--plugins", e2e.Plugins(t, "smt"), "--junit", filepath.Join(t.TempDir(), "none", "report.xml"))
	if r.Code != 1 || !strings.Contains(r.Stdout, `-   "OrderID": 8,`) || !strings.Contains(r.Stderr, "--junit: ") ||
		!strings.Contains(r.Stderr, "1 test failed") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := p.Run("test", t.TempDir()); r.Code != 2 || !strings.Contains(r.Stderr, "found none") {
		t.Errorf("exit %d\n%s", r.Code, r.Stderr)
	}
}
