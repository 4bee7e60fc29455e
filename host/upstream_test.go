package host

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/base/upstreamtest"
)

// testdata/upstream-cases.txt lists tests for the test methods of Kafka's workers and of their REST API. Each of these
// tests exists, and TestUpstreamValidation, if it is named, has a case for the method.
func TestUpstreamWorkers(t *testing.T) {
	isMethod := func(name string) bool { return strings.Contains(name, ".") }
	tests := []string{".", "../internal", "../cmd"}
	upstreamtest.List{Root: "..", Area: "workers (", Tests: tests, Least: 180, Method: isMethod}.Check(t)
	cases, err := os.ReadFile("../cmd/culvert/e2e/operate/upstream_test.go")
	require.NoError(t, err)
	upstreamtest.List{Root: "..", Area: "worker and REST (", Tests: tests, Least: 120, Method: isMethod,
		Case: func(method, test string) string {
			_, name, _ := strings.Cut(method, ".")
			if test == "TestUpstreamValidation" && !strings.Contains(string(cases), `"`+name+`"`) {
				return "there is no such case of " + test
			}
			return ""
		}}.Check(t)
}
