package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// maxPrefetch bounds, at each level of nesting, how many requests are prefetched.
const maxPrefetch = 8

// prefetched is a linked request that was sent early. The transport buffers its response.
type prefetched struct {
	done   chan struct{}
	answer *transport.Answer
	err    error
}

// await returns nil, nil if the request must be sent now: it was not sent early, or there was no free slot.
func (p *prefetched) await(ctx context.Context) (*transport.Answer, error) {
	if p == nil {
		return nil, nil
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if errors.Is(p.err, transport.ErrNoRoom) {
		return nil, nil
	}
	answer := p.answer
	p.answer = nil // the caller closes it
	return answer, p.err
}

type linkedRequest struct {
	wit.LinkedRequest
	prefetched *prefetched // nil if it was not sent early
}

// fetchAllLinked sends linked requests concurrently, within the limits of the service, and reads their responses one
// after another. Only repeatable requests are sent early, and none while the page is slowed down because no rows arrive
// ([unpacedLinked]). Requests that a response links to precede the others.
func (p *page) fetchAllLinked(ctx context.Context, linked []wit.LinkedRequest) error {
	if len(linked) == 0 {
		return nil
	}
	var pending []linkedRequest // a stack: the last one is next
	push := func(linked []wit.LinkedRequest) {
		for _, request := range slices.Backward(linked) {
			pending = append(pending, linkedRequest{request, nil})
		}
	}
	push(linked)
	prefetchCtx, cancel := context.WithCancel(transport.WithoutWaiting(ctx))
	var prefetches sync.WaitGroup
	defer func() {
		cancel()
		prefetches.Wait()
		for _, request := range pending {
			if request.prefetched != nil && request.prefetched.answer != nil {
				request.prefetched.answer.Body.Close()
			}
		}
	}()
	for len(pending) > 0 {
		last := len(pending) - 1
		for n := last - 1; n >= max(0, last-maxPrefetch) && p.linked.sinceRow <= unpacedLinked; n-- {
			if pending[n].prefetched.canPrefetch(&pending[n].Request) {
				pending[n].prefetched = p.prefetch(prefetchCtx, &prefetches, &pending[n].Request)
			}
		}
		next, err := p.fetchLinked(ctx, &pending[last].LinkedRequest, pending[last].prefetched)
		if err != nil {
			return err
		}
		p.linked.pendingBytes -= transport.RequestBytes(&pending[last].Request)
		pending[last] = linkedRequest{}
		pending = pending[:last]
		push(next)
	}
	return nil
}

// canPrefetch reports whether the request may be sent early: for the first time, or again if there was no free slot.
func (p *prefetched) canPrefetch(r *wit.Request) bool {
	if p == nil {
		return r.Repeatable
	}
	select {
	case <-p.done:
		return errors.Is(p.err, transport.ErrNoRoom)
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

// linkedRequests counts the linked requests of a page, to bound them and to slow them down.
type linkedRequests struct {
	total        int
	pendingBytes int64 // size of the requests that wait
	sinceRow     int   // requests since the last row arrived
	received     int   // rows and errors before the last request; linked responses may have rows of the same index
	backoff      progressBackoff
}

const (
	// maxLinked bounds the linked requests of a page: ten for each row of 10,000. An interruption repeats all of them.
	maxLinked       = 100_000
	maxPendingBytes = 64 << 20
	maxNesting      = 16 // how deep responses may link to each other
	// unpacedLinked is how many linked requests may follow a row before they are slowed down.
	unpacedLinked = 256
	// reservedTagPrefix begins the tags of the host, such as [wit.TagComplete].
	reservedTagPrefix = "culvert:"
)

// fetchLinked sends a linked request, unless it was sent early, and reads its response. It returns the requests that
// the response links to.
func (p *page) fetchLinked(ctx context.Context, linked *wit.LinkedRequest,
	early *prefetched) ([]wit.LinkedRequest, error) {
	r := &linked.Request
	if strings.HasPrefix(r.Tag, reservedTagPrefix) {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: fmt.Sprintf(
			"the plugin returned a linked request with the tag %q: expected a tag that does not begin with %s",
			r.Tag, reservedTagPrefix)}
	}
	if p.bodies.depth > maxNesting {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("linked responses nest more than %d deep",
			maxNesting)}
	}
	if p.linked.received != p.cursor.received {
		p.linked.received = p.cursor.received
		p.linked.sinceRow = 0
		p.linked.backoff = progressBackoff{}
	}
	p.linked.sinceRow++
	if p.linked.sinceRow > unpacedLinked {
		if err := pause.For(ctx, p.linked.backoff.after(false)); err != nil {
			return nil, err
		}
	}
	workCtx, endFetch := p.feed.task.count.fetch.Track(ctx, &p.feed.task.count.wait)
	answer, err := early.await(workCtx)
	if answer == nil && err == nil {
		answer, err = p.feed.task.o.Client.Do(workCtx, r)
	}
	endFetch()
	if err != nil {
		return nil, fmt.Errorf("linked request %s: %w", transport.PrintableTarget(r.Target), &permanentError{err})
	}
	defer answer.Body.Close()
	if (answer.Status < 200 || answer.Status > 299) && !slices.Contains(linked.Tolerate, answer.Status) {
		head, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // bytes, for the message
		err := error(&wit.Error{Kind: wit.ErrorKindOf(answer.Status), Message: fmt.Sprintf(
			"linked request %s: answered %d: %q", transport.PrintableTarget(r.Target), answer.Status, head)})
		if p.feed.task.o.Client.Retry().Names(strconv.Itoa(int(answer.Status))) {
			err = &permanentError{err}
		}
		return nil, err
	}
	next, err := p.readBody(ctx, r.Tag, answer.Status, answer.Body)
	if err != nil {
		return nil, fmt.Errorf("linked request %s: %w", transport.PrintableTarget(r.Target), err)
	}
	return next, nil
}
