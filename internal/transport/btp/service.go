package btp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
)

// serviceClient gets documents of a service, with tokens of the service's binding.
type serviceClient struct {
	service string // its name in messages
	options TokenOptions
	tokens  *Tokens
	client  *http.Client
}

func newServiceClient(name string, c Credentials, o TokenOptions) (*serviceClient, error) {
	o = o.withDefaults()
	// These apply to a token service that the user's settings name, not to a binding's.
	o.Verbatim = false
	o.InHeader = false
	o.Scope = ""
	tokens, err := NewTokens(c, o)
	if err != nil {
		return nil, err
	}
	return &serviceClient{service: name, options: o, tokens: tokens, client: o.httpClient(nil)}, nil
}

// serviceURL appends a path to the address of a service, which field of a binding contains.
func serviceURL(address, path, field, origin string) (string, error) {
	prefix := Credentials{Origin: origin}.prefix()
	if address == "" {
		return "", &Failure{Kind: Misconfigured, Setting: field, text: prefix + "missing: " + field}
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil ||
		strings.ContainsAny(address, "?#") {
		return "", &Failure{Kind: Misconfigured, Setting: field, text: prefix + field +
			": expected the URL of a service, https://HOST"}
	}
	return strings.TrimSuffix(address, "/") + "/" + strings.TrimPrefix(path, "/"), nil
}

// get returns the body of a GET. A refused token is renewed once. If retry is set, it retries temporary failures as
// long as an attempt would start within RetryPeriod.
func (c *serviceClient) get(ctx context.Context, address string, retry bool) ([]byte, error) {
	var body []byte
	refused := ""
	try := func() (time.Duration, error) {
		var atLeast time.Duration
		token, err := c.tokens.Token(ctx, refused)
		if err != nil {
			return 0, err
		}
		body, atLeast, err = c.getOnce(ctx, address, token)
		if f, ok := errors.AsType[*Failure](err); ok && f.Status == http.StatusUnauthorized && refused == "" {
			refused = token
			if token, err = c.tokens.Token(ctx, refused); err == nil {
				body, atLeast, err = c.getOnce(ctx, address, token)
			}
		}
		return atLeast, err
	}
	if !retry {
		_, err := try()
		return body, err
	}
	err := retryUntil(ctx, c.options.RetryPeriod, try)
	return body, err
}

// getOnce makes one request. atLeast is the pause that the service requests.
func (c *serviceClient) getOnce(ctx context.Context,
	address, token string) (body []byte, atLeast time.Duration, err error) {
	remote := &remoteService{
		service: c.service,
		address: address,
		name:    func(string) string { return "" },
		secrets: []string{token},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, remote.failure(Misconfigured, "", err, "%v", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json")
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, 0, remote.connectionFailure(ctx, "", err)
	}
	body, _ = io.ReadAll(answer.Body) // from memory: wholeBodyRoundTripper has read and closed it
	status := answer.StatusCode
	if status == http.StatusOK {
		return body, 0, nil
	}
	kind := Misconfigured
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		kind = Unauthorized
	case status == http.StatusNotFound:
		kind = NotFound
	case isTransientStatus(status):
		kind = Unavailable
	}
	f := remote.failure(kind, "", nil, "%s", remote.statusMessage(status, string(body)))
	f.Status = status
	return nil, pause.RetryAfter(answer.Header.Get("Retry-After"), time.Now()), f
}
