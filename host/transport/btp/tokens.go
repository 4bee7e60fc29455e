package btp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// TokenOptions say how tokens are asked for. The zero value is what SAP BTP wants.
type TokenOptions struct {
	// Verbatim: TokenURL is the whole address. Default: /oauth/token is appended unless it is there.
	Verbatim bool
	// InHeader sends client id and secret as basic authentication. Default: in the form. Never both.
	InHeader bool
	// Scope is a list with blanks between. Default: none is asked for.
	Scope string
	// Form is further fields of the request, such as `resource` of SAP Identity Authentication.
	Form url.Values
	// TLS holds the roots, and a client certificate where Credentials has none. Default: the system's roots.
	TLS *tls.Config
	// Dial makes connections. Default: plain TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy is as in http.Transport. Default: http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// ConnectTimeout bounds dialling and the TLS handshake each. Default 5 s.
	ConnectTimeout time.Duration
	// ReadTimeout bounds the wait for an answer. Default 30 s.
	ReadTimeout time.Duration
	// Patience is how long a service that does not answer is asked again and again, if the context allows. Default 30 s.
	Patience time.Duration
	// Name is how the user calls token-url, client-id, client-secret, certificate, key, scope. Default: so.
	Name func(field string) string
	// Logger. Default: discards. No token and no secret is ever given to it.
	Logger *slog.Logger
	// Clock tells the time. Default time.Now.
	Clock func() time.Time
}

func (o TokenOptions) withDefaults() TokenOptions {
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 5 * time.Second
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 30 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// Tokens keeps an access token and renews it in time. Safe for use by several goroutines; it has none of its own.
type Tokens struct {
	options TokenOptions
	// turn is held by whoever asks the service: a channel, so that waiting for it ends with the context.
	turn chan struct{}

	mu      sync.Mutex
	request *requester
	held    held
	// attempts counts requests that ended, failed is how the last one did: who waited meanwhile shares it.
	attempts int
	failed   error
}

// held is a token. value "": none.
type held struct {
	value          string
	renew, expires time.Time
}

// NewTokens checks the credentials; nothing is asked for yet. Errors are *Failure and name all fields that are missing.
func NewTokens(c Credentials, o TokenOptions) (*Tokens, error) {
	o = o.withDefaults()
	r, err := newRequester(c, o)
	if err != nil {
		return nil, err
	}
	t := &Tokens{options: o, request: r, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t, nil
}

// Token is an access token other than the refused one; refused "" takes any. A token is renewed 60 s before it expires, or at half of its
// life if that is shorter than 120 s. One renewal runs at a time. While an old token is still valid, callers get it and a token
// service that is down stops nobody. Errors are *Failure.
func (t *Tokens) Token(ctx context.Context, refused string) (string, error) {
	for {
		h, attempts := t.look(refused)
		now := t.options.Clock()
		switch {
		case h.value != "" && now.Before(h.renew):
			return h.value, nil
		case h.value != "":
			t.renewEarly(ctx, h)
			if h, _ = t.look(refused); h.value != "" {
				return h.value, nil
			}
			continue // changed meanwhile
		}
		value, again, err := t.fetch(ctx, refused, attempts)
		if !again {
			return value, err
		}
	}
}

// look is the token in hand if it is valid and not the refused one.
func (t *Tokens) look(refused string) (h held, attempts int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held.value != "" && t.held.value != refused && t.options.Clock().Before(t.held.expires) {
		h = t.held
	}
	return h, t.attempts
}

// earlyPatience bounds a renewal that can wait, since a caller waits for it.
const earlyPatience = 10 * time.Second

// renewEarly asks once for the successor of a token that is still valid, unless somebody else is about it.
func (t *Tokens) renewEarly(ctx context.Context, old held) {
	select {
	case <-t.turn:
	default:
		return
	}
	defer func() { t.turn <- struct{}{} }()
	if h, _ := t.look(""); h != old {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, earlyPatience)
	defer cancel()
	r := t.requester()
	g, _, err := r.once(ctx)
	if err == nil {
		t.keep(r, g)
		return
	}
	now := t.options.Clock()
	left := old.expires.Sub(now)
	t.options.Logger.Warn("token could not be renewed, the old one serves on", "valid-for", left.Round(time.Second), "error", err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == old {
		t.held.renew = now.Add(min(earlyPatience, left/4)) // the next one tries then
	}
}

// fetch asks for a token with patience; callers that wait for their turn meanwhile share what comes of it. again: look once more.
func (t *Tokens) fetch(ctx context.Context, refused string, attempts int) (value string, again bool, err error) {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return "", false, &Failure{Kind: Unavailable, err: context.Cause(ctx), text: "waiting for a token: " + context.Cause(ctx).Error()}
	}
	defer func() { t.turn <- struct{}{} }()
	if h, _ := t.look(refused); h.value != "" {
		return h.value, false, nil
	}
	t.mu.Lock()
	r, shared := t.request, t.failed
	if t.attempts == attempts {
		shared = nil
	}
	t.mu.Unlock()
	if shared != nil {
		return "", false, shared
	}
	g, err := r.patient(ctx)
	switch {
	case err != nil:
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.request != r {
			return "", true, nil
		}
		t.attempts++
		if t.failed = err; ctx.Err() != nil {
			t.failed = nil // this caller's own end is not the others'
		}
		return "", false, err
	case g.token == refused:
		return "", false, r.failure(Unauthorized, "client-id", nil, "hands out again the token that was refused")
	case !t.keep(r, g):
		return "", true, nil
	}
	t.options.Logger.Debug("token", "url", r.place(), "valid-for", g.life)
	return g.token, false, nil
}

func (t *Tokens) requester() *requester {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.request
}

// unknownLife is taken for tokens of which nothing tells how long they live.
const unknownLife = 5 * time.Minute

// keep remembers a token, unless the credentials have changed meanwhile.
func (t *Tokens) keep(r *requester, g granted) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.request != r {
		return false
	}
	if g.life <= 0 {
		g.life = unknownLife
	}
	now := t.options.Clock()
	t.held = held{value: g.token, renew: renewal(now, g.life), expires: now.Add(g.life)}
	t.attempts, t.failed = t.attempts+1, nil
	return true
}

// renewal is when a token that lives so long from now on is to be renewed.
func renewal(now time.Time, life time.Duration) time.Time {
	if life < 2*time.Minute {
		return now.Add(life / 2)
	}
	return now.Add(life - time.Minute)
}

// Change takes other credentials from now on, as when a secret was rotated. The token in hand is given up.
func (t *Tokens) Change(c Credentials) error {
	r, err := newRequester(c, t.options)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.request, t.held, t.failed = r, held{}, nil
	return nil
}
