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
	// ending counts removed sessions that may still be open at the service.
	ending map[[sha256.Size]byte]int
}

func New() *Store {
	return &Store{byIdentity: map[[sha256.Size]byte]*Pool{}, ending: map[[sha256.Size]byte]int{}}
}

// Pool holds the sessions of one identity, shared by clients (RATIONALE.md P11). Within the limit a request owns a
// session until its response begins. Store.mu guards it.
type Pool struct {
	store     *Store
	key       [sha256.Size]byte
	clients   int
	all       []*Session
	idle      []*Session
	stateless bool
	// single limits the pool to its first session: the service ends a user's other sessions.
	single bool
}

func (st *Store) Join(identity string) *Pool {
	key := sha256.Sum256([]byte(identity))
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.byIdentity[key]
	if s == nil {
		s = &Pool{store: st, key: key}
		st.byIdentity[key] = s
	}
	s.clients++
	return s
}

// Leave returns the sessions of the last client, to be logged off.
func (s *Pool) Leave() []*Session {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.clients--; s.clients > 0 {
		return nil
	}
	if s.store.byIdentity[s.key] == s {
		delete(s.store.byIdentity, s.key)
	}
	s.store.ending[s.key] += len(s.all)
	return s.all
}

// choose returns the session for a request. isRead reports that it is the first of a read, which leaves the sessions of
// other reads alone if that takes no more sessions than requests. Store.mu is held.
func (s *Pool) choose(limit int, isRead bool) *Session {
	mayAdd := limit == 0 || len(s.all)+s.store.ending[s.key] < limit || len(s.all) == 0
	unclaimed := slices.DeleteFunc(slices.Clone(s.idle), func(idle *Session) bool { return idle.reads.Load() > 0 })
	switch {
	case s.single && len(s.all) > 0:
		return s.all[0]
	case len(unclaimed) > 0:
		return unclaimed[len(unclaimed)-1]
	case len(s.idle) > 0 && !(isRead && mayAdd && len(s.all) <= s.openRequests()):
		return s.idle[len(s.idle)-1]
	case mayAdd:
		session := newSession()
		s.all = append(s.all, session)
		return session
	}
	return slices.MinFunc(s.all, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(len(a.turns), len(b.turns)), cmp.Compare(a.users, b.users))
	})
}

// openRequests returns the number of requests whose response has not been read yet. Store.mu is held.
func (s *Pool) openRequests() (n int) {
	for _, session := range s.all {
		n += session.open
	}
	return n
}

// take makes a request the user of a session. Store.mu is held.
func (s *Pool) take(session *Session) *Session {
	s.idle = slices.DeleteFunc(s.idle, func(idle *Session) bool { return idle == session })
	session.users++
	session.open++
	return session
}

func (s *Pool) Release(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	one.users--
	if one.users == 0 && !one.ended && !s.grant(one) {
		s.idle = append(s.idle, one)
	}
}

// Replace removes a session that the service has ended. It returns a session without cookies in its place, which the
// caller has acquired instead, or nil if another request has replaced the session.
func (s *Pool) Replace(ended *Session) (fresh *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if ended.ended {
		return nil
	}
	ended.ended = true
	ended.endTurns()
	ended.users--
	ended.open--
	fresh = newSession()
	fresh.users = 1
	fresh.open = 1
	if fresh.created.Sub(ended.created) < earlyEndAge {
		fresh.earlyEnds = ended.earlyEnds + 1
	}
	if i := slices.Index(s.all, ended); i >= 0 { // unless the pool's last client has left
		s.all[i] = fresh
	}
	return fresh
}

// HasEnded reports whether [Pool.Replace] has removed a session.
func (s *Pool) HasEnded(session *Session) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return session.ended
}

// UseSingle limits the pool to one session from now on. Others end when they are released. It reports false if the pool
// has one session only.
func (s *Pool) UseSingle() (changed bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.single || len(s.all) < 2 {
		return false
	}
	s.single = true
	return true
}

// IsSingle reports whether the pool is limited to one session.
func (s *Pool) IsSingle() bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.single
}

// IsAlone reports whether the pool is limited to one session, and no request uses another session than the given one.
func (s *Pool) IsAlone(session *Session) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	isOtherUsed := func(other *Session) bool { return other != session && other.users > 0 }
	return s.single && !slices.ContainsFunc(s.all, isOtherUsed)
}

func (s *Pool) Done(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	one.open--
}

// Limit returns the stricter of a limit (zero means none) and the pool's own.
func (s *Pool) Limit(limit int) int {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.single {
		return 1
	}
	return limit
}

// Trim removes idle sessions beyond limit, to be logged off and passed to [Pool.Ended], but none whose response is
// read.
func (s *Pool) Trim(limit int) (over []*Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	isOver := func(one *Session) bool { return slices.Contains(over, one) }
	for _, one := range s.idle {
		isKept := s.single && limit > 0 && one == s.all[0]
		if len(s.all)-len(over) > limit && one.open == 0 && !isKept {
			over = append(over, one)
		}
	}
	s.idle, s.all = slices.DeleteFunc(s.idle, isOver), slices.DeleteFunc(s.all, isOver)
	s.store.ending[s.key] += len(over)
	return over
}

func (s *Pool) Ended(n int) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.ending[s.key] -= n; s.store.ending[s.key] == 0 {
		delete(s.store.ending, s.key)
	}
}

func (st *Store) MaxInUse() (most int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, n := range st.ending {
		most = max(most, n)
	}
	for key, s := range st.byIdentity {
		most = max(most, len(s.all)+st.ending[key])
	}
	return most
}

func (s *Pool) MaxInUse() int { return s.store.MaxInUse() }

func (s *Pool) Observe(one *Session, status int) {
	if status >= 400 {
		return
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.stateless = one.jar.empty()
}

func (s *Pool) IsOpening(one *Session) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return !s.stateless && one.jar.empty()
}
