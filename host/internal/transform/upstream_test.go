package transform

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/upstreamtest"
)

// Every test method of Kafka's transforms that testdata/upstream-cases.txt lists names a case that is there.
func TestUpstreamCases(t *testing.T) {
	const root = "../../.."
	upstreamtest.List{Root: root, Area: "transforms and predicates", Tests: root + "/plugins/smt/chain/*_test.go",
		Least:  200,
		Method: func(name string) bool { return strings.Contains(name, "Test.") },
		Case: func(_, name string) string {
			if strings.HasPrefix(name, "Test") {
				return ""
			}
			if _, err := os.Stat(root + "/plugins/smt/testdata/" + name + ".golden"); err != nil {
				return "there is no case " + name
			}
			return ""
		}}.Check(t)
}
