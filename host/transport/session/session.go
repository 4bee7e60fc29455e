package session

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// Session is what belongs together to a service: cookies, and the tokens that were given out with them. It may begin
// again, as another one of the service's: generations count that. Safe for use by several goroutines.
type Session struct {
	jar    jar
	tokens tokens
	// Under the lock of the store: users are requests without an answer yet, open those whose answer has not ended.
	users, open int
}

// Cookies are the value of the header of that name for a request for a path, "" if there are none, and the generation
// that they are of.
func (s *Session) Cookies(path string) (header string, generation int) {
	return s.jar.header(path, time.Now())
}

// Generation is the one that the session is in.
func (s *Session) Generation() int { return s.jar.current() }

// Update takes the cookies of an answer to a request for a path that was sent in a generation, if it is still that one.
func (s *Session) Update(h http.Header, path string, generation int) {
	s.jar.follow(h, path, time.Now(), generation)
}

// Opened says whether the service has opened a session, see jar.opened.
func (s *Session) Opened() bool { return s.jar.opened() }

// Restart begins the session again with what the answer brought that ended it, unless somebody has done so since the given
// generation: services open a session for a request that they refuse, and it would stay open. fetching: by who fetches
// a token, whose turn it is.
func (s *Session) Restart(generation int, fetching bool, h http.Header, path string) {
	if !fetching {
		_ = s.tokens.turn.Lock(context.Background())
		defer s.tokens.turn.Unlock()
	}
	if s.jar.drop(generation, h, path, time.Now()) {
		clear(s.tokens.known)
	}
}

// tokens holds the CSRF tokens of a session, by the path that they were fetched from. One is fetched at a time; the
// others wait for it. turn is the lock.
type tokens struct {
	turn  guard.CtxMutex
	known map[string]*Token
}

// Token is a CSRF token.
type Token struct {
	// Value is "" where the service hands out none.
	Value string
	// Generation is the session's that it belongs to.
	Generation int
	// Accepted: the service has taken it once.
	Accepted atomic.Bool
}

func newTokens() tokens {
	return tokens{turn: guard.NewCtxMutex(), known: map[string]*Token{}}
}

// Token returns the token that is fetched from a path, fetching it if it is not known; a path "" has none, without a
// value. answered is to be called when the request has its answer, or none: the first request with a new token goes
// alone, because services change the session's id with its answer and know the one before no longer. Errors are those
// of fetch, and the context's cause.
func (s *Session) Token(ctx context.Context, from string, fetch func() (string, error)) (token *Token,
	answered func(), err error) {
	t := &s.tokens
	if from == "" {
		return &Token{}, func() {}, nil
	}
	if err := t.turn.Lock(ctx); err != nil {
		return nil, nil, err
	}
	release := t.turn.Unlock
	if known, ok := t.known[from]; ok && known.Generation == s.jar.current() {
		release()
		return known, func() {}, nil
	}
	value, err := fetch()
	if err != nil {
		release()
		return nil, nil, err
	}
	t.known[from] = &Token{Value: value, Generation: s.jar.current()} // generations begin under the lock alone
	return t.known[from], release, nil
}
