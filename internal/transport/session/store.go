package session

import (
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

// Acquire returns an idle session, a new one, or at the limit (zero means none) the one with the fewest users.
func (s *Pool) Acquire(limit int) *Session {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var one *Session
	switch n := len(s.idle); {
	case s.single && len(s.all) > 0:
		one = s.all[0]
		s.idle = slices.DeleteFunc(s.idle, func(idle *Session) bool { return idle == one })
	case n > 0:
		one, s.idle = s.idle[n-1], s.idle[:n-1]
	case limit == 0 || len(s.all)+s.store.ending[s.key] < limit || len(s.all) == 0:
		one = newSession()
		s.all = append(s.all, one)
	default:
		one = slices.MinFunc(s.all, func(a, b *Session) int { return a.users - b.users })
	}
	one.users++
	one.open++
	return one
}

func (s *Pool) Release(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	one.users--
	if one.users == 0 && !one.ended {
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
