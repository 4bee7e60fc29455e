package odatatest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

const sessionCookie = "SAP_SESSIONID_NWD_100"

// session is one logon; it has the CSRF token that was issued in it.
type session struct {
	id      string
	user    string // "" if the service requires no logon
	token   string
	rotates bool // the id changes with the next request
}

// sessions are the open sessions of one application server, by ID.
type sessions struct {
	server string
	mu     sync.Mutex
	open   map[string]*session
	book   *book
}

func newSecret() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}

// count records the fate of a session.
func (s *sessions) count(n *session, change func(l *Ledger, c *SessionCount)) {
	s.book.update(func(l *Ledger) {
		key := n.user + "@" + s.server
		c := l.Sessions[key]
		change(l, &c)
		l.Sessions[key] = c
	})
}

// start opens a session. isOnly ends the user's other sessions.
func (s *sessions) start(user string, isOnly bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isOnly {
		s.endSelected(func(n *session) bool { return n.user == user }, false)
	}
	n := &session{id: newSecret(), user: user, token: newSecret() + "=="}
	s.open[n.id] = n
	s.count(n, func(l *Ledger, c *SessionCount) {
		l.SessionsOpened++
		l.SessionsOpen++
		c.Opened++
		c.Open++
	})
	return n
}

// find returns the open session of a request's cookie, or nil.
func (s *sessions) find(r *http.Request) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range r.Cookies() {
		if n := s.open[c.Value]; c.Name == sessionCookie && n != nil {
			return n
		}
	}
	return nil
}

// renew replaces a session by one with a new ID and the same token; the old ID is then unknown.
func (s *sessions) renew(old *session, rotate bool) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[old.id] != old {
		return old // another request was first
	}
	delete(s.open, old.id)
	n := &session{id: newSecret(), user: old.user, token: old.token, rotates: rotate}
	s.open[n.id] = n
	return n
}

// logoff ends the session of a request.
func (s *sessions) logoff(r *http.Request) {
	n := s.find(r)
	if n == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[n.id] != n {
		return
	}
	delete(s.open, n.id)
	s.count(n, func(l *Ledger, c *SessionCount) {
		l.SessionsOpen--
		l.SessionsLoggedOff++
		c.Open--
		c.LoggedOff++
	})
}

// expire ends all sessions, like a timeout; lost means that the server was killed.
func (s *sessions) expire(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endSelected(func(*session) bool { return true }, lost)
}

// endSelected ends the sessions that a function selects. The caller holds s.mu.
func (s *sessions) endSelected(selects func(*session) bool, lost bool) {
	for id, n := range s.open {
		if !selects(n) {
			continue
		}
		delete(s.open, id)
		s.count(n, func(l *Ledger, c *SessionCount) {
			l.SessionsOpen--
			c.Open--
			if lost {
				c.Lost++
			} else {
				c.TimedOut++
			}
		})
	}
}

// users counts wrong passwords; all application servers share it.
type users struct {
	mu       sync.Mutex
	failures map[string]int
}

// check reports whether a password is right and its user not locked. It counts a wrong password, and a right one resets
// the count.
func (u *users) check(user string, isRight bool, lockAfter int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case lockAfter > 0 && u.failures[user] >= lockAfter:
		return false
	case !isRight:
		u.failures[user]++
		return false
	}
	u.failures[user] = 0
	return true
}

// unlock unlocks all users.
func (u *users) unlock() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.failures)
}

// logon checks the session cookie, then user and password; a wrong password is counted and may lock the user.
func (ex *exchange) logon() *fault {
	s := ex.service
	if ex.sw.ExpireEvery > 0 && s.requests.Add(1)%int64(ex.sw.ExpireEvery) == 0 {
		s.front.expire()
	}
	ex.session = ex.server.sessions.find(ex.r)
	if _, err := ex.r.Cookie(sessionCookie); err == nil && ex.session == nil && ex.sw.SessionEnd == "401" {
		return &fault{status: http.StatusUnauthorized, message: "Session timed out", page: true,
			header: map[string]string{"Set-Cookie": sessionCookie + "=; Path=/; Max-Age=0"}}
	}
	if s.user == "" || ex.session != nil {
		return nil
	}
	user, password, hasCredentials := ex.r.BasicAuth()
	ok := false
	if hasCredentials {
		ok = s.users.check(user, user == s.user && password == s.password, ex.sw.LockAfter)
		s.book.update(func(l *Ledger) {
			if ok {
				l.Logons++
			} else {
				l.FailedLogons++
				l.FailedLogonsOf[user]++
			}
		})
	}
	if !ok {
		return &fault{status: http.StatusUnauthorized, message: "Logon failed",
			header: map[string]string{"WWW-Authenticate": `Basic realm="SAP NetWeaver Application Server [NWD/100]"`}}
	}
	return nil
}

// protect opens the session, issues tokens and rejects writes without one.
func (ex *exchange) protect() *fault {
	s := ex.service
	h := ex.w.Header()
	if !ex.sw.CSRF && s.user == "" {
		return nil
	}
	if ex.session == nil {
		ex.session = ex.server.sessions.start(s.user, ex.sw.OneSession)
		ex.sendCookies()
	} else if ex.session.rotates {
		ex.session = ex.server.sessions.renew(ex.session, false)
		ex.sendCookies()
	}
	if !ex.sw.CSRF {
		return nil
	}
	token := ex.r.Header.Get("X-CSRF-Token")
	switch ex.method {
	case http.MethodGet, http.MethodHead:
		if strings.EqualFold(token, "Fetch") {
			h.Set("x-csrf-token", ex.session.token)
			if ex.sw.RotateSession == "both" {
				ex.session = ex.server.sessions.renew(ex.session, true)
				ex.sendCookies()
			}
		}
	default:
		if token != ex.session.token {
			s.book.update(func(l *Ledger) { l.TokenRefusals++ })
			h.Set("x-csrf-token", "Required")
			return &fault{status: http.StatusForbidden, message: "CSRF token validation failed"}
		}
	}
	return nil
}

func (ex *exchange) sendCookies() {
	ex.w.Header().Del("Set-Cookie")
	if ex.affinity != nil {
		http.SetCookie(ex.w, ex.affinity)
	}
	http.SetCookie(ex.w, &http.Cookie{Name: sessionCookie, Value: ex.session.id, Path: "/", HttpOnly: true})
	http.SetCookie(ex.w, &http.Cookie{Name: "sap-usercontext", Value: "sap-client=100", Path: "/"})
}
