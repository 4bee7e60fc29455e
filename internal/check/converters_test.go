package check_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
)

// A misspelled setting of a converter in the worker's file or environment is reported there, with the nearest known
// setting if there is one, although no connector uses that converter.
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
	require.True(t, len(problems) == 0, "%v", problems)
	var got []string
	for _, p := range check.WorkerConverters(w) {
		got = append(got, p.String())
	}
	want := []string{
		"w.properties:4: key.converter.schema.enable: warning: unknown setting; the nearest " +
			"known one is schemas.enable",
		"environment CULVERT_KEY_CONVERTER_SCHEMAS_CACHE_SIZES: key.converter.schemas.cache.sizes: warning: unknown " +
			"setting; the nearest known one is schemas.cache.size",
		"w.properties:9: header.converter.zzzzzzzzzzzz: warning: unknown setting",
	}
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
}

// Settings of a converter that the connector names by an unresolvable reference are not reported as without effect.
func TestSettingsOfUnresolvableConverter(t *testing.T) {
	b := checktest.WithSpy(t)
	entries, _ := config.Read("c.properties", []byte(`connector.class=test.SpySource
value.converter=${env:NO_SUCH_CONVERTER}
value.converter.schemas.enable=false
key.converter.schemas.enable=false`))
	connector, problems := config.NewConnector("c.properties", entries, b.Checker.Worker.Providers)
	require.Len(t, 1, problems, "the reference alone")
	got := resolvedtest.Lines(b.Checker.Check(t.Context(), b.Checker.Resolver().Resolve(connector)))
	assert.True(t, !strings.Contains(got, "value.converter.schemas.enable: warning: has no effect") &&
		strings.Contains(got, "key.converter.schemas.enable: warning: has no effect"),
		"expected a warning for the key converter alone, found\n%s", got)
}
