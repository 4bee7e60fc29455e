package plugin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
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
			got := strings.Join(reports, "; ")
			assert.True(t, got == c.want, "%+v: expected %q, found %q", c, c.want, got)
		})
	}
}

// The progress of compiling has the plugins that are being compiled, and counts all that have no cached code.
func TestCompilationProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Compilation{}
		expect := func(want string) {
			t.Helper()
			assert.Equal(t, want, c.String())
		}
		expect("")
		for _, file := range []string{"embedded:odata-sink.wasm", "/plugins/own.wasm", "embedded:smt.wasm"} {
			c.set(file, time.Time{})
		}
		expect("0 of 3 done")
		c.set("embedded:smt.wasm", time.Now())
		time.Sleep(12 * time.Second)
		c.set("/plugins/own.wasm", time.Now())
		expect("0 of 3 done, own for 0 s, smt for 12 s")
		c.end("embedded:smt.wasm")
		c.end("embedded:cached.wasm") // it had code in the cache
		expect("1 of 3 done, own for 0 s")
		c.end("/plugins/own.wasm")
		c.end("embedded:odata-sink.wasm")
		expect("")
	})
}
