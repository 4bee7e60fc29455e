package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/rest"
	secrets "github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/shown"
)

// remote is a worker that is called by REST, Culvert's or Kafka Connect's.
type remote struct {
	output
	url, user string
	timeout   time.Duration
	// transport sends requests. Nil means the network.
	transport http.RoundTripper
	// header overrides the headers of requests.
	header http.Header
}

// maxAnswer bounds a response.
const maxAnswer = 64 << 20

func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", "http://127.0.0.1:8083", "`URL` of the REST API, Culvert's or Kafka Connect's")
	f.StringVar(&r.user, "user", "", "`NAME` of a user; the password is read from CULVERT_REST_PASSWORD")
	f.BoolVar(&r.json, "json", false, "as JSON")
	f.DurationVar(&r.timeout, "timeout", 100*time.Second,
		"how long a response may take, including retries after temporary conflicts")
}

// isRefused reports whether an error is a response with a status; zero means any error status.
func isRefused(err error, status int) bool {
	var refused *rest.Refusal
	return errors.As(err, &refused) && (status == 0 || refused.Status == status)
}

// conflictPause is between retries of a response that is temporary: the worker starts, or rebalances.
const conflictPause = 500 * time.Millisecond

// get sends a GET request, see [remote.call].
func (r *remote) get(ctx context.Context, path string, into any, names ...string) error {
	return r.call(ctx, "GET "+path, nil, into, names...)
}

// call sends a request to a route of package rest, with names for the braces in it, and decodes the response into a
// value, or copies it to a *string. Temporary refusals are retried until the timeout.
func (r *remote) call(ctx context.Context, route string, body, into any, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for {
		err := r.once(ctx, route, body, into, names...)
		if !isRefused(err, http.StatusConflict) && !isRefused(err, http.StatusServiceUnavailable) ||
			!isTemporary(err.Error()) {
			return err
		}
		select {
		case <-time.After(conflictPause):
		case <-ctx.Done():
			return err
		}
	}
}

func isTemporary(text string) bool {
	return strings.Contains(text, "momentarily") || strings.Contains(text, "rebalance")
}

// once is call without retries. Errors have an exit code.
func (r *remote) once(ctx context.Context, route string, body, into any, names ...string) error {
	base, err := workerURL(r.url)
	if err != nil {
		return err
	}
	if r.timeout <= 0 {
		return asUsageError(fmt.Errorf("--timeout: expected a time such as 30s, found %v", r.timeout))
	}
	worker := rest.Client{URL: r.url, Header: r.header, Transport: logon{r, base}, MaxBytes: maxAnswer}
	_, err = worker.Call(ctx, route, nil, body, into, names...)
	if refused := (*rest.Refusal)(nil); errors.As(err, &refused) {
		password, _ := base.User.Password()
		refused.Message = shown.Text(redactPasswords(refused.Message, restPassword(), password))
	}
	return asFailure(err)
}

// logon is a transport that adds the user and password of the command line.
type logon struct {
	*remote
	base *url.URL
}

// RoundTrip follows redirections without sending them the password.
func (l logon) RoundTrip(request *http.Request) (*http.Response, error) {
	if l.user != "" {
		request.SetBasicAuth(l.user, restPassword())
	}
	answer, err := (&http.Client{Transport: l.transport, CheckRedirect: secrets.Redirect}).Do(request)
	if err != nil {
		err = connectionError(l.base, err)
	}
	return answer, err
}

// restPassword returns the password of --user.
func restPassword() string { return os.Getenv("CULVERT_REST_PASSWORD") }

// redactPasswords removes passwords from a worker's text.
func redactPasswords(text string, passwords ...string) string {
	var known secrets.Redactor
	for _, password := range passwords {
		known.Add(password)
	}
	return known.Redact(text)
}

// workerURL parses --url.
func workerURL(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		problem := "--url: expected http://HOST:PORT"
		if !strings.Contains(text, "@") { // else it contains a password
			problem += fmt.Sprintf(", found %q", shown.Line(text))
		}
		return nil, asUsageError(errors.New(problem))
	}
	return base, nil
}

func connectionError(base *url.URL, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) { // it repeats the whole request
		err = asked.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("no response in time")
	}
	return fmt.Errorf("expected a running worker at %s: %w", shown.Line(base.Redacted()), err)
}
