package session

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/culvert-project/culvert/internal/guard"
)

// Store holds the sessions at one origin. Safe for concurrent use, as are its pools.
type Store struct {
	mu         guard.Mutex
	byIdentity map[[sha256.Size]byte]*Pool
	// ending counts removed sessions that may still be open at the service, by identity.
	ending map[[sha256.Size]byte]int
}

// New returns a store without sessions.
func New() *Store {
	return &Store{byIdentity: map[[sha256.Size]byte]*Pool{}, ending: map[[sha256.Size]byte]int{}}
}

// Pool holds the sessions of one identity, shared by clients (RATIONALE.md P11). Within the limit a request owns a
// session until its response begins. Store.mu guards it.
type Pool struct {
	store       *Store
	key         [sha256.Size]byte
	clients     int
	sessions    []*Session
	idle        []*Session // without users, the last used last
	isStateless bool       // the service sets no cookies
	// isSingle limits the pool to its first session: the service ends a user's other sessions.
	isSingle bool
}

// Join adds a client to the pool of an identity. The client calls [Pool.Leave] once.
func (st *Store) Join(identity string) *Pool {
	key := sha256.Sum256([]byte(identity))
	st.mu.Lock()
	defer st.mu.Unlock()
	p := st.byIdentity[key]
	if p == nil {
		p = &Pool{store: st, key: key}
		st.byIdentity[key] = p
	}
	p.clients++
	return p
}

// Leave removes a client. The last one gets the sessions to log off and report to [Pool.Ended], others nil.
func (p *Pool) Leave() []*Session {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.clients--
	if p.clients > 0 {
		return nil
	}
	if p.store.byIdentity[p.key] == p {
		delete(p.store.byIdentity, p.key)
	}
	p.store.ending[p.key] += len(p.sessions)
	return p.sessions
}

// choose returns the session for a request, a new one if needed. isRead means that the request is the first of a read,
// which uses no session of another read, unless there would be more sessions than requests. Store.mu is held.
func (p *Pool) choose(limit int, isRead bool) *Session {
	isBelow := limit == 0 || len(p.sessions)+p.store.ending[p.key] < limit
	mayAdd := isBelow || len(p.sessions) == 0 // a request needs one in any case
	open := 0                                 // requests whose response has not been read yet
	for _, session := range p.sessions {
		open += session.open
	}
	addsForRead := isRead && mayAdd && len(p.sessions) <= open
	unclaimed := slices.DeleteFunc(slices.Clone(p.idle), func(idle *Session) bool { return idle.reads.Load() > 0 })
	switch {
	case p.isSingle && len(p.sessions) > 0:
		return p.sessions[0]
	case len(unclaimed) > 0:
		return unclaimed[len(unclaimed)-1]
	case len(p.idle) > 0 && !addsForRead:
		return p.idle[len(p.idle)-1]
	case mayAdd:
		session := newSession()
		p.sessions = append(p.sessions, session)
		return session
	}
	return slices.MinFunc(p.sessions, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(len(a.turns), len(b.turns)), cmp.Compare(a.users, b.users))
	})
}

// use makes a request the user of a session, and returns it. Store.mu is held.
func (p *Pool) use(session *Session) *Session {
	p.idle = slices.DeleteFunc(p.idle, func(idle *Session) bool { return idle == session })
	session.users++
	session.open++
	return session
}

// Release returns a session when the response to its request begins. It hands the session over to the read that waits
// for it longest, if any. Call it once for each Acquire.
func (p *Pool) Release(s *Session) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	s.users--
	if s.users == 0 && !s.hasEnded && !p.grant(s) {
		p.idle = append(p.idle, s)
	}
}

// Replace removes a session that the service has ended. It returns a session without cookies in its place, which the
// caller has acquired instead, or nil if another request has replaced the session.
func (p *Pool) Replace(ended *Session) (fresh *Session) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if ended.hasEnded {
		return nil
	}
	ended.hasEnded = true
	ended.endTurns()
	ended.users--
	ended.open--
	fresh = newSession()
	fresh.users = 1
	fresh.open = 1
	if fresh.created.Sub(ended.created) < earlyEndAge {
		fresh.earlyEnds = ended.earlyEnds + 1
	}
	if i := slices.Index(p.sessions, ended); i >= 0 { // unless the pool's last client has left
		p.sessions[i] = fresh
	}
	return fresh
}

// HasEnded reports whether [Pool.Replace] has removed a session.
func (p *Pool) HasEnded(session *Session) bool {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return session.hasEnded
}

// UseSingle limits the pool to one session. Others end when they are released. False means that nothing changed.
func (p *Pool) UseSingle() (hasChanged bool) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if p.isSingle || len(p.sessions) < 2 {
		return false
	}
	p.isSingle = true
	return true
}

// IsSingle reports whether the pool is limited to one session.
func (p *Pool) IsSingle() bool {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return p.isSingle
}

// IsAlone reports whether the pool is limited to one session, and no request uses another session than the given one.
func (p *Pool) IsAlone(session *Session) bool {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	isOtherUsed := func(other *Session) bool { return other != session && other.users > 0 }
	return p.isSingle && !slices.ContainsFunc(p.sessions, isOtherUsed)
}

// Done records, after Release, that a response was read or dropped. Without open responses the session may be trimmed.
func (p *Pool) Done(s *Session) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	s.open--
}

// Limit returns the stricter of a limit (zero means none) and the pool's own.
func (p *Pool) Limit(limit int) int {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if p.isSingle {
		return 1
	}
	return limit
}

// Trim removes idle sessions beyond limit without open responses, to be logged off and reported to [Pool.Ended].
func (p *Pool) Trim(limit int) (over []*Session) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	isOver := func(s *Session) bool { return slices.Contains(over, s) }
	for _, s := range p.idle {
		isKept := p.isSingle && limit > 0 && s == p.sessions[0]
		if len(p.sessions)-len(over) > limit && s.open == 0 && !isKept {
			over = append(over, s)
		}
	}
	p.idle = slices.DeleteFunc(p.idle, isOver)
	p.sessions = slices.DeleteFunc(p.sessions, isOver)
	p.store.ending[p.key] += len(over)
	return over
}

// Ended records that n sessions of Leave or Trim were logged off and do not count any more.
func (p *Pool) Ended(n int) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if p.store.ending[p.key] -= n; p.store.ending[p.key] == 0 {
		delete(p.store.ending, p.key)
	}
}

// MaxInUse returns the number of sessions of the identity that has most of them, with those being logged off.
func (st *Store) MaxInUse() (most int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, n := range st.ending {
		most = max(most, n)
	}
	for key, pool := range st.byIdentity {
		most = max(most, len(pool.sessions)+st.ending[key])
	}
	return most
}

// MaxInUse is [Store.MaxInUse] of the pool's store.
func (p *Pool) MaxInUse() int { return p.store.MaxInUse() }

// Observe records whether the service has cookies, after a response below 400.
func (p *Pool) Observe(s *Session, status int) {
	if status >= 400 {
		return
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.isStateless = s.jar.isEmpty()
}

// IsOpening reports whether a request in a session logs on: it has no cookies, and the service seems to use them.
func (p *Pool) IsOpening(s *Session) bool {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return !p.isStateless && s.jar.isEmpty()
}
