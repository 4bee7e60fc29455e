package transport

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/host/transport/session"
)

// permit is what a request needs to go out: that one more may be under way, and a session.
type permit struct {
	service     *destination // of the client
	destination *destination // which may be another origin
	session     *session.Session
	// returnSession gives the session back when the answer begins, leave says that the request is over. They may be called
	// several times.
	returnSession, release func()
}

type admissionKey struct{}

// WithParent returns a context for requests that are made while an answer is still open, for its sake: they count as one
// with it, since otherwise answers that wait for others could take all the room that there is.
func WithParent(ctx context.Context) context.Context { return context.WithValue(ctx, admissionKey{}, true) }

// WithoutWaiting returns a context for requests that go out only where the limits of the origin leave room for one more at
// once: else they come to [ErrNoRoom]. It counts for itself, whatever ctx was made for.
func WithoutWaiting(ctx context.Context) context.Context { return context.WithValue(ctx, admissionKey{}, false) }

// hasParent says whether a request counts as one with the answer that it is made for.
func hasParent(ctx context.Context) bool { within, _ := ctx.Value(admissionKey{}).(bool); return within }

// mustNotWait says whether a request is not to wait for others.
func mustNotWait(ctx context.Context) bool {
	within, some := ctx.Value(admissionKey{}).(bool)
	return some && !within
}

// acquire waits for room under the origin's limit, and for a session. With given it shares those of the exchange that the
// request serves. service nil: the current destination is used.
func (c *Client) acquire(ctx context.Context, parent *permit, service *destination, e *exchange) (*permit, error) {
	if parent != nil {
		return &permit{parent.service, parent.destination, parent.session, func() {}, func() {}}, nil
	}
	if service == nil {
		var err error
		if service, err = c.current(ctx, false); err != nil {
			return nil, err
		}
	}
	d, err := service.destinationFor(e)
	if err != nil {
		return nil, err
	}
	done := func() {}
	if !hasParent(ctx) {
		enter := d.limits.Acquire
		if mustNotWait(ctx) {
			enter = d.limits.TryAcquire
		}
		if err := enter(ctx); err != nil {
			return nil, err
		}
		done = d.limits.Release
	}
	s := d.sessions.Acquire(d.limits.MaxSessions())
	leave := sync.OnceFunc(func() {
		done()
		d.sessions.Done(s)
		if most := d.limits.MaxSessions(); most > 0 {
			d.trim(most)
		}
	})
	return &permit{service, d, s, sync.OnceFunc(func() { d.sessions.Release(s) }), leave}, nil
}
