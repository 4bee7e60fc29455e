package check_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
)

// TestWorkerConverters: a misspelt setting of a converter in the worker's file is named there, with the nearest one,
// whether or not a connector uses that converter.
func TestWorkerConverters(t *testing.T) {
	const text = `bootstrap.servers=embedded
key.converter=JsonConverter
key.converter.schemas.enable=false
key.converter.schema.enable=false
key.converter.plugin.version=1
value.converter=Nope
value.converter.schema.enable=false
header.converter=SimpleHeaderConverter
header.converter.zzzzzzzzzzzz=1
`
	entries, _ := config.Read("w.properties", []byte(text))
	w, problems := config.NewWorker("w.properties", entries,
		[]string{"CULVERT_KEY_CONVERTER_SCHEMAS_CACHE_SIZES=5"}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var found []string
	for _, p := range check.WorkerConverters(w) {
		found = append(found, p.String())
	}
	want := []string{
		"w.properties:4: key.converter.schema.enable: warning: unknown setting; the nearest " +
			"known one is schemas.enable",
		"environment CULVERT_KEY_CONVERTER_SCHEMAS_CACHE_SIZES: key.converter.schemas.cache.sizes: warning: unknown " +
			"setting; the nearest known one is schemas.cache.size",
		"w.properties:9: header.converter.zzzzzzzzzzzz: warning: unknown setting",
	}
	if a, b := strings.Join(found, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("expected\n%s\nfound\n%s", b, a)
	}
}
