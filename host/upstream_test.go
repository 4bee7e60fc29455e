package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// Every test method of Kafka's workers and of their REST that testdata/upstream-cases.txt lists names tests that are
// there, and a case of TestUpstreamValidation where that is named.
func TestUpstreamWorkers(t *testing.T) {
	all, err := os.ReadFile("../testdata/upstream-cases.txt")
	require.NoError(t, err)
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
	for _, area := range []string{"workers", "worker and REST"} {
		_, text, found := strings.Cut(string(all), "# area: "+area+" (")
		if !found {
			t.Fatalf("expected the section of %s", area)
		}
		text, _, _ = strings.Cut(text, "\n# area: ")
		for _, line := range strings.Split(text, "\n")[1:] {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			method, names, two := strings.Cut(line, "\t")
			class, name, of := strings.Cut(method, ".")
			classes[class]++
			if !two || !of {
				t.Errorf("expected a method and a test, found %q", line)
			}
			if strings.HasPrefix(names, "not ours: ") {
				continue
			}
			for _, test := range strings.Split(names, ", ") {
				if !strings.Contains(tests.String(), "func "+test+"(") ||
					test == "TestUpstreamValidation" && !strings.Contains(tests.String(), `"`+name+`"`) {
					t.Errorf("%s: there is no such test, or no case of it: %s", method, test)
				}
			}
		}
	}
	for class, least := range map[string]int{"DistributedHerderTest": 109, "WorkerCoordinatorTest": 9,
		"RebalanceSourceConnectorsIntegrationTest": 6, "connect_distributed_test": 13,
		"ExactlyOnceSourceIntegrationTest": 9, "ErrorHandlingIntegrationTest": 2, "ConnectorTopicsIntegrationTest": 3,
		"InternalTopicsIntegrationTest": 5, "ConnectorValidationIntegrationTest": 33,
		"ConnectorRestartApiIntegrationTest": 16, "OffsetsApiIntegrationTest": 27, "ConnectWorkerIntegrationTest": 20,
		"BlockingConnectorTest": 11} {
		if classes[class] < least {
			t.Errorf("expected %d methods of %s, found %d", least, class, classes[class])
		}
	}
}
