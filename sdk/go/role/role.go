// Package role contains the roles of settings, which tell the host what to use a setting for. The declaration of a
// setting may have one role; the host acts on the setting by its role, never by its name. The page for authors of
// plugins is wit/roles.md. Plugins may import this package.
package role

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Role is a purpose for which the host uses a setting.
type Role struct {
	// Name is the role in a declaration. A name that ends with a dot is a prefix of roles.
	Name string
	// Kind is the kind of the setting's values.
	Kind Kind
	// PluginDefault means that the default of the plugin's declaration applies if the user sets no value. It is false
	// for roles that decide where requests go, how they are secured or who logs in, and for limits that connectors
	// share.
	PluginDefault bool
	// HostDefault is the value that the host uses if user and plugin set none, or "" if the host has no such value or
	// it depends on other settings.
	HostDefault string
	// Multiple means that several settings, those of a template, may have the role. The host only reads their values.
	Multiple bool
}

// Kind is the kind of the values of a role.
type Kind uint8

const (
	// String is not secret and may appear in logs and errors.
	String Kind = iota
	// Secret values are used only as the role describes.
	Secret
	// StringOrSecret is secret if the declaration has the kind password. Headers have this kind.
	StringOrSecret
	// Integer is an int or long.
	Integer
	// Double is a number.
	Double
	// List is a comma-separated list.
	List
	// Boolean is 0, 1, true or false.
	Boolean
)

// Names of the roles in declarations. A name that ends with a dot is a prefix: any name may follow.
const (
	// Scheme is the protocol: http or https.
	Scheme = "http.scheme"
	// Address is the host name or IP address of the service. All requests go there.
	Address = "http.address"
	// Port is the port of the service. Without it the host uses 443 or 80, depending on the scheme. A plugin's default
	// of another port has no effect.
	Port = "http.port"
	// Destination is the name of a destination of SAP BTP, which provides what the settings leave open: address, path,
	// authentication, proxy and SAP client.
	Destination = "http.destination"
	// Auth is the authentication: basic, oauth2, header, certificate or none. Without it the host uses basic if there
	// is a user, else none.
	Auth = "http.auth"
	// User is the user for Basic authentication.
	User = "http.user"
	// Password is the password of http.user.
	Password = "http.password"
	// OAuthTokenEndpoint is the URL that issues tokens for client credentials.
	OAuthTokenEndpoint = "http.oauth.token-endpoint"
	// OAuthClientID is the client ID for the token endpoint.
	OAuthClientID = "http.oauth.client-id"
	// OAuthClientSecret is the client secret for the token endpoint.
	OAuthClientSecret = "http.oauth.client-secret"
	// OAuthScope is a list of scopes to request, separated by spaces.
	OAuthScope = "http.oauth.scope"
	// OAuthClientAuth is the place of client ID and secret: header or body.
	OAuthClientAuth = "http.oauth.client-auth"
	// Header is a header that is sent with every request; its name follows the last dot. http.header.{name} on a
	// setting whose name ends with {name} is any header. http.header.sap-client and http.header.sap-language are not
	// secret; all others are credentials.
	Header = "http.header."
	// Query is a secret query parameter of every request; its name follows the last dot. http.query.{name} on a setting
	// whose name ends with {name} is any parameter.
	Query = "http.query."
	// Origins is a list of further origins that requests may go to.
	Origins = "http.origins"
	// ClientIn is header, or query to send SAP client and language in the query too.
	ClientIn = "http.client-in"
	// LogoffPath is the path on the service's origin that ends a session.
	LogoffPath = "http.logoff-path"
	// ConnectTimeoutMS is the timeout for connecting, in milliseconds.
	ConnectTimeoutMS = "http.connect-timeout-ms"
	// ReadTimeoutMS is the maximum time without data from the service, in milliseconds.
	ReadTimeoutMS = "http.read-timeout-ms"
	// MaxConcurrent is the maximum number of concurrent requests of all connectors to the service.
	MaxConcurrent = "http.max-concurrent"
	// MaxConnections is the maximum number of connections, and of sessions of a user, of all connectors to the service.
	// Without it the host uses the number of concurrent requests.
	MaxConnections = "http.max-connections"
	// RequestsPerSecond is the maximum number of requests per second of all connectors to the service.
	RequestsPerSecond = "http.requests-per-second"
	// MaintenanceWindows is a list of times in which no connector sends requests to the service.
	MaintenanceWindows = "http.maintenance-windows"
	// ProxyType is the route to the service: none, http, socks5, sap-connectivity-http or sap-connectivity-socks5.
	// Without it the host uses the environment variables.
	ProxyType = "http.proxy.type"
	// ProxyAddress is the host:port of the proxy.
	ProxyAddress = "http.proxy.address"
	// ProxyUser is the user of the proxy.
	ProxyUser = "http.proxy.user"
	// ProxyPassword is the password of the proxy's user.
	ProxyPassword = "http.proxy.password"
	// ProxyLocationID is a list of location IDs of Cloud Connectors, tried in order.
	ProxyLocationID = "http.proxy.location-id"
	// ProxyAddressMap is a list of other names for addresses, as host:port=virtual:port.
	ProxyAddressMap = "http.proxy.address-map"
	// ProxyTokenURL is the token service of SAP Connectivity.
	ProxyTokenURL = "http.proxy.token-url"
	// ProxyTokenClientID is the client ID for the token service of SAP Connectivity.
	ProxyTokenClientID = "http.proxy.token-client-id"
	// ProxyTokenClientSecret is the client secret for the token service of SAP Connectivity.
	ProxyTokenClientSecret = "http.proxy.token-client-secret"
	// ProxyTokenCertificate is the path of a client certificate that replaces the client secret.
	ProxyTokenCertificate = "http.proxy.token-certificate"
	// ProxyTokenKey is the path of the certificate's key.
	ProxyTokenKey = "http.proxy.token-key"
	// ProxyServiceKey is the path of a service key of SAP Connectivity.
	ProxyServiceKey = "http.proxy.service-key"
	// ProxyOutageMS is the time to wait for a Cloud Connector that is not connected, in milliseconds.
	ProxyOutageMS = "http.proxy.outage-ms"
	// TLSKeyStoreLocation is the path of the key store with the client's certificate and key.
	TLSKeyStoreLocation = "tls.keystore.location"
	// TLSKeyStorePassword is the password of the key store.
	TLSKeyStorePassword = "tls.keystore.password"
	// TLSKeyStoreType is the type of the key store: jks, jceks, pkcs12, dks, pem or pkcs11.
	TLSKeyStoreType = "tls.keystore.type"
	// TLSKeyStoreKeyPassword is the password of the key in the key store.
	TLSKeyStoreKeyPassword = "tls.keystore.key-password"
	// TLSKeyStoreAlias is the alias of the key, if the key store has several.
	TLSKeyStoreAlias = "tls.keystore.alias"
	// TLSTrustStoreLocation is the path of the store of trusted authorities. Without it the host trusts the authorities
	// of the system.
	TLSTrustStoreLocation = "tls.truststore.location"
	// TLSTrustStorePassword is the password of the trust store.
	TLSTrustStorePassword = "tls.truststore.password"
	// TLSTrustStoreType is the type of the trust store, as for the key store.
	TLSTrustStoreType = "tls.truststore.type"
	// TLSProtocol is the protocol of encrypted connections, with its name in Java.
	TLSProtocol = "tls.protocol"
	// TLSAllowLegacy allows TLS 1.0 and 1.1 in tls.protocol.
	TLSAllowLegacy = "tls.allow-legacy"
	// TLSAllowRSAKeyExchange allows TLS 1.2 without forward secrecy.
	TLSAllowRSAKeyExchange = "tls.allow-rsa-key-exchange"
	// TLSAllowRenegotiation allows the server to renegotiate TLS on a connection.
	TLSAllowRenegotiation = "tls.allow-renegotiation"
	// TLSAllowCommonName allows certificates that contain their host only as the common name.
	TLSAllowCommonName = "tls.allow-common-name"
	// RetryCodes is a list of HTTP statuses, and codes in errors, after which a request is repeated.
	RetryCodes = "retry.codes"
	// RetryMax is the maximum number of repetitions of a request.
	RetryMax = "retry.max"
	// RetryMinBackoffMS is the minimum pause before a request is repeated, in milliseconds.
	RetryMinBackoffMS = "retry.min-backoff-ms"
	// RetryMaxBackoffMS is the maximum pause before a request is repeated, in milliseconds. The pause is random between
	// minimum and maximum.
	RetryMaxBackoffMS = "retry.max-backoff-ms"
	// SourceTopic is a topic that rows are written to. The host checks before the start that the topic accepts them.
	// Settings of a template may have this role.
	SourceTopic = "source.topic"
	// SourceChanged is the reaction to a stored offset whose fingerprint differs: fail, the default, reload or keep.
	// With fail the host rejects a change of scheme, address, port, destination or SAP client before it stops a task,
	// if the fingerprint contains the origin as a URL or destination:NAME, and the client as client=CLIENT. Settings of
	// a template may have this role.
	SourceChanged = "source.changed"
	// SinkTopic is a topic whose records are written. The host reports topics whose records cannot reach the sink.
	// Settings of a template may have this role.
	SinkTopic = "sink.topic"
	// SinkFlushRows is the number of rows in a batch.
	SinkFlushRows = "sink.flush.rows"
	// SinkFlushIntervalMS is the maximum time to fill a batch, in milliseconds.
	SinkFlushIntervalMS = "sink.flush.interval-ms"
	// SinkInFlight is the maximum number of concurrent requests.
	SinkInFlight = "sink.in-flight"
	// ListenerPorts is a list of ports for the listener of notifications. The first free one is used.
	ListenerPorts = "listener.ports"
	// ListenerAddress is the address of the listener. Without it the listener uses all addresses of the machine.
	ListenerAddress = "listener.address"
	// ListenerUser is the user that senders must authenticate as. Without it they need not authenticate.
	ListenerUser = "listener.user"
	// ListenerPassword is the password of senders.
	ListenerPassword = "listener.password"
	// ListenerTLS is the prefix of the roles of the listener's stores: keystore.location and so on, as after tls.
	// above. With a key store the listener uses TLS; with a trust store senders need a certificate.
	ListenerTLS = "listener.tls."

	// HTTP and the following constants are prefixes that several roles share.
	HTTP          = "http."
	OAuth         = "http.oauth."
	Proxy         = "http.proxy."
	TLS           = "tls."
	TLSKeyStore   = "tls.keystore."
	TLSTrustStore = "tls.truststore."
	Retry         = "retry."
	Listener      = "listener."
)

// All contains all roles, in the order of wit/roles.md.
var All = []Role{
	{Name: Scheme, HostDefault: "https"},
	{Name: Address},
	{Name: Port, Kind: Integer},
	{Name: Destination},
	{Name: Auth},
	{Name: User},
	{Name: Password, Kind: Secret},
	{Name: OAuthTokenEndpoint},
	{Name: OAuthClientID},
	{Name: OAuthClientSecret, Kind: Secret},
	{Name: OAuthScope},
	{Name: OAuthClientAuth, HostDefault: "header"},
	{Name: Header, Kind: StringOrSecret},
	{Name: Query, Kind: Secret},
	{Name: Origins, Kind: List},
	{Name: ClientIn, HostDefault: "header"},
	{Name: LogoffPath, PluginDefault: true},
	{Name: ConnectTimeoutMS, Kind: Integer, PluginDefault: true, HostDefault: "10000"},
	{Name: ReadTimeoutMS, Kind: Integer, PluginDefault: true, HostDefault: "60000"},
	{Name: MaxConcurrent, Kind: Integer, HostDefault: "4"},
	{Name: MaxConnections, Kind: Integer},
	{Name: RequestsPerSecond, Kind: Double},
	{Name: MaintenanceWindows},
	{Name: ProxyType},
	{Name: ProxyAddress},
	{Name: ProxyUser},
	{Name: ProxyPassword, Kind: Secret},
	{Name: ProxyLocationID, Kind: List},
	{Name: ProxyAddressMap, Kind: List},
	{Name: ProxyTokenURL},
	{Name: ProxyTokenClientID},
	{Name: ProxyTokenClientSecret, Kind: Secret},
	{Name: ProxyTokenCertificate},
	{Name: ProxyTokenKey},
	{Name: ProxyServiceKey},
	{Name: ProxyOutageMS, Kind: Integer, HostDefault: "300000"},
	{Name: TLSKeyStoreLocation},
	{Name: TLSKeyStorePassword, Kind: Secret},
	{Name: TLSKeyStoreType},
	{Name: TLSKeyStoreKeyPassword, Kind: Secret},
	{Name: TLSKeyStoreAlias},
	{Name: TLSTrustStoreLocation},
	{Name: TLSTrustStorePassword, Kind: Secret},
	{Name: TLSTrustStoreType},
	{Name: TLSProtocol},
	{Name: TLSAllowLegacy, Kind: Boolean, HostDefault: "0"},
	{Name: TLSAllowRSAKeyExchange, Kind: Boolean, HostDefault: "0"},
	{Name: TLSAllowRenegotiation, Kind: Boolean, HostDefault: "0"},
	{Name: TLSAllowCommonName, Kind: Boolean, HostDefault: "0"},
	{Name: RetryCodes, Kind: List, PluginDefault: true, HostDefault: "408,429,502,503,504"},
	{Name: RetryMax, Kind: Integer, PluginDefault: true, HostDefault: "10"},
	{Name: RetryMinBackoffMS, Kind: Integer, PluginDefault: true, HostDefault: "1000"},
	{Name: RetryMaxBackoffMS, Kind: Integer, PluginDefault: true, HostDefault: "10000"},
	{Name: SourceTopic, Multiple: true},
	{Name: SourceChanged, Multiple: true},
	{Name: SinkTopic, Multiple: true},
	{Name: SinkFlushRows, Kind: Integer, PluginDefault: true},
	{Name: SinkFlushIntervalMS, Kind: Integer, PluginDefault: true},
	{Name: SinkInFlight, Kind: Integer, PluginDefault: true},
	{Name: ListenerPorts, Kind: List},
	{Name: ListenerAddress},
	{Name: ListenerUser},
	{Name: ListenerPassword, Kind: Secret},
	{Name: ListenerTLS, Kind: StringOrSecret},
}

// HostDefault returns [Role.HostDefault] of a role, or nil if it is empty, so that a declaration can show it as the
// default.
func HostDefault(name string) *string {
	if r, ok := Find(name); ok && r.HostDefault != "" {
		return &r.HostDefault
	}
	return nil
}

// Find returns the role with that name: http.header.sap-client finds http.header. ok is false for unknown roles.
func Find(name string) (_ Role, ok bool) {
	for _, r := range All {
		if name == r.Name || (strings.HasSuffix(r.Name, ".") && strings.HasPrefix(name, r.Name) &&
			len(name) > len(r.Name)) {
			return r, true
		}
	}
	return Role{}, false
}

// IsSecret reports whether values of the role are secrets, whatever the kind of the declaration.
func IsSecret(name string) bool {
	r, ok := Find(name)
	return ok && r.Kind == Secret
}

// accepts reports whether a setting of this kind can have the role. A string can have any value that is not secret.
func (r Role) accepts(kind wit.SettingKind) bool {
	isInteger := kind == wit.KindShort || kind == wit.KindInt || kind == wit.KindLong
	switch r.Kind {
	case Secret:
		return kind == wit.KindPassword
	case StringOrSecret:
		return kind == wit.KindPassword || kind == wit.KindString
	case Integer:
		return isInteger || kind == wit.KindString
	case Double:
		return isInteger || kind == wit.KindDouble || kind == wit.KindString
	case List:
		return kind == wit.KindList || kind == wit.KindString
	case Boolean:
		return kind == wit.KindBoolean || kind == wit.KindString
	}
	return kind == wit.KindString
}

var kindNames = [...]string{String: "string", Secret: "password", StringOrSecret: "string or password",
	Integer: "int or long", Double: "double", List: "list", Boolean: "boolean or string"}

func (k Kind) String() string { return kindNames[k] }

// IsAddress reports whether values of the role decide where requests or secrets go.
func IsAddress(name string) bool {
	switch name {
	case Address, Destination, OAuthTokenEndpoint, Origins, ProxyAddress, ProxyAddressMap, ProxyTokenURL:
		return true
	}
	return false
}
