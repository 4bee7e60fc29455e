package e2etest

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// DoctorSteps returns the names of the steps that `culvert doctor` prints, without ports.
func DoctorSteps(t *testing.T, r Result) (names []string) {
	t.Helper()
	ports := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	for line := range strings.Lines(r.Stdout) {
		var s struct {
			Step    string
			Setting string
			Message string
			OK      bool
			Ms      *int64
		}
		err := json.Unmarshal([]byte(line), &s)
		require.True(t, err == nil && s.Ms != nil, "expected a step as JSON, found %v in %s", err, line)
		name := ports.ReplaceAllString(s.Step, "HOST")
		if !s.OK {
			name += " FAIL " + s.Setting
		}
		names = append(names, name)
	}
	return names
}
