package transport

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// sessionStore holds the sessions at one origin.
type sessionStore struct {
	mu         guard.Mutex
	byIdentity map[[sha256.Size]byte]*sessions
}

func newSessionStore() *sessionStore {
	return &sessionStore{byIdentity: map[[sha256.Size]byte]*sessions{}}
}

// sessions are those of one identity at one origin, shared by all clients that log on alike (P11). A request has a
// session to itself until its answer begins, as long as there may be that many; so a session has one logon, and there
// are no more sessions than requests at a time. They are under the lock of their store.
type sessions struct {
	store   *sessionStore
	key     [sha256.Size]byte
	clients int
	all     []*session
	// idle ones that others used last come last, and are taken first.
	idle []*session
	// stateless: the service has answered well and handed out no cookie.
	stateless bool
}

// session is what belongs together to a service: cookies, and the tokens that were given out with them.
type session struct {
	jar    jar
	tokens tokens
	users  int
}

// of returns the sessions of a destination's identity, for one more client.
func (st *sessionStore) of(d *destination) *sessions {
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q", d.auth.identity, d.config.Headers)) // maps print in order of keys
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.byIdentity[key]
	if s == nil {
		s = &sessions{store: st, key: key}
		st.byIdentity[key] = s
	}
	s.clients++
	return s
}

// part says that a client needs them no more. It returns those that nobody needs, to be logged off.
func (s *sessions) part() []*session {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.clients--; s.clients > 0 {
		return nil
	}
	if s.store.byIdentity[s.key] == s {
		delete(s.store.byIdentity, s.key)
	}
	return s.all
}

// take returns a session for a request: an unused one, else a new one, else, where there are `most` already, the
// session with the fewest users. most 0: there may be any number.
func (s *sessions) take(most int) *session {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var one *session
	switch n := len(s.idle); {
	case n > 0:
		one, s.idle = s.idle[n-1], s.idle[:n-1]
	case most == 0 || len(s.all) < most:
		one = &session{tokens: newTokens()}
		s.all = append(s.all, one)
	default:
		one = slices.MinFunc(s.all, func(a, b *session) int { return a.users - b.users })
	}
	one.users++
	return one
}

func (s *sessions) giveBack(one *session) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if one.users--; one.users == 0 {
		s.idle = append(s.idle, one)
	}
}

// learn notes whether the service opens sessions at all.
func (s *sessions) learn(one *session, status int) {
	if status >= 400 {
		return
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.stateless = one.jar.empty()
}

// opening says whether a request in this session is a logon of its own.
func (s *sessions) opening(one *session) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return !s.stateless && one.jar.empty()
}

// pass is what a request needs to go out: that one more may be under way, and a session.
type pass struct {
	service     *destination // of the client
	destination *destination // which may be another origin
	session     *session
	// rest gives the session back when the answer begins, leave says that the request is over. They may be called
	// several times.
	rest, leave func()
}

type withinKey struct{}

// Within returns a context for requests that are made while an answer is still open, for its sake: they count as one
// with it, since otherwise answers that wait for others could take all the room that there is.
func Within(ctx context.Context) context.Context { return context.WithValue(ctx, withinKey{}, true) }

// Beside returns a context for requests that go out only where the limits of the origin leave room for one more at
// once: else they come to [ErrNoRoom]. It counts for itself, whatever ctx was made for.
func Beside(ctx context.Context) context.Context { return context.WithValue(ctx, withinKey{}, false) }

// isWithin says whether a request counts as one with the answer that it is made for.
func isWithin(ctx context.Context) bool { within, _ := ctx.Value(withinKey{}).(bool); return within }

// isBeside says whether a request is not to wait for others.
func isBeside(ctx context.Context) bool {
	within, some := ctx.Value(withinKey{}).(bool)
	return some && !within
}

// enter waits for room under the origin's limit, and for a session. With given it shares those of the exchange that the
// request serves. service nil: the current destination is used.
func (c *Client) enter(ctx context.Context, given *pass, service *destination, e *exchange) (*pass, error) {
	if given != nil {
		return &pass{given.service, given.destination, given.session, func() {}, func() {}}, nil
	}
	if service == nil {
		var err error
		if service, err = c.current(ctx, false); err != nil {
			return nil, err
		}
	}
	d, err := service.of(e)
	if err != nil {
		return nil, err
	}
	leave := func() {}
	if !isWithin(ctx) {
		enter := d.limits.Enter
		if isBeside(ctx) {
			enter = d.limits.EnterAtOnce
		}
		if err := enter(ctx); err != nil {
			return nil, err
		}
		leave = sync.OnceFunc(d.limits.Done)
	}
	s := d.sessions.take(d.limits.MaxConnections())
	return &pass{service, d, s, sync.OnceFunc(func() { d.sessions.giveBack(s) }), leave}, nil
}

// leave says that the client goes there no more. Sessions that no other client needs are logged off.
func (d *destination) leave() {
	d.logoff(d.sessions.part())
	d.config.Destinations.leave(d)
	d.leaveFurther()
}

// logoffWithin bounds how long sessions are logged off in all.
const logoffWithin = 2 * time.Second

// logoff ends sessions at the service, where it has opened any.
func (d *destination) logoff(all []*session) {
	if d.config.LogoffPath == "" || !d.limits.Window().IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), logoffWithin)
	defer cancel()
	var wg sync.WaitGroup
	turns := make(chan struct{}, defaultConcurrent)
	for _, s := range all {
		cookies, _ := s.jar.header(d.config.LogoffPath, time.Now())
		if !s.jar.opened() || cookies == "" {
			continue
		}
		wg.Go(func() {
			defer guard.Recover(d.config.Logger, "logging off a session", nil)
			turns <- struct{}{}
			defer func() { <-turns }()
			if err := d.logoffOne(ctx, cookies); err != nil {
				d.config.Logger.Warn("a session could not be logged off and is left to time out", "origin",
					d.origin.String(), "error", err)
			}
		})
	}
	wg.Wait()
}

// logoffOne sends no password: a session that the service has forgotten is not to be opened again.
func (d *destination) logoffOne(ctx context.Context, cookies string) error {
	h := http.Header{"Cookie": {cookies}, "User-Agent": {"culvert"}}
	for name, value := range d.config.Headers {
		if d.config.Auth != AuthHeader || slices.Contains(notSecret, name) {
			h.Set(name, value)
		}
	}
	r := (&http.Request{Method: http.MethodGet, URL: d.urlOf(d.logoffLine()), Host: d.origin.authority(), Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	answer, err := d.roundTrip(r)
	if err != nil {
		return err
	}
	d.config.Logger.Debug("session logged off", "origin", d.origin.String(), "status", answer.StatusCode)
	answer.Body.Close()
	if answer.StatusCode == http.StatusForbidden { // 404 comes from services that are none of SAP's
		return fmt.Errorf("%s answered 403: SAP systems do so until it is activated in transaction SICF",
			d.config.LogoffPath)
	}
	return nil
}

// logoffLine is the path that ends a session; the SAP client may be in its query, as guests have it in theirs.
func (d *destination) logoffLine() string {
	if !d.config.ClientInQuery {
		return d.config.LogoffPath
	}
	client := url.Values{}
	for name, value := range d.config.Headers {
		if slices.Contains(notSecret, name) && value != "" {
			client.Set(name, value)
		}
	}
	return addQuery(d.config.LogoffPath, client)
}

// drop begins the session again with what the answer brought that ended it, unless somebody has done so since the given
// one: services open a session for a request that they refuse, and it would stay open. fetching: by who fetches a
// token, whose turn it is.
func (s *session) drop(session int, fetching bool, h http.Header, path string) {
	if !fetching {
		<-s.tokens.turn
		defer func() { s.tokens.turn <- struct{}{} }()
	}
	if s.jar.drop(session, h, path, time.Now()) {
		clear(s.tokens.known)
	}
}

// ended says whether an answer says that the session of its request was ended by the service before anything was done.
// Assumption: ICF's answer 400 says so in the status line or in its page, in English; no document gives its exact
// bytes.
func (a *Answer) ended() bool {
	if a.Status != http.StatusBadRequest || !a.inSession {
		return false
	}
	return saysEnded(a.reason) || !a.holdsData() && saysEnded(a.peek(4<<10))
}

func saysEnded(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "session timed out") || strings.Contains(text, "session not found") ||
		strings.Contains(text, "session no longer exists")
}

// holdsData says whether an answer is in JSON or XML: then the service itself has made it, in a session, and what it
// says of sessions is about its own business. ICF's pages are HTML.
func (a *Answer) holdsData() bool {
	for _, h := range a.Headers {
		if !strings.EqualFold(h.Name, "Content-Type") {
			continue
		}
		kind, _, _ := strings.Cut(strings.ToLower(h.Value), ";")
		kind = strings.TrimSpace(kind)
		if strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "xml") && kind != "application/xhtml+xml" {
			return true
		}
	}
	head := strings.ToLower(strings.TrimLeft(a.peek(4<<10), " \t\r\n\ufeff"))
	return strings.HasPrefix(head, "{") || strings.HasPrefix(head, "<?xml") && !strings.Contains(head, "<html")
}
