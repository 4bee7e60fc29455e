package btp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/loopback"
)

// Login is an exchange of a user and a password for a token, as services have it that know no OAuth.
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

// NewLogin keeps the token of a login; nothing is asked for yet. Of the options it heeds TLS, Dial, Proxy,
// RoundTripper, the time-outs, Patience, Logger, Clock and Name, which knows target, token-path, user and password.
func NewLogin(l Login, o TokenOptions) *Tokens {
	o = o.withDefaults()
	r := &loginRequester{login: l, options: o, client: o.httpClient(nil)}
	r.client.Transport = whole{r.client.Transport}
	if l.URL.Scheme == "http" && !loopback.Is(l.URL.Hostname()) {
		o.Logger.Warn("user and password of the login go over the network without TLS", "url", r.address())
	}
	return keepTokens(r, o)
}

// loginRequester makes the exchange: no memory.
type loginRequester struct {
	login   Login
	options TokenOptions
	client  *http.Client
}

func (r *loginRequester) once(ctx context.Context) (g granted, atLeast time.Duration, err error) {
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
		var lost *url.Error
		if errors.As(err, &lost) {
			err = lost.Err
		}
		return granted{}, 0, r.unreachable(ctx, err)
	}
	text, _ := io.ReadAll(answer.Body) // it is in memory, see whole
	body := string(text)
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return granted{}, seconds(answer.Header.Get("Retry-After")), r.refused(answer, body)
	}
	g, err = r.read(body)
	return g, 0, err
}

// read finds token and lifetime in an answer. A success without a token is how some services refuse.
func (r *loginRequester) read(body string) (granted, error) {
	var answer any
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return granted{}, r.failure(Unauthorized, "token-path", nil,
			"expected a JSON object with %s, found something else%s: look at %s",
			strings.Join(r.login.TokenPath, "."), r.said(body), r.names("target", "user", "password"))
	}
	token := member(answer, r.login.TokenPath)
	text, ok := token.(string)
	if !ok || text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return granted{}, r.failure(Unauthorized, "token-path", nil,
			"expected a token without blanks as the text %s, found %s: look at %s",
			strings.Join(r.login.TokenPath, "."), kindOf(token), r.names("token-path", "user", "password"))
	}
	g := granted{token: text}
	switch {
	case r.login.LifetimePath != nil:
		g.life = seconds(member(answer, r.login.LifetimePath))
	default:
		if g.life = lifeOf(text, r.options.Clock()); g.life <= 0 {
			g.life = maxLife
		}
	}
	return g, nil
}

// member is what stands behind the names, nil where one is missing.
func member(v any, path []string) any {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// kindOf says what was found in the place of a token, without showing it.
func kindOf(v any) string {
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

// refused explains an answer that is no success. What may mean that user or password are wrong counts so: they are not
// shown again.
func (r *loginRequester) refused(answer *http.Response, body string) *Failure {
	status := answer.StatusCode
	answered := fmt.Sprintf("answered %d%s", status, r.said(body))
	var f *Failure
	switch {
	case status >= 300 && status < 400:
		f = r.failure(Misconfigured, "target", nil,
			"%s: expected a token, found a redirect to %s; secrets are not sent elsewhere",
			answered, quote(withoutQuery(answer.Header.Get("Location")), r.login.Secrets...))
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed,
		status == http.StatusUnsupportedMediaType:
		f = r.failure(Misconfigured, "target", nil, "%s: no login at this address, or by this method", answered)
	case status == http.StatusProxyAuthRequired:
		f = r.failure(Misconfigured, "target", nil, "%s: the proxy refused what was shown to it", answered)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		f = r.failure(Unavailable, "target", nil, "%s", answered)
	default:
		f = r.failure(Unauthorized, "user", nil, "%s: look at %s", answered, r.names("user", "password"))
	}
	f.Status = status
	return f
}

// unreachable explains why there was no answer at all.
func (r *loginRequester) unreachable(ctx context.Context, err error) *Failure {
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	text := quote(err.Error(), r.login.Secrets...)
	if trouble := tlsTrouble(err); trouble != "" {
		return r.failure(Misconfigured, "target", err, "TLS: %s: %s", text, trouble)
	}
	var nested *Failure // the proxy's token
	if errors.As(err, &nested) && !nested.Temporary() {
		return r.failure(nested.Kind, "target", err, "%s", text)
	}
	return r.failure(Unavailable, "target", err, "no answer: %s", text)
}

func (r *loginRequester) same() *Failure {
	return r.failure(Unauthorized, "user", nil, "hands out again the token that was refused")
}

func (r *loginRequester) said(body string) string {
	if said := quote(body, r.login.Secrets...); said != "" {
		return ": " + said
	}
	return ""
}

func (r *loginRequester) names(fields ...string) string {
	for i, field := range fields {
		fields[i] = r.options.Name(field)
	}
	return strings.Join(fields, ", ")
}

func (r *loginRequester) failure(kind Kind, field string, err error, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Setting: r.options.Name(field), err: err, text: fmt.Sprintf("login at %s: %s",
		r.address(), fmt.Sprintf(format, args...))}
}

// address is the target without its query, which may hold secrets.
func (r *loginRequester) address() string {
	u := r.login.URL
	path := u.Opaque
	if path == "" {
		path = u.EscapedPath()
	}
	return u.Scheme + "://" + u.Host + path
}
