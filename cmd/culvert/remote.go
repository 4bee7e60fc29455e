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

// remote is a worker that is asked by REST, Culvert's or Kafka Connect's.
type remote struct {
	output
	url, user string
	timeout   time.Duration
	// transport takes requests to it; nil: the network.
	transport http.RoundTripper
	// header goes before what requests say by themselves.
	header http.Header
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 20

// flags declares how a worker is reached.
func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", "http://127.0.0.1:8083", "`URL` of REST, Culvert's or Kafka Connect's")
	f.StringVar(&r.user, "user", "", "`NAME` of a user; the password is read from CULVERT_REST_PASSWORD")
	f.BoolVar(&r.json, "json", false, "as JSON")
	f.DurationVar(&r.timeout, "timeout", 100*time.Second, "how long an answer may take, conflicts that pass included")
}

// isRefused tells whether an error is an answer that says no, with this status or, for 0, with any.
func isRefused(err error, status int) bool {
	var refused *rest.Refusal
	return errors.As(err, &refused) && (status == 0 || refused.Status == status)
}

// conflictPause is between two tries of what a worker answers with a conflict, or 503, which passes: it starts, or
// rebalances.
const conflictPause = 500 * time.Millisecond

// get asks for a route, see [remote.call].
func (r *remote) get(ctx context.Context, path string, into any, names ...string) error {
	return r.call(ctx, "GET "+path, nil, into, names...)
}

// call sends a request to a route and reads the answer into a value, where there is one; a *string gets it as it is.
// The route is given as in the table of package rest, with names for what stands in braces there. What a worker cannot
// do at the moment is tried again until the time is over; whatever else is refused is an error with the worker's own
// text.
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

// isTemporary tells whether a refusal is one that passes.
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
	var known secrets.Known
	for _, password := range passwords {
		known.Keep(password)
	}
	return known.Strike(text)
}

// workerURL parses --url.
func workerURL(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, asUsageError(fmt.Errorf("--url: expected http://HOST:PORT, found %q", shown.Line(text)))
	}
	return base, nil
}

// connectionError says that no worker has answered.
func connectionError(base *url.URL, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) { // it repeats the whole request
		err = asked.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("there was no answer in time")
	}
	return fmt.Errorf("expected a running worker at %s: %w", shown.Line(base.Redacted()), err)
}
