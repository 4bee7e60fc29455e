package session

import (
	"context"
	"slices"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// Affinity holds the session of a read, which served its last page: skip tokens and cursors of services may belong to
// it. The zero value means no session yet. One request at a time may use an Affinity.
type Affinity struct {
	// Resumed means that an earlier run has read pages, in a session that is unknown.
	Resumed    bool
	session    *Session
	generation int
	// cookies identify the session, see [jar.sessionCookies]. One that changed between two pages has the value "".
	cookies map[string]string
}

// Keep binds the read to the session and generation that served a page. One without session cookies unbinds it.
func (a *Affinity) Keep(session *Session, generation int) {
	previous := *a
	a.Forget()
	if !session.Opened() {
		return
	}
	a.session = session
	a.generation = generation
	a.cookies = session.jar.sessionCookies()
	session.reads.Add(1)
	if previous.session == session && previous.generation == generation {
		for name, value := range a.cookies {
			if last, ok := previous.cookies[name]; ok && last != value {
				a.cookies[name] = ""
			}
		}
	}
}

// Forget ends the read.
func (a *Affinity) Forget() {
	if a.session != nil {
		a.session.reads.Add(-1)
	}
	*a = Affinity{}
}

// Lost reports whether a request in a session of a generation could not use the read's session, because that has
// ended, or because the service has replaced it, as it does if it no longer knows the cookie.
func (a *Affinity) Lost(session *Session, generation int) bool {
	if a.session == nil {
		return a.Resumed
	}
	return a.session != session || a.generation != generation || a.isReplaced()
}

// isReplaced reports whether cookies of the session have other values than after the read's last page.
func (a *Affinity) isReplaced() bool {
	current := a.session.jar.sessionCookies()
	for name, value := range a.cookies {
		if value != "" && current[name] != value {
			return true
		}
	}
	return false
}

// turn is a read that waits for its session. granted (buffered) receives true with the session, false to choose again.
type turn struct {
	session *Session
	granted chan bool
}

// Acquire returns a session for a request of a read, or for another request if affinity is nil. A read waits for its
// session while other requests use it. Those have a session and never wait for another one, and the read has none yet,
// so there is no deadlock. If the session has ended, or for the first page, it prefers one that no other read uses.
//
// Other requests get an idle or new session, or at the limit (zero: none) the least used. The error is ctx's cause.
func (p *Pool) Acquire(ctx context.Context, limit int, affinity *Affinity) (*Session, error) {
	for {
		acquired, t := p.acquireOrQueue(limit, affinity)
		if t == nil {
			return acquired, nil
		}
		endWait := pause.MarkWait(ctx)
		select {
		case granted := <-t.granted:
			endWait()
			if granted {
				return t.session, nil
			}
		case <-ctx.Done():
			endWait()
			p.cancel(t)
			return nil, context.Cause(ctx)
		}
	}
}

// acquireOrQueue returns a session, or a turn to wait for.
func (p *Pool) acquireOrQueue(limit int, affinity *Affinity) (*Session, *turn) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if affinity == nil || p.isSingle {
		return p.use(p.choose(limit, false)), nil
	}
	preferred := affinity.session
	if preferred == nil || !slices.Contains(p.sessions, preferred) {
		return p.use(p.choose(limit, true)), nil
	}
	if preferred.users == 0 {
		return p.use(preferred), nil
	}
	t := &turn{session: preferred, granted: make(chan bool, 1)}
	preferred.turns = append(preferred.turns, t)
	return nil, t
}

// cancel ends a wait for a session, which may have been granted already.
func (p *Pool) cancel(t *turn) {
	p.store.mu.Lock()
	session := t.session
	session.turns = slices.DeleteFunc(session.turns, func(other *turn) bool { return other == t })
	p.store.mu.Unlock()
	select {
	case granted := <-t.granted:
		if granted {
			p.Release(session)
			p.Done(session)
		}
	default: // it was not granted, and is not in the queue any more
	}
}

// grant passes an unused session to the read that waits for it longest, or returns false. Store.mu is held.
func (p *Pool) grant(session *Session) bool {
	if p.isSingle {
		session.endTurns()
	}
	if len(session.turns) == 0 {
		return false
	}
	next := session.turns[0]
	session.turns = session.turns[1:]
	session.users++
	session.open++
	next.granted <- true
	return true
}

// endTurns makes the reads that wait for the session choose another one. Store.mu is held.
func (s *Session) endTurns() {
	for _, t := range s.turns {
		t.granted <- false
	}
	s.turns = nil
}
