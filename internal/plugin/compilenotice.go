package plugin

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Compilation is how far the compiling of plugins without cached code is. The zero value is ready. It is safe for
// concurrent use.
type Compilation struct {
	mu      sync.Mutex
	pending map[string]time.Time // files that are not compiled yet, with the time at which that began or zero
	done    int                  // files that were compiled or refused
}

// set records that a file waits, or with a time that its compiling began then.
func (c *Compilation) set(file string, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		c.pending = map[string]time.Time{}
	}
	c.pending[file] = began
}

// end records that a file was loaded.
func (c *Compilation) end(file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.pending[file]; ok {
		delete(c.pending, file)
		c.done++
	}
}

// String returns the plugins that are being compiled, and how many are compiled. It is "" if none is.
func (c *Compilation) String() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		return ""
	}
	running := ""
	for _, file := range slices.Sorted(maps.Keys(c.pending)) {
		if began := c.pending[file]; !began.IsZero() {
			name := strings.TrimSuffix(filepath.Base(strings.TrimPrefix(file, embeddedPrefix)), ".wasm")
			running += fmt.Sprintf(", %s for %.0f s", name, time.Since(began).Seconds())
		}
	}
	return fmt.Sprintf("%d of %d done%s", c.done, c.done+len(c.pending), running)
}

// noticeAfter is how long compiling must take to be reported.
const noticeAfter = 200 * time.Millisecond

// compileNotice reports that uncached plugins are being compiled, which takes seconds at a start. A nil notice reports
// nothing.
type compileNotice struct {
	report func(elapsed time.Duration) // see [Options.Compiling]

	mu    sync.Mutex
	since time.Time
	timer *time.Timer // nil until something is compiled
	ended bool
}

// start begins the time at the first compilation; further calls, and calls after stop, do nothing.
func (n *compileNotice) start() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended || n.timer != nil {
		return
	}
	n.since = time.Now()
	n.timer = time.AfterFunc(noticeAfter, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.ended {
			n.report(0)
		}
	})
}

// stop ends the notice, and reports the elapsed time if the compilation was reported before.
func (n *compileNotice) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.timer != nil && !n.timer.Stop() { // the timer has fired
		n.report(time.Since(n.since))
	}
}
