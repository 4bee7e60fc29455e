package plugin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A slow compilation is logged after a while and at its end; a fast one is not.
func TestSlowCompilingIsLogged(t *testing.T) {
	for _, c := range []struct {
		isCompiling bool
		duration    time.Duration
		want        string
	}{
		{duration: 5 * time.Second},
		{isCompiling: true, duration: noticeAfter - 1},
		{isCompiling: true, duration: 5 * time.Second, want: "compiling plugins, once; compiling plugins, once: 5 s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var reports []string
			n := &compileNotice{report: func(elapsed time.Duration) {
				reports = append(reports, CompilingText(elapsed))
			}}
			if c.isCompiling {
				n.start()
				n.start() // another plugin at the same time
			}
			time.Sleep(c.duration)
			n.stop()
			if got := strings.Join(reports, "; "); got != c.want {
				t.Errorf("%+v: expected %q, found %q", c, c.want, got)
			}
		})
	}
}
