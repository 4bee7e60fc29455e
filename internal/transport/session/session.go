package session

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// Session is a session at a service. Safe for concurrent use.
type Session struct {
	jar    jar
	tokens tokens
	// reads counts the reads whose session this is.
	reads atomic.Int32
	// users counts the requests without a response yet. Store.mu guards it and the fields below.
	users int
	// open counts the requests whose response has not been read yet.
	open int
	// turns holds the reads that wait for the session, first come first.
	turns []*turn
	// hasEnded means that [Pool.Replace] has removed the session.
	hasEnded bool
	created  time.Time
	// earlyEnds is the result of EarlyEnds.
	earlyEnds int
}

// earlyEndAge is the age below which the end of a session is early: idle sessions live for minutes at least.
const earlyEndAge = time.Minute

func newSession() *Session {
	return &Session{tokens: tokens{lock: guard.NewCtxMutex(), byPath: map[string]*Token{}}, created: time.Now()}
}

// EarlyEnds returns how many predecessors in a row ended within [earlyEndAge]. A service that restarts ends each
// session once; one that allows a user one session does it again and again.
func (s *Session) EarlyEnds() int { return s.earlyEnds }

// Cookies holds the Cookie header of a request, and what it proves.
type Cookies struct {
	// Header is the value of the request's header, or "".
	Header string
	// Generation is the generation of the session.
	Generation int
	// Proven reports whether the service opened the session and has accepted a request in it, so that only the end of
	// the session, or of the user's right to log on, explains a 401.
	Proven bool
}

// Cookies returns the cookies for a path.
func (s *Session) Cookies(path string) Cookies { return s.jar.header(path, time.Now()) }

// Update stores the cookies of a response to a request of a generation, which the service accepted or not.
func (s *Session) Update(h http.Header, path string, generation int, accepted bool) {
	s.jar.update(h, path, time.Now(), generation, accepted)
}

// Opened reports whether the service has opened the session: there is a cookie that identifies it.
func (s *Session) Opened() bool {
	s.jar.mu.Lock()
	defer s.jar.mu.Unlock()
	return slices.ContainsFunc(s.jar.cookies, cookie.isSession)
}

// Restart begins a new generation with a response's cookies, unless another request did. It does not wait.
func (s *Session) Restart(generation int, h http.Header, path string) {
	s.jar.restart(generation, h, path, time.Now())
}

// tokens holds the newest CSRF token by path. Tokens of former generations are replaced at their next use.
type tokens struct {
	lock   guard.CtxMutex // held while a token is fetched and during its first request
	byPath map[string]*Token
}

// Token is a CSRF token of a session's generation. Value is "" if the service returns none.
type Token struct {
	Value      string
	Generation int
	Accepted   atomic.Bool
}

// Token returns the CSRF token of a path, fetching it if needed; for the path "" an empty one. answered must be called
// after the response: the first request with a new token is sent alone, since services then change the session id.
func (s *Session) Token(ctx context.Context, path string,
	fetch func() (*Token, error)) (token *Token, answered func(), err error) {
	t := &s.tokens
	if path == "" {
		return &Token{}, func() {}, nil
	}
	if err := t.lock.Lock(ctx); err != nil {
		return nil, nil, err
	}
	if token, ok := t.byPath[path]; ok && token.Generation == s.jar.currentGeneration() {
		t.lock.Unlock()
		return token, func() {}, nil
	}
	if token, err = fetch(); err != nil {
		t.lock.Unlock()
		return nil, nil, err
	}
	t.byPath[path] = token
	return token, t.lock.Unlock, nil
}
