package plugin

import (
	"sync"
	"time"
)

// noticeAfter is how long compiling may take without a word.
const noticeAfter = 200 * time.Millisecond

// compileNotice says that plugins are compiled which no cache has, while a manager opens: seconds in which nothing else
// happens. nil says nothing.
type compileNotice struct {
	report func(elapsed time.Duration) // see [Options.Compiling]

	mu    sync.Mutex
	since time.Time
	timer *time.Timer // nil: nothing has been compiled
	ended bool
}

// begin: a plugin is about to be compiled.
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

// stop: the manager is open.
func (n *compileNotice) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.timer != nil && !n.timer.Stop() {
		n.report(time.Since(n.since))
	}
}
