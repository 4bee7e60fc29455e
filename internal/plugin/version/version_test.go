package version

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// versionsAsKafka returns the lines of the stored cases: a range, a version, the range as Maven prints it or an error
// after "!", and whether it contains the version.
func versionsAsKafka(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/versions.tsv")
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// Version ranges contain the same versions as in Kafka Connect.
func TestVersionRanges(t *testing.T) {
	t.Parallel()
	for _, line := range versionsAsKafka(t) {
		parts := strings.SplitN(line, "\t", 3)
		versions, err := ParseRange(parts[0])
		printed := versions.String()
		if err != nil {
			printed = "!" + err.Error()
		}
		got := fmt.Sprintf("%s\t%t", printed, err == nil && versions.Contains(parts[1]))
		assert.Equal(t, parts[2], got, line)
	}
}

// Build metadata have no order: a range of one version with metadata contains this version alone.
func TestVersionRangeWithBuildMetadata(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string][2]bool{"1.0.0+5": {true, false}, "[1.0.0+6]": {false, true},
		"1.0": {true, true}, "[1.0.0+6,2)": {true, true}} {
		versions, err := ParseRange(spec)
		require.NoError(t, err)
		assert.Equal(t, want, [2]bool{versions.Contains("1.0.0+5"), versions.Contains("1.0.0+6")}, spec)
	}
}

func TestVersionOrder(t *testing.T) {
	ordered := []string{"", "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.1", "1.0.0", "1.0.1", "1.9", "1.10.0", "v2", "2.0.0.1", "10.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			assert.Equal(t, cmp.Compare(i, j), Compare(a, b), a, b)
		}
	}
	assert.True(t, Compare("1.0.0+5", "v1.0") == 0, "expected equal versions, whatever their build metadata")
}
