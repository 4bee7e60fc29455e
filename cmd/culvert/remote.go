package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/rest"
	secrets "github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// remote is a worker that is called by REST, Culvert's or Kafka Connect's.
type remote struct {
	output
	url       string // "" until [remote.find] has found it
	user      string
	config    string            // the file or folder of --config
	timeout   time.Duration     // of a call with its retries
	transport http.RoundTripper // nil means the network
	header    http.Header       // overrides the headers of requests
}

// The worker's URL if neither --url nor --config is set: the variable, else the default.
const (
	environmentURL = "CULVERT_URL"
	defaultURL     = "http://127.0.0.1:8083"
)

const maxAnswer = 64 << 20

func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", "", "`URL` of the REST API, Culvert's or Kafka Connect's (default: CULVERT_URL, else "+
		defaultURL+"); http://USER:PASSWORD@HOST:PORT logs on")
	f.StringVar(&r.config, "config", "", "worker `FILE`, or its folder: its first listener replaces --url, its "+
		"listeners.https.* settings are used for TLS. To log on, add --user")
	c.MarkFlagsMutuallyExclusive("config", "url")
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

// conflictPause is the pause before a retry after a temporary refusal: the worker starts, or rebalances.
const conflictPause = 500 * time.Millisecond

func (r *remote) get(ctx context.Context, path string, into any, names ...string) error {
	return r.call(ctx, "GET "+path, nil, into, names...)
}

// call sends a request to a route of package rest, with names for the braces in it, and decodes the response into into,
// or copies it if that is a *string. Temporary refusals are retried until the timeout.
func (r *remote) call(ctx context.Context, route string, body, into any, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for {
		err := r.callOnce(ctx, route, body, into, names...)
		if !isTemporary(err) {
			return r.withNearestName(ctx, err, route, names)
		}
		select {
		case <-time.After(conflictPause):
		case <-ctx.Done():
			return err
		}
	}
}

// connectorPath is in the paths of all routes whose first argument is a connector.
const connectorPath = "/connectors/{name}"

// withNearestName adds the most similar name to the error about a connector that does not exist.
func (r *remote) withNearestName(ctx context.Context, err error, route string, arguments []string) error {
	var names []string
	if !strings.Contains(route, connectorPath) || !isRefused(err, http.StatusNotFound) ||
		r.callOnce(ctx, "GET /connectors", nil, &names) != nil || slices.Contains(names, arguments[0]) {
		return err
	}
	return withNearest(err, arguments[0], "", names)
}

// withNearest adds the most similar name to an error about an unknown one.
func withNearest(err error, unknown, prefix string, names []string) error {
	if nearest := setting.NearestName(unknown, names); nearest != "" {
		return fmt.Errorf("%w: did you mean %s%s?", err, prefix, inLine(nearest))
	}
	return err
}

func isTemporary(err error) bool {
	return (isRefused(err, http.StatusConflict) || isRefused(err, http.StatusServiceUnavailable)) &&
		(strings.Contains(err.Error(), "momentarily") || strings.Contains(err.Error(), "rebalance"))
}

// find returns the worker's URL. If url is not set yet, it sets url and transport by --config or the environment.
func (r *remote) find() (base *url.URL, err error) {
	from := "--url"
	if r.url == "" && r.config != "" {
		err = r.findConfigured()
	} else if r.url == "" {
		from = environmentURL
		r.url = cmp.Or(os.Getenv(environmentURL), defaultURL)
	}
	if err != nil {
		return nil, asUsageError(err)
	}
	return workerURL(from, r.url)
}

// findConfigured sets url and transport by the worker's file of --config.
func (r *remote) findConfigured() error {
	file := r.config
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		files, err := host.ListFolder(file)
		if err != nil {
			return err
		}
		if file = files.Worker; file == "" {
			return fmt.Errorf("--config: expected worker.properties or worker.yaml in %s, found none",
				shown.Line(r.config))
		}
	}
	w, err := loadWorker(file, nil)
	if err != nil {
		return err
	}
	if r.url = setup.RESTURL(w); r.url == "" {
		return fmt.Errorf("%s: expected listeners, found none", shown.Line(file))
	}
	if strings.HasPrefix(r.url, "https:") {
		client, err := rest.NewWorkerClient(setup.RESTOptions(w).TLS, slog.New(slog.DiscardHandler))
		if err != nil {
			return secrets.RedactError(fmt.Errorf("%s: %w", shown.Line(file), err), w.Redact)
		}
		r.transport = client.Transport
	}
	return nil
}

// callOnce is [remote.call] without retries. Errors have an exit code.
func (r *remote) callOnce(ctx context.Context, route string, body, into any, names ...string) error {
	base, err := r.find()
	if err != nil {
		return err
	}
	if r.timeout <= 0 {
		return asUsageError(fmt.Errorf("--timeout: expected a time such as 30s, found %v", r.timeout))
	}
	transport := logonTransport{remote: r, base: base}
	worker := rest.Client{URL: r.url, Header: r.header, Transport: transport, MaxBytes: maxAnswer}
	_, err = worker.Call(ctx, route, nil, body, into, names...)
	if refused := (*rest.Refusal)(nil); errors.As(err, &refused) {
		var redactor secrets.Redactor
		redactor.Add(restPassword())
		password, _ := base.User.Password()
		redactor.Add(password)
		refused.Message = shown.Text(redactor.Redact(refused.Message))
	}
	return asFailure(err)
}

// logonTransport adds the user of the command line and its password to requests.
type logonTransport struct {
	*remote
	base *url.URL
}

// RoundTrip follows redirections without sending them the password.
func (l logonTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if l.user != "" {
		request.SetBasicAuth(l.user, restPassword())
	}
	answer, err := (&http.Client{Transport: l.transport, CheckRedirect: secrets.Redirect}).Do(request)
	if err != nil {
		var requestErr *url.Error
		if errors.As(err, &requestErr) { // its text repeats the whole request
			err = requestErr.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no response in time")
		}
		err = fmt.Errorf("expected a running worker at %s: %w; --url, --config FILE or %s selects another one",
			shown.Line(l.base.Redacted()), err, environmentURL)
	}
	return answer, err
}

func restPassword() string { return os.Getenv("CULVERT_REST_PASSWORD") }

func workerURL(from, text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		problem := from + ": expected http://HOST:PORT"
		if !strings.Contains(text, "@") { // with @ it may contain a password
			problem += fmt.Sprintf(", found %q", shown.Line(text))
		}
		return nil, asUsageError(errors.New(problem))
	}
	return base, nil
}
