package source

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// maxAhead bounds, at each level of nesting, how many of the next requests may be sent before their turn.
const maxAhead = 8

// early is a followed request that was sent before its turn. Its answer waits unread, where the transport holds it.
type early struct {
	done   chan struct{}
	answer *transport.Answer
	err    error
}

// await waits for the answer. nil, nil: make the request now; it was not sent (f is nil) or found no room.
func (f *early) await(ctx context.Context) (*transport.Answer, error) {
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

// following is a request that is to be followed, and its answer where it was sent before its turn.
type following struct {
	wit.LinkedRequest
	early *early
}

// followAll follows requests: side by side, as far as the limits of the origin leave room, their answers one after
// another. Only repeatable ones are sent before their turn, and none while the page is paced for want of rows
// ([freelyFollowed]). What an answer asks for at its end comes before the others.
func (p *page) followAll(ctx context.Context, follows []wit.LinkedRequest) error {
	if len(follows) == 0 {
		return nil
	}
	var all []following // the next one last
	push := func(follows []wit.LinkedRequest) {
		for _, f := range slices.Backward(follows) {
			all = append(all, following{f, nil})
		}
	}
	push(follows)
	besides, end := context.WithCancel(transport.Beside(ctx))
	var sent sync.WaitGroup
	defer func() {
		end()
		sent.Wait()
		for _, f := range all {
			if f.early != nil && f.early.answer != nil {
				f.early.answer.Body.Close()
			}
		}
	}()
	for len(all) > 0 {
		first := len(all) - 1
		for n := first - 1; n >= max(0, first-maxAhead) && p.follows.made <= freelyFollowed; n-- {
			if all[n].early.wants(&all[n].Request) {
				all[n].early = p.ahead(besides, &sent, &all[n].Request)
			}
		}
		next, err := p.follow(ctx, &all[first].LinkedRequest, all[first].early)
		if err != nil {
			return err
		}
		p.follows.waiting -= transport.RequestBytes(&all[first].Request)
		all[first] = following{}
		all = all[:first]
		push(next)
	}
	return nil
}

// wants tells whether a request may be sent before its turn: one that is repeatable, and was not sent or found no
// room.
func (f *early) wants(r *wit.Request) bool {
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

// ahead sends a request before its turn.
func (p *page) ahead(ctx context.Context, sent *sync.WaitGroup, r *wit.Request) *early {
	f := &early{done: make(chan struct{})}
	sent.Go(func() {
		defer close(f.done)
		f.err = guard.Do(p.feed.task.log, "feed "+p.feed.name+", a followed request", func() (err error) {
			f.answer, err = p.feed.task.o.Client.Do(ctx, r)
			return err
		})
	})
	return f
}
