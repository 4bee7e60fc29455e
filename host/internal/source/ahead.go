package source

import (
	"context"
	"errors"
	"sync"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// maxAhead is how many followed requests are under way beside the one whose answer is being read.
const maxAhead = 8

// fetched is a followed request that was sent before its turn. Its answer waits unread, where the transport holds it.
type fetched struct {
	done   chan struct{}
	answer *transport.Answer
	err    error
}

// take is the answer; none where the request is to be made now: nil was not sent before, and one that found no room
// either.
func (f *fetched) take(ctx context.Context) (*transport.Answer, error) {
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
	f.answer = nil // the taker closes it
	return answer, f.err
}

// followAll follows requests: side by side, as far as the limits of the origin leave room, their answers one after
// another.
func (p *page) followAll(ctx context.Context, follows []wit.Follow) error {
	if len(follows) == 0 {
		return nil
	}
	early := make([]*fetched, len(follows))
	besides, end := context.WithCancel(transport.Beside(ctx))
	var sent sync.WaitGroup
	defer func() {
		end()
		sent.Wait()
		for _, f := range early {
			if f != nil && f.answer != nil {
				f.answer.Body.Close()
			}
		}
	}()
	for i := range follows {
		for n := i + 1; n < min(i+1+maxAhead, len(follows)) && p.followed <= freelyFollowed; n++ {
			if early[n].wants(&follows[n].Request) {
				early[n] = p.ahead(besides, &sent, &follows[n].Request)
			}
		}
		if err := p.follow(ctx, &follows[i], early[i]); err != nil {
			return err
		}
	}
	return nil
}

// wants tells whether a request may be sent before its turn: one that does no harm for nothing, and was not sent or
// found no room.
func (f *fetched) wants(r *wit.Request) bool {
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
func (p *page) ahead(ctx context.Context, sent *sync.WaitGroup, r *wit.Request) *fetched {
	f := &fetched{done: make(chan struct{})}
	sent.Go(func() {
		defer close(f.done)
		f.err = guard.Do(p.feed.task.log, "feed "+p.feed.name+", a followed request", func() (err error) {
			f.answer, err = p.feed.task.o.Client.Do(ctx, r)
			return err
		})
	})
	return f
}
