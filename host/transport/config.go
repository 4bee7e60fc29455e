package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/loopback"
	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Config describes one destination. The zero value of a field means the default that its comment names.
type Config struct {
	// Scheme is http or https. Default https.
	Scheme string
	// Address is a host name or an IP address, Port a TCP port. Default of Port: 80 or 443, as the scheme has it.
	Address string
	Port    int
	// Prefix is put in front of paths that are not below it, as a destination of BTP wants it. Default "".
	Prefix string
	// Query is added to that of each request which does not have those names. Default: nothing.
	Query url.Values
	// Auth is how to log on: one of the Auth… constants. Default: basic where there is a User, else none.
	Auth string
	// User and Password for basic authentication. User "": none is sent.
	User, Password string
	// Authorizer hands out the tokens of oauth2. Identity is who it is, or whose certificate TLS shows.
	Authorizer Authorizer
	Identity   Identity
	// Headers go on every request, those of the client itself included, and win over a guest's.
	Headers map[string]string
	// SecretQuery are parameters of the query of every request, which no guest, log or message shows. They win over a
	// guest's.
	SecretQuery map[string]string
	// Login makes an exchange for a token, for AuthLogin.
	Login *Login
	// Origins are further origins that requests may go to. Default: none.
	Origins []Origin
	// ConnectTimeout bounds dialling and the TLS handshake. Default 10 s.
	ConnectTimeout time.Duration
	// ReadTimeout is the longest silence: before the first byte of an answer, and between any two reads of its body. It
	// does not bound the length of an answer, and does not run while nobody reads. Default 60 s.
	ReadTimeout time.Duration
	Retry       Retry
	// TLS is used for https. Default: the system's roots.
	TLS *tls.Config
	// TrustAll: the certificate of the server at Address is not looked at; that of a proxy is.
	TrustAll bool
	// Dial makes connections. Default: plain TCP. It is for tests and for what is no proxy; Route goes before it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Route leads there. Default: straight.
	Route Route
	// ownTLS is TLS without what a destination of BTP says: for the token service of oauth2's settings, and for
	// proxies.
	ownTLS *tls.Config
	// explain makes an error of a handshake one that names the setting.
	explain func(error) error
	// names are the user's of the settings that say where the service is.
	names names
	// Refresh is what all of this is now, nil for what it was (P25). It is called before each request, so it must
	// be cheap; and, with refused, where a secret was refused before, to look whether there is another one.
	Refresh func(ctx context.Context, refused bool) (*Config, error)
	// Lockouts remembers refused logons. Default: one for the whole process.
	Lockouts *lockouts.Store
	// Limits bound what the destination is asked.
	Limits limits.Limits
	// LogoffPath ends a session, "" where services know no such thing.
	LogoffPath string
	// ClientInQuery: requests that no guest has asked for have the headers of SAP client and language in their query,
	// too.
	ClientInQuery bool
	// Destinations is where clients of the same origin meet. Default: one for the whole process.
	Destinations *Destinations
	// Logger. Default: discards.
	Logger *slog.Logger
}

// Roles is what a connector's settings come to for the host; package config has it.
type Roles interface {
	// Text is the value of a role, "" when nothing has it.
	Text(role string) string
	// Prefix is every role below a prefix, the prefix cut off.
	Prefix(role string) map[string]string
	// Setting is the name of the setting with that role, for messages.
	Setting(role string) string
	// Given says whether the user gave the role a value.
	Given(role string) bool
}

// Surroundings are what settings lean on. The zero value has nothing.
type Surroundings struct {
	// Context ends the reading of key stores, which takes seconds where a key is derived with millions of iterations;
	// nil: nothing does.
	Context context.Context
	// VCAP is the text of VCAP_SERVICES, VCAPErr why the file that stands in its place cannot be read.
	VCAP    string
	VCAPErr error
	// Logger. Default: discards.
	Logger *slog.Logger
	// Lockouts remembers refused logons. Default: one for the whole process.
	Lockouts *lockouts.Store

	// What a destination of BTP delivers: Authorizer logs on in place of oauth2's settings, as Identity; Key and Trust
	// are stores where settings name none; with TrustAll the server's certificate is not looked at. The last three hold
	// for the destination's own server alone: the token service of oauth2's settings goes by the connector's.
	Authorizer Authorizer
	Identity   Identity
	Key, Trust *btp.Store
	TrustAll   bool
}

// ConfigOf reads a destination from roles; it opens stores and sends nothing. Errors are *wit.Fault of kind config,
// which name the setting where it is one.
func ConfigOf(roles Roles, s Surroundings) (Config, error) {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	r := roleReader{roles: roles}
	c := Config{
		Scheme: strings.ToLower(roles.Text(role.Scheme)), Address: withoutBrackets(roles.Text(role.Address)),
		Port: r.number(role.Port),
		User: roles.Text(role.User), Password: roles.Text(role.Password),
		Headers:        roles.Prefix(role.Header),
		ConnectTimeout: r.milliseconds(role.ConnectTimeoutMS), ReadTimeout: r.milliseconds(role.ReadTimeoutMS),
		Retry: Retry{
			MinBackoff: r.milliseconds(role.RetryMinBackoffMS), MaxBackoff: r.milliseconds(role.RetryMaxBackoffMS),
		},
		Logger: s.Logger, Lockouts: s.Lockouts, names: namesOf(roles),
	}
	if c.Retry.Codes = splitCodes(roles.Text(role.RetryCodes)); len(c.Retry.Codes) == 0 &&
		!roles.Given(role.RetryCodes) {
		c.Retry.Codes = nil // a plugin need not declare them
	}
	if roles.Text(role.RetryMax) != "" {
		max := r.number(role.RetryMax)
		c.Retry.Max = &max
	}
	if c.Scheme == "" {
		c.Scheme = "https"
	}
	if c.Port == 0 && roles.Text(role.Port) == "" {
		c.Port = defaultPort(c.Scheme)
	}
	if r.err != nil {
		return c, r.err
	}
	for _, part := range []func(*Config, Roles, Surroundings) error{secureBy, leadBy, originsBy, queryBy,
		authenticateBy, limitBy} {
		if err := part(&c, roles, s); err != nil {
			return c, err
		}
	}
	return c, nil
}

// wrong is the fault of a setting.
func wrong(roles Roles, role, format string, args ...any) *wit.Fault {
	f := faultf(wit.FaultConfig, format, args...)
	name := roles.Setting(role)
	f.Setting = &name
	return f
}

// invalid is the fault of a setting's value, in Kafka Connect's words.
func invalid(roles Roles, role, value string, why error) *wit.Fault {
	return wrong(roles, role, "%s", setting.Invalid(roles.Setting(role), value, why.Error()))
}

func splitCodes(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' || c == ' ' || c == '\t' })
}

// Explain says of the error of a TLS handshake which setting mends it, where one does.
func (c *Config) Explain(err error) error {
	if strayed(err) && c.names.scheme != "" {
		return c.names.fault(c.names.scheme, "",
			"expected TLS on port %d, found a service that speaks something else: is it http, or another port? (%v)",
			c.Port, err)
	}
	if c.explain == nil {
		return err
	}
	return c.explain(err)
}

// endpoint is where all requests of a client go.
type endpoint struct {
	scheme, host string
	port         int
}

func (c *Config) origin() (endpoint, error) {
	o := endpoint{c.Scheme, withoutBrackets(c.Address), c.Port}
	if o.scheme == "" {
		o.scheme = "https"
	}
	if o.scheme != "http" && o.scheme != "https" {
		return o, c.names.fault(c.names.scheme, "scheme", "expected http or https, found %q", c.Scheme)
	}
	if o.host == "" || strings.ContainsAny(o.host, "/?#@ \r\n") {
		return o, c.names.fault(c.names.address, "address", "expected a host name or IP address, found %q%s",
			hideUser(c.Address), ofURL(c.Address))
	}
	if o.port == 0 {
		o.port = defaultPort(o.scheme)
	}
	if o.port < 1 || o.port > 65535 {
		return o, c.names.fault(c.names.port, "port", "expected 1 to 65535, found %d", c.Port)
	}
	return o, nil
}

// ofURL says of an address that is a URL what its parts are for.
func ofURL(address string) string {
	if !strings.Contains(address, "://") {
		return ""
	}
	return ": a URL's scheme, port and path have settings of their own"
}

// withoutBrackets is an address that may be of IPv6 and written as in a URL.
func withoutBrackets(address string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(address), "["), "]")
}

func defaultPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

// String is the origin as it stands in front of a path; default ports are left out.
func (o endpoint) String() string { return o.scheme + "://" + o.authority() }

func (o endpoint) authority() string {
	host := o.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.port == defaultPort(o.scheme) {
		return host
	}
	return host + ":" + strconv.Itoa(o.port)
}

// same says whether an absolute URL is of this origin. Names of the loopback interface are one name.
func (o endpoint) same(u *url.URL) bool {
	port := defaultPort(strings.ToLower(u.Scheme))
	if p := u.Port(); p != "" {
		port, _ = strconv.Atoi(p)
	}
	if !strings.EqualFold(u.Scheme, o.scheme) || port != o.port {
		return false
	}
	return strings.EqualFold(u.Hostname(), o.host) || loopback.Is(u.Hostname()) && loopback.Is(o.host)
}

func faultf(kind wit.FaultKind, format string, args ...any) *wit.Fault {
	return &wit.Fault{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
