package transport

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/internal/transport/session"
)

// permit is what a request needs to be sent: a slot of the origin's limits, and a session.
type permit struct {
	service     *destination // of the client
	destination *destination // which may be another origin
	session     *session.Session
	// returnSession gives the session back when the answer begins; release ends the request. Both may be called
	// repeatedly.
	returnSession, release func()
}

type admissionKey struct{}

// WithParent returns a context for requests made while another answer is open, on its behalf. They share its slot:
// otherwise open answers could take all slots and wait for each other.
func WithParent(ctx context.Context) context.Context {
	return context.WithValue(ctx, admissionKey{}, true)
}

// WithoutWaiting returns a context whose requests fail with [ErrNoRoom] instead of waiting for the origin's limits.
// They take a slot of their own, even if ctx is one of [WithParent].
func WithoutWaiting(ctx context.Context) context.Context {
	return context.WithValue(ctx, admissionKey{}, false)
}

func hasParent(ctx context.Context) bool {
	within, _ := ctx.Value(admissionKey{}).(bool)
	return within
}

func mustNotWait(ctx context.Context) bool {
	within, some := ctx.Value(admissionKey{}).(bool)
	return some && !within
}

// acquire waits for a slot and a session, or shares those of parent. A nil service means the current one.
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
