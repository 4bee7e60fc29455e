package btp

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/loopback"
)

// Login exchanges user and password for a token at services without OAuth.
type Login struct {
	// Method, URL, Header and Body are the request as it goes out.
	Method string
	URL    *url.URL
	Host   string
	Header http.Header
	Body   string
	// TokenPath and LifetimePath name members of the JSON answer, from the outside in. LifetimePath nil: the token is
	// used until it is refused, or until it says itself that it has ended.
	TokenPath, LifetimePath []string
	// Secrets are all ways in which secrets stand in the request: no message shows them.
	Secrets []string
}

// NewLogin caches the token of a login and sends nothing. It uses TLS, Dial, Proxy, RoundTripper, the timeouts,
// Patience, Logger, Clock and Name of the options; Name knows target, token-path, user and password.
func NewLogin(l Login, o TokenOptions) *Tokens {
	o = o.withDefaults()
	path := cmp.Or(l.URL.Opaque, l.URL.EscapedPath())
	r := &loginRequester{login: l, clock: o.Clock, client: o.httpClient(nil), remoteService: remoteService{"login at",
		l.URL.Scheme + "://" + l.URL.Host + path, o.Name, l.Secrets}}
	if l.URL.Scheme == "http" && !loopback.Is(l.URL.Hostname()) {
		o.Logger.Warn("user and password of the login go over the network without TLS", "url", r.address)
	}
	return cacheTokens(&r.remoteService, "user", r.requestToken, o)
}

type loginRequester struct {
	remoteService
	login  Login
	clock  func() time.Time
	client *http.Client
}

func (r *loginRequester) requestToken(ctx context.Context) (g tokenResponse, atLeast time.Duration, err error) {
	request := (&http.Request{Method: r.login.Method, URL: r.login.URL, Host: r.login.Host,
		Header: r.login.Header.Clone(),
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(r.login.Body))}).WithContext(ctx)
	request.Body = http.NoBody
	if r.login.Body != "" {
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(r.login.Body)), nil }
		request.Body, _ = request.GetBody()
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return tokenResponse{}, 0, r.connectionFailure(ctx, "target", err)
	}
	text, _ := io.ReadAll(answer.Body) // it is in memory, see whole
	body := string(text)
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return tokenResponse{}, seconds(answer.Header.Get("Retry-After")), r.refusalFailure(answer, body)
	}
	g, err = r.read(body)
	return g, 0, err
}

// read extracts token and lifetime. Some services refuse with a success without a token.
func (r *loginRequester) read(body string) (tokenResponse, error) {
	var answer any
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		said := quote(body, r.secrets...)
		if said != "" {
			said = ": " + said
		}
		return tokenResponse{}, r.failure(Unauthorized, "token-path", nil,
			"expected a JSON object with %s, found something else%s: look at %s",
			strings.Join(r.login.TokenPath, "."), said, r.settingNames("target", "user", "password"))
	}
	token := memberAt(answer, r.login.TokenPath)
	text, ok := token.(string)
	if !ok || text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return tokenResponse{}, r.failure(Unauthorized, "token-path", nil,
			"expected a token without blanks as the text %s, found %s: look at %s",
			strings.Join(r.login.TokenPath, "."), describeType(token), r.settingNames("token-path", "user", "password"))
	}
	g := tokenResponse{token: text}
	switch {
	case r.login.LifetimePath != nil:
		g.lifetime = seconds(memberAt(answer, r.login.LifetimePath))
	default:
		if g.lifetime = lifetimeOf(text, r.clock()); g.lifetime <= 0 {
			g.lifetime = maxLifetime
		}
	}
	return g, nil
}

// memberAt returns the value at a path, or nil.
func memberAt(v any, path []string) any {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// describeType describes a value without printing it.
func describeType(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		if v == "" {
			return "an empty text"
		}
		return "a text with blanks or line breaks"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return "no text"
}

// refusalFailure explains an error answer. If user or password may be wrong it counts as a refusal: they are not sent
// again.
func (r *loginRequester) refusalFailure(answer *http.Response, body string) *Failure {
	status := answer.StatusCode
	answered := r.statusMessage(status, body)
	var f *Failure
	switch {
	case isRedirect(status):
		f = r.redirectFailure("target", answered, answer.Header.Get("Location"))
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed,
		status == http.StatusUnsupportedMediaType:
		f = r.failure(Misconfigured, "target", nil, "%s: no login at this address, or by this method", answered)
	case status == http.StatusProxyAuthRequired:
		f = r.failure(Misconfigured, "target", nil, "%s: the proxy refused what was shown to it", answered)
	case isTransientStatus(status):
		f = r.failure(Unavailable, "target", nil, "%s", answered)
	default:
		f = r.failure(Unauthorized, "user", nil, "%s: look at %s", answered, r.settingNames("user", "password"))
	}
	f.Status = status
	return f
}

func (r *loginRequester) settingNames(fields ...string) string {
	for i, field := range fields {
		fields[i] = r.name(field)
	}
	return strings.Join(fields, ", ")
}
