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
	// ending is how many sessions of an identity were taken out, and that the service may still have.
	ending map[[sha256.Size]byte]int
}

// New returns an empty store.
func New() *Store {
	return &Store{byIdentity: map[[sha256.Size]byte]*Pool{}, ending: map[[sha256.Size]byte]int{}}
}

// Pool holds the sessions of one identity at an origin, shared by clients with the same logon (P11). A request owns
// a session until its answer begins, if the limit allows; so each session has one logon, and there are no more
// sessions than concurrent requests. The store's lock guards it.
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

// Join adds a client to the pool of an identity.
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

// Leave removes a client. It returns unused sessions, to be logged off and then passed to [Pool.Ended].
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

// Acquire returns an idle session, else a new one, or at the limit most the one with the fewest users. Zero means
// no limit.
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

// Release marks the session idle, while its answer may still be read.
func (s *Pool) Release(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if one.users--; one.users == 0 {
		s.idle = append(s.idle, one)
	}
}

// Done records that the answer of a request ended or that there was none.
func (s *Pool) Done(one *Session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	one.open--
}

// Trim removes idle sessions in excess of most, to be logged off and then passed to [Pool.Ended]. Sessions whose
// answers are read stay: a log-off could end the answer.
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

// Ended records that n removed sessions were logged off or abandoned.
func (s *Pool) Ended(n int) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.ending[s.key] -= n; s.store.ending[s.key] == 0 {
		delete(s.store.ending, s.key)
	}
}

// MaxInUse returns the largest number of sessions of a user, including those being logged off.
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

// MaxInUse calls [Store.MaxInUse].
func (s *Pool) MaxInUse() int { return s.store.MaxInUse() }

// Observe learns whether the service opens sessions at all.
func (s *Pool) Observe(one *Session, status int) {
	if status >= 400 {
		return
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.stateless = one.jar.empty()
}

// IsOpening reports whether a request in this session is a logon.
func (s *Pool) IsOpening(one *Session) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return !s.stateless && one.jar.empty()
}
