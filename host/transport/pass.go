package transport

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/host/transport/session"
)

// pass is what a request needs to go out: that one more may be under way, and a session.
type pass struct {
	service     *destination // of the client
	destination *destination // which may be another origin
	session     *session.Session
	// rest gives the session back when the answer begins, leave says that the request is over. They may be called
	// several times.
	rest, leave func()
}

type withinKey struct{}

// Within returns a context for requests that are made while an answer is still open, for its sake: they count as one
// with it, since otherwise answers that wait for others could take all the room that there is.
func Within(ctx context.Context) context.Context { return context.WithValue(ctx, withinKey{}, true) }

// Beside returns a context for requests that go out only where the limits of the origin leave room for one more at
// once: else they come to [ErrNoRoom]. It counts for itself, whatever ctx was made for.
func Beside(ctx context.Context) context.Context { return context.WithValue(ctx, withinKey{}, false) }

// isWithin says whether a request counts as one with the answer that it is made for.
func isWithin(ctx context.Context) bool { within, _ := ctx.Value(withinKey{}).(bool); return within }

// isBeside says whether a request is not to wait for others.
func isBeside(ctx context.Context) bool {
	within, some := ctx.Value(withinKey{}).(bool)
	return some && !within
}

// enter waits for room under the origin's limit, and for a session. With given it shares those of the exchange that the
// request serves. service nil: the current destination is used.
func (c *Client) enter(ctx context.Context, given *pass, service *destination, e *exchange) (*pass, error) {
	if given != nil {
		return &pass{given.service, given.destination, given.session, func() {}, func() {}}, nil
	}
	if service == nil {
		var err error
		if service, err = c.current(ctx, false); err != nil {
			return nil, err
		}
	}
	d, err := service.of(e)
	if err != nil {
		return nil, err
	}
	done := func() {}
	if !isWithin(ctx) {
		enter := d.limits.Enter
		if isBeside(ctx) {
			enter = d.limits.EnterAtOnce
		}
		if err := enter(ctx); err != nil {
			return nil, err
		}
		done = d.limits.Done
	}
	s := d.sessions.Take(d.limits.MaxSessions())
	leave := sync.OnceFunc(func() {
		done()
		d.sessions.Done(s)
		if most := d.limits.MaxSessions(); most > 0 {
			d.trim(most)
		}
	})
	return &pass{service, d, s, sync.OnceFunc(func() { d.sessions.GiveBack(s) }), leave}, nil
}
