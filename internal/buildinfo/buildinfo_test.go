package buildinfo

import (
	"strings"
	"testing"
)

func TestVersionReadsAsKafkas(t *testing.T) {
	if v := REST(); !strings.HasPrefix(v, "4.3.1-culvert-") {
		t.Errorf("found %s", v)
	}
}
