package btp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/culvert-project/culvert/internal/base/loopback"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/keystore"
)

// tokenRequester asks a token service for tokens: one set of credentials, no memory.
type tokenRequester struct {
	remoteService
	credentials Credentials
	clock       func() time.Time
	config      clientcredentials.Config
	client      *http.Client
}

// tokenResponse is an answer. life is 0 if the service did not say how long the token lives.
type tokenResponse struct {
	token    string
	lifetime time.Duration
}

func newTokenRequester(c Credentials, o TokenOptions) (*tokenRequester, error) {
	endpoint, err := c.validate(o)
	if err != nil {
		return nil, err
	}
	r := &tokenRequester{credentials: c, clock: o.Clock, remoteService: remoteService{c.prefix() + "token service",
		withoutQuery(endpoint), func(field string) string { return cmp.Or(c.fieldName(field, o.Name), field) },
		[]string{c.Secret}}}
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
	if encoded := url.QueryEscape(c.ClientID + c.Secret); r.config.AuthStyle == oauth2.AuthStyleInHeader &&
		encoded != c.ClientID+c.Secret {
		r.client.Transport = encodedRoundTripper{r.client.Transport}
	}
	if u, _ := url.Parse(endpoint); u.Scheme == "http" && !loopback.Is(u.Hostname()) {
		o.Logger.Warn("secret of the token service goes over the network without TLS", "url", r.address)
	}
	return r, nil
}

// encodedRoundTripper tells the UAA, on which XSUAA is built, that basic authentication is form-encoded as RFC 6749
// wants it: without, it takes the `%21` of `sb-app!b123` for three characters. Other servers pass over the header.
type encodedRoundTripper struct{ next http.RoundTripper }

func (s encodedRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-CF-ENCODED-CREDENTIALS", "true")
	return s.next.RoundTrip(r)
}

// untracedContext keeps from the hooks of a caller's request what becomes of ours: who asks for a token in the middle
// of a request would take the token service's news for news of that request, and count it as sent.
type untracedContext struct{ context.Context }

func (u untracedContext) Value(key any) any {
	v := u.Context.Value(key)
	if _, hooks := v.(*httptrace.ClientTrace); hooks {
		return nil
	}
	return v
}

// wholeBodyRoundTripper makes requests that the caller's httptrace does not see, and reads each answer to its end: one
// that breaks off is an error of the connection, not of its text.
type wholeBodyRoundTripper struct{ next http.RoundTripper }

// maxAnswer is in bytes.
const maxAnswer = 1 << 20

func (w wholeBodyRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r.WithContext(untracedContext{r.Context()}))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("answered %d, and broke off: %w", answer.StatusCode, err)
	}
	if len(body) > maxAnswer {
		return nil, &Failure{Kind: Misconfigured, text: fmt.Sprintf("expected at most %d bytes, found more", maxAnswer)}
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		// some call it text/plain, which package oauth2 takes for a form
		answer.Header.Set("Content-Type", "application/json")
	}
	return answer, nil
}

// httpClient makes one connection for each request, since requests are minutes apart, and follows no redirect: it would
// take a secret elsewhere.
func (o TokenOptions) httpClient(pair *tls.Certificate) *http.Client {
	config := o.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if pair != nil {
		config.Certificates, config.GetClientCertificate = []tls.Certificate{*pair}, nil
	}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
			defer cancel()
			return dial(ctx, network, address)
		},
		Proxy: o.Proxy, TLSClientConfig: config, TLSHandshakeTimeout: o.ConnectTimeout,
		ResponseHeaderTimeout: o.ReadTimeout, DisableKeepAlives: true,
	}
	var roundTripper http.RoundTripper = transport
	if o.RoundTripper != nil {
		roundTripper = o.RoundTripper(transport)
	}
	return &http.Client{
		Timeout:       2*o.ConnectTimeout + o.ReadTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     wholeBodyRoundTripper{roundTripper},
	}
}

// Pauses between tries.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// retryUntil tries until it succeeds, a failure is not temporary, or the next try would begin after the patience or the
// context has ended.
func retryUntil(ctx context.Context, patience time.Duration, try func() (atLeast time.Duration, err error)) error {
	began := time.Now()
	for backoff := (pause.Backoff{First: firstPause, Longest: lastPause}); ; {
		atLeast, err := try()
		failure, _ := errors.AsType[*Failure](err)
		if failure == nil || !failure.Temporary() || ctx.Err() != nil {
			return err
		}
		next := backoff.Next()
		wait := max(next+rand.N(next/2), atLeast)
		if deadline, ok := ctx.Deadline(); time.Since(began)+wait > patience || ok && time.Until(deadline) < wait {
			return err
		}
		if cause := pause.For(ctx, wait); cause != nil {
			return &Failure{Kind: Unavailable, Setting: failure.Setting, Status: failure.Status, text: failure.text,
				err: errors.Join(cause, failure.err)}
		}
	}
}

// once asks once. atLeast is the pause that the service asks for.
func (r *tokenRequester) requestToken(ctx context.Context) (g tokenResponse, atLeast time.Duration, err error) {
	t, err := r.config.Token(context.WithValue(ctx, oauth2.HTTPClient, r.client))
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return tokenResponse{}, seconds(refusal.Response.Header.Get("Retry-After")), r.refusalFailure(refusal)
	}
	if lost, ok := errors.AsType[*url.Error](err); ok {
		field := "token-url"
		if r.credentials.usesCertificate() && keystore.ClassOf(lost) == keystore.Alert {
			field = "certificate"
		}
		return tokenResponse{}, 0, r.connectionFailure(ctx, field, lost)
	}
	if err != nil {
		return tokenResponse{}, 0, r.failure(Misconfigured, "token-url", nil,
			"expected a JSON object with access_token, but %s",
			strings.TrimPrefix(quote(err.Error(), r.secrets...), "oauth2: "))
	}
	g = tokenResponse{token: t.AccessToken, lifetime: seconds(t.Extra("expires_in"))}
	if g.lifetime <= 0 {
		g.lifetime = lifetimeOf(t.AccessToken, r.clock())
	}
	if strings.ContainsAny(g.token, " \t\r\n") {
		return tokenResponse{}, 0, r.failure(Misconfigured, "token-url", nil,
			"expected an access_token, found one with blanks or line breaks")
	}
	return g, 0, nil
}

// refusalFailure explains an answer that is no success.
func (r *tokenRequester) refusalFailure(e *oauth2.RetrieveError) *Failure {
	status := e.Response.StatusCode
	answered := r.statusMessage(status, cmp.Or(strings.TrimSpace(e.ErrorCode+" "+e.ErrorDescription), string(e.Body)))
	var f *Failure
	client := r.name("client-id") + " and " + r.name("client-secret")
	if r.credentials.usesCertificate() {
		client = r.name("client-id") + ", " + r.name("certificate") + " and " + r.name("key")
	}
	switch {
	case status == http.StatusUnauthorized, e.ErrorCode == "invalid_client":
		f = r.failure(Unauthorized, "client-id", nil,
			"%s: look at %s; a secret ends when its binding or service key is deleted", answered, client)
	case e.ErrorCode == "invalid_scope":
		f = r.failure(Misconfigured, "scope", nil, "%s", answered)
	case e.ErrorCode == "unauthorized_client":
		f = r.failure(Unauthorized, "client-id", nil, "%s: the client may not ask for client credentials", answered)
	case status == http.StatusForbidden:
		f = r.failure(Unauthorized, "client-id", nil, "%s", answered)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		f = r.failure(Misconfigured, "token-url", nil, "%s: no token service at this address", answered)
	case isRedirect(status):
		f = r.redirectFailure("token-url", answered, e.Response.Header.Get("Location"))
	case isTransientStatus(status):
		f = r.failure(Unavailable, "token-url", nil, "%s", answered)
	default:
		f = r.failure(Misconfigured, "token-url", nil, "%s", answered)
	}
	f.Status = status
	return f
}

// seconds reads a number of seconds, as JSON or text has it, 0 if there is none.
func seconds(v any) time.Duration {
	var n float64
	switch v := v.(type) {
	case float64:
		n = v
	case int64:
		n = float64(v)
	case string:
		n, _ = strconv.ParseFloat(strings.TrimSpace(v), 64)
	}
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n, maxLifetime.Seconds()) * float64(time.Second))
}

// maxLifetime bounds what a service can say of a token: a wrong unit must not keep one for centuries.
const maxLifetime = 30 * 24 * time.Hour

// lifetimeOf is until a JWT's own expiry, for services that leave out expires_in. It counts on both clocks being right,
// so it is second choice. 0: not a JWT, or it does not say.
func lifetimeOf(token string, now time.Time) time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expiry <= 0 || claims.Expiry > 1e11 {
		return 0
	}
	return time.Unix(int64(claims.Expiry), 0).Sub(now)
}
