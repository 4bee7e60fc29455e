package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Every test method of Kafka's workers that testdata/upstream-cases.txt lists names a test that is there.
func TestUpstreamWorkers(t *testing.T) {
	all, err := os.ReadFile("../testdata/upstream-cases.txt")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(all), "# area: workers")
	if !found {
		t.Fatal("expected the section of workers")
	}
	text, _, _ = strings.Cut(text, "\n# area: ")
	var tests strings.Builder
	for _, dir := range []string{".", "../cmd"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			tests.Write(b)
			return err
		})
		require.NoError(t, err)
	}
	classes := map[string]int{}
	for _, line := range strings.Split(text, "\n")[1:] {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		method, name, two := strings.Cut(line, "\t")
		class, _, of := strings.Cut(method, ".")
		classes[class]++
		switch {
		case !two || !of:
			t.Errorf("expected a method and a test, found %q", line)
		case strings.HasPrefix(name, "not ours: "):
		case !strings.Contains(tests.String(), "func "+name+"("):
			t.Errorf("%s: there is no test %s", method, name)
		}
	}
	for class, least := range map[string]int{"DistributedHerderTest": 109, "WorkerCoordinatorTest": 9,
		"RebalanceSourceConnectorsIntegrationTest": 6, "connect_distributed_test": 13,
		"ExactlyOnceSourceIntegrationTest": 9, "ErrorHandlingIntegrationTest": 2, "ConnectorTopicsIntegrationTest": 3,
		"InternalTopicsIntegrationTest": 5} {
		if classes[class] < least {
			t.Errorf("expected %d methods of %s, found %d", least, class, classes[class])
		}
	}
}
