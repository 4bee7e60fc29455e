package btp

import (
	"net/http"
	"net/url"
	"time"
)

// Target is a destination as the destination service delivers it, ready to be used.
type Target struct {
	Name string
	// Type is HTTP or TCP.
	Type string
	// URL is what the destination holds. Scheme is http or https, tcp for Type TCP; Path has no slash at its end.
	URL          string
	Scheme, Host string
	Port         int
	Path         string
	// Query is of the URL itself and of URL.queries.*.
	Query url.Values
	// Headers are of URL.headers.*.
	Headers http.Header
	// Client and Language are sap-client and sap-language, "" if not set.
	Client, Language string

	// Authentication is SAP's name of it: NoAuthentication, BasicAuthentication, OAuth2ClientCredentials, OAuth2SAMLBearerAssertion,
	// ClientCertificateAuthentication.
	Authentication string
	// User and Password are of BasicAuthentication.
	User, Password string
	// Token is what the service delivered for the OAuth2 kinds, nil for the others.
	Token *DeliveredToken
	// Keystore is of ClientCertificateAuthentication, nil for the others.
	Keystore *Store

	// ProxyType is Internet, OnPremise or PrivateLink.
	ProxyType string
	// LocationID picks the Cloud Connector, for OnPremise; "" is the one without.
	LocationID string

	// TrustAll: the server's certificate is not looked at. Truststore holds its roots, nil: the system's.
	TrustAll   bool
	Truststore *Store
}

// DeliveredToken is a token that the destination service fetched.
type DeliveredToken struct {
	// Header and Value go on requests: Authorization, Bearer ….
	Header, Value string
	// Expires is zero if the service did not say.
	Expires time.Time
}

// Store is a key or trust store that is kept in the destination service.
type Store struct {
	// Name is as in the cockpit: its ending says what it holds, .p12, .pfx, .jks, .pem, .crt, .cer, .der.
	Name string
	// Type is PKCS12, JKS or PEM, by the name's ending.
	Type     string
	Content  []byte
	Password string
}
