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
	"github.com/culvert-project/culvert/internal/base/pause"
)

// Login exchanges user and password for a token at services without OAuth.
type Login struct {
	Method string
	URL    *url.URL
	Host   string
	Header http.Header
	Body   string
	// Secrets are hidden in messages, in all encodings.
	Secrets []string
	// TokenPath and LifetimePath (optional) are member names in the JSON response, outermost first.
	TokenPath    []string
	LifetimePath []string
}

// NewLogin caches the token of a login and sends nothing. Of the options, Verbatim, InHeader and Scope do not apply;
// Name maps target, token-path, user and password.
func NewLogin(l Login, o TokenOptions) *Tokens {
	o = o.withDefaults()
	path := cmp.Or(l.URL.Opaque, l.URL.EscapedPath())
	r := &loginRequester{login: l, clock: o.Clock, client: o.httpClient(nil), remoteService: remoteService{"login at",
		l.URL.Scheme + "://" + l.URL.Host + path, o.Name, l.Secrets}}
	if l.URL.Scheme == "http" && !loopback.Is(l.URL.Hostname()) {
		o.Logger.Warn("user and password of the login are sent without TLS", "url", r.address)
	}
	return cacheTokens(&r.remoteService, "user", r.requestToken, o)
}

type loginRequester struct {
	remoteService
	login  Login
	clock  func() time.Time
	client *http.Client
}

func (r *loginRequester) requestToken(ctx context.Context) (response tokenResponse, atLeast time.Duration, err error) {
	request := (&http.Request{Method: r.login.Method, URL: r.login.URL, Host: r.login.Host,
		Header: r.login.Header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(r.login.Body))}).WithContext(ctx)
	request.Body = http.NoBody
	if r.login.Body != "" {
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(r.login.Body)), nil }
		request.Body, _ = request.GetBody()
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return tokenResponse{}, 0, r.connectionFailure(ctx, "target", err)
	}
	content, _ := io.ReadAll(answer.Body) // cannot fail: wholeBodyRoundTripper has read it
	body := string(content)
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		wait := pause.RetryAfter(answer.Header.Get("Retry-After"), time.Now())
		return tokenResponse{}, wait, r.refusalFailure(answer, body)
	}
	response, err = r.parse(body)
	return response, 0, err
}

// parse extracts token and lifetime. Some services reject a login with status 200 and no token.
func (r *loginRequester) parse(body string) (tokenResponse, error) {
	var answer any
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		quoted := quote(body, r.secrets...)
		if quoted != "" {
			quoted = ": " + quoted
		}
		return tokenResponse{}, r.failure(Unauthorized, "token-path", nil,
			"expected a JSON object with %s, found something else%s: check %s",
			strings.Join(r.login.TokenPath, "."), quoted, r.settingNames("target", "user", "password"))
	}
	token := memberAt(answer, r.login.TokenPath)
	text, ok := token.(string)
	if !ok || text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return tokenResponse{}, r.failure(Unauthorized, "token-path", nil,
			"expected a string without spaces at %s, found %s: check %s",
			strings.Join(r.login.TokenPath, "."), describeType(token), r.settingNames("token-path", "user", "password"))
	}
	response := tokenResponse{token: text}
	switch {
	case r.login.LifetimePath != nil:
		response.lifetime = seconds(memberAt(answer, r.login.LifetimePath))
	default:
		if response.lifetime = lifetimeOf(text, r.clock()); response.lifetime <= 0 {
			response.lifetime = maxLifetime
		}
	}
	return response, nil
}

func memberAt(v any, path []string) any {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

func describeType(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		if v == "" {
			return "an empty string"
		}
		return "a string with spaces or line breaks"
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	}
	return "something other than a string"
}

// refusalFailure returns the failure of an answer without a token. It is Unauthorized if user or password may be wrong,
// so that they are not sent again.
func (r *loginRequester) refusalFailure(answer *http.Response, body string) *Failure {
	status := answer.StatusCode
	statusText := r.statusMessage(status, body)
	var failure *Failure
	switch {
	case isRedirect(status):
		failure = r.redirectFailure("target", statusText, answer.Header.Get("Location"))
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed,
		status == http.StatusUnsupportedMediaType:
		failure = r.failure(Misconfigured, "target", nil, "%s: there is no login at this address with this method",
			statusText)
	case status == http.StatusProxyAuthRequired:
		failure = r.failure(Misconfigured, "target", nil, "%s: the proxy rejected the credentials", statusText)
	case isTransientStatus(status):
		failure = r.failure(Unavailable, "target", nil, "%s", statusText)
	default:
		failure = r.failure(Unauthorized, "user", nil, "%s: check %s", statusText, r.settingNames("user", "password"))
	}
	failure.Status = status
	return failure
}

func (r *loginRequester) settingNames(fields ...string) string {
	for i, field := range fields {
		fields[i] = r.name(field)
	}
	return strings.Join(fields, ", ")
}
