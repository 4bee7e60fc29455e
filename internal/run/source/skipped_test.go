package source

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
)

// Each row skipped without a dead letter is logged as errors.log.enable and errors.log.include.messages specify.
func TestSkippedRowsAreLogged(t *testing.T) {
	for logErrors, wantLevel := range map[bool]string{false: "level=WARN", true: "level=ERROR"} {
		synctest.Test(t, func(t *testing.T) {
			var out logtest.Journal
			w := newWorld(&reader{repeatsExactly: true}, []string{"a=1", "bad=x", "b=2", "bad=y"})
			w.o.TolerateAll = true
			w.o.LogErrors = logErrors
			w.o.LogMessages = logErrors
			w.o.Logger = out.Logger(slog.LevelWarn)
			w.o.NewConverters = converterFactory(copyingConverter{reject: "bad"}, copyingConverter{})
			w.mustRun(t)
			lines := 0
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, rowSkipped) {
					lines++
					assert.Contains(t, line, wantLevel, "row=", "stage=")
					assert.Equal(t, logErrors, strings.Contains(line, "topic=topic0 timestamp="), line)
				}
			}
			assert.Equal(t, 2, lines, "lines")
		})
	}
}
