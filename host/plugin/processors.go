package plugin

import (
	"context"
	"runtime"
	"sync/atomic"
)

// processors has as many calls of guests run as there are processors, those that came first first. Nobody holds one
// while it waits for anything else.
type processors struct {
	slots   chan struct{}
	waiting atomic.Int64
}

func newProcessors() *processors {
	return &processors{slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// take waits for a processor.
func (p *processors) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *processors) release() { <-p.slots }

// count is how many there are.
func (p *processors) count() int { return cap(p.slots) }

// free reports whether a call would not have to wait.
func (p *processors) free() bool { return len(p.slots) < cap(p.slots) }

// yield gives the processor to a call that waits for one, and waits for one itself. False: none waited.
func (p *processors) yield() bool {
	if p.waiting.Load() == 0 {
		return false
	}
	p.waiting.Add(1) // so that the call that gets it passes it on again
	defer p.waiting.Add(-1)
	p.release()
	p.slots <- struct{}{}
	return true
}
