package host

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/upstreamtest"
)

// Every test method of Kafka's workers that testdata/upstream-cases.txt lists names a test that is there.
func TestUpstreamWorkers(t *testing.T) {
	upstreamtest.List{Root: "..", Area: "workers", Tests: []string{".", "../cmd"}, Least: 180,
		Method: func(name string) bool { return strings.Contains(name, ".") }}.Check(t)
}
