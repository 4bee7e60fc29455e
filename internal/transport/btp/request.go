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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/keystore"
)

// tokenRequester requests access tokens with client credentials. It caches nothing; see [Tokens].
type tokenRequester struct {
	remoteService
	credentials Credentials
	clock       func() time.Time
	config      clientcredentials.Config
	client      *http.Client
}

// tokenResponse is a token. Zero lifetime means unknown.
type tokenResponse struct {
	token    string
	lifetime time.Duration
}

// encodedRoundTripper tells the UAA, on which XSUAA is built, that basic authentication is form-encoded (RFC 6749);
// otherwise it does not decode `sb-app%21b123`. Other servers ignore the header.
type encodedRoundTripper struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (e encodedRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-CF-ENCODED-CREDENTIALS", "true")
	return e.next.RoundTrip(r)
}

// untracedContext hides the httptrace hooks of the caller's request, which would count a token request as sent.
type untracedContext struct{ context.Context }

// Value implements [context.Context].
func (u untracedContext) Value(key any) any {
	v := u.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// wholeBodyRoundTripper reads responses to their end, and hides requests from the caller's httptrace.
type wholeBodyRoundTripper struct{ next http.RoundTripper }

const maxAnswer = 1 << 20 // bytes

// RoundTrip implements [http.RoundTripper].
func (w wholeBodyRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r.WithContext(untracedContext{r.Context()}))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("status %d, but the response ended early: %w", answer.StatusCode, err)
	}
	if len(body) > maxAnswer {
		return nil, &Failure{Kind: Misconfigured, text: fmt.Sprintf("expected at most %d bytes, found more", maxAnswer)}
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		// Some services declare text/plain, which package oauth2 parses as a form.
		answer.Header.Set("Content-Type", "application/json")
	}
	return answer, nil
}

// httpClient returns a client that keeps no connections, since requests are minutes apart, and follows no redirect,
// which would send the secret elsewhere. pair is its certificate, or nil.
func (o TokenOptions) httpClient(pair *tls.Certificate) *http.Client {
	config := o.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if pair != nil {
		config.Certificates = []tls.Certificate{*pair}
		config.GetClientCertificate = nil
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
		OnProxyConnectResponse: checkConnect,
	}
	return &http.Client{
		Timeout:       2*o.ConnectTimeout + o.ReadTimeout, // dialing, TLS, response
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     wholeBodyRoundTripper{transport},
	}
}

// checkConnect returns a failure with status 407 if a proxy requires or rejects user and password, because a retry
// could lock the user. Tinyproxy answers 401 for a wrong password.
func checkConnect(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusProxyAuthRequired && answer.StatusCode != http.StatusUnauthorized {
		return nil
	}
	return &Failure{Kind: Misconfigured, Status: http.StatusProxyAuthRequired, text: fmt.Sprintf(
		"the proxy %s answered %s: it requires a user and a password, or rejected them", proxy.Host, answer.Status)}
}

// Pauses between attempts.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// retryUntil repeats try while its failure is temporary and the next attempt would start within period and ctx.
func retryUntil(ctx context.Context, period time.Duration, try func() (atLeast time.Duration, err error)) error {
	began := time.Now()
	for backoff := (pause.Backoff{First: firstPause, Longest: lastPause}); ; {
		atLeast, err := try()
		failure, _ := errors.AsType[*Failure](err)
		if failure == nil || !failure.Temporary() || ctx.Err() != nil {
			return err
		}
		next := backoff.Next()
		wait := max(next+rand.N(next/2), atLeast)
		if deadline, ok := ctx.Deadline(); time.Since(began)+wait > period || (ok && time.Until(deadline) < wait) {
			return err
		}
		if cause := pause.For(ctx, wait); cause != nil {
			return &Failure{Kind: Unavailable, Setting: failure.Setting, Status: failure.Status, text: failure.text,
				err: errors.Join(cause, failure.err)}
		}
	}
}

// requestToken makes one request. atLeast is the pause that the service requests.
func (r *tokenRequester) requestToken(ctx context.Context) (response tokenResponse, atLeast time.Duration, err error) {
	token, err := r.config.Token(context.WithValue(ctx, oauth2.HTTPClient, r.client))
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		wait := pause.RetryAfter(refusal.Response.Header.Get("Retry-After"), time.Now())
		return tokenResponse{}, wait, r.refusalFailure(refusal)
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		field := "token-url"
		if r.credentials.usesCertificate() && keystore.ClassOf(urlErr) == keystore.Alert {
			field = "certificate"
		}
		return tokenResponse{}, 0, r.connectionFailure(ctx, field, urlErr)
	}
	if err != nil {
		return tokenResponse{}, 0, r.failure(Misconfigured, "token-url", nil,
			"expected a JSON object with access_token, but %s",
			strings.TrimPrefix(quote(err.Error(), r.secrets...), "oauth2: "))
	}
	response = tokenResponse{token: token.AccessToken, lifetime: seconds(token.Extra("expires_in"))}
	if response.lifetime <= 0 {
		response.lifetime = lifetimeOf(token.AccessToken, r.clock())
	}
	if strings.ContainsAny(response.token, " \t\r\n") {
		return tokenResponse{}, 0, r.failure(Misconfigured, "token-url", nil,
			"expected an access_token, found one with spaces or line breaks")
	}
	return response, 0, nil
}

// refusalFailure returns the failure of an answer without a token.
func (r *tokenRequester) refusalFailure(refusal *oauth2.RetrieveError) *Failure {
	status := refusal.Response.StatusCode
	statusText := r.statusMessage(status, cmp.Or(strings.TrimSpace(refusal.ErrorCode+" "+refusal.ErrorDescription),
		string(refusal.Body)))
	var failure *Failure
	client := r.name("client-id") + " and " + r.name("client-secret")
	if r.credentials.usesCertificate() {
		client = r.name("client-id") + ", " + r.name("certificate") + " and " + r.name("key")
	}
	switch {
	case status == http.StatusUnauthorized, refusal.ErrorCode == "invalid_client":
		failure = r.failure(Unauthorized, "client-id", nil,
			"%s: check %s; a secret becomes invalid when its binding or service key is deleted", statusText, client)
	case refusal.ErrorCode == "invalid_scope":
		failure = r.failure(Misconfigured, "scope", nil, "%s", statusText)
	case refusal.ErrorCode == "unauthorized_client":
		failure = r.failure(Unauthorized, "client-id", nil, "%s: the client is not allowed to use client credentials",
			statusText)
	case status == http.StatusForbidden:
		failure = r.failure(Unauthorized, "client-id", nil, "%s", statusText)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		failure = r.failure(Misconfigured, "token-url", nil, "%s: there is no token service at this address",
			statusText)
	case isRedirect(status):
		failure = r.failure(Misconfigured, "token-url", nil,
			"%s: expected a token, found a redirect to %s, which is not followed with a secret", statusText,
			quote(withoutQuery(refusal.Response.Header.Get("Location")), r.secrets...))
	case isTransientStatus(status):
		failure = r.failure(Unavailable, "token-url", nil, "%s", statusText)
	default:
		failure = r.failure(Misconfigured, "token-url", nil, "%s", statusText)
	}
	failure.Status = status
	return failure
}

// seconds converts a lifetime in an answer, up to maxLifetime. Zero means that it is missing or invalid.
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
	if !(n > 0) { // also NaN
		return 0
	}
	return time.Duration(min(n, maxLifetime.Seconds()) * float64(time.Second))
}

// maxLifetime bounds lifetimes that services specify, in case their unit is wrong.
const maxLifetime = 30 * 24 * time.Hour

// lifetimeOf returns the time until a JWT expires, or zero. It depends on both clocks.
func lifetimeOf(token string, now time.Time) time.Duration {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	const maxExpiry = 1e11 // seconds since 1970, in the year 5138
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expiry <= 0 || claims.Expiry > maxExpiry {
		return 0
	}
	return time.Unix(int64(claims.Expiry), 0).Sub(now)
}
