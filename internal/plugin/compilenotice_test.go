package plugin

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A slow compilation is logged after a while and at its end; a fast one is not.
func TestSlowCompilingIsLogged(t *testing.T) {
	for _, c := range []struct {
		compiles bool
		duration time.Duration
		want     string
	}{
		{duration: 5 * time.Second},
		{compiles: true, duration: noticeAfter - 1},
		{compiles: true, duration: 5 * time.Second, want: "compiling plugins, once; compiling plugins, once: 5 s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var said []string
			n := &compileNotice{report: func(elapsed time.Duration) { said = append(said, CompilingText(elapsed)) }}
			if c.compiles {
				n.start()
				n.start() // another plugin at the same time
			}
			time.Sleep(c.duration)
			n.stop()
			if got := strings.Join(said, "; "); got != c.want {
				t.Errorf("%s: expected %q, found %q", fmt.Sprint(c), c.want, got)
			}
		})
	}
}
