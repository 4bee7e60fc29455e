package btp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// caller asks a service of the platform with a token of its binding.
type caller struct {
	// what is the service's name for messages.
	what    string
	options TokenOptions
	tokens  *Tokens
	client  *http.Client
}

func newCaller(what string, c Credentials, o TokenOptions) (*caller, error) {
	o = o.withDefaults()
	o.Verbatim, o.InHeader, o.Scope = false, false, ""
	tokens, err := NewTokens(c, o)
	if err != nil {
		return nil, err
	}
	client := o.httpClient(nil)
	return &caller{what: what, options: o, tokens: tokens, client: client}, nil
}

// serviceURL joins a service's address, which a binding's field holds, and a path.
func serviceURL(address, path, field, origin string) (string, error) {
	prefix := Credentials{Origin: origin}.prefix()
	if address == "" {
		return "", &Failure{Kind: Misconfigured, Setting: field, text: prefix + "missing: " + field}
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return "", &Failure{Kind: Misconfigured, Setting: field, text: prefix + field +
			": expected the URL of a service, https://HOST"}
	}
	return strings.TrimSuffix(address, "/") + "/" + strings.TrimPrefix(path, "/"), nil
}

// get is the body of a GET. A token that is refused is renewed once. patient: a service that does not answer is asked
// again.
func (c *caller) get(ctx context.Context, address string, patient bool) ([]byte, error) {
	var body []byte
	refused := ""
	try := func() (time.Duration, error) {
		var atLeast time.Duration
		token, err := c.tokens.Token(ctx, refused)
		if err != nil {
			return 0, err
		}
		body, atLeast, err = c.once(ctx, address, token)
		var failure *Failure
		if errors.As(err, &failure) && failure.Status == http.StatusUnauthorized && refused == "" {
			refused = token
			if token, err = c.tokens.Token(ctx, refused); err == nil {
				body, atLeast, err = c.once(ctx, address, token)
			}
		}
		return atLeast, err
	}
	if !patient {
		_, err := try()
		return body, err
	}
	err := insist(ctx, c.options.Patience, try)
	return body, err
}

// once asks once. atLeast is the pause that the service asks for.
func (c *caller) once(ctx context.Context, address, token string) (body []byte, atLeast time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, &Failure{Kind: Misconfigured, err: err, text: c.what + ": " + err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json")
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, 0, c.unreachable(ctx, address, err)
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, 0, c.unreachable(ctx, address, err)
	case len(body) > maxAnswer:
		return nil, 0, &Failure{Kind: Misconfigured, Status: answer.StatusCode,
			text: fmt.Sprintf("%s %s: expected at most %d bytes, found more", c.what, address, maxAnswer)}
	case answer.StatusCode != http.StatusOK:
		return nil, seconds(answer.Header.Get("Retry-After")), c.refused(address, answer.StatusCode, quote(string(body),
			token))
	}
	return body, 0, nil
}

func (c *caller) refused(address string, status int, said string) *Failure {
	f := &Failure{Status: status}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.Kind = Unauthorized
	case status == http.StatusNotFound:
		f.Kind = NotFound
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		f.Kind = Unavailable
	}
	if said != "" {
		said = ": " + said
	}
	f.text = fmt.Sprintf("%s %s: answered %d%s", c.what, address, status, said)
	return f
}

func (c *caller) unreachable(ctx context.Context, address string, err error) *Failure {
	var transport *url.Error
	if errors.As(err, &transport) {
		err = transport.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	f := &Failure{Kind: Unavailable, err: err, text: fmt.Sprintf("%s %s: no answer: %s", c.what, address,
		quote(err.Error()))}
	if trouble := tlsTrouble(err); trouble != "" {
		f.Kind, f.text = Misconfigured, fmt.Sprintf("%s %s: TLS: %s: %s", c.what, address, quote(err.Error()), trouble)
	}
	return f
}
