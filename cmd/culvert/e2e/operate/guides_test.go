package operate

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestExamplesOfGuides: the properties that a guide shows are taken, as a worker's or in a connector's file, and none
// of them has no effect.
func TestExamplesOfGuides(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	guides, err := filepath.Glob("../../guides/*.md")
	e2etest.NoError(t, err)
	ofWorkers := regexp.MustCompile(`(?m)^(bootstrap\.servers|config\.providers|tracing\.)`)
	examples := 0
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		e2etest.NoError(t, err)
		for _, m := range regexp.MustCompile("(?s)```properties\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			examples++
			lines := strings.Split(strings.TrimSpace(m[1]), "\n")
			name := fmt.Sprintf("%s-%d", strings.TrimSuffix(filepath.Base(guide), ".md"), examples)
			connector := append(e2etest.Source(name, "sap.example.com:443", "Orders"), lines...)
			files := []string{}
			switch {
			case ofWorkers.MatchString(m[1]):
				connector = e2etest.Source(name, "sap.example.com:443", "Orders")
				files = append(files, p.File(name+"-worker.properties",
					append([]string{"bootstrap.servers=kafka.example:9092"}, lines...)...))
			case strings.Contains(m[1], "connector.class="):
				connector = lines
			}
			files = append(files, p.File(name+".properties", connector...))
			p.Run(append([]string{"validate", "--without-secrets", "--plugins", e2etest.Plugins(t, "odata-sink", "smt")},
				files...)...).Exits(0).Omits("no effect")
		}
	}
	if examples < 8 {
		t.Errorf("expected the examples of the guides, found %d", examples)
	}
}
