// Package registry is a client of schema registries with Confluent's API
// (docs.confluent.io/platform/current/schema-registry/develop/api.html): Confluent's own, Karapace, Apicurio's ccompat,
// Redpanda's. Requests are repeated without limit while a registry is unavailable; a [RejectedError] is permanent.
// Another instance may have registered a schema that a record refers to a moment ago, so a missing schema
// is an error only after maxLag.
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
	maxResponseBytes     = 16 << 20
	maxReferences        = 1000 // schemas that one schema refers to, directly or not
	requestTimeout       = 30 * time.Second
	firstPause, maxPause = 500 * time.Millisecond, 30 * time.Second // between tries, doubling
	maxMessageBytes      = 1000                                     // of a response in errors
	maxLag               = 10 * time.Second                         // between the instances of a registry
	maxMissing           = 100                                      // schemas that a client waits for in total
)

// Settings are a converter's settings for the registry.
type Settings struct {
	URLs     []string          // of `schema.registry.url`; the first one that responds is used
	User     string            // from `basic.auth.user.info` or the URL
	Password string            // from the same source as User
	Token    string            // from `bearer.auth.token`. It takes precedence over user and password.
	Security map[string]string // the settings below `schema.registry.ssl.`, named without `schema.registry.`
}

// SettingKeys declares the settings that [Parse] reads.
func SettingKeys() []wit.ConfigKey {
	stringKey := func(name, value, documentation string, rules ...wit.Rule) wit.ConfigKey {
		return setting.Define(name, wit.KindString, wit.Medium, &value, documentation, rules...)
	}
	passwordKey := func(name, documentation string, rules ...wit.Rule) wit.ConfigKey {
		return setting.Define(name, wit.KindPassword, wit.Medium, nil, documentation, rules...)
	}
	return []wit.ConfigKey{
		setting.Define("schema.registry.url", wit.KindList, wit.High, nil,
			"URLs of the schema registry, http:// or https://; the first one that responds is used.",
			setting.Required()),
		stringKey("basic.auth.credentials.source", "URL",
			"Source of user and password: the URL, or basic.auth.user.info.",
			setting.Allowed("URL", "USER_INFO"),
			setting.Alias("schema.registry.basic.auth.credentials.source")),
		passwordKey("basic.auth.user.info", "User and password, separated by a colon.",
			setting.Alias("schema.registry.basic.auth.user.info")),
		stringKey("bearer.auth.credentials.source", "STATIC_TOKEN", "Source of the token: bearer.auth.token.",
			setting.Allowed("STATIC_TOKEN"), setting.Alias("schema.registry.bearer.auth.credentials.source")),
		passwordKey("bearer.auth.token", "Token that is sent with each request.",
			setting.Alias("schema.registry.bearer.auth.token")),
		setting.Define(security+"{name}", wit.KindString, wit.Low, nil,
			"Kafka's TLS settings for the registry, such as ssl.truststore.location."),
	}
}

// security begins the TLS settings, which continue with the names of Kafka's clients.
const security = "schema.registry.ssl."

// Parse reads the values of [SettingKeys]. Its errors begin like Kafka's for an invalid setting.
func Parse(values setting.Values) (settings Settings, err error) {
	for _, item := range values.List("schema.registry.url") {
		address, err := url.Parse(item)
		if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
			return settings, errors.New("Invalid value for configuration schema.registry.url: expected http:// or " +
				"https:// and a host, and commas between several")
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

// RejectedError is a request that the registry rejects, or a schema that is not supported.
type RejectedError struct {
	Status int // of HTTP. Zero means that the registry did not reject the request itself.
	Code   int // Confluent's error code, such as 40401 (no subject), 40403 (no schema), 409 (incompatible).
	Text   string
}

func (e *RejectedError) Error() string { return e.Text }

// IsNotFound reports whether the registry has no such subject, version or schema.
func (e *RejectedError) IsNotFound() bool { return e.Status == http.StatusNotFound }

// Client sends requests to one registry. It is safe for concurrent use.
type Client struct {
	api     *sr.Client
	log     *slog.Logger
	address string
	secrets secret.Redactor // removed from all messages

	partner   away.Partner
	mu        sync.Mutex
	lastError string // of the current outage
	// missing has, by action, the time at which a schema was missing first. All records with one schema wait for it
	// once.
	missing map[string]time.Time
}

// Open creates a client and sends nothing. secure returns a host's TLS configuration; nil means the system's roots.
func Open(settings Settings, secure func(host string) *tls.Config, log *slog.Logger) (*Client, error) {
	t := &transport{plain: newTransport(nil), hosts: map[string]*http.Transport{}}
	if secure != nil {
		for _, address := range settings.URLs {
			if u, err := url.Parse(address); err == nil {
				t.hosts[u.Host] = newTransport(secure(u.Hostname()))
			}
		}
	}
	return OpenWith(settings, t, log)
}

// OpenWith is [Open] with a transport.
func OpenWith(settings Settings, send http.RoundTripper, log *slog.Logger) (*Client, error) {
	options := []sr.ClientOpt{sr.URLs(settings.URLs...), sr.UserAgent("culvert"),
		sr.HTTPClient(&http.Client{Transport: send, Timeout: requestTimeout, CheckRedirect: secret.Redirect})}
	switch {
	case settings.Token != "":
		options = append(options, sr.BearerToken(settings.Token))
	case settings.User != "":
		options = append(options, sr.BasicAuth(settings.User, settings.Password))
	}
	api, err := sr.NewClient(options...)
	c := &Client{api: api, log: log, address: strings.Join(settings.URLs, ", "), missing: map[string]time.Time{}}
	c.secrets.Add(settings.Password, settings.Token)
	return c, err
}

// transport bounds responses, and uses client certificates only for hosts of the settings, not for redirects.
type transport struct {
	plain *http.Transport
	hosts map[string]*http.Transport
}

func newTransport(secure *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = secure
	t.MaxIdleConnsPerHost = 2
	t.IdleConnTimeout = 30 * time.Second
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	hostTransport := t.hosts[r.URL.Host]
	if hostTransport == nil {
		hostTransport = t.plain
	}
	response, err := hostTransport.RoundTrip(r)
	if err == nil {
		response.Body = &limitedBody{response.Body, maxResponseBytes}
	}
	return response, err
}

// limitedBody is a body whose reader fails after remaining bytes.
type limitedBody struct {
	io.ReadCloser
	remaining int
}

// Read fails at the limit even if the body ends there.
func (l *limitedBody) Read(p []byte) (int, error) {
	if l.remaining <= 0 {
		return 0, fmt.Errorf("the schema registry's answer has more than %d bytes", maxResponseBytes)
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.remaining)])
	l.remaining -= n
	return n, err
}

// Outage describes the current outage for the connector's status, "" for none.
func (c *Client) Outage() string {
	since := c.partner.Since()
	if since.IsZero() {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("the schema registry %s has not responded since %s: %s", c.address,
		since.UTC().Format(time.RFC3339), c.lastError)
}

// Kind is the type of a schema by the registry's name.
type Kind = sr.SchemaType

const (
	Avro = sr.TypeAvro
	JSON = sr.TypeJSON
)

// NamedSchema is the text of a schema, with the name by which another schema refers to it.
type NamedSchema struct{ Name, Text string }

// Direction is the direction of values, which decides the rules that apply to them.
type Direction string

// The values are the modes of the rules that do not apply to the direction.
const (
	Written Direction = "READ"
	Read    Direction = "WRITE"
)

// schemaResponse decodes rules itself: sr does not have those for the whole payload, and rejects unknown modes.
type schemaResponse struct {
	sr.SubjectSchema
	Rules *ruleSet `json:"ruleSet"` // hides the embedded field
}

// ruleSet has the rules that apply to values, by Confluent's names. Migration rules are for readers of another version
// than the value's, which we are not.
type ruleSet struct{ DomainRules, EncodingRules []rule }

type rule struct {
	Name     string
	Type     string
	Mode     string
	Disabled bool
}

// checkRules returns a [RejectedError] if a rule applies to values of this direction: rules are not supported.
func (s *schemaResponse) checkRules(schemaName string, direction Direction) error {
	if s.Rules == nil {
		return nil
	}
	for _, r := range slices.Concat(s.Rules.DomainRules, s.Rules.EncodingRules) {
		if !r.Disabled && r.Mode != string(direction) {
			action := "be written"
			if direction == Read {
				action = "be read"
			}
			return &RejectedError{Text: fmt.Sprintf(
				"%s has the rule %q of type %q, which is not built: values would %s without it", schemaName,
				shown.LineUpTo(r.Name, maxMessageBytes), shown.LineUpTo(r.Type, maxMessageBytes), action)}
		}
	}
	return nil
}

// Register registers a schema under a subject and returns its ID. The registry may add rules to it. Registries that
// respond with an ID alone do not report them.
func (c *Client) Register(ctx context.Context, subject string, kind Kind, text string,
	normalize bool) (id int, err error) {
	response, err := c.find(ctx, schemaRequest{action: "register the schema of " + subject, method: http.MethodPost,
		path: subjectPath(subject) + "/versions", schema: &sr.Schema{Schema: text, Type: kind}, normalize: normalize})
	if err == nil {
		err = response.checkRules("the schema of "+subject, Written)
	}
	return response.ID, err
}

// Lookup returns the ID of a registered schema.
func (c *Client) Lookup(ctx context.Context, subject string, kind Kind, text string,
	normalize bool) (id int, err error) {
	response, err := c.find(ctx, schemaRequest{action: "look up the schema of " + subject, method: http.MethodPost,
		path: subjectPath(subject), schema: &sr.Schema{Schema: text, Type: kind}, normalize: normalize})
	if err == nil {
		err = response.checkRules("the schema of "+subject, Written)
	}
	return response.ID, err
}

// Version returns the version that a registered schema has under a subject.
func (c *Client) Version(ctx context.Context, subject string, kind Kind, text string) (version int, err error) {
	response, err := c.find(ctx, schemaRequest{action: "look up the schema of " + subject, method: http.MethodPost,
		path: subjectPath(subject), schema: &sr.Schema{Schema: text, Type: kind}})
	return response.Version, err
}

// Ping sends one request. A registry that does not support it still responds.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.SupportedTypes(ctx)
	response, _ := errors.AsType[*sr.ResponseError](err)
	switch {
	case err == nil, response != nil && response.StatusCode == http.StatusNotFound:
		return nil
	case response != nil:
		return fmt.Errorf("schema registry %s: status %d: %s", c.address, response.StatusCode, c.message(response))
	}
	return fmt.Errorf("schema registry %s: %s", c.address, c.printable(err.Error()))
}

// Latest returns the ID and the text of a subject's newest schema.
func (c *Client) Latest(ctx context.Context, subject string) (id int, text string, err error) {
	response, err := c.find(ctx, schemaRequest{action: "get the newest schema of " + subject, method: http.MethodGet,
		path: subjectPath(subject) + "/versions/latest"})
	if err == nil {
		err = response.checkRules("the newest schema of "+subject, Written)
	}
	return response.ID, response.Schema.Schema, err
}

// Schema returns the schema of an ID, after the schemas that it refers to.
func (c *Client) Schema(ctx context.Context, id int, direction Direction) (texts []NamedSchema, kind Kind, err error) {
	return c.schema(ctx, fmt.Sprintf("schema %d", id), fmt.Sprintf("/schemas/ids/%d", id), direction)
}

// SchemaByGUID is [Client.Schema] for a GUID in place of an ID.
func (c *Client) SchemaByGUID(ctx context.Context, guid string,
	direction Direction) (texts []NamedSchema, kind Kind, err error) {
	return c.schema(ctx, "schema "+guid, "/schemas/guids/"+url.PathEscape(guid), direction)
}

func (c *Client) schema(ctx context.Context, schemaName, path string,
	direction Direction) (texts []NamedSchema, kind Kind, err error) {
	response, err := c.find(ctx, schemaRequest{action: "get " + schemaName, method: http.MethodGet, path: path,
		isRead: true})
	if err == nil {
		err = response.checkRules(schemaName, direction)
	}
	if err != nil {
		return nil, kind, err
	}
	texts, err = c.withReferences(ctx, schemaName, response.Schema)
	return texts, response.Type, err
}

func subjectPath(subject string) string { return "/subjects/" + url.PathEscape(subject) }

// schemaRequest is a request for one schema, which is sent as the body if it is set.
type schemaRequest struct {
	action    string // what the request does, for errors
	method    string
	path      string
	schema    *sr.Schema
	normalize bool
	isRead    bool // a record refers to the schema. The response has no ID; other responses without one are errors.
}

func (c *Client) find(ctx context.Context, request schemaRequest) (response schemaResponse, err error) {
	err = c.retry(ctx, request.action, request.isRead, func(ctx context.Context) error {
		if request.normalize {
			ctx = sr.WithParams(ctx, sr.Normalize)
		}
		var body any
		if request.schema != nil {
			body = request.schema
		}
		response = schemaResponse{}
		if err := c.api.Do(ctx, request.method, request.path, body, &response); err != nil {
			return err
		}
		if !request.isRead && (response.ID <= 0 || response.ID > math.MaxInt32) {
			return fmt.Errorf("the response has no schema ID: expected 1 to %d, found %d", math.MaxInt32, response.ID)
		}
		return nil
	})
	return response, err
}

// withReferences requests the schemas that a schema refers to, and returns it after them.
func (c *Client) withReferences(ctx context.Context, schemaName string, schema sr.Schema) ([]NamedSchema, error) {
	r := referenceResolver{client: c, schemaName: schemaName, seen: map[string]bool{}}
	if err := r.add(ctx, schema.References); err != nil {
		return nil, err
	}
	return append(r.schemas, NamedSchema{Text: schema.Schema}), nil
}

// referenceResolver requests the schemas that a schema refers to, each once, and referenced ones first.
type referenceResolver struct {
	client     *Client
	schemaName string // of the schema that refers to them, for errors
	seen       map[string]bool
	schemas    []NamedSchema
}

func (r *referenceResolver) add(ctx context.Context, references []sr.SchemaReference) error {
	for _, reference := range references {
		key := fmt.Sprint(reference.Subject, "\x00", reference.Version)
		if r.seen[key] {
			continue
		}
		r.seen[key] = true
		if len(r.seen) > maxReferences {
			return &RejectedError{Text: fmt.Sprintf("%s refers to more than %d others", r.schemaName, maxReferences)}
		}
		var schema sr.Schema
		const isRead = true
		err := r.client.retry(ctx, fmt.Sprintf("get version %d of %s", reference.Version, reference.Subject), isRead,
			func(ctx context.Context) error {
				response, err := r.client.api.SchemaByVersion(ctx, reference.Subject, reference.Version)
				schema = response.Schema
				return err
			})
		if err == nil {
			err = r.add(ctx, schema.References)
		}
		if err != nil {
			return err
		}
		r.schemas = append(r.schemas, NamedSchema{reference.Name, schema.Schema})
	}
	return nil
}

// retry sends a request until the registry accepts or rejects it, or ctx ends. It waits longer after each try. If
// isRead is set, a missing schema is rejected only after maxLag.
func (c *Client) retry(ctx context.Context, action string, isRead bool, send func(context.Context) error) error {
	for backoff := (pause.Backoff{First: firstPause, Longest: maxPause}); ; {
		began := time.Now()
		err := send(ctx)
		var response *sr.ResponseError
		var redirect *secret.RedirectError
		switch {
		case err == nil:
			c.recordResponse(began)
			c.mu.Lock()
			delete(c.missing, action)
			c.mu.Unlock()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &redirect):
			c.recordResponse(began)
			return &RejectedError{Text: fmt.Sprintf("schema registry %s: %s: %v", c.address, action, redirect)}
		case errors.As(err, &response) && !isTemporary(response.StatusCode):
			c.recordResponse(began)
			if isRead && response.StatusCode == http.StatusNotFound {
				if lag := c.remainingLag(action); lag > 0 {
					if err := pause.For(ctx, min(lag, backoff.Next())); err != nil {
						return err
					}
					continue
				}
			}
			return &RejectedError{Status: response.StatusCode, Code: response.ErrorCode, Text: fmt.Sprintf(
				"schema registry %s: %s: status %d: %s", c.address, action, response.StatusCode, c.message(response))}
		}
		// An outage is logged once for all concurrent requests.
		why := c.printable(err.Error())
		c.mu.Lock()
		c.lastError = why
		c.mu.Unlock()
		c.partner.Lost(c.log, began, "", "the schema registry does not respond; retrying until it does",
			"registry", c.address, "for", action, "error", why)
		if err := backoff.Wait(ctx); err != nil {
			return err
		}
	}
}

// remainingLag returns how much longer a missing schema may appear. After maxMissing schemas it is zero for all others:
// the records probably have other bytes in place of schema IDs.
func (c *Client) remainingLag(action string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, ok := c.missing[action]
	if !ok {
		if len(c.missing) >= maxMissing {
			return 0
		}
		since = time.Now()
		c.missing[action] = since
		c.log.Warn("the schema registry does not know a schema; asking again in case that it lags behind",
			"registry", c.address, "for", action, "longest", maxLag)
	}
	return maxLag - time.Since(since)
}

func isTemporary(status int) bool {
	return (status >= 500 && status != http.StatusNotImplemented) || status == http.StatusTooManyRequests ||
		status == http.StatusRequestTimeout
}

func (c *Client) message(response *sr.ResponseError) string {
	return c.printable(cmp.Or(response.Message, string(response.Raw)))
}

func (c *Client) printable(text string) string {
	return shown.LineUpTo(c.secrets.Redact(text), maxMessageBytes)
}

func (c *Client) recordResponse(began time.Time) {
	c.partner.Back(c.log, began, "the schema registry responds again", "registry", c.address)
}
