package btp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
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
	// TLS holds the roots, and a client certificate where Credentials has none. Default: the system's roots.
	TLS *tls.Config
	// Dial makes connections. Default: plain TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy is as in http.Transport. Default: http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// RoundTripper leads requests another way than Dial and Proxy, as it does those to the service. Default: none.
	RoundTripper func(*http.Transport) http.RoundTripper
	// ConnectTimeout bounds dialling and the TLS handshake each. Default 5 s.
	ConnectTimeout time.Duration
	// ReadTimeout bounds the wait for an answer. Default 30 s.
	ReadTimeout time.Duration
	// Patience is how long a service that does not answer is asked again and again, if the context allows. Default 30
	// s.
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
	address string
	once    asks
	kept    kept[string]
}

// asks asks a service for a token once. atLeast is the pause that the service asks for. Errors are *Failure.
type asks func(ctx context.Context) (g granted, atLeast time.Duration, err error)

// NewTokens checks the credentials; nothing is asked for yet. Errors are *Failure and name all fields that are missing.
func NewTokens(c Credentials, o TokenOptions) (*Tokens, error) {
	o = o.withDefaults()
	r, err := newRequester(c, o)
	if err != nil {
		return nil, err
	}
	return keepTokens(&r.partner, "client-id", r.once, o), nil
}

// keepTokens keeps those of a service. whose is the field that says who logs on there.
func keepTokens(p *partner, whose string, once asks, o TokenOptions) *Tokens {
	t := &Tokens{options: o, address: p.address, once: once}
	t.kept.clock, t.kept.ask, t.kept.late = o.Clock, t.ask, t.late
	t.kept.same = func() error {
		return p.failure(Unauthorized, whose, nil, "hands out again the token that was refused")
	}
	t.kept.start()
	return t
}

// Token is an access token other than the refused one; refused "" takes any. A token is renewed 60 s before it expires,
// or at half of its life if that is shorter than 120 s. One renewal runs at a time. While an old token is still valid,
// callers get it and a token service that is down stops nobody. Errors are *Failure.
func (t *Tokens) Token(ctx context.Context, refused string) (string, error) {
	return t.kept.get(ctx, func(token string) bool { return token == refused })
}

// unknownLife is taken for tokens of which nothing says how long they live.
const unknownLife = 5 * time.Minute

func (t *Tokens) ask(ctx context.Context, patient bool) (grant[string], error) {
	once := func(ctx context.Context) (granted, error) { g, _, err := t.once(ctx); return g, err }
	if patient {
		once = t.patient
	}
	g, err := once(ctx)
	if err != nil {
		return grant[string]{}, err
	}
	if g.life <= 0 {
		g.life = unknownLife
	}
	t.options.Logger.Debug("token", "url", t.address, "valid-for", g.life)
	now := t.options.Clock()
	return grant[string]{value: g.token, renew: renewal(now, g.life), expires: now.Add(g.life)}, nil
}

// patient asks until there is an answer, the context ends or the patience does. Pauses grow from 100 ms.
func (t *Tokens) patient(ctx context.Context) (granted, error) {
	var g granted
	err := insist(ctx, t.options.Patience, func() (time.Duration, error) {
		var atLeast time.Duration
		var err error
		g, atLeast, err = t.once(ctx)
		if err != nil {
			t.options.Logger.Debug("no token", "url", t.address, "error", err)
		}
		return atLeast, err
	})
	return g, err
}

// renewal is when a token that lives so long from now on is to be renewed.
func renewal(now time.Time, life time.Duration) time.Time {
	if life < 2*time.Minute {
		return now.Add(life / 2)
	}
	return now.Add(life - time.Minute)
}

// late keeps a valid token whatever the token service says: those who look at tokens do not ask it.
func (t *Tokens) late(err error, left time.Duration) bool {
	t.options.Logger.Warn("token could not be renewed, the old one serves on", "valid-for", left.Round(time.Second),
		"error", err)
	return true
}
