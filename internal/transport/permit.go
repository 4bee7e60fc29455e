package transport

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/internal/transport/session"
)

// permit is a request's slot of the origin's limits, and a session.
type permit struct {
	service     *destination // the client's
	destination *destination // the service, or a further origin
	session     *session.Session
	// returnSession returns the session when the answer begins; release ends the request. Both are idempotent.

	returnSession, release func()
}

type admissionKey struct{}

// WithParent returns a context for requests on behalf of an open answer, whose slot they share: otherwise open
// answers could take all slots and wait for each other.
func WithParent(ctx context.Context) context.Context {
	return context.WithValue(ctx, admissionKey{}, true)
}

// WithoutWaiting returns a context whose requests fail with [ErrNoRoom] instead of waiting for the origin's limits.
// It overrides [WithParent].
func WithoutWaiting(ctx context.Context) context.Context {
	return context.WithValue(ctx, admissionKey{}, false)
}

func hasParent(ctx context.Context) bool {
	shares, _ := ctx.Value(admissionKey{}).(bool)
	return shares
}

func mustNotWait(ctx context.Context) bool {
	shares, isSet := ctx.Value(admissionKey{}).(bool)
	return isSet && !shares
}

// acquire waits for a slot and a session, or shares those of parent. A nil service means the current one.
func (c *Client) acquire(ctx context.Context, parent *permit, service *destination, e *exchange) (*permit, error) {
	if parent != nil {
		return &permit{parent.service, parent.destination, parent.session, func() {}, func() {}}, nil
	}
	if service == nil {
		var err error
		if service, err = c.current(ctx); err != nil {
			return nil, err
		}
	}
	destination, err := service.destinationFor(e)
	if err != nil {
		return nil, err
	}
	releaseSlot := func() {}
	if !hasParent(ctx) {
		acquireSlot := destination.limits.Acquire
		if mustNotWait(ctx) {
			acquireSlot = destination.limits.TryAcquire
		}
		if err := acquireSlot(ctx); err != nil {
			return nil, err
		}
		releaseSlot = destination.limits.Release
	}
	s := destination.sessions.Acquire(destination.limits.MaxSessions())
	release := sync.OnceFunc(func() {
		releaseSlot()
		destination.sessions.Done(s)
		if limit := destination.limits.MaxSessions(); limit > 0 {
			destination.trim(limit)
		}
	})
	return &permit{service, destination, s, sync.OnceFunc(func() { destination.sessions.Release(s) }), release}, nil
}
