// Package registry asks a schema registry with Confluent's API
// (docs.confluent.io/platform/current/schema-registry/develop/api.html): Confluent's own, Karapace, Apicurio's ccompat,
// Redpanda's. A registry that is away is asked again until it is back, however long that takes; what it refuses is an
// [RejectedError] that says whose fault it is.
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

// Bounds on what a registry may do.
const (
	// maxResponseBytes is how long an answer may be.
	maxResponseBytes = 16 << 20
	// maxReferences is how many further schemas one may refer to, directly or not.
	maxReferences = 1000
	// requestTimeout is how long one request may take.
	requestTimeout = 30 * time.Second
	// firstPause and maxPause are the time between two tries, which doubles.
	firstPause, maxPause = 500 * time.Millisecond, 30 * time.Second
)

// Settings are those of a converter that say where the registry is and how it is asked, by Confluent's names without
// the converter's prefix.
type Settings struct {
	// URLs are of `schema.registry.url`: the first that answers is taken.
	URLs []string
	// User and Password of `basic.auth.user.info`, or of the URL; Token of `bearer.auth.token`.
	User, Password, Token string
	// Security are the settings below `schema.registry.ssl.`, by their names without `schema.registry.`.
	Security map[string]string
}

// SettingKeys are the settings, for the declaration of a converter.
func SettingKeys() []wit.ConfigKey {
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

// security is the prefix of settings of TLS, with what follows it as Kafka's clients have it.
const security = "schema.registry.ssl."

// Parse reads the settings of a converter, which are right by their declarations.
func Parse(values setting.Values) (settings Settings, err error) {
	for _, item := range values.List("schema.registry.url") {
		address, err := url.Parse(item)
		if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
			return settings, errors.New("Invalid value for configuration schema.registry.url: expected http:// or " +
				"https:// " +
				"and a host, and commas between several")
		}
		if address.User != nil {
			settings.User = address.User.Username()
			settings.Password, _ = address.User.Password()
			address.User = nil
		}
		settings.URLs = append(settings.URLs, strings.TrimSuffix(address.String(), "/"))
	}
	if values.Lower("basic.auth.credentials.source") == "user_info" {
		var ok bool
		if settings.User, settings.Password, ok = strings.Cut(values.String("basic.auth.user.info"), ":"); !ok {
			return settings, errors.New("Invalid value for configuration basic.auth.user.info: expected a user and a " +
				"password with a colon between, since basic.auth.credentials.source=USER_INFO")
		}
	}
	settings.Token = values.String("bearer.auth.token")
	if ssl := values.WithPrefix(security); len(ssl) > 0 {
		settings.Security = make(map[string]string, len(ssl))
		for name, value := range ssl {
			settings.Security["ssl."+name] = value
		}
	}
	return settings, nil
}

// RejectedError is what a registry does not do.
type RejectedError struct {
	// Status is of HTTP, Code Confluent's error code: 40401 subject not found, 40403 schema not found, 409
	// incompatible, 42201 invalid schema.
	Status, Code int
	Text         string
}

func (e *RejectedError) Error() string { return e.Text }

// IsNotFound tells that there is no such subject, version or schema.
func (e *RejectedError) IsNotFound() bool { return e.Status == http.StatusNotFound }

// Client asks one registry. It is safe for use by several goroutines.
type Client struct {
	api     *sr.Client
	log     *slog.Logger
	address string
	// secrets are the credentials, which are shown in no answer.
	secrets secret.Known

	partner   away.Partner
	mu        sync.Mutex
	lastError string // the error of the last try that failed
}

// Open makes a client; nothing is asked yet. secure is how https is spoken to a host of the settings, nil for the
// system's roots.
func Open(settings Settings, secure func(host string) *tls.Config, log *slog.Logger) (*Client, error) {
	t := &transport{plain: newTransport(nil), hosts: map[string]*http.Transport{}}
	if secure != nil {
		for _, at := range settings.URLs {
			if u, err := url.Parse(at); err == nil {
				t.hosts[u.Host] = newTransport(secure(u.Hostname()))
			}
		}
	}
	return OpenWith(settings, t, log)
}

// OpenWith is [Open] with another way of sending requests.
func OpenWith(settings Settings, send http.RoundTripper, log *slog.Logger) (*Client, error) {
	options := []sr.ClientOpt{sr.URLs(settings.URLs...), sr.UserAgent("culvert"),
		sr.HTTPClient(&http.Client{Transport: send,
			Timeout: requestTimeout, CheckRedirect: secret.Redirect})}
	switch {
	case settings.Token != "":
		options = append(options, sr.BearerToken(settings.Token))
	case settings.User != "":
		options = append(options, sr.BasicAuth(settings.User, settings.Password))
	}
	api, err := sr.NewClient(options...)
	c := &Client{api: api, log: log, address: strings.Join(settings.URLs, ", ")}
	c.secrets.Keep(settings.Password, settings.Token)
	return c, err
}

// transport bounds answers, and keeps the certificates that are for the registry from hosts that it leads to.
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
		answer.Body = &limitedBody{answer.Body, maxResponseBytes}
	}
	return answer, err
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the schema registry's answer has more than %d bytes", maxResponseBytes)
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// Outage says since when and why the registry does not answer, "" when it does; for the connector's status.
func (c *Client) Outage() string {
	since := c.partner.Since()
	if since.IsZero() {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("the schema registry %s does not answer since %s: %s", c.address,
		since.UTC().Format(time.RFC3339),
		c.lastError)
}

// Kind is of which language a schema is.
type Kind = sr.SchemaType

// Languages of schemas.
const (
	Avro = sr.TypeAvro
	JSON = sr.TypeJSON
)

// NamedSchema is a schema's, and the name by which the schema that refers to it does so.
type NamedSchema struct{ Name, Text string }

// Direction is which way the values of a schema go, which decides the rules that would have to run with them.
type Direction string

// Directions of values, by the mode of the rules that do not run with them.
const (
	Written Direction = "READ"
	Read    Direction = "WRITE"
)

// schemaResponse is an answer about a schema. sr has no rules for the whole payload, and gives up at a mode that it
// does not know, so that rules are read here.
type schemaResponse struct {
	sr.SubjectSchema
	Rules *ruleSet `json:"ruleSet"` // stands before the embedded one
}

// ruleSet holds the rules that run with each value, by Confluent's names: those of fields and messages, and those of
// the whole payload. Those that migrate values run for readers that ask for another version than the value's, as none
// here does.
type ruleSet struct {
	DomainRules, EncodingRules []rule
}

type rule struct {
	Name, Type, Mode string
	Disabled         bool
}

// checkRules is the answer's [RejectedError] where its schema, which what names, has a rule that would have to run with
// values that go this way.
func (f *schemaResponse) checkRules(what string, way Direction) error {
	if f.Rules == nil {
		return nil
	}
	for _, r := range slices.Concat(f.Rules.DomainRules, f.Rules.EncodingRules) {
		if !r.Disabled && r.Mode != string(way) {
			does := "go out"
			if way == Read {
				does = "be read"
			}
			return &RejectedError{Text: fmt.Sprintf(
				"%s has the rule %q of type %q, which is not built: values would %s "+
					"without it", what, shown.Within(r.Name, maxMessageBytes), shown.Within(r.Type, maxMessageBytes),
					does)}
		}
	}
	return nil
}

// Register returns the id of a schema under a subject, registering it where it is new. The registry may add rules to
// it, by the subject's configuration; with such as would run with what is written it is [RejectedError]. Registries
// that answer with an id alone do not tell.
func (c *Client) Register(ctx context.Context, subject string, kind Kind, text string, normalize bool) (id int,
	err error) {
	f, err := c.find(ctx, "register the schema of "+subject, http.MethodPost, subjectPath(subject)+"/versions",
		&sr.Schema{Schema: text, Type: kind}, normalize, true)
	if err == nil {
		err = f.checkRules("the schema of "+subject, Written)
	}
	return f.ID, err
}

// Lookup returns the id of a schema that is registered under a subject; one with rules for what is written is
// [RejectedError].
func (c *Client) Lookup(ctx context.Context, subject string, kind Kind, text string, normalize bool) (id int,
	err error) {
	f, err := c.find(ctx, "look up the schema of "+subject, http.MethodPost, subjectPath(subject),
		&sr.Schema{Schema: text, Type: kind}, normalize, true)
	if err == nil {
		err = f.checkRules("the schema of "+subject, Written)
	}
	return f.ID, err
}

// Version returns which version of a subject a schema is.
func (c *Client) Version(ctx context.Context, subject string, kind Kind, text string) (version int, err error) {
	f, err := c.find(ctx, "look up the schema of "+subject, http.MethodPost, subjectPath(subject),
		&sr.Schema{Schema: text, Type: kind}, false, true)
	return f.Version, err
}

// Ping returns nil if the registry answers this client, asked once. That it does not know the request is an answer.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.SupportedTypes(ctx)
	answer, _ := errors.AsType[*sr.ResponseError](err)
	switch {
	case err == nil, answer != nil && answer.StatusCode == http.StatusNotFound:
		return nil
	case answer != nil:
		return fmt.Errorf("schema registry %s: status %d: %s", c.address, answer.StatusCode, c.message(answer))
	}
	return fmt.Errorf("schema registry %s: %s", c.address, c.printable(err.Error()))
}

// Latest returns the newest schema of a subject; one with rules for what is written, such as those that encrypt fields,
// is [RejectedError].
func (c *Client) Latest(ctx context.Context, subject string) (id int, text string, err error) {
	f, err := c.find(ctx, "get the newest schema of "+subject, http.MethodGet, subjectPath(subject)+"/versions/latest",
		nil, false, true)
	if err == nil {
		err = f.checkRules("the newest schema of "+subject, Written)
	}
	return f.ID, f.Schema.Schema, err
}

// Schema returns the schema of an id, after those that it refers to, each after its own; one with rules for values
// that go this way is [RejectedError].
func (c *Client) Schema(ctx context.Context, id int, way Direction) (texts []NamedSchema, kind Kind, err error) {
	return c.schema(ctx, fmt.Sprintf("schema %d", id), fmt.Sprintf("/schemas/ids/%d", id), way)
}

// SchemaByGUID returns the schema of a GUID as [Client.Schema] does.
func (c *Client) SchemaByGUID(ctx context.Context, guid string, way Direction) (texts []NamedSchema, kind Kind,
	err error) {
	return c.schema(ctx, "schema "+guid, "/schemas/guids/"+url.PathEscape(guid), way)
}

func (c *Client) schema(ctx context.Context, what, path string, way Direction) (texts []NamedSchema, kind Kind,
	err error) {
	f, err := c.find(ctx, "get "+what, http.MethodGet, path, nil, false, false)
	if err == nil {
		err = f.checkRules(what, way)
	}
	if err != nil {
		return nil, kind, err
	}
	texts, err = c.withReferences(ctx, what, f.Schema)
	return texts, f.Type, err
}

func subjectPath(subject string) string { return "/subjects/" + url.PathEscape(subject) }

// find asks for one schema, giving the registry a schema where there is one. withID: an answer that calls itself a
// success and has no id, such as a gateway's, is none.
func (c *Client) find(ctx context.Context, what, method, path string, schema *sr.Schema, normalize,
	withID bool) (response schemaResponse,
	err error) {
	err = c.retry(ctx, what, func(ctx context.Context) error {
		if normalize {
			ctx = sr.WithParams(ctx, sr.Normalize)
		}
		var body any
		if schema != nil {
			body = schema
		}
		response = schemaResponse{}
		if err := c.api.Do(ctx, method, path, body, &response); err != nil {
			return err
		}
		if withID && (response.ID <= 0 || response.ID > math.MaxInt32) {
			return fmt.Errorf("the answer has no id of a schema: expected 1 to %d, found %d", math.MaxInt32,
				response.ID)
		}
		return nil
	})
	return response, err
}

// withReferences returns a schema after those that it refers to.
func (c *Client) withReferences(ctx context.Context, what string, found sr.Schema) (texts []NamedSchema, err error) {
	seen := map[string]bool{}
	var follow func(references []sr.SchemaReference) error
	follow = func(references []sr.SchemaReference) error {
		for _, r := range references {
			key := fmt.Sprint(r.Subject, "\x00", r.Version)
			if seen[key] {
				continue
			}
			if seen[key] = true; len(seen) > maxReferences {
				return &RejectedError{Text: fmt.Sprintf("%s refers to more than %d others", what, maxReferences)}
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
			texts = append(texts, NamedSchema{r.Name, schema.Schema})
		}
		return nil
	}
	if err := follow(found.References); err != nil {
		return nil, err
	}
	return append(texts, NamedSchema{Text: found.Schema}), nil
}

// retry does one thing until the registry has said yes or no.
func (c *Client) retry(ctx context.Context, what string, do func(context.Context) error) error {
	for backoff := (pause.Backoff{First: firstPause, Longest: maxPause}); ; {
		began, err := time.Now(), do(ctx)
		refused := &RejectedError{}
		var answer *sr.ResponseError
		var elsewhere *secret.Elsewhere
		switch {
		case err == nil:
			c.recordAnswer(began)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &elsewhere):
			c.recordAnswer(began)
			return &RejectedError{Text: fmt.Sprintf("schema registry %s: %s: %v", c.address, what, elsewhere)}
		case errors.As(err, &answer) && !isTemporary(answer.StatusCode):
			c.recordAnswer(began)
			refused.Status, refused.Code = answer.StatusCode, answer.ErrorCode
			refused.Text = fmt.Sprintf("schema registry %s: %s: status %d: %s", c.address, what, answer.StatusCode,
				c.message(answer))
			return refused
		}
		c.recordOutage(began, what, c.printable(err.Error()))
		if err := backoff.Wait(ctx); err != nil {
			return err
		}
	}
}

// isTemporary: a status by which the registry, or what stands before it, says that it cannot answer now.
func isTemporary(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests ||
		status == http.StatusRequestTimeout
}

// maxMessageBytes is how much of an answer an error says.
const maxMessageBytes = 1000

func (c *Client) message(answer *sr.ResponseError) string {
	return c.printable(cmp.Or(answer.Message, string(answer.Raw)))
}

// printable is a text of the registry as it may be shown.
func (c *Client) printable(text string) string {
	return shown.Within(c.secrets.Strike(text), maxMessageBytes)
}

// recordOutage notes that a try has failed. It logs an outage once, however many callers ask.
func (c *Client) recordOutage(began time.Time, what, why string) {
	c.mu.Lock()
	c.lastError = why
	c.mu.Unlock()
	c.partner.Lost(c.log, began, "", "the schema registry does not answer and is asked again until it does",
		"registry", c.address, "for", what, "error", why)
}

// recordAnswer notes that the registry has answered.
func (c *Client) recordAnswer(began time.Time) {
	c.partner.Back(c.log, began, "the schema registry answers again", "registry", c.address)
}
