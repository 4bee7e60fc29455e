// Package route finds the way out of a worker: from the settings of a proxy, or from what Cloud Foundry binds, to a
// dialer for Kafka and to what an http.Transport needs. It knows settings by short names; who asks says how the user
// calls them.
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

// Types of proxies.
const (
	// Unset is no type at all. It is None for connections; HTTP requests then follow HTTP_PROXY, HTTPS_PROXY and
	// NO_PROXY.
	Unset = ""
	// None connects without a proxy, whatever the environment says.
	None = "none"
	// SOCKS5 is an ordinary one, with a user and password or without.
	SOCKS5 = "socks5"
	// HTTP is an ordinary proxy with CONNECT and, for requests to http addresses, absolute form; with Basic
	// authentication or without.
	HTTP = "http"
	// Connectivity is SAP Connectivity's proxy by SOCKS5; ConnectivitySOCKS5 is the same.
	Connectivity       = "sap-connectivity"
	ConnectivitySOCKS5 = "sap-connectivity-socks5"
	// ConnectivityHTTP is SAP Connectivity's proxy for HTTP requests; it takes http addresses alone, and makes no
	// connections.
	ConnectivityHTTP = "sap-connectivity-http"
)

// Short names of settings, for [Settings.Name].
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

// DefaultOutage is how long a Cloud Connector may be away before a dialling gives up (P26).
const DefaultOutage = 5 * time.Minute

// Settings are those of one proxy.
type Settings struct {
	// Type is one of the types above.
	Type string
	// Allow are the types that this side takes; nil means all of them.
	Allow []string
	// Address is the proxy's host:port. With SAP Connectivity it may be left out where there is a binding.
	Address string
	// User and Password are of SOCKS5 and HTTP.
	User, Password string
	// Locations are the location ids of Cloud Connectors in the order in which they are tried; "" is the one without.
	Locations []string
	// AddressMap says which host:port is dialled in the place of another, see [ParseAddressMap].
	AddressMap map[string]string

	// Token are the credentials of the token service. Where all of it is empty they come from the binding.
	Token btp.Credentials
	// TokenCertificateFile and TokenKeyFile are PEM files in the place of Token.Certificate and Token.Key.
	TokenCertificateFile, TokenKeyFile string
	// ServiceKey is the file of a service key of the connectivity service. It stands before VCAP.
	ServiceKey string
	// VCAP is the text of VCAP_SERVICES, "" where there is none.
	VCAP string
	// VCAPErr is why the file that stands in its place cannot be read, which matters where it is needed.
	VCAPErr error
	// TokenOptions are how tokens are asked for. Name and Logger are filled in.
	TokenOptions btp.TokenOptions

	// Outage is how long a dialling goes on while no Cloud Connector answers; 0 means DefaultOutage, less than 0 that
	// every location is tried once.
	Outage time.Duration
	// Attempt bounds one attempt to get through the proxy; 0 means 30 s.
	Attempt time.Duration
	// Environment is what HTTP requests follow where Type is Unset, and its NoProxy also where it is HTTP. nil means
	// the process's.
	Environment *httpproxy.Config
	// Forward connects to the proxy, or to the target where there is none. nil means plain TCP with keep-alive.
	Forward proxy.ContextDialer

	// Name is how the user calls a setting of this proxy, by its short name; nil means so.
	Name func(short string) string
	// Logger. nil means nobody.
	Logger *slog.Logger
	// Trace gets the steps through SAP Connectivity's proxy; nil means nobody.
	Trace func(socks.Event)
}

// SettingsOf are the settings that a user gives as texts, by their short names, and the text of VCAP_SERVICES. Errors
// are those of [ParseAddressMap]. The outage is left to who asks.
func SettingsOf(text, name func(short string) string, vcap string, unread error) (s Settings, err error) {
	s = Settings{Type: strings.ToLower(text(NameType)), Address: text(NameAddress),
		User: text(NameUser), Password: text(NamePassword),
		TokenCertificateFile: text(NameTokenCertificate), TokenKeyFile: text(NameTokenKey),
		ServiceKey: text(NameServiceKey), VCAP: vcap, VCAPErr: unread, Name: name}
	s.Token.TokenURL, s.Token.ClientID, s.Token.Secret = text(NameTokenURL), text(NameTokenClientID),
		text(NameTokenSecret)
	if ids := text(NameLocationID); ids != "" {
		for id := range strings.SplitSeq(ids, ",") {
			s.Locations = append(s.Locations, strings.TrimSpace(id))
		}
	}
	s.AddressMap, err = ParseAddressMap(text(NameAddressMap))
	return s, err
}

// Misconfigured is a setting that is missing or cannot be.
type Misconfigured struct {
	// Setting is the user's name of it.
	Setting string
	text    string
	err     error
}

func (m *Misconfigured) Error() string { return m.text }

// Unwrap is what is wrong, without the setting's name.
func (m *Misconfigured) Unwrap() error { return m.err }

// Permanent is true: it is the same the next time.
func (m *Misconfigured) Permanent() bool { return true }

func (s *Settings) name(short string) string {
	if s.Name == nil {
		return short
	}
	return s.Name(short)
}

// errorf names a setting, what was expected and what was found.
func (s *Settings) errorf(short, format string, args ...any) error {
	name := s.name(short)
	err := fmt.Errorf(strings.ReplaceAll(format, "\n", " "), args...)
	return &Misconfigured{Setting: name, text: name + ": " + err.Error(), err: err}
}
