package transport

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/culvert-project/culvert/wit"
)

// Logons remembers which secrets were refused, so that a wrong one is sent once and not until the user is locked (P10). One is
// shared by all clients of a process. Until a secret was accepted, requests with it go one after another. It lives in memory: a
// restart forgets it. Safe for use by several goroutines.
type Logons struct {
	mu     sync.Mutex
	logons map[[sha256.Size]byte]*logon
}

// processLogons is what clients use that were given none.
var processLogons = NewLogons()

// NewLogons returns an empty memory.
func NewLogons() *Logons { return &Logons{logons: map[[sha256.Size]byte]*logon{}} }

type logon struct {
	origin, user string
	turn         chan struct{} // holds one token: the right to try
	mu           sync.Mutex
	state        logonState
}

type logonState int

const (
	untried logonState = iota
	accepted
	refused
)

// of returns the logon of a secret; nil when there is no user. The secret itself is not kept.
func (l *Logons) of(o origin, user, secret string) *logon {
	if user == "" {
		return nil
	}
	key := sha256.Sum256([]byte(o.String() + "\x00" + user + "\x00" + secret))
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.logons[key]
	if g == nil {
		g = &logon{origin: o.String(), user: user, turn: make(chan struct{}, 1)}
		g.turn <- struct{}{}
		l.logons[key] = g
	}
	return g
}

// enter waits until the secret may be sent. done must be called with the status of the answer, 0 if none came.
func (g *logon) enter(ctx context.Context) (done func(status int), err error) {
	if g == nil {
		return func(int) {}, nil
	}
	if g.current() == untried {
		select {
		case <-g.turn:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if g.current() == untried {
			return func(status int) { g.learn(status); g.turn <- struct{}{} }, nil
		}
		g.turn <- struct{}{}
	}
	if g.current() == refused {
		return nil, faultf(wit.FaultUnauthorized, "%s: the password of user %q was refused (401) and is not sent again, "+
			"because SAP locks users after a few failures: change user or password, or restart to try once more", g.origin, g.user)
	}
	return g.learn, nil
}

func (g *logon) current() logonState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

func (g *logon) learn(status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case status == 401:
		g.state = refused
	case status != 0 && status < 500 && g.state == untried:
		// a gateway that answers 503 has not looked at the secret
		g.state = accepted
	}
}
