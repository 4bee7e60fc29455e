package plugin

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A compilation that takes long is reported when it does and at its end; a short one is not.
func TestCompilingIsSaid(t *testing.T) {
	for _, c := range []struct {
		compiles bool
		takes    time.Duration
		want     string
	}{
		{false, 5 * time.Second, ""}, {true, noticeAfter - 1, ""},
		{true, 5 * time.Second, "compiling plugins, once; compiling plugins, once: 5 s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var said []string
			n := &notice{tell: func(took time.Duration) { said = append(said, CompilingText(took)) }}
			if c.compiles {
				n.begin()
				n.begin() // another plugin at the same time
			}
			time.Sleep(c.takes)
			n.end()
			if found := strings.Join(said, "; "); found != c.want {
				t.Errorf("%s: expected %q, found %q", fmt.Sprint(c), c.want, found)
			}
		})
	}
}
