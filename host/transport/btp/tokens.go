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
	requestOnce    tokenRequest
	cache    cachedValue[string]
}

// tokenRequest asks a service for a token once. atLeast is the pause that the service asks for. Errors are *Failure.
type tokenRequest func(ctx context.Context) (g granted, atLeast time.Duration, err error)

// NewTokens checks the credentials; nothing is asked for yet. Errors are *Failure and name all fields that are missing.
func NewTokens(c Credentials, o TokenOptions) (*Tokens, error) {
	o = o.withDefaults()
	r, err := newRequester(c, o)
	if err != nil {
		return nil, err
	}
	return cacheTokens(&r.partner, "client-id", r.once, o), nil
}

// cacheTokens keeps those of a service. whose is the field that says who logs on there.
func cacheTokens(p *partner, whose string, once tokenRequest, o TokenOptions) *Tokens {
	t := &Tokens{options: o, address: p.address, requestOnce: once}
	t.cache.clock, t.cache.request, t.cache.keepOnError = o.Clock, t.request, t.keepOnError
	t.cache.sameValueError = func() error {
		return p.failure(Unauthorized, whose, nil, "hands out again the token that was refused")
	}
	t.cache.start()
	return t
}

// Token is an access token other than the refused one; refused "" takes any. A token is renewed 60 s before it expires,
// or at half of its life if that is shorter than 120 s. One renewal runs at a time. While an old token is still valid,
// callers get it and a token service that is down stops nobody. Errors are *Failure.
func (t *Tokens) Token(ctx context.Context, refused string) (string, error) {
	return t.cache.get(ctx, func(token string) bool { return token == refused })
}

// defaultLifetime is taken for tokens of which nothing says how long they live.
const defaultLifetime = 5 * time.Minute

func (t *Tokens) request(ctx context.Context, patient bool) (grant[string], error) {
	once := func(ctx context.Context) (granted, error) { g, _, err := t.requestOnce(ctx); return g, err }
	if patient {
		once = t.requestPatiently
	}
	g, err := once(ctx)
	if err != nil {
		return grant[string]{}, err
	}
	if g.lifetime <= 0 {
		g.lifetime = defaultLifetime
	}
	t.options.Logger.Debug("token", "url", t.address, "valid-for", g.lifetime)
	now := t.options.Clock()
	return grant[string]{value: g.token, renew: renewal(now, g.lifetime), expires: now.Add(g.lifetime)}, nil
}

// requestPatiently asks until there is an answer, the context ends or the patience does. Pauses grow from 100 ms.
func (t *Tokens) requestPatiently(ctx context.Context) (granted, error) {
	var g granted
	err := retryUntil(ctx, t.options.Patience, func() (time.Duration, error) {
		var atLeast time.Duration
		var err error
		g, atLeast, err = t.requestOnce(ctx)
		if err != nil {
			t.options.Logger.Debug("no token", "url", t.address, "error", err)
		}
		return atLeast, err
	})
	return g, err
}

// renewal is when a token that lives so long from now on is to be renewed.
func renewal(now time.Time, lifetime time.Duration) time.Time {
	if lifetime < 2*time.Minute {
		return now.Add(lifetime / 2)
	}
	return now.Add(lifetime - time.Minute)
}

// keepOnError keeps a valid token whatever the token service says: those who look at tokens do not ask it.
func (t *Tokens) keepOnError(err error, left time.Duration) bool {
	t.options.Logger.Warn("token could not be renewed, the old one serves on", "valid-for", left.Round(time.Second),
		"error", err)
	return true
}
