package buildinfo

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// A version comes from the release's tag, or is the next release's. The version of the REST API begins with the version
// of Kafka Connect.
func TestVersionOfDescribedCommit(t *testing.T) {
	defer func(previous string) { Release = previous }(Release)
	for described, want := range map[string]string{
		"60b532997":           "0.1.0 (60b532997)",
		"60b532997-dirty":     "0.1.0 (60b532997-dirty)",
		"":                    "0.1.0 (",
		"v0.2.0":              "0.2.0 (",
		"v0.2.0-3-gabc123456": "0.2.0-3-gabc123456 (",
	} {
		Release = described
		got := Product()
		assert.True(t, strings.HasPrefix(got, want), "%q: expected %q, found %q", described, want, got)
		version, _, _ := strings.Cut(want, " ")
		if got := REST(); got != "4.3.1-culvert-"+version {
			t.Errorf("%q: expected 4.3.1-culvert-%s from REST, found %s", described, version, got)
		}
	}
}
