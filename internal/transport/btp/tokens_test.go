package btp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/btp"
)

const (
	clientID = "sb-culvert!b123|connectivity!b17"
	secret   = "s3cret/with+all=&%"
)

// clock shows the time that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// tokenService returns token-1, token-2, … unless handler is set.
type tokenService struct {
	*httptest.Server
	mu       sync.Mutex
	lifetime string // member of the JSON response, with a comma before it, or ""
	issued   int    // number of the last token
	requests []request
	// handler, if not nil, answers all requests.
	handler http.HandlerFunc
}

// request is what a test compares of a token request.
type request struct {
	Path          string
	Authorization string
	Form          url.Values
}

func newTokenService(t *testing.T) *tokenService {
	s := &tokenService{lifetime: `,"expires_in":3600`}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm()
	s.requests = append(s.requests, request{r.URL.RequestURI(), r.Header.Get("Authorization"), r.PostForm})
	if s.handler != nil {
		s.handler(w, r)
		return
	}
	s.issued++
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer"%s,"scope":"uaa.resource","jti":"1"}`, s.issued,
		s.lifetime)
}

func (s *tokenService) setHandler(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

func (s *tokenService) recorded() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// status returns a handler that answers with a status and a body.
func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// newLogger returns a logger of all levels. The test fails at its end if a secret or token was logged.
func newLogger(t *testing.T) *slog.Logger {
	var mu sync.Mutex
	var log bytes.Buffer
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		wantNoSecret(t, "log", log.String())
	})
	return slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug - 100}))
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func wantNoSecret(t *testing.T, where, text string) {
	t.Helper()
	// The last text is the start of the base64 of clientID, in basic authentication.
	for _, s := range []string{secret, url.QueryEscape(secret), "token-1", "token-2", "c2ItY3Vs"} {
		assert.True(t, !strings.Contains(text, s),
			"%s: expected no secret and no token, found %q in %q", where, s, text)
	}
}

func credentials(address string) btp.Credentials {
	return btp.Credentials{TokenURL: address, ClientID: clientID, Secret: secret}
}

func newTokens(t *testing.T, c btp.Credentials, o btp.TokenOptions) *btp.Tokens {
	t.Helper()
	if o.Logger == nil {
		o.Logger = newLogger(t)
	}
	tokens, err := btp.NewTokens(c, o)
	require.NoError(t, err)
	return tokens
}

// wantToken checks the token that a caller gets whose token was refused; refused may be "".
func wantToken(t *testing.T, tokens *btp.Tokens, refused, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	got, err := tokens.Token(ctx, refused)
	require.True(t, err == nil && got == want, "Token(%q): expected %s, found %q, %v", refused, want, got, err)
}

// A request identifies the client in one way only.
func TestTokenRequest(t *testing.T) {
	formWithSecret := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {clientID},
		"client_secret": {secret},
	}
	formWithScope := maps.Clone(formWithSecret)
	formWithScope.Set("scope", "A_0001 B_0001")
	withBasic := &http.Request{Header: http.Header{}}
	withBasic.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secret))
	basic := withBasic.Header.Get("Authorization")
	for _, c := range []struct {
		name    string
		path    string // of TokenURL
		options btp.TokenOptions
		want    request
	}{
		{
			name: "binding",
			want: request{Path: "/oauth/token", Form: formWithSecret},
		},
		{
			name: "slash at the end",
			path: "/",
			want: request{Path: "/oauth/token", Form: formWithSecret},
		},
		{
			name: "whole address",
			path: "/oauth/token",
			want: request{Path: "/oauth/token", Form: formWithSecret},
		},
		{
			name: "below a path",
			path: "/tenant",
			want: request{Path: "/tenant/oauth/token", Form: formWithSecret},
		},
		{
			name: "query",
			path: "/?zone=a",
			want: request{Path: "/oauth/token?zone=a", Form: formWithSecret},
		},
		{
			name:    "verbatim",
			path:    "/sap/bc/sec/oauth2/token?sap-client=100",
			options: btp.TokenOptions{Verbatim: true, Scope: "A_0001 B_0001"},
			want:    request{Path: "/sap/bc/sec/oauth2/token?sap-client=100", Form: formWithScope},
		},
		{
			name:    "header",
			options: btp.TokenOptions{InHeader: true},
			want: request{
				Path:          "/oauth/token",
				Authorization: basic,
				Form:          url.Values{"grant_type": {"client_credentials"}},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTokenService(t)
			wantToken(t, newTokens(t, credentials(s.URL+c.path), c.options), "", "token-1")
			assert.Equal(t, []request{c.want}, s.recorded())
		})
	}
}

// A token is renewed a minute before it expires, or after half of a lifetime below two minutes.
func TestTokenIsRenewedBeforeExpiry(t *testing.T) {
	for _, c := range []struct {
		name     string
		lifetime string        // member of the response
		used     time.Duration // age at which the token is still used
		renewed  time.Duration // age at which it is renewed
	}{
		{"12 h: one minute before", `,"expires_in":43200`, 43139 * time.Second, 43141 * time.Second},
		{"2 min: one minute before", `,"expires_in":120`, 59 * time.Second, 61 * time.Second},
		{"100 s: after half of it", `,"expires_in":100`, 49 * time.Second, 51 * time.Second},
		{"a number in quotes", `,"expires_in":"100"`, 49 * time.Second, 51 * time.Second},
		{"missing: 5 min", ``, 239 * time.Second, 241 * time.Second},
		{"0: 5 min", `,"expires_in":0`, 239 * time.Second, 241 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTokenService(t)
			now := newClock()
			s.lifetime = c.lifetime
			tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{Clock: now.Now})
			wantToken(t, tokens, "", "token-1")
			now.advance(c.used)
			wantToken(t, tokens, "", "token-1")
			now.advance(c.renewed - c.used)
			wantToken(t, tokens, "", "token-2")
		})
	}
}

// Without expires_in the JWT's own expiry counts.
func TestTokenExpiryOfJWT(t *testing.T) {
	s := newTokenService(t)
	now := newClock()
	jwt := "e30.eyJleHAiOjE3Nzc4OTcyMDB9.c2ln" // {"exp":1777897200}: 20 min from the clock's start
	s.setHandler(status(200, `{"access_token":"`+jwt+`"}`))
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{Clock: now.Now})
	wantToken(t, tokens, "", jwt)
	s.setHandler(nil)
	now.advance(18 * time.Minute)
	wantToken(t, tokens, "", jwt)
	now.advance(2 * time.Minute)
	wantToken(t, tokens, "", "token-1")
}

// A token that the caller's service refused is replaced, once for all callers. The same token again is an error.
func TestRejectedTokenIsRenewed(t *testing.T) {
	s := newTokenService(t)
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{})
	wantToken(t, tokens, "", "token-1")
	wantToken(t, tokens, "token-1", "token-2")
	wantToken(t, tokens, "token-1", "token-2") // another caller's renewal is used
	wantToken(t, tokens, "", "token-2")
	s.setHandler(status(200, `{"access_token":"token-2","expires_in":3600}`))
	_, err := tokens.Token(t.Context(), "token-2")
	wantFailure(t, err, btp.Unauthorized, "client-id", "returned the refused token again")
}

// While the old token is valid, an outage of the token service fails no caller, and not every caller requests a token.
func TestValidTokenOutlivesOutage(t *testing.T) {
	s := newTokenService(t)
	now := newClock()
	s.lifetime = `,"expires_in":3600`
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{Clock: now.Now, RetryPeriod: time.Millisecond})
	wantToken(t, tokens, "", "token-1")
	s.setHandler(status(503, "down for maintenance"))
	now.advance(3541 * time.Second)
	for range 5 {
		wantToken(t, tokens, "", "token-1")
	}
	assert.Equal(t, 2, len(s.recorded()), "requests")
	now.advance(11 * time.Second)
	wantToken(t, tokens, "", "token-1")
	assert.Equal(t, 3, len(s.recorded()), "requests")
	now.advance(time.Minute)
	_, err := tokens.Token(t.Context(), "")
	wantFailure(t, err, btp.Unavailable, "token-url", "answered 503: down for maintenance")
	s.setHandler(nil)
	wantToken(t, tokens, "", "token-2")
}

// Callers wait for one request, each until its context ends.
func TestOneRenewalAtATime(t *testing.T) {
	s := newTokenService(t)
	entered := make(chan struct{}, 10)
	release := make(chan struct{})
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, `{"access_token":"token-1","expires_in":3600}`)
	}
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := tokens.Token(t.Context(), "")
			assert.True(t, got == "token-1" && err == nil, "expected token-1, found %q, %v", got, err)
		})
	}
	<-entered

	// A caller whose context ends does not wait.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("task stopped"))
	_, err := tokens.Token(ctx, "")
	assert.Error(t, err, "task stopped", "names the cause")

	close(release)
	wg.Wait()
	assert.Equal(t, 1, len(s.recorded()), "requests")
}

// During a renewal other callers get the old, valid token.
func TestOldTokenIsUsedDuringRenewal(t *testing.T) {
	s := newTokenService(t)
	now := newClock()
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{Clock: now.Now})
	wantToken(t, tokens, "", "token-1")
	entered := make(chan struct{})
	release := make(chan struct{})
	s.setHandler(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, `{"access_token":"token-2","expires_in":3600}`)
	})
	now.advance(3550 * time.Second)
	var wg sync.WaitGroup
	wg.Go(func() {
		got, err := tokens.Token(t.Context(), "")
		assert.True(t, got == "token-2" && err == nil, "expected token-2, found %q, %v", got, err)
	})
	<-entered
	wantToken(t, tokens, "", "token-1")
	close(release)
	wg.Wait()
	wantToken(t, tokens, "", "token-2")
}

// An early renewal that the service or a proxy refuses is not repeated, and is reported when the token has expired:
// sending a changed secret again and again locks its user. Another failure is repeated.
func TestRefusedEarlyRenewalIsNotRepeated(t *testing.T) {
	for code, isRepeated := range map[int]bool{401: false, 407: false, 404: true} {
		s := newTokenService(t)
		now := newClock()
		tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{Clock: now.Now})
		wantToken(t, tokens, "", "token-1")
		s.setHandler(status(code, ""))
		now.advance(3545 * time.Second)
		for range 4 {
			wantToken(t, tokens, "", "token-1")
			now.advance(11 * time.Second)
		}
		now.advance(time.Minute)
		_, err := tokens.Token(t.Context(), "")
		renewals := len(s.recorded()) - 1
		assert.True(t, (renewals > 1) == isRepeated && err != nil, "%d: found %d renewals and %v", code, renewals, err)
	}
}

// wantFailure checks that err is a *btp.Failure whose message has all parts and no secret.
func wantFailure(t *testing.T, err error, kind btp.Kind, setting string, parts ...string) {
	t.Helper()
	var f *btp.Failure
	require.True(t, errors.As(err, &f), "expected a *btp.Failure, found %v", err)
	assert.True(t, f.Kind == kind && f.Setting == setting,
		"expected kind %d and setting %q, found %d and %q: %v", kind, setting, f.Kind, f.Setting, err)
	for _, p := range parts {
		assert.True(t, strings.Contains(err.Error(), p), "expected %q in %q", p, err)
	}
	wantNoSecret(t, "error", err.Error())
}

// Only temporary errors of a token service are retried. The failure names the setting to correct.
func TestTokenServiceErrors(t *testing.T) {
	for _, c := range []struct {
		name     string
		handler  http.HandlerFunc
		kind     btp.Kind
		setting  string
		parts    []string // of the message
		requests int
	}{
		{"401", status(401, `{"error":"unauthorized","error_description":"Bad credentials"}`), btp.Unauthorized,
			"client-id",
			[]string{"/oauth/token", "401", "Bad credentials", "client-id and client-secret"}, 1},
		{"400 invalid_client", status(400, `{"error":"invalid_client","error_description":"wrong `+secret+`"}`),
			btp.Unauthorized, "client-id",
			[]string{"400", "invalid_client wrong ***"}, 1},
		{"400 unauthorized_client", status(400, `{"error":"unauthorized_client"}`), btp.Unauthorized, "client-id",
			[]string{"unauthorized_client"}, 1},
		{"400 invalid_scope", status(400, `{"error":"invalid_scope","error_description":"no such"}`), btp.Misconfigured,
			"scope", []string{"invalid_scope no such"}, 1},
		{"400 with the request's secret", func(w http.ResponseWriter, r *http.Request) {
			status(400, r.PostForm.Encode())(w, r)
		}, btp.Misconfigured, "token-url", []string{"***"}, 1},
		{"400 html", status(400, "<html>\n<body>\x07 no "+strings.Repeat("x", 1000)), btp.Misconfigured, "token-url",
			[]string{"<html> <body> no x"}, 1},
		{"200 with an error", status(200, `{"error":"invalid_client","error_description":"PayPal does so"}`),
			btp.Unauthorized, "client-id", []string{"PayPal does so"}, 1},
		{"404", status(404, ""), btp.Misconfigured, "token-url", []string{"404: there is no token service"}, 1},
		{"302", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://logon.example.com/?state=1", http.StatusFound)
		}, btp.Misconfigured, "token-url", []string{"redirect to https://logon.example.com/, which is not followed"},
			1},
		{"307", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, btp.Misconfigured, "token-url", []string{"redirect to /elsewhere"}, 1},
		{"not JSON", status(200, `<html>Sign in</html>`), btp.Misconfigured, "token-url",
			[]string{"expected a JSON object with access_token", "parse"}, 1},
		{"no token", status(200, `{"token_type":"bearer"}`), btp.Misconfigured, "token-url",
			[]string{"missing access_token"}, 1},
		{"empty body", status(200, ``), btp.Misconfigured, "token-url", []string{"expected a JSON object"}, 1},
		{"token with a line break", status(200, `{"access_token":"a\nb"}`), btp.Misconfigured, "token-url",
			[]string{"line breaks"}, 1},
		{"503", status(503, `busy`), btp.Unavailable, "token-url", []string{"answered 503: busy"}, 3},
		{"429", status(429, ``), btp.Unavailable, "token-url", []string{"answered 429"}, 3},
		{"incomplete body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"access`)
		}, btp.Unavailable, "token-url", []string{"status 200, but the response ended early"}, 3},
		{"no response", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, btp.Unavailable,
			"token-url", []string{"no response"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenService{lifetime: `,"expires_in":3600`}
				p := pipes{make(chan net.Conn)}
				server := &http.Server{Handler: s}
				served := make(chan struct{})
				go func() { defer close(served); _ = server.Serve(p) }()
				s.setHandler(c.handler)
				// The period has time for two pauses, of 100 to 150 ms and of 200 to 300 ms, but not for a third
				// one of 400 ms or more.
				tokens := newTokens(t, credentials("http://token.example.com"), btp.TokenOptions{Dial: p.dial,
					RetryPeriod: 690 * time.Millisecond})
				_, err := tokens.Token(t.Context(), "")
				wantFailure(t, err, c.kind, c.setting, c.parts...)
				assert.Equal(t, c.requests, len(s.recorded()), "requests")

				// The failure is not cached.
				s.setHandler(nil)
				wantToken(t, tokens, "", "token-1")
				close(p.connections)
				<-served
				server.Close()
			})
		})
	}
}

// Incomplete and invalid credentials are rejected with the user's names of the settings, or those of a binding's
// fields.
func TestCredentialsAreChecked(t *testing.T) {
	name := func(field string) string { return "kafka.proxy.token." + strings.ReplaceAll(field, "-", ".") }
	for _, c := range []struct {
		credentials btp.Credentials
		setting     string
		parts       []string
	}{
		{btp.Credentials{}, "kafka.proxy.token.token.url", []string{"missing: kafka.proxy.token.token.url, " +
			"kafka.proxy.token.client.id, kafka.proxy.token.client.secret (or "}},
		{btp.Credentials{Origin: "key.json", TokenURL: "https://x", ClientID: "a"}, "clientsecret",
			[]string{"key.json: missing: clientsecret (or certificate and key)"}},
		{btp.Credentials{TokenURL: "https://x", ClientID: "a", Certificate: "b"}, "kafka.proxy.token.key",
			[]string{"missing: kafka.proxy.token.key"}},
		{btp.Credentials{TokenURL: "https://x", ClientID: "a", Key: "b"}, "kafka.proxy.token.certificate",
			[]string{"missing: kafka.proxy.token.certificate"}},
		{btp.Credentials{TokenURL: "https://x", ClientID: "a", Certificate: "b", Key: "c"},
			"kafka.proxy.token.certificate", []string{"expected a certificate chain and its private key as PEM"}},
		{btp.Credentials{TokenURL: "http://x", ClientID: "a", Certificate: "b", Key: "c"},
			"kafka.proxy.token.token.url", []string{"expected https"}},
		{btp.Credentials{TokenURL: "https://u:" + secret + "@x", ClientID: "a", Secret: secret},
			"kafka.proxy.token.token.url", []string{"without user and password"}},
		{btp.Credentials{TokenURL: "x.example.com", ClientID: "a", Secret: secret}, "kafka.proxy.token.token.url",
			[]string{"expected the URL"}},
	} {
		_, err := btp.NewTokens(c.credentials, btp.TokenOptions{Name: name})
		wantFailure(t, err, btp.Misconfigured, c.setting, c.parts...)
	}
}

// With a certificate the request has no secret. A certificate that the service does not know or refuses, or that has
// expired, is a failure that names it.
func TestTokenByCertificate(t *testing.T) {
	known := certtest.Issue(t, "culvert", nil, nil)
	escape := strings.NewReplacer("\n", `\n`)
	var forms []url.Values
	isRefusing := false
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isRefusing {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = r.ParseForm()
		forms = append(forms, r.PostForm)
		assert.Equal(t, "", r.Header.Get("Authorization"), "basic authentication")
		_, _ = io.WriteString(w, `{"access_token":"token-1","expires_in":3600}`)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known.Pool()}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	options := btp.TokenOptions{TLS: &tls.Config{RootCAs: roots}, InHeader: true, RetryPeriod: time.Millisecond}

	c := btp.Credentials{TokenURL: s.URL, ClientID: clientID, Secret: secret,
		Certificate: escape.Replace(string(known.PEM())), Key: escape.Replace(string(known.KeyPEM(t)))}
	wantToken(t, newTokens(t, c, options), "", "token-1")
	assert.Equal(t, []url.Values{{"grant_type": {"client_credentials"}, "client_id": {clientID}}}, forms)

	t.Run("unknown to the service", func(t *testing.T) {
		unknown := certtest.Issue(t, "culvert", nil, nil)
		_, err := newTokens(t, btp.Credentials{TokenURL: s.URL, ClientID: "a", Certificate: string(unknown.PEM()),
			Key: string(unknown.KeyPEM(t))}, options).Token(t.Context(), "")
		wantFailure(t, err, btp.Misconfigured, "certificate", "TLS", "the server rejected the handshake")
	})
	t.Run("refused by the service", func(t *testing.T) {
		isRefusing = true
		_, err := newTokens(t, c, options).Token(t.Context(), "")
		wantFailure(t, err, btp.Unauthorized, "client-id", "client-id, certificate and key")
	})
	t.Run("service is not trusted", func(t *testing.T) {
		_, err := newTokens(t, c, btp.TokenOptions{}).Token(t.Context(), "")
		wantFailure(t, err, btp.Misconfigured, "token-url", "TLS", "not signed by a trusted authority")
	})
	t.Run("expired", func(t *testing.T) {
		expired := certtest.Issue(t, "culvert", nil, func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(-49 * time.Hour)
			c.NotAfter = time.Now().Add(-24 * time.Hour)
		})
		_, err := btp.NewTokens(btp.Credentials{TokenURL: s.URL, ClientID: "a", Certificate: string(expired.PEM()),
			Key: string(expired.KeyPEM(t))}, options)
		wantFailure(t, err, btp.Misconfigured, "certificate", "expected a certificate that is valid now", "CN=culvert")
	})
	t.Run("no TLS at the other end", func(t *testing.T) {
		plain := newTokenService(t)
		_, err := newTokens(t, credentials(strings.Replace(plain.URL, "http:", "https:", 1)),
			options).Token(t.Context(), "")
		wantFailure(t, err, btp.Misconfigured, "token-url", "the server does not use TLS")
	})
}

// pipes is a network without sockets, for synctest.
type pipes struct{ connections chan net.Conn }

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.connections <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.connections
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// waitForDisconnect reads a request and does not respond until the client gives up.
func waitForDisconnect(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	<-r.Context().Done()
}

// Requests are retried for a period, with growing pauses.
func TestRetryPeriodOfTokens(t *testing.T) {
	for _, c := range []struct {
		name        string
		handler     http.HandlerFunc // nil means that nothing accepts connections
		deadline    time.Duration    // of the context; zero means none
		minTime     time.Duration    // until the failure
		maxTime     time.Duration
		minRequests int
		maxRequests int
	}{
		{"no connection", nil, 0, 30 * time.Second, 36 * time.Second, 0, 0},
		{"no response", waitForDisconnect, 0, 30 * time.Second, 31 * time.Second, 1, 1},
		{"503", status(503, ""), 0, 22 * time.Second, 30 * time.Second, 9, 11},
		{"deadline", status(503, ""), 2 * time.Second, 800 * time.Millisecond, 2 * time.Second, 4, 5},
		{"Retry-After", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "12")
			w.WriteHeader(429)
		}, 0, 24 * time.Second, 24 * time.Second, 3, 3},
		{"Retry-After with a date", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(12*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(429)
		}, 0, 24 * time.Second, 24 * time.Second, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipes{make(chan net.Conn)}
				var mu sync.Mutex
				requests := 0
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					requests++
					mu.Unlock()
					c.handler(w, r)
				})}
				served := make(chan struct{})
				go func() {
					defer close(served)
					if c.handler != nil {
						_ = server.Serve(p)
					}
				}()
				tokens := newTokens(t, credentials("http://token.example.com"), btp.TokenOptions{Dial: p.dial})
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				began := time.Now()
				_, err := tokens.Token(ctx, "")
				elapsed := time.Since(began)
				wantFailure(t, err, btp.Unavailable, "token-url", "http://token.example.com/oauth/token")
				assert.True(t, elapsed >= c.minTime && elapsed <= c.maxTime,
					"expected an error after %v to %v, found it after %v: %v", c.minTime, c.maxTime, elapsed, err)
				mu.Lock()
				assert.True(t, requests >= c.minRequests && requests <= c.maxRequests,
					"requests: expected %d to %d, found %d", c.minRequests, c.maxRequests, requests)
				mu.Unlock()
				close(p.connections)
				<-served
				server.Close()
			})
		})
	}
}

// A header tells UAA to decode credentials that form-encoding (RFC 6749) has changed.
func TestEncodedCredentialsHeader(t *testing.T) {
	for id, want := range map[string]string{"plain-client": "", clientID: "true"} {
		var header string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header = r.Header.Get("X-CF-ENCODED-CREDENTIALS")
			_, _ = io.WriteString(w, `{"access_token":"token-1"}`)
		}))
		wantToken(t, newTokens(t, btp.Credentials{TokenURL: s.URL, ClientID: id, Secret: "plain"},
			btp.TokenOptions{InHeader: true}), "", "token-1")
		s.Close()
		assert.Equal(t, want, header, id)
	}
}

// gate answers the requests to a token service one by one, as the test decides.
type gate struct {
	t        *testing.T
	requests chan struct{}         // receives a value when a request arrives, see wait
	handlers chan http.HandlerFunc // each answers one request
}

// newGate sets the handler of a service. Requests that are open at the end of the test are not answered.
func newGate(t *testing.T, s *tokenService) gate {
	g := gate{t, make(chan struct{}), make(chan http.HandlerFunc)}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	s.setHandler(func(w http.ResponseWriter, r *http.Request) {
		select {
		case g.requests <- struct{}{}:
		case <-done:
			return
		}
		select {
		case handler := <-g.handlers:
			handler(w, r)
		case <-done:
		}
	})
	return g
}

// wait waits until a request has arrived.
func (g gate) wait() {
	g.t.Helper()
	select {
	case <-g.requests:
	case <-time.After(5 * time.Minute):
		g.t.Fatal("expected a request within 5 min, found none")
	}
}

// Callers that wait for another caller's request share its failure, instead of requesting one after another.
func TestFailureIsShared(t *testing.T) {
	s := newTokenService(t)
	g := newGate(t, s)
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{})
	failures := make(chan error, 5)
	var wg sync.WaitGroup
	requestToken := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		_, err := tokens.Token(ctx, "")
		failures <- err
	}
	wg.Go(requestToken)
	g.wait()
	for range 4 {
		wg.Go(requestToken)
	}
	waitFor(t, func() bool { return goroutinesIn("btp.(*cachedValue[...]).fetch") == 5 })
	g.handlers <- status(401, "")
	wg.Wait()
	close(failures)
	for err := range failures {
		wantFailure(t, err, btp.Unauthorized, "client-id", "answered 401")
	}
	assert.Equal(t, 1, len(s.recorded()), "requests")
}

// The end of a caller's context does not fail other callers.
func TestCanceledCallerFailsNoOther(t *testing.T) {
	s := newTokenService(t)
	g := newGate(t, s)
	tokens := newTokens(t, credentials(s.URL), btp.TokenOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := tokens.Token(ctx, "")
		assert.ErrorIs(t, err, context.Canceled, "the end of the context")
	})
	g.wait()
	wg.Go(func() {
		got, err := tokens.Token(t.Context(), "")
		assert.True(t, got == "token-1" && err == nil, "expected token-1, found %q, %v", got, err)
	})
	waitFor(t, func() bool { return goroutinesIn("btp.(*cachedValue[...]).fetch") == 2 })
	cancel()
	waitFor(t, func() bool { return goroutinesIn("btp.(*cachedValue[...]).fetch") == 1 })
	g.handlers <- waitForDisconnect
	g.wait()
	g.handlers <- status(200, `{"access_token":"token-1","expires_in":3600}`)
	wg.Wait()
}

// goroutinesIn counts the goroutines with a function on their stack.
func goroutinesIn(function string) int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), function+"(")
}

func waitFor(t *testing.T, isDone func() bool) {
	t.Helper()
	require.Until(t, isDone, func() string { return "requests that wait for a token of others" })
}
