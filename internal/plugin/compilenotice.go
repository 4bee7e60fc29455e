package plugin

import (
	"sync"
	"time"
)

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
	if n.timer != nil && !n.timer.Stop() {
		n.report(time.Since(n.since))
	}
}
