package plugin

import (
	"context"
	"sync/atomic"
)

// processors lets as many guest calls run as there are processors, in order of arrival. A call that has one waits for
// nothing else.
type processors struct {
	slots   chan struct{}
	waiting atomic.Int64
}

// acquire waits for a processor, which the caller releases.
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

func (p *processors) count() int { return cap(p.slots) }

func (p *processors) hasFree() bool { return len(p.slots) < cap(p.slots) }

// yield gives the processor to a waiting call and waits for another one. It returns false if no call waits.
func (p *processors) yield() bool {
	if p.waiting.Load() == 0 {
		return false
	}
	p.waiting.Add(1) // so that the other call yields, too
	defer p.waiting.Add(-1)
	p.release()
	p.slots <- struct{}{}
	return true
}
