package sink

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
)

// Each record skipped without a dead letter is logged as errors.log.enable and errors.log.include.messages specify.
func TestSkippedRecordsAreLogged(t *testing.T) {
	for logErrors, want := range map[bool]string{false: "level=WARN", true: "level=ERROR"} {
		synctest.Test(t, func(t *testing.T) {
			var out logtest.Journal
			x := newWorld(&writer{})
			x.o.TolerateAll = true
			x.o.LogErrors = logErrors
			x.o.LogMessages = logErrors
			x.o.Logger = out.Logger(slog.LevelWarn)
			x.group.put("t", 0, "a=1", "b=!too long", "bad=x", "c=!too long")
			x.mustRun(t)
			lines := 0
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, recordSkipped) {
					lines++
					assert.Contains(t, line, want, "topic=t partition=0 offset=")
					assert.Equal(t, logErrors, strings.Contains(line, "timestamp="), "timestamp in", line)
				}
			}
			assert.Equal(t, 3, lines, "lines")
		})
	}
}
