package source

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// maxPrefetch bounds, at each level of nesting, how many of the next requests may be prefetched.
const maxPrefetch = 8

// prefetched is a linked request that was sent early. The transport holds its unread response.
type prefetched struct {
	done   chan struct{}
	answer *transport.Answer
	err    error
}

// await returns nil, nil if the request must be sent now: it was not sent early, or found no free slot.
func (f *prefetched) await(ctx context.Context) (*transport.Answer, error) {
	if f == nil {
		return nil, nil
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if errors.Is(f.err, transport.ErrNoRoom) {
		return nil, nil
	}
	answer := f.answer
	f.answer = nil // the caller closes it
	return answer, f.err
}

type linkedRequest struct {
	wit.LinkedRequest
	prefetched *prefetched
}

// fetchAllLinked sends linked requests at the same time, as far as the limits of the origin allow, and reads their
// responses one after another. Only repeatable requests are sent early, and none while the page is slowed down because
// no rows arrive ([unpacedLinked]). Requests that a response links to precede the others.
func (p *page) fetchAllLinked(ctx context.Context, linked []wit.LinkedRequest) error {
	if len(linked) == 0 {
		return nil
	}
	var all []linkedRequest // the next one last
	push := func(linked []wit.LinkedRequest) {
		for _, f := range slices.Backward(linked) {
			all = append(all, linkedRequest{f, nil})
		}
	}
	push(linked)
	prefetchCtx, end := context.WithCancel(transport.WithoutWaiting(ctx))
	var sent sync.WaitGroup
	defer func() {
		end()
		sent.Wait()
		for _, f := range all {
			if f.prefetched != nil && f.prefetched.answer != nil {
				f.prefetched.answer.Body.Close()
			}
		}
	}()
	for len(all) > 0 {
		first := len(all) - 1
		for n := first - 1; n >= max(0, first-maxPrefetch) && p.linked.sinceRow <= unpacedLinked; n-- {
			if all[n].prefetched.canPrefetch(&all[n].Request) {
				all[n].prefetched = p.prefetch(prefetchCtx, &sent, &all[n].Request)
			}
		}
		next, err := p.fetchLinked(ctx, &all[first].LinkedRequest, all[first].prefetched)
		if err != nil {
			return err
		}
		p.linked.pendingBytes -= transport.RequestBytes(&all[first].Request)
		all[first] = linkedRequest{}
		all = all[:first]
		push(next)
	}
	return nil
}

func (f *prefetched) canPrefetch(r *wit.Request) bool {
	if f == nil {
		return r.Repeatable
	}
	select {
	case <-f.done:
		return errors.Is(f.err, transport.ErrNoRoom)
	default:
		return false
	}
}

func (p *page) prefetch(ctx context.Context, sent *sync.WaitGroup, r *wit.Request) *prefetched {
	f := &prefetched{done: make(chan struct{})}
	sent.Go(func() {
		defer close(f.done)
		f.err = guard.Do(p.feed.task.log, "feed "+p.feed.name+", a followed request", func() (err error) {
			f.answer, err = p.feed.task.o.Client.Do(ctx, r)
			return err
		})
	})
	return f
}
