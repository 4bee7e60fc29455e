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

// Config describes one destination. The zero value of a field means the default that its comment names.
type Config struct {
	// Scheme is http or https. Default https.
	Scheme string
	// Address is a host name or an IP address. Port defaults to 80 or 443, depending on Scheme.
	Address string
	Port    int
	// Prefix is put before paths that are not below it, as BTP destinations require. Default "".
	Prefix string
	// Query is added to each request, except for parameters that it has already. Default: nothing.
	Query url.Values
	// Auth is one of the Auth… constants. Default: basic if User is set, else none.
	Auth string
	// User and Password are for basic authentication. An empty User means none.
	User, Password string
	// Authorizer provides the tokens of oauth2. Identity is its client, or the TLS certificate.
	Authorizer Authorizer
	Identity   Identity
	// Headers are set on all requests, the client's own included, and override a guest's.
	Headers map[string]string
	// SecretQuery are parameters of all requests that no guest, log or message contains. They override a guest's.
	SecretQuery map[string]string
	// Login configures the token request of authLogin.
	Login *Login
	// Origins are further origins for requests. Default: none.
	Origins []Origin
	// ConnectTimeout bounds dialing and the TLS handshake. Default 10 s.
	ConnectTimeout time.Duration
	// ReadTimeout bounds the time to the first byte of an answer, and between two reads of its body, while someone
	// reads. It does not bound the whole answer. Default 60 s.
	ReadTimeout time.Duration
	Retry       Retry
	// TLS is used for https. Default: the system's roots.
	TLS *tls.Config
	// TrustAll skips the verification of the server's certificate, not of a proxy's.
	TrustAll bool
	// Dial makes connections if Route does not. It is for tests. Default: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Route is the way to the destination. Default: direct.
	Route Route
	// settingsTLS is TLS without a BTP destination's values: for oauth2's token service and for proxies.
	settingsTLS *tls.Config
	// explain names the setting that causes a handshake error.
	explain func(error) error
	names   settingNames
	// Refresh returns the changed configuration, nil if unchanged (P25). It is called before each request and must
	// be cheap; refused requests a thorough check for a new secret.
	Refresh func(ctx context.Context, refused bool) (*Config, error)
	// Lockouts stores refused logons. Default: one store for the process.
	Lockouts *lockouts.Store
	// Limits bound the requests to the destination.
	Limits limits.Limits
	// LogoffPath ends a session. Empty if the service has no such path.
	LogoffPath string
	// ClientInQuery puts the SAP client and language headers into the query of the host's own requests, too.
	ClientInQuery bool
	// Destinations is shared by clients of one origin. Default: one registry for the process.
	Destinations *OriginRegistry
	// Logger. Default: discards.
	Logger *slog.Logger
}

// Explain names the setting to correct after a failed TLS handshake, if any.
func (c *Config) Explain(err error) error {
	if isNotTLS(err) && c.names.scheme != "" {
		return c.names.errorf(c.names.scheme, "",
			"expected TLS on port %d, found a service that speaks something else: is it http, or another port? (%v)",
			c.Port, err)
	}
	if c.explain == nil {
		return err
	}
	return c.explain(err)
}

func (c *Config) origin() (endpoint, error) {
	o := endpoint{c.Scheme, withoutBrackets(c.Address), c.Port}
	if o.scheme == "" {
		o.scheme = "https"
	}
	if o.scheme != "http" && o.scheme != "https" {
		return o, c.names.errorf(c.names.scheme, "scheme", "expected http or https, found %q", c.Scheme)
	}
	hint := ""
	if strings.Contains(c.Address, "://") {
		hint = ": a URL's scheme, port and path have settings of their own"
	} else if _, err := netip.ParseAddr(o.host); err != nil && strings.Contains(o.host, ":") {
		hint = ": the port has a setting of its own, " + cmp.Or(c.names.port, "port")
	}
	if o.host == "" || hint != "" || strings.ContainsAny(o.host, "/?#@ \r\n") {
		return o, c.names.errorf(c.names.address, "address", "expected a host name or IP address, found %q%s",
			redactUser(c.Address), hint)
	}
	if o.port == 0 {
		o.port = defaultPort(o.scheme)
	}
	if o.port < 1 || o.port > 65535 {
		return o, c.names.errorf(c.names.port, "port", "expected 1 to 65535, found %d", c.Port)
	}
	return o, nil
}

// Login is a request that exchanges user and password for a token, which requests send in a header. The zero value
// of a field means its default.
type Login struct {
	// Target is a path on the service's origin, or a URL. Secret parameters, headers and TLS values of a BTP
	// destination are used on the service's origin alone.
	Target string
	// Method is POST, PUT or PATCH. Default POST.
	Method string
	// Body is JSON or a form with the placeholders {user} and {password}.
	Body string
	// TokenPath and LifetimePath are dotted paths in the JSON answer. Without LifetimePath a token is used until it
	// is refused.
	TokenPath, LifetimePath string
	// Header contains the placeholder {token}. Default Authorization: Bearer {token}.
	Header string
	// setting maps roles to the user's settings; nil means unchanged.
	setting func(role string) string
}

// Origin is a further origin that the user allows, for files or pages that the service refers to.
type Origin struct {
	Scheme, Address string
	Port            int
	// Credentials sends the service's credentials there too. Otherwise no user, token, header, parameter or
	// certificate of the settings is sent.
	Credentials bool
}

// Route configures the way to a destination.
type Route struct {
	// RoundTripper applies the route to a transport: see route.Route. Nil means direct.
	RoundTripper func(*http.Transport) http.RoundTripper
	// Settings are the route's settings.
	Settings route.Settings
	// AbsoluteForm means that requests contain the whole URL, for a proxy that reads them.
	AbsoluteForm bool
	// Network identifies the network behind a Cloud Connector. Empty means the public network.
	Network string
	// Outage is how long to wait for a missing Cloud Connector: while dialing, which is not retried then, and, with
	// Whole, after 503.
	Outage time.Duration

	resolved *route.Route // nil: straight
}

// The kinds of authentication.
const (
	AuthBasic       = "basic"
	AuthOAuth2      = "oauth2"
	AuthHeader      = "header"
	AuthCertificate = "certificate"
	authLogin       = "login"
	AuthNone        = "none"
)

// Authorizer provides tokens and renews them. Safe for concurrent use.
type Authorizer interface {
	// Authorize returns a header whose value differs from the refused one, if that is not empty. It is called for
	// each request. Errors are *btp.Failure or *wit.Error.
	Authorize(ctx context.Context, refused string) (name, value string, err error)
}

// Identity is who logs on. The secret is only compared, to recognize refusals.
type Identity struct{ User, Secret string }

// Environment is what settings depend on. The zero value is empty.
type Environment struct {
	// Context cancels opening key stores, whose key derivation may take seconds. Nil means no cancellation.
	Context context.Context
	// VCAP is the content of VCAP_SERVICES; VCAPErr is the error of reading the file that replaces it.
	VCAP    string
	VCAPErr error
	// Logger. Default: discards.
	Logger *slog.Logger
	// Lockouts remembers refused logons. Default: one for the whole process.
	Lockouts *lockouts.Store
	// Destinations is shared by clients of one origin. Default: one registry for the process.
	Destinations *OriginRegistry

	// What a destination of BTP delivers: Authorizer logs on in place of oauth2's settings, as Identity; Key and Trust
	// are stores where settings name none; with TrustAll the server's certificate is not looked at. The last three hold
	// for the destination's own server alone: the token service of oauth2's settings has the connector's.
	Authorizer Authorizer
	Identity   Identity
	Key, Trust *btp.Store
	TrustAll   bool
}
