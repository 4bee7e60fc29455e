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
	for loud, want := range map[bool]string{false: "level=WARN", true: "level=ERROR"} {
		synctest.Test(t, func(t *testing.T) {
			var out logtest.Journal
			w := newWorld(&reader{exact: true}, []string{"a=1", "bad=x", "b=2", "bad=y"})
			w.o.TolerateAll, w.o.LogErrors, w.o.LogMessages, w.o.Logger = true, loud, loud, out.Logger(slog.LevelWarn)
			w.o.NewConverters = converting(asIs{"bad"}, asIs{})
			w.ok(t)
			lines := 0
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, rowSkipped) {
					lines++
					assert.Contains(t, line, want, "row=", "stage=")
					assert.Equal(t, loud, strings.Contains(line, "topic=topic0 timestamp="), line)
				}
			}
			assert.Equal(t, 2, lines, "lines")
		})
	}
}
