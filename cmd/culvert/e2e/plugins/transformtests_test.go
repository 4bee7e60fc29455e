package plugins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// The example's tests pass with the plugins in the binary; a failing test shows in exit code, output and report.
func TestTestsOfTransforms(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	folder, err := filepath.Abs("../../../../examples/transforms")
	require.NoError(t, err)
	p.MustRun("test", folder, "--plugins", e2etest.Plugins(t, "smt")).WantStdout("orders_test.yaml: 6 tests")
	content, err := os.ReadFile(filepath.Join(folder, "orders_test.yaml"))
	require.NoError(t, err)
	wrong := strings.Replace(string(content), "connector: orders.properties", "connector: "+filepath.Join(folder,
		"orders.properties"), 1)
	wrong = strings.Replace(wrong, "value: {OrderID: 7, OrderDate: \"1970-01-01\"",
		"value: {OrderID: 8, OrderDate: \"1970-01-01\"", 1)
	file := p.File("wrong_test.yaml", wrong)
	report := filepath.Join(t.TempDir(), "report.xml")
	r := p.Run("test", file, "--plugins", e2etest.Plugins(t, "smt"), "--junit", report)
	xml, err := os.ReadFile(report)
	require.NoError(t, err)
	r.WantCode(1).WantStdout(`-   "OrderID": 8,`, `+   "OrderID": 7,`, "a row without schema").
		WantStderr("1 test failed")
	assert.Contains(t, string(xml), `<testsuites tests="6" failures="1"`)
	// The results are printed also if the report cannot be written.
	nowhere := filepath.Join(t.TempDir(), "none", "report.xml")
	p.Run("test", file, "--plugins", e2etest.Plugins(t, "smt"), "--junit", nowhere).
		WantCode(1).WantStdout(`-   "OrderID": 8,`).WantStderr("--junit: ", "1 test failed")
	p.Run("test", t.TempDir()).WantCode(2).WantStderr("found none")
}
