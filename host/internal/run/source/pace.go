package source

import "time"

// pace keeps a feed from asking a service, or a plugin, without a pause where nothing comes of it: whatever period or
// `more` a plugin names. The zero value is ready.
type pace struct{ idle int }

// The pause before the next try grows from the one to the other while nothing comes.
const (
	leastPause = 100 * time.Millisecond
	maxPause   = time.Second
)

// after is the least pause behind a try that brought something, or nothing.
func (p *pace) after(something bool) time.Duration {
	if something {
		p.idle = 0
		return leastPause
	}
	pause := leastPause << p.idle
	if pause >= maxPause {
		return maxPause
	}
	p.idle++
	return pause
}
