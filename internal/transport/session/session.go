package session

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// Session holds cookies and the CSRF tokens issued with them. Restarting it replaces the service's session and
// increments its generation. Safe for concurrent use.
type Session struct {
	jar    jar
	tokens tokens
	// Under the lock of the store: users are requests without an answer yet, open those whose answer has not ended.
	users, open int
}

// Cookies returns the Cookie header for a path, or "", and its generation.
func (s *Session) Cookies(path string) (header string, generation int) {
	return s.jar.header(path, time.Now())
}

func (s *Session) Generation() int { return s.jar.currentGeneration() }

// Update stores an answer's cookies, unless the generation has changed since the request.
func (s *Session) Update(h http.Header, path string, generation int) {
	s.jar.update(h, path, time.Now(), generation)
}

func (s *Session) Opened() bool { return s.jar.opened() }

// Restart begins a new generation with the cookies of the answer that ended the session, unless another request did
// so: services open a session for a rejected request, which would stay open. fetching means that the caller fetches
// a token and holds the lock.
func (s *Session) Restart(generation int, fetching bool, h http.Header, path string) {
	if !fetching {
		_ = s.tokens.lock.Lock(context.Background())
		defer s.tokens.lock.Unlock()
	}
	if s.jar.restart(generation, h, path, time.Now()) {
		clear(s.tokens.known)
	}
}

// tokens holds the CSRF tokens of a session by path. One is fetched at a time; turn is the lock.
type tokens struct {
	lock  guard.CtxMutex
	known map[string]*Token
}

type Token struct {
	// Value is "" where the service hands out none.
	Value string
	// Generation is the session's that it belongs to.
	Generation int
	// Accepted: the service has taken it once.
	Accepted atomic.Bool
}

func newTokens() tokens {
	return tokens{lock: guard.NewCtxMutex(), known: map[string]*Token{}}
}

// Token returns the CSRF token of a path, fetching it if needed; for "" a token without value. answered must be
// called after the answer: the first request with a new token is sent alone, because services change the session id
// with its answer. Errors are those of fetch, and the context's cause.
func (s *Session) Token(ctx context.Context, from string, fetch func() (string, error)) (token *Token,
	answered func(), err error) {
	t := &s.tokens
	if from == "" {
		return &Token{}, func() {}, nil
	}
	if err := t.lock.Lock(ctx); err != nil {
		return nil, nil, err
	}
	release := t.lock.Unlock
	if known, ok := t.known[from]; ok && known.Generation == s.jar.currentGeneration() {
		release()
		return known, func() {}, nil
	}
	value, err := fetch()
	if err != nil {
		release()
		return nil, nil, err
	}
	t.known[from] = &Token{Value: value, Generation: s.jar.currentGeneration()} // generations begin under the lock alone
	return t.known[from], release, nil
}
