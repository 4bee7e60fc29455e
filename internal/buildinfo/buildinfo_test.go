package buildinfo

import (
	"strings"
	"testing"
)

// The version of the REST API begins with the version of Kafka Connect.
func TestVersionReadsAsKafkas(t *testing.T) {
	if v := REST(); !strings.HasPrefix(v, "4.3.1-culvert-") {
		t.Errorf("expected the prefix 4.3.1-culvert-, found %s", v)
	}
}
