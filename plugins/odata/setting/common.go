package setting

import "github.com/culvert-project/culvert/wit"

// Names of settings that both connectors have.
const (
	Scheme   = "sap.odata.host.protocol"
	Address  = "sap.odata.host.address"
	Port     = "sap.odata.host.port"
	User     = "sap.odata.user.name"
	Client   = "sap.odata.sap.client"
	Language = "sap.odata.sap.language"
	// ClientIn says where client and language stand in requests.
	ClientIn  = "sap.odata.sap.client.in"
	LinkHosts = "sap.odata.link.hosts"
	// Destination of SAP BTP, in place of address and port.
	Destination = "sap.odata.destination"
)

// Flags are the spellings of yes and no.
var Flags = []string{"0", "1", "true", "false"}

// Spec makes a declaration; value is the default.
func Spec(name string, kind wit.SettingKind, importance wit.Importance, value *string, documentation string, rules ...wit.Rule) wit.SettingSpec {
	return wit.SettingSpec{Name: name, Kind: kind, DefaultValue: value, Importance: importance, Documentation: documentation, Rules: rules}
}

// Is makes a default.
func Is(value string) *string { return &value }

// Required, Role, Allowed, AtLeast, AtMost, Group and Display make rules.
func Required() wit.Rule { return wit.Rule{Required: wit.Chosen} }

func Role(role string) wit.Rule { return wit.Rule{Role: &role} }

func Allowed(words ...string) wit.Rule { return wit.Rule{Allowed: &words} }

// Topic is Kafka's rule for the names of topics.
func Topic() wit.Rule { return wit.Rule{Pattern: wit.Ptr("[a-zA-Z0-9._-]{1,249}")} }

func AtLeast(n int64) wit.Rule { return wit.Rule{AtLeast: &n} }

func AtMost(n int64) wit.Rule { return wit.Rule{AtMost: &n} }

func Group(name string) wit.Rule { return wit.Rule{Group: &name} }

func Display(name string) wit.Rule { return wit.Rule{DisplayName: &name} }

// Destination declares where the service is and how patient the host is with it. The host acts on all of it, by role.
func (t *Table) Destination() {
	t.places = true
	group := Group("Service destination")
	t.Declare(
		Spec(Scheme, wit.KindText, wit.High, Is("https"), "Protocol of the OData service: http or https.",
			Allowed("http", "https"), Role("http.scheme"), group, Display("Protocol")),
		Spec(Address, wit.KindText, wit.High, nil, "DNS name or IP address of the OData service. Required without "+Destination+".",
			Role("http.address"), group, Display("Host")),
		Spec(Port, wit.KindInt, wit.High, nil, "Port of the OData service. Required without "+Destination+".",
			AtLeast(1), AtMost(65535), Role("http.port"), group, Display("Port")),
		Spec(Destination, wit.KindText, wit.Medium, nil, "Name of a destination of SAP BTP's destination service, which says where the service is "+
			"and how to log on. What is set here goes before what it says.", Role("http.destination"), group, Display("Destination")),
		Spec(User, wit.KindText, wit.High, nil, "User for basic authentication. Services without authentication take any value, or none.",
			Role("http.user"), group, Display("User")),
		Spec("sap.odata.user.pwd", wit.KindPassword, wit.High, nil, "Password for basic authentication.",
			Role("http.password"), group, Display("Password")),
		Spec(Client, wit.KindText, wit.Medium, nil, "SAP client, sent with every request as header sap-client. Default: the system's.",
			wit.Rule{Pattern: wit.Ptr("[0-9]{3}")}, Role("http.header.sap-client"), group, Display("SAP client")),
		Spec(Language, wit.KindText, wit.Low, nil, "Logon language, sent with every request as header sap-language. Default: the user's.",
			wit.Rule{Pattern: wit.Ptr("[A-Za-z0-9-]{1,14}")}, Role("http.header.sap-language"), group, Display("Language")),
		Spec(ClientIn, wit.KindText, wit.Low, Is("header"), "header, or query: SAP client and language also stand in the query of requests, for gateways that "+
			"take headers off. Links of the service are followed as they are.",
			Allowed("header", "query"), Role("http.client-in"), group, Display("Client in")),
		Spec("sap.odata.http.codes", wit.KindListOfText, wit.Medium, Is("408,429,502,503,504"),
			"HTTP codes, and message codes of SAP, after which a request is sent again.", Role("retry.codes"), group, Display("Retriable codes")),
		Spec("sap.odata.max.retries", wit.KindInt, wit.Medium, Is("10"), "How often a request is sent again before the task fails.",
			AtLeast(0), Role("retry.max"), group, Display("Retries")),
		Spec("sap.odata.min.retry.backoff.ms", wit.KindLong, wit.Low, Is("1000"),
			"Least wait before a request is sent again, in milliseconds; the wait is chosen at random between this and the longest.",
			AtLeast(0), Role("retry.min-backoff-ms"), group, Display("Shortest wait")),
		Spec("sap.odata.max.retry.backoff.ms", wit.KindLong, wit.Low, Is("10000"), "Longest wait before a request is sent again, in milliseconds.",
			AtLeast(0), Role("retry.max-backoff-ms"), group, Display("Longest wait")),
		Spec("sap.odata.connection.connect.timeout.ms", wit.KindInt, wit.Low, Is("10000"), "How long connecting may take, in milliseconds.",
			AtLeast(1), Role("http.connect-timeout-ms"), group, Display("Connect time-out")),
		Spec("sap.odata.connection.read.timeout.ms", wit.KindInt, wit.Low, Is("60000"), "How long the service may be silent, in milliseconds.",
			AtLeast(1), Role("http.read-timeout-ms"), group, Display("Read time-out")),
	)
	t.authentication()
	t.proxy()
	t.security()
	t.load()
	t.destinationLater()
}

// authentication declares how the host logs on.
func (t *Table) authentication() {
	group := Group("Authentication")
	t.Declare(
		Spec("sap.odata.auth.type", wit.KindText, wit.Medium, nil, "How to log on: basic, oauth2 (client credentials), header (those of sap.odata.header.NAME), "+
			"certificate (that of the key store) or none. Default: basic with a user name, else none.",
			Allowed("basic", "oauth2", "header", "certificate", "none"), Role("http.auth"), group, Display("Kind")),
		Spec("sap.odata.oauth.token.endpoint", wit.KindText, wit.Medium, nil, "URL that hands out OAuth 2.0 tokens for client credentials.",
			Role("http.oauth.token-endpoint"), group, Display("Token endpoint")),
		Spec("sap.odata.oauth.client.id", wit.KindText, wit.Medium, nil, "Client id for OAuth 2.0.", Role("http.oauth.client-id"), group, Display("Client id")),
		Spec("sap.odata.oauth.client.secret", wit.KindPassword, wit.Medium, nil, "Client secret for OAuth 2.0.",
			Role("http.oauth.client-secret"), group, Display("Client secret")),
		Spec("sap.odata.oauth.scope", wit.KindText, wit.Low, nil, "Scopes to ask for, with blanks between them.", Role("http.oauth.scope"), group, Display("Scope")),
		Spec("sap.odata.oauth.client.auth", wit.KindText, wit.Low, Is("header"), "Whether client id and secret go to the token endpoint in a header or in the body.",
			Allowed("header", "body"), Role("http.oauth.client-auth"), group, Display("Client authentication")),
		Spec("sap.odata.header.{name}", wit.KindPassword, wit.Low, nil, "Value of the header NAME, which goes with every request to the service and to nobody else.",
			Role("http.header.{name}"), group),
	)
}

// proxy declares the way to the service.
func (t *Table) proxy() {
	group := Group("Proxy")
	declare := func(name string, kind wit.SettingKind, role, documentation string, rules ...wit.Rule) {
		t.Declare(Spec("sap.odata.proxy."+name, kind, wit.Low, nil, documentation, append(rules, Role("http.proxy."+role), group)...))
	}
	declare("type", wit.KindText, "type", "The way to the service: none, http, socks5, sap-connectivity-http or sap-connectivity-socks5 (SAP Cloud Connector; "+
		"sap-connectivity is the latter). Default: what HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment say.",
		Allowed("none", "http", "socks5", "sap-connectivity", "sap-connectivity-http", "sap-connectivity-socks5"), Display("Type"))
	declare("address", wit.KindText, "address", "HOST:PORT of the proxy. With SAP Cloud Connector by default that of the bound connectivity service.", Display("Address"))
	declare("user", wit.KindText, "user", "User of the proxy.", Display("User"))
	declare("password", wit.KindPassword, "password", "Password of the proxy.", Display("Password"))
	declare("location.id", wit.KindListOfText, "location-id", "Location ids of Cloud Connectors, tried in this order.", Display("Location ids"))
	declare("address.map", wit.KindListOfText, "address-map", "Other names for addresses, as HOST:PORT=VIRTUAL:PORT.", Display("Addresses"))
	declare("token.url", wit.KindText, "token-url", "URL of the token service for SAP Cloud Connector.", Display("Token service"))
	declare("token.client.id", wit.KindText, "token-client-id", "Client id for the token service.", Display("Client id"))
	declare("token.client.secret", wit.KindPassword, "token-client-secret", "Client secret for the token service.", Display("Client secret"))
	declare("token.certificate.location", wit.KindText, "token-certificate", "Path of the client certificate for the token service, in PEM.", Display("Certificate"))
	declare("token.key.location", wit.KindText, "token-key", "Path of the private key of that certificate, in PEM.", Display("Key"))
	declare("service.key", wit.KindText, "service-key", "Path of a service key of the connectivity service, in JSON. With no key and no token settings what is bound in VCAP_SERVICES counts.",
		Display("Service key"))
	declare("outage.ms", wit.KindLong, "outage-ms", "How long a Cloud Connector that is away, or that doesn't reach the service, is waited for, in milliseconds. Default 300000.",
		AtLeast(0), Display("Outage"))
}

// security declares what TLS goes by. Names of types and protocols are case-sensitive.
func (t *Table) security() {
	group := Group("TLS")
	for _, store := range []struct{ name, title, without string }{{"keystore", "Key store", "none"}, {"truststore", "Trust store", "the system's roots"}} {
		of := "sap.odata." + store.name
		role := "tls." + store.name
		t.Declare(
			Spec(of+".location", wit.KindText, wit.Low, nil, "Path of the "+store.name+". Default: "+store.without+".", Role(role+".location"), group, Display(store.title)),
			Spec(of+".password", wit.KindPassword, wit.Low, nil, "Password of the "+store.name+", which all but PEM need.", Role(role+".password"), group, Display("Its password")),
			Spec(of+".type", wit.KindText, wit.Low, nil, "Type of the "+store.name+": jceks, jks, dks, pkcs11, pkcs12 or pem. Default: what its content says.",
				Allowed("jceks", "jks", "dks", "pkcs12", "pkcs11", "pem"), Role(role+".type"), group, Display("Its type")))
	}
	t.Declare(
		Spec("sap.odata.keystore.key.password", wit.KindPassword, wit.Low, nil, "Password of the key in the keystore. Default: the store's.",
			Role("tls.keystore.key-password"), group, Display("Password of the key")),
		Spec("sap.odata.keystore.alias", wit.KindText, wit.Low, nil, "Alias of the key, needed only where the keystore has several.",
			Role("tls.keystore.alias"), group, Display("Alias of the key")),
		Spec("sap.odata.sslcontext.protocol", wit.KindText, wit.Low, nil, "Protocol of encrypted connections, as Java names it: SSL, TLS and TLSv1.3 are TLS 1.2 and 1.3, TLSv1.2 is 1.2 alone; "+
			"TLSv1 and TLSv1.1 need tls.allow.legacy.", Role("tls.protocol"), group, Display("Protocol")),
		Spec("sap.odata.tls.allow.legacy", wit.KindText, wit.Low, Is("0"), "1 allows TLS 1.0 and 1.1, which are broken, where sslcontext.protocol names them.",
			Allowed(Flags...), Role("tls.allow-legacy"), group, Display("Old protocols")),
	)
}

// load declares how much of the service is asked for at a time; all connectors share what a destination allows.
func (t *Table) load() {
	group := Group("Load")
	t.Declare(
		Spec("sap.odata.max.concurrent.requests", wit.KindInt, wit.Low, Is("4"), "Requests to the destination at a time, over all connectors of the worker. Of their values the least counts.",
			AtLeast(1), Role("http.max-concurrent"), group, Display("Requests at a time")),
		Spec("sap.odata.max.connections", wit.KindInt, wit.Low, nil, "Connections to the destination and sessions of a user there, over all connectors of the worker. Default: as many as requests at a time.",
			AtLeast(1), Role("http.max-connections"), group, Display("Connections")),
		Spec("sap.odata.requests.per.second", wit.KindDouble, wit.Low, nil, "Requests to the destination in a second, over all connectors of the worker. Default: as many as come.",
			Role("http.requests-per-second"), group, Display("Requests in a second")),
		Spec("sap.odata.maintenance.windows", wit.KindText, wit.Low, nil, "Times in which no requests are sent to the destination, by any connector of the worker, with semicolons between them: a Quartz cron "+
			"expression for the start, / and how long it takes, and a time zone (default UTC), such as 0 0 22 ? * SAT/4h Europe/Berlin.",
			Role("http.maintenance-windows"), group, Display("Maintenance")),
		Spec("sap.odata.logoff.path", wit.KindText, wit.Low, Is("/sap/public/bc/icf/logoff"), "Path that ends a session, which is asked for when the last connector of a user stops. Empty: none.",
			Role("http.logoff-path"), group, Display("Log off")),
	)
}

// destinationLater declares what is known and not built yet.
func (t *Table) destinationLater() {
	later := func(name string, kind wit.SettingKind, documentation string, harmless ...string) {
		t.Later(Spec(name, kind, wit.Low, nil, documentation), harmless...)
	}
	later("sap.odata.initial.read.timeout.ms", wit.KindLong, "Silence allowed before the first byte of an initial delta extraction.")
	later("sap.odata.headers.enable", wit.KindText, "Whether records get headers that say where they come from.", "0", "false")
}

// place complains where nothing says where the service is.
func (t *Table) place(v Values, examined []wit.Examined) {
	if !t.places || v.Text(Destination) != "" {
		return
	}
	for _, name := range []string{Address, Port} {
		if v.Text(name) == "" {
			Complain(examined, name, "Missing required configuration \""+name+"\" which has no default value.")
		}
	}
}
