package transform

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/upstreamtest"
)

// Every test method of Kafka's transforms that testdata/upstream-cases.txt lists names a case that is there.
func TestUpstreamCases(t *testing.T) {
	const root = "../../../.."
	upstreamtest.List{Root: root, Area: "transforms and predicates", Least: 200,
		Tests:  []string{root + "/plugins/smt/chain", root + "/wit/java/values"},
		Method: func(name string) bool { return strings.Contains(name, "Test.") },
		Case: func(method, name string) string {
			if strings.HasPrefix(name, "Test") {
				return ""
			}
			text, err := os.ReadFile(root + "/plugins/smt/testdata/" + name + ".golden")
			if err != nil {
				return "there is no case " + name
			}
			head, want, _ := strings.Cut(string(text), "-----\n")
			class, _, _ := strings.Cut(method, "Test.")
			if what := tested(class); !strings.Contains(head, what) || want == "" {
				return "the case " + name + " has no " + what + ", which the method is about"
			}
			return ""
		}}.Check(t)
}

// tested is what the head of a case has that stands for a test of a class of Kafka's: the class itself, or what uses
// it.
func tested(class string) string {
	switch class {
	case "SingleFieldPath", "FieldPathNotation", "FieldSyntaxVersion":
		return `"field.syntax.version":`
	case "Values", "SimpleHeaderConverter": // which read a literal, and write a header
		return `"header`
	case "HasHeaderKey", "TopicNameMatches":
		return `.transforms.predicates.` + class + `"`
	case "DropHeaders", "InsertHeader", "RegexRouter", "TimestampRouter", "ValueToKey":
		return `.transforms.` + class + `"`
	}
	return `.transforms.` + class + "$" // a transform of keys or values
}
