package btp

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/culvert-project/culvert/internal/base/loopback"
)

// TokenOptions configure token requests. The zero value fits SAP BTP.
type TokenOptions struct {
	// Verbatim uses TokenURL unchanged. Default: /oauth/token is appended if missing.
	Verbatim bool
	// InHeader sends client id and secret by basic authentication. Default: in the form.
	InHeader bool
	Scope    string      // separated by spaces
	TLS      *tls.Config // default: the system's roots
	// Dial opens connections. Default: that of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy selects a proxy as in http.Transport. Default: http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// ConnectTimeout bounds each of dialing and the TLS handshake. Default 5 s.
	ConnectTimeout time.Duration
	// ReadTimeout bounds the wait for a response, RetryPeriod the retries. Default 30 s each.
	ReadTimeout time.Duration
	RetryPeriod time.Duration
	// Name maps token-url, client-id, client-secret, certificate, key and scope to the user's settings. Default: none.
	Name   func(field string) string
	Logger *slog.Logger
	Clock  func() time.Time
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
	if o.RetryPeriod == 0 {
		o.RetryPeriod = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// Tokens caches an access token and renews it in time. Safe for concurrent use; it has no goroutines.
type Tokens struct {
	options   TokenOptions
	requester *tokenRequester
	cache     cachedValue[string]
}

// NewTokens validates the credentials and sends nothing. Errors are *Failure and name all missing fields.
func NewTokens(c Credentials, o TokenOptions) (*Tokens, error) {
	o = o.withDefaults()
	endpoint, err := c.validate(o)
	if err != nil {
		return nil, err
	}
	r := &tokenRequester{credentials: c, clock: o.Clock}
	name := func(field string) string { return cmp.Or(c.fieldName(field, o.Name), field) }
	r.remoteService = remoteService{c.prefix() + "token service", withoutQuery(endpoint), name, []string{c.Secret}}
	r.config = clientcredentials.Config{ClientID: c.ClientID, ClientSecret: c.Secret, TokenURL: endpoint,
		Scopes: strings.Fields(o.Scope), AuthStyle: oauth2.AuthStyleInParams}
	var pair *tls.Certificate
	switch {
	case c.usesCertificate():
		if pair, err = c.keyPair(o.Clock(), o.Name); err != nil {
			return nil, err
		}
		r.config.ClientSecret = ""
	case o.InHeader:
		r.config.AuthStyle = oauth2.AuthStyleInHeader
	}
	r.client = o.httpClient(pair)
	isEncoded := url.QueryEscape(c.ClientID+c.Secret) != c.ClientID+c.Secret
	if isEncoded && r.config.AuthStyle == oauth2.AuthStyleInHeader {
		r.client.Transport = encodedRoundTripper{r.client.Transport}
	}
	if u, _ := url.Parse(endpoint); u.Scheme == "http" && !loopback.Is(u.Hostname()) {
		o.Logger.Warn("the client secret is sent to the token service without TLS", "url", r.address)
	}
	t := &Tokens{options: o, requester: r}
	t.cache.clock = o.Clock
	t.cache.request = t.request
	t.cache.keepOnError = t.keepOnError
	t.cache.sameValueError = func() error {
		return r.failure(Unauthorized, "client-id", nil, "returned the refused token again")
	}
	t.cache.init()
	return t, nil
}

// Token returns an access token other than refused, which may be "". It is renewed 60 s before it expires, or after
// half its lifetime below 120 s; until it expires callers get it in any case. Errors are *Failure.
func (t *Tokens) Token(ctx context.Context, refused string) (string, error) {
	return t.cache.get(ctx, func(token string) bool { return token == refused })
}

// defaultLifetime is for tokens whose lifetime is unknown.
const defaultLifetime = 5 * time.Minute

// request requests a token, with retries or once.
func (t *Tokens) request(ctx context.Context, retry bool) (cacheEntry[string], error) {
	request := func(ctx context.Context) (tokenResponse, error) {
		r, _, err := t.requester.requestToken(ctx)
		return r, err
	}
	if retry {
		request = t.requestWithRetries
	}
	response, err := request(ctx)
	if err != nil {
		return cacheEntry[string]{}, err
	}
	if response.lifetime <= 0 {
		response.lifetime = defaultLifetime
	}
	t.options.Logger.Debug("token", "url", t.requester.address, "valid-for", response.lifetime)
	now := t.options.Clock()
	return cacheEntry[string]{value: response.token, renew: renewal(now, response.lifetime),
		expires: now.Add(response.lifetime)}, nil
}

// requestWithRetries retries until a response, the end of RetryPeriod or of the context.
func (t *Tokens) requestWithRetries(ctx context.Context) (tokenResponse, error) {
	var response tokenResponse
	err := retryUntil(ctx, t.options.RetryPeriod, func() (time.Duration, error) {
		var atLeast time.Duration
		var err error
		response, atLeast, err = t.requester.requestToken(ctx)
		if err != nil {
			t.options.Logger.Debug("no token", "url", t.requester.address, "error", err)
		}
		return atLeast, err
	})
	return response, err
}

// renewal returns when to renew a token: a minute before it expires, or after half a lifetime below two minutes.
func renewal(now time.Time, lifetime time.Duration) time.Time {
	if lifetime < 2*time.Minute {
		return now.Add(lifetime / 2)
	}
	return now.Add(lifetime - time.Minute)
}

// keepOnError keeps a valid token in any case: resource servers do not call the token service.
func (t *Tokens) keepOnError(err error, left time.Duration) bool {
	t.options.Logger.Warn("token could not be renewed; the old one stays in use", "valid-for", left.Round(time.Second),
		"error", err)
	return true
}
