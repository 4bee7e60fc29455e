package session

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// Session is a session at a service. Safe for concurrent use.
type Session struct {
	jar         jar
	tokens      tokens
	users, open int // requests without a response yet; with an open response; guarded by Store.mu
}

func (s *Session) Cookies(path string) (header string, generation int) {
	return s.jar.header(path, time.Now())
}

func (s *Session) Generation() int { return s.jar.currentGeneration() }

func (s *Session) Update(h http.Header, path string, generation int) {
	s.jar.update(h, path, time.Now(), generation)
}

func (s *Session) Opened() bool { return s.jar.opened() }

// Restart begins a new generation with the cookies of the response that ended the session, unless another request
// did. fetching means that the caller fetches a token and holds the lock.
func (s *Session) Restart(generation int, fetching bool, h http.Header, path string) {
	if !fetching {
		_ = s.tokens.lock.Lock(context.Background())
		defer s.tokens.lock.Unlock()
	}
	if s.jar.restart(generation, h, path, time.Now()) {
		clear(s.tokens.known)
	}
}

type tokens struct {
	lock  guard.CtxMutex
	known map[string]*Token
}

// Token is a CSRF token of a session's generation. Value is "" if the service returns none.
type Token struct {
	Value      string
	Generation int
	Accepted   atomic.Bool
}

func newTokens() tokens {
	return tokens{lock: guard.NewCtxMutex(), known: map[string]*Token{}}
}

// Token returns the CSRF token of a path, fetching it if needed. answered must be called after the response: the
// first request with a new token is sent alone, since services then change the session id.
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
	t.known[from] = &Token{Value: value, Generation: s.jar.currentGeneration()} // generations only begin under the lock
	return t.known[from], release, nil
}
