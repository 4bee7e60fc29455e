package examples

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// figure is a name of a worker's own; labels and functions have none of these prefixes.
var figure = regexp.MustCompile(`\b(?:kafka_connect|culvert)_[a-z0-9_]+\b`)

// The dashboard and the alerts ask for figures that there are, by the reference of this version.
func TestMonitoredFiguresExist(t *testing.T) {
	reference, err := os.ReadFile("../cmd/culvert/reference/metrics.md")
	ok(t, err)
	for _, file := range []string{"grafana-dashboard.json", "alerts.yaml", "README.md"} {
		text, err := os.ReadFile("monitoring/" + file)
		ok(t, err)
		names := figure.FindAllString(string(text), -1)
		if len(names) < 5 && file != "README.md" {
			t.Errorf("%s: expected figures, found %q", file, names)
		}
		for _, name := range names {
			if !strings.Contains(string(reference), "| `"+name+"` |") {
				t.Errorf("%s: there is no figure %s", file, name)
			}
		}
		switch file {
		case "grafana-dashboard.json":
			err = json.Unmarshal(text, new(map[string]any))
		case "alerts.yaml":
			err = yaml.Unmarshal(text, new(map[string]any))
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
