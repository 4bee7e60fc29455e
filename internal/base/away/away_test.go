package away

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Late results of attempts from before the outage or the recovery are ignored.
func TestOutageIsTwoLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var output strings.Builder
		log := slog.New(slog.NewTextHandler(&output, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}}))
		var p Partner
		lost := func(began time.Time, reason string) bool { return p.Lost(log, began, reason, "gone", "why", reason) }
		early := time.Now()
		time.Sleep(time.Second)
		assert.Equal(t, true, lost(time.Now(), "9 ms"), "the beginning")
		assert.Equal(t, false, lost(time.Now(), "10 ms"), "the same reason")
		assert.Equal(t, true, lost(early, ""), "another reason, of an earlier attempt")
		assert.Equal(t, false, lost(time.Now(), ""), "the same reason")
		time.Sleep(time.Second)
		p.Back(log, early, "back")
		assert.Equal(t, false, p.Since().IsZero(), "a result of an earlier attempt")
		during := time.Now()
		time.Sleep(time.Second)
		p.Back(log, time.Now(), "back", "who", "it")
		p.Back(log, time.Now(), "back")
		assert.Equal(t, true, p.Since().IsZero())
		assert.True(t, !lost(during, "") && !lost(time.Now(), ""),
			"expected attempts of the last outage, and of the moment after it, not to be logged")
		assert.Equal(t, false, p.Since().IsZero(), "a partner that is unreachable again immediately")
		p.Back(log, time.Now().Add(1), "back")
		assert.Equal(t, true, p.Since().IsZero())
		time.Sleep(quietPeriod)
		assert.Equal(t, true, lost(time.Now(), "x"), "another outage")
		assert.Equal(t, "level=WARN msg=gone why=\"9 ms\"\nlevel=WARN msg=gone why=\"\"\n"+
			"level=INFO msg=back who=it after=2s\nlevel=WARN msg=gone why=x\n", output.String())
	})
}
