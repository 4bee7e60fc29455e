// Package route turns proxy settings, or Cloud Foundry's bindings, into a network route: a dialer for Kafka and an
// http.RoundTripper for HTTP. It supports SOCKS5 and HTTP proxies and both proxies of SAP Connectivity. Settings have
// short names here; [Settings].Name maps them to the user's.
package route

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

// Proxy types.
const (
	// Unset connects directly; HTTP requests follow HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
	Unset = ""
	// None connects directly, whatever the environment.
	None   = "none"
	SOCKS5 = "socks5"
	// HTTP is a proxy for CONNECT and, for http addresses, absolute-form requests.
	HTTP = "http"
	// Connectivity is SAP Connectivity's SOCKS5 proxy; ConnectivitySOCKS5 is an alias.
	Connectivity       = "sap-connectivity"
	ConnectivitySOCKS5 = "sap-connectivity-socks5"
	// ConnectivityHTTP is SAP Connectivity's HTTP proxy, for http requests only.
	ConnectivityHTTP = "sap-connectivity-http"
)

// Short names of settings.
const (
	NameType             = "type"
	NameAddress          = "address"
	NameUser             = "user"
	NamePassword         = "password"
	NameLocationID       = "location-id"
	NameAddressMap       = "address-map"
	NameTokenURL         = "token-url"
	NameTokenClientID    = "token-client-id"
	NameTokenSecret      = "token-client-secret"
	NameTokenCertificate = "token-certificate"
	NameTokenKey         = "token-key"
	NameServiceKey       = "service-key"
	NameOutage           = "outage-ms"
)

// DefaultOutage is how long to wait for a missing Cloud Connector (RATIONALE.md P26).
const DefaultOutage = 5 * time.Minute

// Settings configure the route through one proxy.
type Settings struct {
	Type string
	// Allow lists the supported types. Nil means all types.
	Allow []string
	// Address is the proxy's host:port. For SAP Connectivity it defaults to the binding's.
	Address string
	// User and Password apply to SOCKS5 and HTTP.
	User     string
	Password string
	// Locations are location ids of Cloud Connectors in the order of attempts; "" is the default one.
	Locations []string
	// AddressMap replaces addresses before dialing, see [ParseAddressMap].
	AddressMap map[string]string
	TokenSource

	// Outage is how long dialing waits for a Cloud Connector; zero means DefaultOutage, negative does not wait.
	Outage time.Duration
	// Attempt bounds one attempt. Zero means 30 s.
	Attempt time.Duration
	// Environment holds the proxy variables. Nil means the process's; of type HTTP only NoProxy applies.
	Environment *httpproxy.Config
	// Forward dials the proxy, or the target without one. Nil means TCP with keep-alive.
	Forward proxy.ContextDialer

	// Name maps short names to the user's settings. Nil means unchanged.
	Name   func(short string) string
	Logger *slog.Logger // optional
	// Trace receives the steps through SAP Connectivity's proxy; optional.
	Trace func(socks.Event)
}

// TokenSource specifies where the token for SAP Connectivity comes from.
type TokenSource struct {
	// Token are the credentials of the token service. Empty means the binding's.
	Token btp.Credentials
	// TokenCertificateFile and TokenKeyFile are PEM files that replace Token.Certificate and Token.Key.
	TokenCertificateFile string
	TokenKeyFile         string
	// ServiceKey is the file of a service key of the connectivity service. It has priority over VCAP.
	ServiceKey string
	// VCAP is the text of VCAP_SERVICES; VCAPErr is the error of reading it, returned only if it is needed.
	VCAP    string
	VCAPErr error
	// TokenOptions configure token requests; Name and Logger are set here.
	TokenOptions btp.TokenOptions
}

// SettingsOf reads settings by their short names. vcapErr is the error of reading vcap. Outage is left to the caller.
func SettingsOf(text, name func(short string) string, vcap string, vcapErr error) (settings Settings, err error) {
	settings = Settings{
		Type:     strings.ToLower(text(NameType)),
		Address:  text(NameAddress),
		User:     text(NameUser),
		Password: text(NamePassword),
		TokenSource: TokenSource{
			TokenCertificateFile: text(NameTokenCertificate),
			TokenKeyFile:         text(NameTokenKey),
			ServiceKey:           text(NameServiceKey),
			VCAP:                 vcap,
			VCAPErr:              vcapErr,
		},
		Name: name,
	}
	settings.Token.TokenURL = text(NameTokenURL)
	settings.Token.ClientID = text(NameTokenClientID)
	settings.Token.Secret = text(NameTokenSecret)
	if ids := text(NameLocationID); ids != "" {
		for id := range strings.SplitSeq(ids, ",") {
			settings.Locations = append(settings.Locations, strings.TrimSpace(id))
		}
	}
	settings.AddressMap, err = ParseAddressMap(text(NameAddressMap))
	return settings, err
}

// Logon is a user with a secret that the settings contain.
type Logon struct {
	// Endpoint is the address of the proxy, or the URL of the token service of SAP Connectivity.
	Endpoint string
	User     string
	Secret   string
	Setting  string // the short name of the secret's setting
}

// Logon returns the secret that the settings contain, or no secret: secrets of bindings and files are the worker's.
func (s *Settings) Logon() Logon {
	switch s.Type {
	case SOCKS5, HTTP:
		if s.User != "" {
			return Logon{Endpoint: s.Address, User: s.User, Secret: s.Password, Setting: NamePassword}
		}
	case Connectivity, ConnectivitySOCKS5, ConnectivityHTTP:
		if s.Token.Secret != "" {
			return Logon{
				Endpoint: s.Token.TokenURL,
				User:     s.Token.ClientID,
				Secret:   s.Token.Secret,
				Setting:  NameTokenSecret,
			}
		}
	}
	return Logon{}
}

// Misconfigured is the error of a missing or invalid setting.
type Misconfigured struct {
	// Setting is the user's name.
	Setting string
	text    string
	err     error
}

func (m *Misconfigured) Error() string { return m.text }

// Unwrap returns the error without the setting's name.
func (m *Misconfigured) Unwrap() error { return m.err }

// Permanent returns true: a retry does not help.
func (m *Misconfigured) Permanent() bool { return true }

func (s *Settings) name(short string) string {
	if s.Name == nil {
		return short
	}
	return s.Name(short)
}

func (s *Settings) errorf(short, format string, args ...any) error {
	name := s.name(short)
	err := fmt.Errorf(format, args...)
	return &Misconfigured{Setting: name, text: name + ": " + err.Error(), err: err}
}
