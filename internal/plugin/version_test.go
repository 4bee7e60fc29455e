package plugin

import (
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
		versions, err := ParseVersionRange(parts[0])
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
		versions, err := ParseVersionRange(spec)
		require.NoError(t, err)
		assert.Equal(t, want, [2]bool{versions.Contains("1.0.0+5"), versions.Contains("1.0.0+6")}, spec)
	}
}
