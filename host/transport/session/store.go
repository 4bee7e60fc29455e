package session

import (
	"crypto/sha256"
	"slices"

	"github.com/culvert-project/culvert/host/guard"
)

// Store holds the sessions at one origin. Safe for use by several goroutines, as its pools are.
type Store struct {
	mu         guard.Mutex
	byIdentity map[[sha256.Size]byte]*Pool
	// ending is how many sessions of an identity were taken out, and that the service may still have.
	ending map[[sha256.Size]byte]int
}

// New returns an empty store.
func New() *Store {
	return &Store{byIdentity: map[[sha256.Size]byte]*Pool{}, ending: map[[sha256.Size]byte]int{}}
}

// Pool is the sessions of one identity at one origin, shared by all clients that log on alike (P11). A request has a
// session to itself until its answer begins, as long as there may be that many; so a session has one logon, and there
// are no more sessions than requests at a time. They are under the lock of their store.
type Pool struct {
	store   *Store
	key     [sha256.Size]byte
	clients int
	all     []*Session
	// idle ones that others used last come last, and are taken first.
	idle []*Session
	// stateless: the service has answered well and handed out no cookie.
	stateless bool
}

// Join returns the sessions of an identity, which is a text that says who logs on and how, for one more client.
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

// Leave says that a client needs them no more. It returns those that nobody needs, to be logged off and then reported
// to [Pool.Ended].
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

// Acquire returns a session for a request: an unused one, else a new one, else, where there are `most` already, the
// session with the fewest users. most 0: there may be any number.
func (s *Pool) Acquire(most int) *Session {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var one *Session
	switch n := len(s.idle); {
	case n > 0:
		one, s.idle = s.idle[n-1], s.idle[:n-1]
	case most == 0 || len(s.all)+s.store.ending[s.key] < most || len(s.all) == 0:
		one = &Session{tokens: newTokens()}
		s.all = append(s.all, one)
	default:
		one = slices.MinFunc(s.all, func(a, b *Session) int { return a.users - b.users })
	}
	one.users++
	one.open++
	return one
}

// Release says that a request needs its session no more, but for its answer.
func (s *Pool) Release(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if one.users--; one.users == 0 {
		s.idle = append(s.idle, one)
	}
}

// Done says that the answer of a request has ended, or that there was none.
func (s *Pool) Done(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	one.open--
}

// Trim takes out what there is more than `most` sessions, to be logged off and then reported to [Pool.Ended]. Those in
// use stay, also where no more than an answer is read: the log-off could end it.
func (s *Pool) Trim(most int) (over []*Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	isOver := func(one *Session) bool { return slices.Contains(over, one) }
	for _, one := range s.idle {
		if len(s.all)-len(over) > most && one.open == 0 {
			over = append(over, one)
		}
	}
	s.idle, s.all = slices.DeleteFunc(s.idle, isOver), slices.DeleteFunc(s.all, isOver)
	s.store.ending[s.key] += len(over)
	return over
}

// Ended says that so many of the sessions that were taken out have been logged off, or are left to time out.
func (s *Pool) Ended(n int) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.ending[s.key] -= n; s.store.ending[s.key] == 0 {
		delete(s.store.ending, s.key)
	}
}

// Most is how many sessions the user has that has most, those included that are being logged off.
func (st *Store) Most() (most int) {
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

// Most is that of the pool's store.
func (s *Pool) Most() int { return s.store.Most() }

// Observe notes whether the service opens sessions at all.
func (s *Pool) Observe(one *Session, status int) {
	if status >= 400 {
		return
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.stateless = one.jar.empty()
}

// IsOpening says whether a request in this session is a logon of its own.
func (s *Pool) IsOpening(one *Session) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return !s.stateless && one.jar.empty()
}
