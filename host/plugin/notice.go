package plugin

import (
	"sync"
	"time"
)

// noticeAfter is how long compiling may take without a word.
const noticeAfter = 200 * time.Millisecond

// notice says that plugins are compiled which no cache has, while a manager opens: seconds in which nothing else
// happens. nil says nothing.
type notice struct {
	tell func(took time.Duration) // see [Options.Compiling]

	mu    sync.Mutex
	since time.Time
	timer *time.Timer // nil: nothing has been compiled
	ended bool
}

// begin: a plugin is about to be compiled.
func (n *notice) begin() {
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
			n.tell(0)
		}
	})
}

// end: the manager is open.
func (n *notice) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.timer != nil && !n.timer.Stop() {
		n.tell(time.Since(n.since))
	}
}
