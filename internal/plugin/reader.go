package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Reader makes the calls for one page of a source on one instance. It locks the instance for each call only, so that
// pages can share it. It is for one goroutine. Close it at the end of the page.
type Reader struct {
	pool     *Pool
	instance *Instance

	brokeInstance bool // a call of this reader broke the instance
	hasPage       bool // a page was begun
}

// PageLostError is the error of a page whose instance was broken by another page. Request the page again.
type PageLostError struct {
	Plugin  string
	Version string
	Cause   error
}

func (p *PageLostError) Error() string {
	return fmt.Sprintf("plugin %s %s: the page was abandoned because another one broke its instance: %v", p.Plugin,
		p.Version, p.Cause)
}

// Reader returns a reader on the instance with the fewest pages, or on a new one if calls wait. The caller closes it.
func (p *Pool) Reader(ctx context.Context) (*Reader, error) {
	i, err := p.joinInstance(ctx)
	if err != nil {
		return nil, err
	}
	return &Reader{pool: p, instance: i}, nil
}

// joinInstance adds a reader to the instance with the fewest, or to a new one.
func (p *Pool) joinInstance(ctx context.Context) (*Instance, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.closedError()
	}
	var best *Instance
	for _, instance := range p.instances {
		if best == nil || instance.use.readers < best.use.readers {
			best = instance
		}
	}
	switch {
	case best == nil && p.creating == 0:
		return p.create(ctx, request{reader: true})
	case best == nil:
		return p.wait(ctx, request{reader: true})
	case best.use.readers > 0 && p.needsOwnInstance() && p.tryReserve():
		return p.create(ctx, request{reader: true, reserved: true})
	}
	p.addReader(best)
	p.mu.Unlock()
	return best, nil
}

// needsOwnInstance reports whether a page should get a new instance, and resets the waiting time if that is the reason.
func (p *Pool) needsOwnInstance() bool {
	now := time.Now()
	if now.Before(p.contention.isolateUntil) {
		return true
	}
	if p.contention.waited < contentionTime || now.Sub(p.contention.since) > 2*time.Second {
		return false // calls waited too little, or too long ago
	}
	p.contention.waited = 0
	return true
}

// Close ends the reader. Abandon unfinished pages before.
func (r *Reader) Close() { r.pool.removeReader(r.instance) }

// lockInstance waits until a reader's instance can be called. The caller releases it, unless there is an error.
func (p *Pool) lockInstance(ctx context.Context, instance *Instance) error {
	p.mu.Lock()
	if !instance.use.inUse {
		p.setInUse(instance)
		p.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	instance.use.queue = append(instance.use.queue, ready)
	p.mu.Unlock()
	start := time.Now()
	select {
	case <-ready:
		p.mu.Lock()
		p.recordWait(start)
		p.mu.Unlock()
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	if i := slices.Index(instance.use.queue, ready); i >= 0 {
		instance.use.queue = slices.Delete(instance.use.queue, i, i+1)
		p.mu.Unlock()
	} else { // granted at the same moment
		isClosed := instance.use.closed
		p.mu.Unlock()
		if !isClosed {
			p.Release(instance)
		}
	}
	return ctx.Err()
}

// call calls do with the locked instance, which another one replaces if it broke before the page was begun.
func (r *Reader) call(ctx context.Context, do func(*Instance) error) error {
	var instance *Instance
	for {
		if r.instanceClosed() {
			if r.brokeInstance || r.hasPage {
				return r.brokenError()
			}
			joined, err := r.pool.joinInstance(ctx)
			switch {
			case errors.Is(err, ErrClosed): // another version was activated
				return r.brokenError()
			case err != nil:
				return err
			}
			r.pool.removeReader(r.instance)
			r.instance = joined
		}
		instance = r.instance
		if err := r.pool.lockInstance(ctx, instance); err != nil {
			return err
		}
		if !r.instanceClosed() {
			break
		}
	}
	defer r.pool.Release(instance)
	err := do(instance)
	r.brokeInstance = instance.broken != nil
	return err
}

func (r *Reader) instanceClosed() bool {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	return r.instance.use.closed
}

func (r *Reader) brokenError() error {
	instance := r.instance
	if r.brokeInstance {
		return fmt.Errorf("the instance was discarded: %w", instance.broken)
	}
	info := &instance.module.info
	return &PageLostError{Plugin: info.Name, Version: info.Version, Cause: instance.broken}
}

// callResult is Reader.call for a function with a result.
func callResult[T any](ctx context.Context, r *Reader, f func(*Instance) (T, error)) (result T, err error) {
	err = r.call(ctx, func(i *Instance) (err error) {
		result, err = f(i)
		return err
	})
	return result, err
}

// OpenSource is [Instance.OpenSource].
func (r *Reader) OpenSource(ctx context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	return callResult(ctx, r, func(i *Instance) (wit.SourceOpenResult, error) {
		return i.OpenSource(ctx, component, settings, state, answers)
	})
}

// Next is [Instance.Next].
func (r *Reader) Next(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	return callResult(ctx, r, func(i *Instance) (wit.NextAction, error) {
		return i.Next(ctx, context, feed, offset, cause, now)
	})
}

// Begin is [Instance.Begin].
func (r *Reader) Begin(ctx context.Context, context []byte, feed uint32, position *[]wit.OffsetEntry,
	response wit.Response) (page uint32, err error) {
	return callResult(ctx, r, func(i *Instance) (uint32, error) {
		r.hasPage = true
		return i.Begin(ctx, context, feed, position, response)
	})
}

// Decode is [Instance.Decode].
func (r *Reader) Decode(ctx context.Context, page uint32, tag string, status uint16, piece []byte, last bool,
	into *record.Batch) (wit.DecodeResult, error) {
	return callResult(ctx, r, func(i *Instance) (wit.DecodeResult, error) {
		return i.Decode(ctx, page, tag, status, piece, last, into)
	})
}

// Abandon is [Instance.Abandon].
func (r *Reader) Abandon(ctx context.Context, page uint32) error {
	return r.call(ctx, func(i *Instance) error { return i.Abandon(ctx, page) })
}

// CheckOffset is [Instance.CheckOffset].
func (r *Reader) CheckOffset(ctx context.Context, partition, offset []wit.OffsetEntry) error {
	return r.call(ctx, func(i *Instance) error { return i.CheckOffset(ctx, partition, offset) })
}

// Progress is [Instance.Progress].
func (r *Reader) Progress(ctx context.Context, context []byte, feed uint32,
	offset []wit.OffsetEntry) (*wit.LoadProgress, error) {
	return callResult(ctx, r, func(i *Instance) (*wit.LoadProgress, error) {
		return i.Progress(ctx, context, feed, offset)
	})
}

// Keys is [Instance.Keys].
func (r *Reader) Keys(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry) (wit.KeysUse, error) {
	return callResult(ctx, r, func(i *Instance) (wit.KeysUse, error) { return i.Keys(ctx, context, feed, offset) })
}

// Compared is [Instance.Compared].
func (r *Reader) Compared(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry,
	unknown [][]byte) (*[]wit.OffsetEntry, error) {
	return callResult(ctx, r, func(i *Instance) (*[]wit.OffsetEntry, error) {
		return i.Compared(ctx, context, feed, offset, unknown)
	})
}

// HandleNotification is [Instance.HandleNotification]. It waits at most for the current call of the instance.
func (r *Reader) HandleNotification(ctx context.Context, context []byte, n wit.Notification) ([]wit.Trigger, error) {
	return callResult(ctx, r, func(i *Instance) ([]wit.Trigger, error) { return i.HandleNotification(ctx, context, n) })
}

// Subscribe is [Instance.Subscribe].
func (r *Reader) Subscribe(ctx context.Context, context []byte, feed uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	return callResult(ctx, r, func(i *Instance) (wit.CallResult, error) {
		return i.Subscribe(ctx, context, feed, address, state, answers)
	})
}
