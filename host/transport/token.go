package transport

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/culvert-project/culvert/wit"
)

// tokens holds the CSRF tokens of a session, by the path that they were fetched from. One is fetched at a time; the
// others wait for it. turn is the lock: a channel, so that waiting ends with the context.
type tokens struct {
	turn  chan struct{}
	known map[string]*csrf
}

// csrf is a token and the jar's session that it belongs to; value "" means that the service hands out none. accepted:
// the service has taken it once.
type csrf struct {
	value    string
	session  int
	accepted atomic.Bool
}

func newTokens() tokens {
	t := tokens{turn: make(chan struct{}, 1), known: map[string]*csrf{}}
	t.turn <- struct{}{}
	return t
}

// token returns the token for a request, by the path that it names, fetching it if it is not known. answered is to be
// called when the request has its answer, or none: the first request with a new token goes alone, because services
// change the session's id with its answer and know the one before no longer.
func (s *session) token(ctx context.Context, c *Client, p *pass, serves *exchange) (token *csrf, answered func(),
	err error) {
	t := &s.tokens
	from := serves.tokenFrom
	if from == "" {
		return &csrf{}, func() {}, nil
	}
	select {
	case <-t.turn:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	release := func() { t.turn <- struct{}{} }
	if known, ok := t.known[from]; ok && known.session == s.jar.current() {
		release()
		return known, func() {}, nil
	}
	value, err := c.fetchToken(ctx, p, serves)
	if err != nil {
		release()
		return nil, nil, err
	}
	t.known[from] = &csrf{value: value, session: s.jar.current()} // sessions begin under the lock alone
	return t.known[from], release, nil
}

// fetchToken tries what the SDKs of SAP try: HEAD, GET, and GET with or without a slash at the end. HEAD is sent once:
// there are gateways that never answer it, and GET asks the same. Where that was so HEAD is not sent again.
func (c *Client) fetchToken(ctx context.Context, p *pass, serves *exchange) (string, error) {
	from := serves.tokenFrom
	path, query, _ := strings.Cut(from, "?")
	other := path + "/"
	if strings.HasSuffix(path, "/") {
		other = strings.TrimSuffix(path, "/")
	}
	if query != "" {
		other += "?" + query
	}
	headless := false
	for _, try := range [][2]string{{http.MethodHead, from}, {http.MethodGet, from}, {http.MethodGet, other}} {
		head := try[0] == http.MethodHead
		if try[1] == "" || head && p.destination.headless.Load() {
			continue
		}
		e := &exchange{method: try[0], line: try[1], client: namedClient(try[1]), repeatable: true, single: head,
			serves: serves, elsewhere: serves.elsewhere,
			header: http.Header{"X-Csrf-Token": {"Fetch"}, "Accept": {"*/*"}}}
		a, err := (&repetition{client: c, e: e, given: p}).run(ctx)
		if errors.Is(err, errNoSecondTry) {
			headless = true
			c.at.Load().config.Logger.Debug("no answer to HEAD for a CSRF token, GET is tried", "from", from, "cause",
				err)
			continue
		}
		if err != nil {
			return "", err
		}
		value := a.token
		switch {
		case value != "" && !strings.EqualFold(value, csrfRequired) && !strings.EqualFold(value, "Fetch"):
			a.discard()
			c.counter.tokens.Add(1)
			if headless {
				p.destination.headless.Store(true)
			}
			return value, nil
		case a.Status == http.StatusUnauthorized:
			return "", faultf(wit.FaultUnauthorized, "%s %s for a CSRF token: answered 401: %s", try[0], try[1],
				a.excerpt())
		case a.Status >= 500 && try[0] == http.MethodGet:
			return "", faultf(wit.FaultTransient, "%s %s for a CSRF token: answered %d: %s", try[0], try[1], a.Status,
				a.excerpt())
		}
		a.discard()
	}
	c.counter.noTokens.Add(1)
	c.at.Load().config.Logger.Debug("service hands out no CSRF token", "from", from)
	return "", nil
}
