package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/host/guard"
)

// ErrClosed is the error of a pool or binding that was closed.
var ErrClosed = errors.New("closed")

// Pool is the instances of one version of a plugin that work for one connector: at most as many as its limit says, made when
// they are needed, replaced when they are worn or have trapped. No instance ever sees two connectors. It is safe for use by
// several goroutines.
type Pool struct {
	module    *module
	connector string
	// places holds a token for each instance that is out.
	places  chan struct{}
	lines   *bucket
	breaker *breaker

	mu     guard.Mutex
	idle   []*Instance
	out    int
	closed bool
	// trial is set while a version that took over can be left, else nil.
	trial *trial
}

func newPool(m *module, connector string) *Pool {
	m.hold()
	return &Pool{module: m, connector: connector, places: make(chan struct{}, m.limits.Instances),
		lines: newBucket(m.limits.LogLinesPerSecond), breaker: m.breaker(connector)}
}

// Module tells which module the pool is of.
func (p *Pool) Module() Info { return p.module.snapshot() }

// Acquire returns an instance, waiting while all are out. Give it back by [Pool.Release].
func (p *Pool) Acquire(ctx context.Context) (*Instance, error) { return p.acquire(ctx, false) }

// AcquireFresh is [Pool.Acquire] of an instance that has done nothing yet: what another one has in its memory cannot be why a call
// fails on it.
func (p *Pool) AcquireFresh(ctx context.Context) (*Instance, error) { return p.acquire(ctx, true) }

func (p *Pool) acquire(ctx context.Context, fresh bool) (*Instance, error) {
	select {
	case p.places <- struct{}{}:
	default:
		select {
		case p.places <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for an instance of plugin %s (%d are out): %w", p.module.info.Name, cap(p.places), ctx.Err())
		}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.places
		return nil, fmt.Errorf("plugin %s %s for connector %s: %w", p.module.info.Name, p.module.info.Version, p.connector, ErrClosed)
	}
	p.out++
	if n := len(p.idle); n > 0 {
		i := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if !fresh {
			return i, nil
		}
		i.close() // a fresh one takes its place, or there would be more than the limit
	} else {
		p.mu.Unlock()
	}
	i, err := p.module.instanceFor(ctx, p.connector, p.lines, p)
	if err != nil {
		p.returned(nil)
		return nil, err
	}
	return i, nil
}

// Release gives an instance back. One that has trapped or is worn is closed.
func (p *Pool) Release(i *Instance) {
	switch {
	case i.broken != nil:
		i.close()
		i = nil
	case i.worn() != "":
		p.module.counters.recycled.Add(1)
		i.close()
		i = nil
	}
	p.returned(i)
}

// returned takes an instance that is out back, nil for one that is no more.
func (p *Pool) returned(i *Instance) {
	p.mu.Lock()
	p.out--
	if i != nil && !p.closed {
		p.idle = append(p.idle, i)
		i = nil
	}
	last := p.closed && p.out == 0
	p.mu.Unlock()
	if i != nil {
		i.close()
	}
	<-p.places
	if last {
		p.module.release()
	}
}

// Do calls f with an instance.
func (p *Pool) Do(ctx context.Context, f func(*Instance) error) error {
	i, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer p.Release(i)
	return f(i)
}

// close closes the instances: idle ones now, those that are out when they come back.
func (p *Pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	idle := p.idle
	p.idle = nil
	last := p.out == 0
	p.mu.Unlock()
	for _, i := range idle {
		i.close()
	}
	if last {
		p.module.release()
	}
}
