// Package role holds the roles of settings: what the host uses a plugin's settings for. A plugin's declaration of a
// setting may name one of them, and the host acts on the setting by that name alone. The page for authors is
// wit/roles.md; a test holds it to [All]. Plugins may import it: it has no fmt.
package role

import (
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Role is one use that the host has for a setting.
type Role struct {
	// Name, as a declaration gives it. One that ends in a dot stands for all names that begin so.
	Name string
	// Kind is what the setting's values are.
	Kind Kind
	// PluginDefault: where the user says nothing, the default of the plugin's declaration counts. Roles that decide
	// where a byte goes, what secures it, who logs on, or what holds for other connectors too, take none.
	PluginDefault bool
	// HostDefault is what the host goes by where nobody says anything, "" where that is nothing or depends on others.
	HostDefault string
	// Multiple settings may have it, those of a template: the host only looks at their values.
	Multiple bool
	// Unsupported: known, and the host does nothing about it yet.
	Unsupported bool
}

// Kind is what the values of a role are.
type Kind uint8

const (
	// String that is no secret: it may stand in logs and errors.
	String Kind = iota
	// Secret values go where the role says, and nowhere else.
	Secret
	// StringOrSecret a secret or not, as the declaration has it: values of headers.
	StringOrSecret
	// Integer is a whole one, Decimal any.
	Integer
	Double
	// List of text with commas between.
	List
	// Boolean is 0, 1, true or false.
	Boolean
)

// Names of the roles, as declarations give them. Those that end in a dot stand for all names that begin so.
const (
	// Scheme: http or https.
	Scheme = "http.scheme"
	// Address: host name or IP address of the service: all requests go there.
	Address = "http.address"
	// Port: its port. By itself 443 or 80, as the scheme has it; a plugin's default of another port does not count.
	Port = "http.port"
	// Destination: name of a destination of SAP BTP, which says what the settings leave open: address, path, logon,
	// proxy, SAP client.
	Destination = "http.destination"
	// Auth: how to log on: basic, oauth2, header, certificate, login, none. By itself login where there is an
	// http.login.target, basic where there is a user, else none.
	Auth = "http.auth"
	// User: user of Basic authentication.
	User = "http.user"
	// Password: its password.
	Password = "http.password"
	// OAuthTokenEndpoint: URL that hands out tokens for client credentials.
	OAuthTokenEndpoint = "http.oauth.token-endpoint"
	// OAuthClientID: client id there.
	OAuthClientID = "http.oauth.client-id"
	// OAuthClientSecret: client secret there.
	OAuthClientSecret = "http.oauth.client-secret"
	// OAuthScope: scopes to ask for, with blanks between them.
	OAuthScope = "http.oauth.scope"
	// OAuthClientAuth: where client id and secret go: header or body.
	OAuthClientAuth = "http.oauth.client-auth"
	// Header: the header after the last dot, on every request. http.header.{name} on a setting whose name ends with
	// {name} is any header. http.header.sap-client and http.header.sap-language are no secrets, all others log on.
	Header = "http.header."
	// Query: a secret in the query of every request, as the parameter whose name stands after http.query.
	Query = "http.query."
	// LoginTarget: where the host logs on by an exchange of its own.
	LoginTarget = "http.login.target"
	// LoginMethod: its method: POST, PUT or PATCH.
	LoginMethod = "http.login.method"
	// LoginBody: its body, JSON or a form, in which {user} and {password} stand for http.user and http.password.
	LoginBody = "http.login.body"
	// LoginTokenPath: where the token is in the JSON answer: names of members with dots between, as data.token.
	LoginTokenPath = "http.login.token-path"
	// LoginLifetimePath: where the answer says for how many seconds the token is good. By itself until the service
	// refuses it.
	LoginLifetimePath = "http.login.lifetime-path"
	// LoginHeader: the header that requests show then.
	LoginHeader = "http.login.header"
	// Origins: further origins that requests may go to.
	Origins = "http.origins"
	// ClientIn: header, or query: SAP client and language also stand in the query.
	ClientIn = "http.client-in"
	// LogoffPath: path, on the service's own origin, that ends a session.
	LogoffPath = "http.logoff-path"
	// ConnectTimeoutMS: how long connecting may take.
	ConnectTimeoutMS = "http.connect-timeout-ms"
	// ReadTimeoutMS: how long the service may be silent.
	ReadTimeoutMS = "http.read-timeout-ms"
	// MaxConcurrent: requests at a time, of all connectors to the service together.
	MaxConcurrent = "http.max-concurrent"
	// MaxConnections: connections, and sessions of a user, likewise. By itself as many as requests at a time.
	MaxConnections = "http.max-connections"
	// RequestsPerSecond: requests in a second, likewise.
	RequestsPerSecond = "http.requests-per-second"
	// MaintenanceWindows: times without requests, likewise.
	MaintenanceWindows = "http.maintenance-windows"
	// ProxyType: the route to the service: none, http, socks5, sap-connectivity-http, sap-connectivity-socks5. By
	// itself what the environment says.
	ProxyType = "http.proxy.type"
	// ProxyAddress: host:port of the proxy.
	ProxyAddress = "http.proxy.address"
	// ProxyUser: user of the proxy.
	ProxyUser = "http.proxy.user"
	// ProxyPassword: its password.
	ProxyPassword = "http.proxy.password"
	// ProxyLocationID: location ids of Cloud Connectors, tried in order.
	ProxyLocationID = "http.proxy.location-id"
	// ProxyAddressMap: other names for addresses, as host:port=virtual:port.
	ProxyAddressMap = "http.proxy.address-map"
	// ProxyTokenURL: token service of SAP Connectivity.
	ProxyTokenURL = "http.proxy.token-url"
	// ProxyTokenClientID: client id there.
	ProxyTokenClientID = "http.proxy.token-client-id"
	// ProxyTokenClientSecret: client secret there.
	ProxyTokenClientSecret = "http.proxy.token-client-secret"
	// ProxyTokenCertificate: path of a client certificate in place of the secret.
	ProxyTokenCertificate = "http.proxy.token-certificate"
	// ProxyTokenKey: path of its key.
	ProxyTokenKey = "http.proxy.token-key"
	// ProxyServiceKey: path of a service key of SAP Connectivity.
	ProxyServiceKey = "http.proxy.service-key"
	// ProxyOutageMS: how long a Cloud Connector that is away is waited for.
	ProxyOutageMS = "http.proxy.outage-ms"
	// TLSKeyStoreLocation: path of the store with the client's certificate and key.
	TLSKeyStoreLocation = "tls.keystore.location"
	// TLSKeyStorePassword: its password.
	TLSKeyStorePassword = "tls.keystore.password"
	// TLSKeyStoreType: its type: jks, jceks, pkcs12, dks, pem, pkcs11.
	TLSKeyStoreType = "tls.keystore.type"
	// TLSKeyStoreKeyPassword: password of the key in it.
	TLSKeyStoreKeyPassword = "tls.keystore.key-password"
	// TLSKeyStoreAlias: which key, where it has several.
	TLSKeyStoreAlias = "tls.keystore.alias"
	// TLSTrustStoreLocation: path of the store with the authorities that are trusted. By itself the system's.
	TLSTrustStoreLocation = "tls.truststore.location"
	// TLSTrustStorePassword: its password.
	TLSTrustStorePassword = "tls.truststore.password"
	// TLSTrustStoreType: its type, as above.
	TLSTrustStoreType = "tls.truststore.type"
	// TLSProtocol: protocol of encrypted connections, as Java names it.
	TLSProtocol = "tls.protocol"
	// TLSAllowLegacy: whether tls.protocol may name TLS 1.0 and 1.1.
	TLSAllowLegacy = "tls.allow-legacy"
	// TLSAllowRSAKeyExchange: whether TLS 1.2 may be without forward secrecy.
	TLSAllowRSAKeyExchange = "tls.allow-rsa-key-exchange"
	// TLSAllowRenegotiation: whether the server may negotiate TLS again on a connection.
	TLSAllowRenegotiation = "tls.allow-renegotiation"
	// TLSAllowCommonName: whether a certificate may have its host as the common name alone.
	TLSAllowCommonName = "tls.allow-common-name"
	// RetryCodes: HTTP codes, and codes in faults, after which a request is sent again.
	RetryCodes = "retry.codes"
	// RetryMax: how many times a request is sent again after the first.
	RetryMax = "retry.max"
	// RetryMinBackoffMS: shortest pause before a request is sent again, in milliseconds.
	RetryMinBackoffMS = "retry.min-backoff-ms"
	// RetryMaxBackoffMS: longest pause before that, in milliseconds; the pause is drawn evenly between the two.
	RetryMaxBackoffMS = "retry.max-backoff-ms"
	// SourceTopic: a topic that rows go to: the host looks whether it takes them before anything runs. Settings of a
	// template may have it.
	SourceTopic = "source.topic"
	// SourceChanged: what a stored offset of something else means: fail, also where nothing is said, reload, keep. The
	// host refuses a change of scheme, address, port, destination or SAP client under it before a task is stopped,
	// where the fingerprint of a feed names the origin as a URL or destination:NAME, and the client as client=CLIENT.
	// Settings of a template may have it.
	SourceChanged = "source.changed"
	// SinkTopic: a topic whose records are written: the host says where no record can reach it. Settings of a template
	// may have it.
	SinkTopic = "sink.topic"
	// SinkFlushRows: rows of a batch.
	SinkFlushRows = "sink.flush.rows"
	// SinkFlushIntervalMS: how long a batch is waited for.
	SinkFlushIntervalMS = "sink.flush.interval-ms"
	// SinkInFlight: requests under way at the same time.
	SinkInFlight = "sink.in-flight"
	// SinkUncertain: what becomes of rows whose request got no answer.
	SinkUncertain = "sink.uncertain"
	// ListenerPorts: ports of the listener for notifications, the first free one is taken.
	ListenerPorts = "listener.ports"
	// ListenerAddress: the address that it listens on. By itself all of the machine.
	ListenerAddress = "listener.address"
	// ListenerUser: user that senders log on with. By itself they need not.
	ListenerUser = "listener.user"
	// ListenerPassword: their password.
	ListenerPassword = "listener.password"
	// ListenerTLS: the stores of the listener: as with tls.keystore., by which it takes TLS, and tls.truststore., by
	// which senders must show a certificate.
	ListenerTLS = "listener.tls."

	// What names of several roles begin with: HTTP those of requests, OAuth of tokens, Login of a login exchange, Proxy
	// of the route, TLS of encrypted connections, with those of its two stores, Retry of requests that are sent again,
	// and Listener of the listener for notifications.
	HTTP          = "http."
	OAuth         = "http.oauth."
	Login         = "http.login."
	Proxy         = "http.proxy."
	TLS           = "tls."
	TLSKeyStore   = "tls.keystore."
	TLSTrustStore = "tls.truststore."
	Retry         = "retry."
	Listener      = "listener."
)

// All roles.
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
	{Name: LoginTarget},
	{Name: LoginMethod, HostDefault: "POST"},
	{Name: LoginBody},
	{Name: LoginTokenPath},
	{Name: LoginLifetimePath},
	{Name: LoginHeader, HostDefault: "Authorization: Bearer {token}"},
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
	{Name: SinkUncertain, PluginDefault: true, Unsupported: true},
	{Name: ListenerPorts, Kind: List},
	{Name: ListenerAddress},
	{Name: ListenerUser},
	{Name: ListenerPassword, Kind: Secret},
	{Name: ListenerTLS, Kind: StringOrSecret},
}

// HostDefault is what the host goes by where nobody says anything, so that a plugin's declaration can show it as the
// default; nil where that is nothing or depends on others.
func HostDefault(name string) *string {
	if r, ok := Find(name); ok && r.HostDefault != "" {
		return &r.HostDefault
	}
	return nil
}

// Find is the role of that name: http.header.sap-client is one of http.header. !ok: the host knows none.
func Find(name string) (Role, bool) {
	for _, r := range All {
		if name == r.Name || strings.HasSuffix(r.Name, ".") && strings.HasPrefix(name, r.Name) &&
			len(name) > len(r.Name) {
			return r, true
		}
	}
	return Role{}, false
}

// IsSecret tells whether values of the role are secrets, whatever a declaration says.
func IsSecret(name string) bool {
	r, ok := Find(name)
	return ok && r.Kind == Secret
}

// accepts tells whether a setting of this kind can have values of the role. Text can hold anything that is no secret.
func (r Role) accepts(kind wit.SettingKind) bool {
	whole := kind == wit.KindShort || kind == wit.KindInt || kind == wit.KindLong
	switch r.Kind {
	case Secret:
		return kind == wit.KindPassword
	case StringOrSecret:
		return kind == wit.KindPassword || kind == wit.KindString
	case Integer:
		return whole || kind == wit.KindString
	case Double:
		return whole || kind == wit.KindDouble || kind == wit.KindString
	case List:
		return kind == wit.KindList || kind == wit.KindString
	case Boolean:
		return kind == wit.KindBoolean || kind == wit.KindString
	}
	return kind == wit.KindString
}

var kindNames = [...]string{String: "text", Secret: "password", StringOrSecret: "text or password",
	Integer: "int or long",
	Double:  "double", List: "list-of-text",
	Boolean: "boolean or text"}

func (k Kind) String() string { return kindNames[k] }

// IsAddress reports whether values of the role decide where requests or secrets go.
func IsAddress(name string) bool {
	switch name {
	case Address, Destination, OAuthTokenEndpoint, LoginTarget, Origins, ProxyAddress, ProxyAddressMap, ProxyTokenURL:
		return true
	}
	return false
}
