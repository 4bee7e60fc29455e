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

	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/host/transport/limits"
	"github.com/culvert-project/culvert/host/transport/lockouts"
	"github.com/culvert-project/culvert/host/transport/route"
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
	// settingNames are the user's of the settings that say where the service is.
	names settingNames
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
	// OriginRegistry is where clients of the same origin meet. Default: one for the whole process.
	Destinations *OriginRegistry
	// Logger. Default: discards.
	Logger *slog.Logger
}

// Explain says of the error of a TLS handshake which setting mends it, where one does.
func (c *Config) Explain(err error) error {
	if isNotTLS(err) && c.names.scheme != "" {
		return c.names.fault(c.names.scheme, "",
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
		return o, c.names.fault(c.names.scheme, "scheme", "expected http or https, found %q", c.Scheme)
	}
	hint := ""
	if strings.Contains(c.Address, "://") {
		hint = ": a URL's scheme, port and path have settings of their own"
	} else if _, err := netip.ParseAddr(o.host); err != nil && strings.Contains(o.host, ":") {
		hint = ": the port has a setting of its own, " + cmp.Or(c.names.port, "port")
	}
	if o.host == "" || hint != "" || strings.ContainsAny(o.host, "/?#@ \r\n") {
		return o, c.names.fault(c.names.address, "address", "expected a host name or IP address, found %q%s",
			redactUser(c.Address), hint)
	}
	if o.port == 0 {
		o.port = defaultPort(o.scheme)
	}
	if o.port < 1 || o.port > 65535 {
		return o, c.names.fault(c.names.port, "port", "expected 1 to 65535, found %d", c.Port)
	}
	return o, nil
}

// Login is an exchange that the host makes to log on: user and password for a token, which requests show in a header.
// The zero value of a field means the default that its comment names.
type Login struct {
	// Target is a path on the service's own origin, or a URL. Secrets of the query, headers and what a destination of
	// BTP says of its own server go along on the service's own origin alone.
	Target string
	// Method is POST, PUT or PATCH. Default POST.
	Method string
	// Body is JSON or a form, in which {user} and {password} stand for both.
	Body string
	// TokenPath and LifetimePath are names of members of the JSON answer, with dots between. LifetimePath "": a token
	// is used until it is refused.
	TokenPath, LifetimePath string
	// Header is that of requests, in which {token} stands for the token. Default Authorization: Bearer {token}.
	Header string
	// setting is what the user calls the setting of a role. nil: as the role.
	setting func(role string) string
}

// Origin is a further origin that requests may go to, because the user names it: of files that the service refers to,
// or of pages that it has elsewhere.
type Origin struct {
	Scheme, Address string
	Port            int
	// Credentials: what the service is shown is shown there, too. Otherwise nothing of it is: no user, no token, no
	// header, parameter or certificate of the settings.
	Credentials bool
}

// Route is how requests get to a destination.
type Route struct {
	// RoundTripper lets connections and requests go by it: route.Route has it. nil: straight.
	RoundTripper func(*http.Transport) http.RoundTripper
	// Settings are what RoundTripper comes from, for those who go the route step by step.
	Settings route.Settings
	// Whole: requests name the whole URL, because a proxy reads them.
	Whole bool
	// Place says where names have a meaning of their own: behind a Cloud Connector. "" is the network at large.
	Place string
	// Outage is how long a Cloud Connector that is away is waited for: in dialling, which then may take so much longer
	// than ConnectTimeout and is not tried again; and, with Whole, after answers of 503.
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

// Authorizer hands out what requests show in place of a password: a token that is renewed in time. Safe for use by
// several goroutines.
type Authorizer interface {
	// Authorize is a header, with another value than the refused one where that is not empty. It is called for each
	// request. Errors are *btp.Failure, or faults.
	Authorize(ctx context.Context, refused string) (name, value string, err error)
}

// Identity is who logs on, by which refusals are remembered. The secret is nothing but compared.
type Identity struct{ User, Secret string }

// Environment are what settings lean on. The zero value has nothing.
type Environment struct {
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
	// OriginRegistry is where clients of the same origin meet. Default: one for the whole process.
	Destinations *OriginRegistry

	// What a destination of BTP delivers: Authorizer logs on in place of oauth2's settings, as Identity; Key and Trust
	// are stores where settings name none; with TrustAll the server's certificate is not looked at. The last three hold
	// for the destination's own server alone: the token service of oauth2's settings has the connector's.
	Authorizer Authorizer
	Identity   Identity
	Key, Trust *btp.Store
	TrustAll   bool
}
