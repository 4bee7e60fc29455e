// Package registry is the client of a schema registry with Confluent's API
// (docs.confluent.io/platform/current/schema-registry/develop/api.html): Confluent's, Karapace, Apicurio's ccompat,
// Redpanda's. It repeats requests until an unavailable registry responds; a rejection is a [Refused].
package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	maxResponseBytes = 16 << 20 // of one response
	maxReferences    = 1000     // of a schema to others, directly or not
	requestTimeout   = 30 * time.Second
	// firstPause and maxPause bound the delay between two attempts, which doubles.
	firstPause, maxPause = 500 * time.Millisecond, 30 * time.Second
)

// Settings are a converter's settings for the registry, by Confluent's names.
type Settings struct {
	URLs []string // schema.registry.url, in order of preference
	// User and Password are from basic.auth.user.info or the URL, Token from bearer.auth.token.
	User, Password, Token string
	// Security are the settings below schema.registry.ssl., without schema.registry.
	Security map[string]string
}

// Declared returns the declarations of these settings.
func Declared() []wit.ConfigKey {
	text := func(name, value, documentation string, rules ...wit.Rule) wit.ConfigKey {
		return setting.Define(name, wit.KindString, wit.Medium, &value, documentation, rules...)
	}
	secret := func(name, documentation string, rules ...wit.Rule) wit.ConfigKey {
		return setting.Define(name, wit.KindPassword, wit.Medium, nil, documentation, rules...)
	}
	return []wit.ConfigKey{
		setting.Define("schema.registry.url", wit.KindList, wit.High, nil, "Addresses of the schema registry, "+
			"http:// or https://; the first that answers is asked.", setting.Required()),
		text("basic.auth.credentials.source", "URL", "Where user and password stand: in the address, or in "+
			"basic.auth.user.info.", setting.Allowed("URL", "USER_INFO"),
			setting.Alias("schema.registry.basic.auth.credentials.source")),
		secret("basic.auth.user.info", "User and password with a colon between.",
			setting.Alias("schema.registry.basic.auth.user.info")),
		text("bearer.auth.credentials.source", "STATIC_TOKEN", "Where the token stands: in bearer.auth.token.",
			setting.Allowed("STATIC_TOKEN"), setting.Alias("schema.registry.bearer.auth.credentials.source")),
		secret("bearer.auth.token", "Token that goes with each request.",
			setting.Alias("schema.registry.bearer.auth.token")),
		setting.Define(security+"{name}", wit.KindString, wit.Low, nil, "Kafka's settings of TLS, for the registry: "+
			"ssl.truststore.location and so on."),
	}
}

const security = "schema.registry.ssl."

// Parse reads validated settings of a converter.
func Parse(v setting.Values) (s Settings, err error) {
	for _, item := range v.List("schema.registry.url") {
		u, err := url.Parse(item)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return s, errors.New("Invalid value for configuration schema.registry.url: expected http:// or https:// " +
				"and a host, and commas between several")
		}
		if u.User != nil {
			s.User = u.User.Username()
			s.Password, _ = u.User.Password()
			u.User = nil
		}
		s.URLs = append(s.URLs, strings.TrimSuffix(u.String(), "/"))
	}
	if v.Lower("basic.auth.credentials.source") == "user_info" {
		var ok bool
		if s.User, s.Password, ok = strings.Cut(v.String("basic.auth.user.info"), ":"); !ok {
			return s, errors.New("Invalid value for configuration basic.auth.user.info: expected a user and a " +
				"password with a colon between, since basic.auth.credentials.source=USER_INFO")
		}
	}
	s.Token = v.String("bearer.auth.token")
	if ssl := v.WithPrefix(security); len(ssl) > 0 {
		s.Security = make(map[string]string, len(ssl))
		for name, value := range ssl {
			s.Security["ssl."+name] = value
		}
	}
	return s, nil
}

// Refused is a rejection by the registry.
type Refused struct {
	// Status is the HTTP status, Code Confluent's error code: 40401 subject not found, 40403 schema not found, 409
	// incompatible, 42201 invalid schema.
	Status, Code int
	Text         string
}

func (e *Refused) Error() string { return e.Text }

// NotFound reports whether the subject, version or schema does not exist.
func (e *Refused) NotFound() bool { return e.Status == http.StatusNotFound }

// Client sends requests to one registry. It is safe for concurrent use.
type Client struct {
	api *sr.Client
	log *slog.Logger
	at  string
	// known are the credentials, which messages must not contain.
	known secret.Known

	partner away.Partner
	mu      sync.Mutex
	why     string // the error of the last try that failed
}

// Open returns a client without sending a request. secure returns the TLS configuration for a host; nil uses the
// system's roots.
func Open(s Settings, secure func(host string) *tls.Config, log *slog.Logger) (*Client, error) {
	t := &transport{plain: newTransport(nil), hosts: map[string]*http.Transport{}}
	if secure != nil {
		for _, at := range s.URLs {
			if u, err := url.Parse(at); err == nil {
				t.hosts[u.Host] = newTransport(secure(u.Hostname()))
			}
		}
	}
	return OpenWith(s, t, log)
}

// OpenWith is [Open] with another transport.
func OpenWith(s Settings, send http.RoundTripper, log *slog.Logger) (*Client, error) {
	options := []sr.ClientOpt{sr.URLs(s.URLs...), sr.UserAgent("culvert"), sr.HTTPClient(&http.Client{Transport: send,
		Timeout: requestTimeout, CheckRedirect: secret.Redirect})}
	switch {
	case s.Token != "":
		options = append(options, sr.BearerToken(s.Token))
	case s.User != "":
		options = append(options, sr.BasicAuth(s.User, s.Password))
	}
	api, err := sr.NewClient(options...)
	c := &Client{api: api, log: log, at: strings.Join(s.URLs, ", ")}
	c.known.Keep(s.Password, s.Token)
	return c, err
}

// transport bounds responses, and hides the registry's client certificates from other hosts.
type transport struct {
	plain *http.Transport
	hosts map[string]*http.Transport
}

func newTransport(secure *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = secure
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 2, 30*time.Second
	return t
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	to := t.hosts[r.URL.Host]
	if to == nil {
		to = t.plain
	}
	answer, err := to.RoundTrip(r)
	if err == nil {
		answer.Body = &limited{answer.Body, maxResponseBytes}
	}
	return answer, err
}

type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the schema registry's answer has more than %d bytes", maxResponseBytes)
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// Away returns since when and why the registry is unavailable, "" if it is available, for the connector's status.
func (c *Client) Away() string {
	since := c.partner.Since()
	if since.IsZero() {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("the schema registry %s does not answer since %s: %s", c.at, since.UTC().Format(time.RFC3339),
		c.why)
}

// Kind is the language of a schema.
type Kind = sr.SchemaType

// The languages that converters write.
const (
	Avro = sr.TypeAvro
	JSON = sr.TypeJSON
)

// Text is the text of a schema, and the name by which another schema refers to it.
type Text struct{ Name, Text string }

// Direction is whether values are written or read, which decides about the rules that would have to run.
type Direction string

// Each value is the mode of the rules that do not run in that direction.
const (
	Written Direction = "READ"
	Read    Direction = "WRITE"
)

// found is a response with a schema. Package sr lacks the payload's rules and rejects unknown modes, so rules are
// parsed here.
type found struct {
	sr.SubjectSchema
	Rules *ruleSet `json:"ruleSet"` // stands before the embedded one
}

// ruleSet has the rules that run for each value, by Confluent's names: of fields and messages, and of the payload.
// Migration rules run only for readers that request another version, which this client does not.
type ruleSet struct {
	DomainRules, EncodingRules []rule
}

type rule struct {
	Name, Type, Mode string
	Disabled         bool
}

// refuse returns a [Refused] if the schema, which what names, has a rule that would have to run in this direction.
func (f *found) refuse(what string, way Direction) error {
	if f.Rules == nil {
		return nil
	}
	for _, r := range slices.Concat(f.Rules.DomainRules, f.Rules.EncodingRules) {
		if !r.Disabled && r.Mode != string(way) {
			does := "go out"
			if way == Read {
				does = "be read"
			}
			return &Refused{Text: fmt.Sprintf("%s has the rule %q of type %q, which is not built: values would %s "+
				"without it", what, shown.Within(r.Name, maxErrorText), shown.Within(r.Type, maxErrorText), does)}
		}
	}
	return nil
}

// Register returns the ID of a schema under a subject and registers it if it is new. If the registry adds rules for
// written values, by the subject's configuration, it returns a [Refused]; some registries return only the ID.
func (c *Client) Register(ctx context.Context, subject string, kind Kind, text string, normalize bool) (id int,
	err error) {
	f, err := c.requestSchema(ctx, "register the schema of "+subject, http.MethodPost, subjectPath(subject)+"/versions",
		&sr.Schema{Schema: text, Type: kind}, normalize, true)
	if err == nil {
		err = f.refuse("the schema of "+subject, Written)
	}
	return f.ID, err
}

// Lookup returns the ID of a registered schema, or a [Refused] if it has rules for written values.
func (c *Client) Lookup(ctx context.Context, subject string, kind Kind, text string, normalize bool) (id int,
	err error) {
	f, err := c.requestSchema(ctx, "look up the schema of "+subject, http.MethodPost, subjectPath(subject),
		&sr.Schema{Schema: text, Type: kind}, normalize, true)
	if err == nil {
		err = f.refuse("the schema of "+subject, Written)
	}
	return f.ID, err
}

// Version returns the version of a schema in a subject.
func (c *Client) Version(ctx context.Context, subject string, kind Kind, text string) (version int, err error) {
	f, err := c.requestSchema(ctx, "look up the schema of "+subject, http.MethodPost, subjectPath(subject),
		&sr.Schema{Schema: text, Type: kind}, false, true)
	return f.Version, err
}

// Ping sends one request and returns nil if the registry responds, even with an error about the request.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.SupportedTypes(ctx)
	answer, _ := errors.AsType[*sr.ResponseError](err)
	switch {
	case err == nil, answer != nil && answer.StatusCode == http.StatusNotFound:
		return nil
	case answer != nil:
		return fmt.Errorf("schema registry %s: status %d: %s", c.at, answer.StatusCode, c.said(answer))
	}
	return fmt.Errorf("schema registry %s: %s", c.at, c.redacted(err.Error()))
}

// Latest returns the newest schema of a subject, or a [Refused] if it has rules for written values, such as encryption.
func (c *Client) Latest(ctx context.Context, subject string) (id int, text string, err error) {
	f, err := c.requestSchema(ctx, "get the newest schema of "+subject, http.MethodGet,
		subjectPath(subject)+"/versions/latest",
		nil, false, true)
	if err == nil {
		err = f.refuse("the newest schema of "+subject, Written)
	}
	return f.ID, f.Schema.Schema, err
}

// Schema returns a schema by its ID, after those that it refers to, or a [Refused] if it has rules for this direction.
func (c *Client) Schema(ctx context.Context, id int, way Direction) (texts []Text, kind Kind, err error) {
	return c.schema(ctx, fmt.Sprintf("schema %d", id), fmt.Sprintf("/schemas/ids/%d", id), way)
}

// SchemaOf is [Client.Schema] for a GUID.
func (c *Client) SchemaOf(ctx context.Context, guid string, way Direction) (texts []Text, kind Kind, err error) {
	return c.schema(ctx, "schema "+guid, "/schemas/guids/"+url.PathEscape(guid), way)
}

func (c *Client) schema(ctx context.Context, what, path string, way Direction) (texts []Text, kind Kind, err error) {
	f, err := c.requestSchema(ctx, "get "+what, http.MethodGet, path, nil, false, false)
	if err == nil {
		err = f.refuse(what, way)
	}
	if err != nil {
		return nil, kind, err
	}
	texts, err = c.withReferences(ctx, what, f.Schema)
	return texts, f.Type, err
}

func subjectPath(subject string) string { return "/subjects/" + url.PathEscape(subject) }

// requestSchema requests one schema. withID rejects a successful response without an ID, such as a gateway's.
func (c *Client) requestSchema(ctx context.Context, what, method, path string, give *sr.Schema, normalize,
	withID bool) (f found,
	err error) {
	err = c.retry(ctx, what, func(ctx context.Context) error {
		if normalize {
			ctx = sr.WithParams(ctx, sr.Normalize)
		}
		var body any
		if give != nil {
			body = give
		}
		f = found{}
		if err := c.api.Do(ctx, method, path, body, &f); err != nil {
			return err
		}
		if withID && (f.ID <= 0 || f.ID > math.MaxInt32) {
			return fmt.Errorf("the answer has no id of a schema: expected 1 to %d, found %d", math.MaxInt32, f.ID)
		}
		return nil
	})
	return f, err
}

// withReferences returns a schema after those that it refers to.
func (c *Client) withReferences(ctx context.Context, what string, found sr.Schema) (texts []Text, err error) {
	seen := map[string]bool{}
	var follow func(references []sr.SchemaReference) error
	follow = func(references []sr.SchemaReference) error {
		for _, r := range references {
			key := fmt.Sprint(r.Subject, "\x00", r.Version)
			if seen[key] {
				continue
			}
			if seen[key] = true; len(seen) > maxReferences {
				return &Refused{Text: fmt.Sprintf("%s refers to more than %d others", what, maxReferences)}
			}
			var schema sr.Schema
			err := c.retry(ctx, fmt.Sprintf("get version %d of %s", r.Version, r.Subject),
				func(ctx context.Context) error {
					found, err := c.api.SchemaByVersion(ctx, r.Subject, r.Version)
					schema = found.Schema
					return err
				})
			if err == nil {
				err = follow(schema.References)
			}
			if err != nil {
				return err
			}
			texts = append(texts, Text{r.Name, schema.Schema})
		}
		return nil
	}
	if err := follow(found.References); err != nil {
		return nil, err
	}
	return append(texts, Text{Text: found.Schema}), nil
}

// retry repeats a request until the registry accepts or rejects it.
func (c *Client) retry(ctx context.Context, what string, do func(context.Context) error) error {
	for backoff := (pause.Backoff{First: firstPause, Longest: maxPause}); ; {
		began, err := time.Now(), do(ctx)
		refused := &Refused{}
		var answer *sr.ResponseError
		var elsewhere *secret.Elsewhere
		switch {
		case err == nil:
			c.markBack(began)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &elsewhere):
			c.markBack(began)
			return &Refused{Text: fmt.Sprintf("schema registry %s: %s: %v", c.at, what, elsewhere)}
		case errors.As(err, &answer) && !isUnavailable(answer.StatusCode):
			c.markBack(began)
			refused.Status, refused.Code = answer.StatusCode, answer.ErrorCode
			refused.Text = fmt.Sprintf("schema registry %s: %s: status %d: %s", c.at, what, answer.StatusCode,
				c.said(answer))
			return refused
		}
		c.markAway(began, what, c.redacted(err.Error()))
		if err := backoff.Wait(ctx); err != nil {
			return err
		}
	}
}

// isUnavailable reports whether a status means that the registry, or a proxy, is unavailable.
func isUnavailable(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests ||
		status == http.StatusRequestTimeout
}

const maxErrorText = 1000

func (c *Client) said(answer *sr.ResponseError) string {
	return c.redacted(cmp.Or(answer.Message, string(answer.Raw)))
}

// redacted returns a text of the registry without credentials.
func (c *Client) redacted(text string) string {
	return shown.Within(c.known.Strike(text), maxErrorText)
}

// markAway records a failed attempt. It logs an outage once, however many callers there are.
func (c *Client) markAway(began time.Time, what, why string) {
	c.mu.Lock()
	c.why = why
	c.mu.Unlock()
	c.partner.Lost(c.log, began, "", "the schema registry does not answer and is asked again until it does",
		"registry", c.at, "for", what, "error", why)
}

// markBack records a response.
func (c *Client) markBack(began time.Time) {
	c.partner.Back(c.log, began, "the schema registry answers again", "registry", c.at)
}
