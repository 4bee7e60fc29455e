package transport

import (
	"context"
	"net/http"
	"sync"

	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/session"
)

// permit is a request's slot of the origin's limits, and a session.
type permit struct {
	service     *destination // the client's
	destination *destination // the service, or a further origin
	session     *session.Session
	// isAlone reports whether the pool is limited to one session, and no request used another one at admission.
	isAlone bool
	// logon, if not nil, ends the logon whose turn this request has, with the status of the answer.
	logon func(status int)
	// returnSession returns the session when the answer begins. It is idempotent.
	returnSession func()
	// release ends the request and frees its slot. It is idempotent.
	release func()
}

// admission specifies how requests of a context get a slot. Requests of a context without an admission wait for a slot.
type admission uint8

const (
	ofParent  admission = iota // see WithParent
	ifOneFree                  // see WithoutWaiting
)

type admissionKey struct{}

// WithParent returns a context for requests on behalf of an open answer, whose slot they share to avoid a deadlock.
func WithParent(ctx context.Context) context.Context {
	return context.WithValue(ctx, admissionKey{}, ofParent)
}

// WithoutWaiting makes requests fail with [ErrNoRoom] instead of waiting for limits. It overrides [WithParent].
func WithoutWaiting(ctx context.Context) context.Context {
	return context.WithValue(ctx, admissionKey{}, ifOneFree)
}

func hasParent(ctx context.Context) bool { return ctx.Value(admissionKey{}) == ofParent }

// Affinity holds the session of a read, see [WithAffinity].
type Affinity = session.Affinity

type affinityKey struct{}

// WithAffinity returns a context for a page of a read, whose requests prefer the session that served the page before,
// and wait for it while another request uses it. affinity is shared by the pages of the read, one after another.
func WithAffinity(ctx context.Context, affinity *Affinity) context.Context {
	return context.WithValue(ctx, affinityKey{}, affinity)
}

func affinityOf(ctx context.Context) *Affinity {
	affinity, _ := ctx.Value(affinityKey{}).(*Affinity)
	return affinity
}

// acquire waits for a slot and a session, or shares what parent has and releases. A nil service means the current one.
func (c *Client) acquire(ctx context.Context, parent *permit, service *destination, e *exchange) (*permit, error) {
	if parent != nil {
		return &permit{service: parent.service, destination: parent.destination, session: parent.session,
			logon: parent.logon, returnSession: func() {}, release: func() {}}, nil
	}
	if service == nil {
		var err error
		if service, err = c.current(ctx); err != nil {
			return nil, err
		}
	}
	d := service
	if e.otherOrigin != "" {
		if d = service.furtherOrigins[e.otherOrigin]; d == nil {
			names := service.config.names
			return nil, names.errorf(names.origins, "origins", "%s was removed while a request to it was in progress",
				e.otherOrigin)
		}
	}
	// A slot, unless the parent's is shared, then a session.
	releaseSlot := func() {}
	if !hasParent(ctx) {
		acquireSlot := d.limits.Acquire
		if ctx.Value(admissionKey{}) == ifOneFree {
			acquireSlot = d.limits.TryAcquire
		}
		if err := acquireSlot(ctx); err != nil {
			return nil, err
		}
		releaseSlot = d.limits.Release
	}
	sessions := d.sessions
	p := &permit{service: service, destination: d}
	var err error
	if p.session, err = sessions.Acquire(ctx, d.limits.MaxSessions(), affinityOf(ctx)); err != nil {
		releaseSlot()
		return nil, err
	}
	p.isAlone = sessions.IsAlone(p.session)
	p.returnSession = sync.OnceFunc(func() { sessions.Release(p.session) })
	p.release = sync.OnceFunc(func() {
		releaseSlot()
		sessions.Done(p.session)
		if limit := sessions.Limit(d.limits.MaxSessions()); limit > 0 {
			d.trim(limit)
		}
	})
	return p, nil
}

// useSingleSession makes this worker continue with one session, or returns false if it does already.
func (p *permit) useSingleSession() (isSwitched bool) {
	d := p.destination
	isSwitched = d.sessions.UseSingle()
	if isSwitched {
		d.config.Logger.Warn("the service ended sessions that it had just opened: it seems to allow one session for a "+
			"user, so this worker continues with one until no connector uses the service; "+
			d.config.names.connectionsAdvice(), "origin", d.origin.String())
	}
	return isSwitched
}

// mayBeEndedByOthers reports whether requests that began before the single session may have ended it.
func (p *permit) mayBeEndedByOthers() bool { return p.destination.sessions.IsSingle() && !p.isAlone }

// logOn waits until the secret may be sent. done must be called with the status of the answer.
func (p *permit) logOn(ctx context.Context, gate *lockouts.Gate, e *exchange) (done func(status int), err error) {
	switch {
	case p.logon == nil:
		defer p.destination.limits.RecordLogonWait()()
		return gate.Acquire(ctx, func() bool { return p.destination.sessions.IsOpening(p.session) })
	case e.tokenFor == nil:
		return p.logon, nil
	}
	// The answer to the request that needs the token decides, unless this one is refused.
	return func(status int) {
		if status == http.StatusUnauthorized {
			p.logon(status)
		}
	}, nil
}
