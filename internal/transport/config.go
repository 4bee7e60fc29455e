package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/route"
)

// Config describes one destination. The zero value of a field means its default.
type Config struct {
	Service
	Credentials
	TLSOptions
	Shared
	Origins []Origin
	// ConnectTimeout bounds each of dialing and the TLS handshake. Default 10 s.
	ConnectTimeout time.Duration
	// ReadTimeout bounds the time to the first byte of a response, and between reads of its body. Default 60 s.
	ReadTimeout time.Duration
	Retry       Retry
	// Dial is used if Route does not dial.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Route  Route
	Limits limits.Limits
	// LogoffPath is requested to end a session. Empty means that sessions are left to their timeout.
	LogoffPath string
	// ClientInQuery sends SAP client and language of the host's own requests in the query, too.
	ClientInQuery bool
	// Refresh returns a changed configuration, or nil (RATIONALE.md P25). It is called before each request and must be
	// cheap; secretRefused requests a thorough check for a new secret.
	Refresh func(ctx context.Context, secretRefused bool) (*Config, error)
	names   settingNames
}

// Service locates the service.
type Service struct {
	// Scheme is http or https. Default https.
	Scheme string
	// Address is a host name or an IP address. Port defaults to 80 or 443.
	Address string
	Port    int
	// Prefix is prepended to paths that are not below it, as BTP destinations require.
	Prefix string
	// Query is added to requests that do not have its parameters.
	Query url.Values
}

// Credentials authenticate requests.
type Credentials struct {
	// Auth is one of the Auth… constants. Default: basic if User is set, else none.
	Auth     string
	User     string
	Password string
	// Authorizer provides the tokens of oauth2. Identity identifies its client, or the TLS certificate.
	Authorizer Authorizer
	Identity   Identity
	// Headers are set on all requests and override a plugin's.
	Headers map[string]string
	// SecretQuery are secret parameters of all requests, hidden from plugins. They override a plugin's.
	SecretQuery map[string]string
}

// TLSOptions configure TLS with the service.
type TLSOptions struct {
	// TLS is nil for the system's roots.
	TLS *tls.Config
	// TrustAll disables verification of the service's certificate, but not of a proxy's.
	TrustAll bool
	// settingsTLS is TLS without the values of a BTP destination: for oauth2's token service and proxies.
	settingsTLS *tls.Config
	// explain names the setting that causes a handshake error.
	explain func(error) error
}

// Shared is shared by clients. Lockouts, for refused logons, and Destinations default to one per process.
type Shared struct {
	Lockouts     *lockouts.Store
	Destinations *OriginRegistry
	// Logger defaults to none.
	Logger *slog.Logger
}

// Explain names the setting to correct after a failed TLS handshake, if known.
func (c *Config) Explain(err error) error {
	if isNotTLS(err) && c.names.scheme != "" {
		return c.names.errorf(c.names.scheme, "",
			"expected TLS on port %d, found another protocol: is it http, or the wrong port? (%v)", c.Port, err)
	}
	if c.explain == nil {
		return err
	}
	return c.explain(err)
}

// origin returns the validated origin of the service, with defaults.
func (c *Config) origin() (endpoint, error) {
	origin := endpoint{scheme: c.Scheme, host: withoutBrackets(c.Address), port: c.Port}
	if origin.scheme == "" {
		origin.scheme = "https"
	}
	if origin.scheme != "http" && origin.scheme != "https" {
		return origin, c.names.errorf(c.names.scheme, "scheme", "expected http or https, found %q", c.Scheme)
	}
	hint := ""
	if strings.Contains(c.Address, "://") {
		hint = ": scheme, port and path have their own settings"
	} else if _, err := netip.ParseAddr(origin.host); err != nil && strings.Contains(origin.host, ":") {
		hint = ": the port has its own setting, " + cmp.Or(c.names.port, "port")
	}
	if origin.host == "" || hint != "" || strings.ContainsAny(origin.host, "/?#@ \r\n") {
		return origin, c.names.errorf(c.names.address, "address", "expected a host name or IP address, found %q%s",
			redactUser(c.Address), hint)
	}
	if origin.port == 0 {
		origin.port = defaultPort(origin.scheme)
	}
	if origin.port < 1 || origin.port > 65535 {
		return origin, c.names.errorf(c.names.port, "port", "expected 1 to 65535, found %d", c.Port)
	}
	return origin, nil
}

// Origin is a further origin that the user allows, for files or pages to which the service refers.
type Origin struct {
	Scheme  string
	Address string
	Port    int
	// Credentials sends the service's credentials there too. By default requests to it have none.
	Credentials bool
}

// Route configures the network route.
type Route struct {
	// RoundTripper applies the route to a transport, see route.Route. Nil means direct.
	RoundTripper func(*http.Transport) http.RoundTripper
	Settings     route.Settings
	// AbsoluteForm sends the whole URL, for a proxy that reads requests.
	AbsoluteForm bool
	// Network identifies the network behind a Cloud Connector. Empty means the public one.
	Network string
	// Outage is how long to wait for a missing Cloud Connector: while dialing, or, with AbsoluteForm, after 503.
	Outage time.Duration

	resolved *route.Route // nil means direct
	tokenURL *url.URL     // of requests for tokens; nil without such
}

// The kinds of authentication.
const (
	AuthBasic       = "basic"
	AuthOAuth2      = "oauth2"
	AuthHeader      = "header"
	AuthCertificate = "certificate"
	AuthNone        = "none"
)

// Authorizer provides tokens and renews them. Safe for concurrent use.
type Authorizer interface {
	// Authorize returns a header for a request, with a value other than refused. Errors are *btp.Failure or *wit.Error.
	Authorize(ctx context.Context, refused string) (name, value string, err error)
}

// Identity identifies the user or client that logs on. The secret is only compared, to recognize refusals.
type Identity struct{ User, Secret string }

// Environment holds inputs other than settings from which a configuration is created. The zero value is empty.
type Environment struct {
	Shared
	// Context cancels opening key stores, whose key derivation may take seconds. Nil means no cancellation.
	Context context.Context
	// VCAP is the content of VCAP_SERVICES; VCAPErr is the error of reading the file that replaces it.
	VCAP    string
	VCAPErr error

	// A BTP destination supplies these: Authorizer and Identity replace oauth2's settings; Key and Trust are the
	// default stores; TrustAll is as in [TLSOptions]. Stores and TrustAll apply to its own server only.
	Authorizer Authorizer
	Identity   Identity
	Key        *btp.Store
	Trust      *btp.Store
	TrustAll   bool
}
