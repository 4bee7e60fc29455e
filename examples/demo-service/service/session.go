package service

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

const sessionCookie = "SAP_SESSIONID_NWD_100"

// session is one logon; it holds the CSRF token that was given out in it.
type session struct {
	id     string
	token  string
	rotate bool // the id changes with the next request
}

// sessions are all that are open, by id.
type sessions struct {
	mu       sync.Mutex
	open     map[string]*session
	failures map[string]int // wrong passwords by user
	book     *book
}

func secret() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}

func (s *sessions) start() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &session{id: secret(), token: secret() + "=="}
	s.open[n.id] = n
	s.book.note(func(l *Ledger) { l.SessionsOpened++; l.SessionsOpen = len(s.open) })
	return n
}

func (s *sessions) of(r *http.Request) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.Cookies() {
		if n := s.open[c.Value]; c.Name == sessionCookie && n != nil {
			return n
		}
	}
	return nil
}

// change replaces a session by one with a new id and the same token; the old id is then unknown.
func (s *sessions) change(old *session, rotate bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[old.id] != old {
		return old // another request was first
	}
	delete(s.open, old.id)
	n := &session{id: secret(), token: old.token, rotate: rotate}
	s.open[n.id] = n
	s.book.note(func(l *Ledger) { l.SessionChanges++ })
	return n
}

// arm makes the id change with the next request; the session is replaced, since others may be reading it.
func (s *sessions) arm(old *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[old.id] != old {
		return old
	}
	n := &session{id: old.id, token: old.token, rotate: true}
	s.open[n.id] = n
	return n
}

func (s *sessions) end(r *http.Request) {
	n := s.of(r)
	if n == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, n.id)
	s.book.note(func(l *Ledger) { l.SessionsOpen = len(s.open) })
}

func (s *sessions) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.open)
	s.book.note(func(l *Ledger) { l.SessionsOpen = 0 })
}

// logon checks the session cookie, then user and password; a wrong password is counted and may lock the user.
func (x *exchange) logon() *fault {
	s := x.service
	x.session = s.sessions.of(x.r)
	if s.user == "" || x.session != nil {
		return nil
	}
	user, password, given := x.r.BasicAuth()
	ok := given && user == s.user && password == s.password
	if given {
		s.sessions.mu.Lock()
		if x.sw.LockAfter > 0 && s.sessions.failures[user] >= x.sw.LockAfter {
			ok = false
		} else if !ok {
			s.sessions.failures[user]++
		} else {
			s.sessions.failures[user] = 0
		}
		s.sessions.mu.Unlock()
		s.book.note(func(l *Ledger) {
			if ok {
				l.Logons++
			} else {
				l.FailedLogons++
			}
		})
	}
	if !ok {
		return &fault{status: http.StatusUnauthorized, message: "Logon failed", header: map[string]string{"WWW-Authenticate": `Basic realm="SAP NetWeaver Application Server [NWD/100]"`}}
	}
	return nil
}

// protect opens the session, gives out tokens and refuses writes without one.
func (x *exchange) protect() *fault {
	s, h := x.service, x.w.Header()
	if !x.sw.CSRF && s.user == "" {
		return nil
	}
	if x.session == nil {
		x.session = s.sessions.start()
		x.sendCookies()
	} else if x.session.rotate {
		x.session = s.sessions.change(x.session, false)
		x.sendCookies()
	}
	if !x.sw.CSRF {
		return nil
	}
	token := x.r.Header.Get("X-CSRF-Token")
	switch x.method {
	case http.MethodGet, http.MethodHead:
		if strings.EqualFold(token, "Fetch") {
			s.book.note(func(l *Ledger) { l.TokenFetches++ })
			h.Set("x-csrf-token", x.session.token)
			x.rotateAtFetch()
		}
	default:
		if token != x.session.token {
			s.book.note(func(l *Ledger) { l.TokenRefusals++ })
			h.Set("x-csrf-token", "Required")
			return &fault{status: http.StatusForbidden, message: "CSRF token validation failed"}
		}
	}
	return nil
}

func (x *exchange) rotateAtFetch() {
	switch mode := x.sw.RotateSession; mode {
	case "fetch", "both":
		x.session = x.service.sessions.change(x.session, mode == "both")
		x.sendCookies()
	case "next":
		// Only the answer to the following request brings the new id.
		x.session = x.service.sessions.arm(x.session)
	}
}

func (x *exchange) sendCookies() {
	x.w.Header().Del("Set-Cookie")
	http.SetCookie(x.w, &http.Cookie{Name: sessionCookie, Value: x.session.id, Path: "/", HttpOnly: true})
	http.SetCookie(x.w, &http.Cookie{Name: "sap-usercontext", Value: "sap-client=100", Path: "/"})
}
