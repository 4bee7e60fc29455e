// Package config declares the settings that both OData connectors share, and finds connector classes. Settings of one
// entity set are grouped, `sap.odata#00.service`; groups are numbered with one to three digits, kept as written.
package config

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	Scheme   = "sap.odata.host.protocol"
	Address  = "sap.odata.host.address"
	Port     = "sap.odata.host.port"
	User     = "sap.odata.user.name"
	Client   = "sap.odata.sap.client"
	Language = "sap.odata.sap.language"
	// ClientIn is the place of client and language in requests.
	ClientIn  = "sap.odata.sap.client.in"
	LinkHosts = "sap.odata.link.hosts"
	// Destination is a destination of SAP BTP, instead of address and port.
	Destination = "sap.odata.destination"
)

// Prefixes start the names of the connectors' settings. Unknown settings with these prefixes are errors.
var Prefixes = []string{shared, groupPrefix}

const (
	shared      = "sap.odata."
	groupPrefix = "sap.odata#"
)

// InGroup returns the full name of a setting of one entity set.
func InGroup(number, name string) string { return groupPrefix + number + "." + name }

// Groups returns the configured entity sets.
func Groups(v setting.Values) []setting.Group { return v.Groups(groupPrefix+"{n}.", shared) }

// Declare declares the connection settings, which the host applies by role.
func Declare(t *setting.Table) {
	t.Prefixes = Prefixes
	group := setting.InGroup("Service destination")
	t.Declare(
		setting.Define(Scheme, wit.KindString, wit.High, role.HostDefault(role.Scheme),
			"Protocol of the OData service: http or https.",
			setting.Allowed("http", "https"), setting.Role(role.Scheme), group, setting.Display("Protocol")),
		setting.Define(Address, wit.KindString, wit.High, nil,
			"DNS name or IP address of the OData service. Required without "+Destination+".",
			setting.Role(role.Address), group, setting.Display("Host")),
		setting.Define(Port, wit.KindInt, wit.High, nil, "Port of the OData service. Required without "+Destination+".",
			setting.AtLeast(1), setting.AtMost(65535), setting.Role(role.Port), group, setting.Display("Port")),
		setting.Define(Destination, wit.KindString, wit.Medium, nil,
			"Name of a destination of SAP BTP's destination service, which has the address of the service "+
				"and the logon. Settings of the connector take precedence.", setting.Role(role.Destination), group,
			setting.Display("Destination")),
		setting.Define(User, wit.KindString, wit.High, nil,
			"User for basic authentication. Services without authentication accept any value, or none.",
			setting.Role(role.User), group, setting.Display("User")),
		setting.Define("sap.odata.user.pwd", wit.KindPassword, wit.High, nil, "Password for basic authentication.",
			setting.Role(role.Password), group, setting.Display("Password")),
		setting.Define(Client, wit.KindString, wit.Medium, nil,
			"SAP client, sent with every request as header sap-client. Default: the system's.",
			setting.Pattern("[0-9]{3}"), setting.Role(role.Header+"sap-client"), group, setting.Display("SAP client")),
		setting.Define(Language, wit.KindString, wit.Low, nil,
			"Logon language, sent with every request as header sap-language. Default: the user's.",
			setting.Pattern("[A-Za-z0-9-]{1,14}"), setting.Role(role.Header+"sap-language"), group,
			setting.Display("Language")),
		setting.Define(ClientIn, wit.KindString, wit.Low, role.HostDefault(role.ClientIn),
			"header sends SAP client and language as headers; query also adds them to the query, for gateways that "+
				"remove headers. Links of the service are not changed.",
			setting.Allowed("header", "query"), setting.Role(role.ClientIn), group, setting.Display("Client in")),
		setting.Define("sap.odata.http.codes", wit.KindList, wit.Medium, role.HostDefault(role.RetryCodes),
			"HTTP codes and SAP message codes after which a request is retried.", setting.Role(role.RetryCodes),
			group, setting.Display("Retriable codes")),
		setting.Define("sap.odata.max.retries", wit.KindInt, wit.Medium, role.HostDefault(role.RetryMax),
			"How often a request is sent again before the task fails.",
			setting.AtLeast(0), setting.Role(role.RetryMax), group, setting.Display("Retries")),
		setting.Define("sap.odata.min.retry.backoff.ms", wit.KindLong, wit.Low,
			role.HostDefault(role.RetryMinBackoffMS),
			"Shortest wait before a request is sent again, in milliseconds; the wait is chosen at random "+
				"between this and the longest.",
			setting.AtLeast(0), setting.Role(role.RetryMinBackoffMS), group, setting.Display("Shortest wait")),
		setting.Define("sap.odata.max.retry.backoff.ms", wit.KindLong, wit.Low,
			role.HostDefault(role.RetryMaxBackoffMS),
			"Longest wait before a request is sent again, in milliseconds.",
			setting.AtLeast(0), setting.Role(role.RetryMaxBackoffMS), group, setting.Display("Longest wait")),
		setting.Define("sap.odata.connection.connect.timeout.ms", wit.KindInt, wit.Low,
			role.HostDefault(role.ConnectTimeoutMS),
			"How long connecting may take, in milliseconds.",
			setting.AtLeast(1), setting.Role(role.ConnectTimeoutMS), group, setting.Display("Connect time-out")),
		setting.Define("sap.odata.connection.read.timeout.ms", wit.KindInt, wit.Low,
			role.HostDefault(role.ReadTimeoutMS),
			"How long the service may be silent, in milliseconds.",
			setting.AtLeast(1), setting.Role(role.ReadTimeoutMS), group, setting.Display("Read time-out")),
	)
	declareAuthentication(t)
	declareProxy(t)
	declareTLS(t)
	declareLoad(t)
}

func declareAuthentication(t *setting.Table) {
	group := setting.InGroup("Authentication")
	t.Declare(
		setting.Define("sap.odata.auth.type", wit.KindString, wit.Medium, nil,
			"How to log on: basic, oauth2 (client credentials), header (from sap.odata.header.NAME), "+
				"certificate (from the keystore) or none. Default: basic with a user name, else none.",
			setting.Allowed("basic", "oauth2", "header", "certificate", "none"), setting.Role(role.Auth), group,
			setting.Display("Kind")),
		setting.Define("sap.odata.oauth.token.endpoint", wit.KindString, wit.Medium, nil,
			"URL of the OAuth 2.0 token endpoint for client credentials.",
			setting.Role(role.OAuthTokenEndpoint), group, setting.Display("Token endpoint")),
		setting.Define("sap.odata.oauth.client.id", wit.KindString, wit.Medium, nil, "Client id for OAuth 2.0.",
			setting.Role(role.OAuthClientID), group, setting.Display("Client id")),
		setting.Define("sap.odata.oauth.client.secret", wit.KindPassword, wit.Medium, nil,
			"Client secret for OAuth 2.0.",
			setting.Role(role.OAuthClientSecret), group, setting.Display("Client secret")),
		setting.Define("sap.odata.oauth.scope", wit.KindString, wit.Low, nil,
			"Requested scopes, separated by spaces.", setting.Role(role.OAuthScope), group,
			setting.Display("Scope")),
		setting.Define("sap.odata.oauth.client.auth", wit.KindString, wit.Low, role.HostDefault(role.OAuthClientAuth),
			"Whether client id and secret go to the token endpoint in a header or in the body.",
			setting.Allowed("header", "body"), setting.Role(role.OAuthClientAuth), group,
			setting.Display("Client authentication")),
		setting.Define("sap.odata.header.{name}", wit.KindPassword, wit.Low, nil,
			"Value of the header NAME, which is sent with every request to the service only.",
			setting.Role(role.Header+"{name}"), group),
	)
}

func declareProxy(t *setting.Table) {
	group := setting.InGroup("Proxy")
	declare := func(name string, kind wit.SettingKind, use, documentation string, rules ...wit.Rule) {
		t.Declare(setting.Define("sap.odata.proxy."+name, kind, wit.Low, nil, documentation,
			append(rules, setting.Role(use), group)...))
	}
	declare("type", wit.KindString, role.ProxyType,
		"Proxy to the service: none, http, socks5, sap-connectivity-http "+
			"or sap-connectivity-socks5 (SAP Cloud Connector; sap-connectivity is the latter). Default: from "+
			"HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment.",
		setting.Allowed("none", "http", "socks5", "sap-connectivity", "sap-connectivity-http",
			"sap-connectivity-socks5"), setting.Display("Type"))
	declare("address", wit.KindString, role.ProxyAddress,
		"HOST:PORT of the proxy. Default with SAP Cloud Connector: the bound connectivity service.",
		setting.Display("Address"))
	declare("user", wit.KindString, role.ProxyUser, "User of the proxy.", setting.Display("User"))
	declare("password", wit.KindPassword, role.ProxyPassword, "Password of the proxy.", setting.Display("Password"))
	declare("location.id", wit.KindList, role.ProxyLocationID,
		"Location ids of Cloud Connectors, tried in this order.", setting.Display("Location ids"))
	declare("address.map", wit.KindList, role.ProxyAddressMap,
		"Other names for addresses, as HOST:PORT=VIRTUAL:PORT.", setting.Display("Addresses"))
	declare("token.url", wit.KindString, role.ProxyTokenURL, "URL of the token service for SAP Cloud Connector.",
		setting.Display("Token service"))
	declare("token.client.id", wit.KindString, role.ProxyTokenClientID, "Client id for the token service.",
		setting.Display("Client id"))
	declare("token.client.secret", wit.KindPassword, role.ProxyTokenClientSecret,
		"Client secret for the token service.", setting.Display("Client secret"))
	declare("token.certificate.location", wit.KindString, role.ProxyTokenCertificate,
		"Path of the client certificate for the token service, in PEM.", setting.Display("Certificate"))
	declare("token.key.location", wit.KindString, role.ProxyTokenKey,
		"Path of the private key of that certificate, in PEM.", setting.Display("Key"))
	declare("service.key", wit.KindString, role.ProxyServiceKey, "Path of a service key of the connectivity service, "+
		"in JSON. Without a key and token settings, the binding in VCAP_SERVICES is used.",
		setting.Display("Service key"))
	declare("outage.ms", wit.KindLong, role.ProxyOutageMS, "How long to wait for a Cloud Connector that is "+
		"disconnected or cannot reach the service, in milliseconds. Default 300000.",
		setting.AtLeast(0), setting.Display("Outage"))
}

func declareTLS(t *setting.Table) {
	group := setting.InGroup("TLS")
	for _, store := range []struct{ name, title, without, location, password, kind string }{
		{"keystore", "Key store", "none", role.TLSKeyStoreLocation, role.TLSKeyStorePassword, role.TLSKeyStoreType},
		{"truststore", "Trust store", "the system's roots", role.TLSTrustStoreLocation, role.TLSTrustStorePassword,
			role.TLSTrustStoreType},
	} {
		prefix := "sap.odata." + store.name
		t.Declare(
			setting.Define(prefix+".location", wit.KindString, wit.Low, nil, "Path of the "+store.name+". Default: "+
				store.without+".", setting.Role(store.location),
				group, setting.Display(store.title)),
			setting.Define(prefix+".password", wit.KindPassword, wit.Low, nil,
				"Password of the "+store.name+", which all but PEM need.", setting.Role(store.password), group,
				setting.Display("Its password")),
			setting.Define(prefix+".type", wit.KindString, wit.Low, nil,
				"Type of the "+store.name+": jceks, jks, dks, pkcs11, pkcs12 or pem. Default: detected by content.",
				setting.Allowed("jceks", "jks", "dks", "pkcs12", "pkcs11", "pem"), setting.Role(store.kind), group,
				setting.Display("Its type")))
	}
	t.Declare(
		setting.Define("sap.odata.keystore.key.password", wit.KindPassword, wit.Low, nil,
			"Password of the key in the keystore. Default: the store's.",
			setting.Role(role.TLSKeyStoreKeyPassword), group, setting.Display("Password of the key")),
		setting.Define("sap.odata.keystore.alias", wit.KindString, wit.Low, nil,
			"Alias of the key, required if the keystore has several.",
			setting.Role(role.TLSKeyStoreAlias), group, setting.Display("Alias of the key")),
		setting.Define("sap.odata.sslcontext.protocol", wit.KindString, wit.Low, nil,
			"Protocol of encrypted connections, as Java names it: SSL, TLS and TLSv1.3 are TLS 1.2 and 1.3, TLSv1.2 "+
				"is 1.2 alone; TLSv1 and TLSv1.1 need tls.allow.legacy.", setting.Role(role.TLSProtocol), group,
			setting.Display("Protocol")),
		setting.Define("sap.odata.tls.allow.legacy", wit.KindString, wit.Low, role.HostDefault(role.TLSAllowLegacy),
			"1 allows TLS 1.0 and 1.1, which are broken, if sslcontext.protocol names them.",
			setting.Allowed(setting.BoolValues...), setting.Role(role.TLSAllowLegacy), group,
			setting.Display("Old protocols")),
		setting.Define("sap.odata.tls.allow.rsa.key.exchange", wit.KindString, wit.Low,
			role.HostDefault(role.TLSAllowRSAKeyExchange),
			"1 allows RSA key exchange with TLS 1.2, without forward secrecy: "+
				"anyone who gets the server's key later can decrypt recorded connections. Only for servers without "+
				"another key exchange.",
			setting.Allowed(setting.BoolValues...), setting.Role(role.TLSAllowRSAKeyExchange), group,
			setting.Display("RSA key exchange")),
		setting.Define("sap.odata.tls.allow.renegotiation", wit.KindString, wit.Low,
			role.HostDefault(role.TLSAllowRenegotiation),
			"1 allows the server to negotiate TLS 1.2 again on a connection, as IIS and API gateways do for a "+
				"client's certificate. It was a source of attacks, and TLS 1.3 does not have it.",
			setting.Allowed(setting.BoolValues...), setting.Role(role.TLSAllowRenegotiation), group,
			setting.Display("Renegotiation")),
		setting.Define("sap.odata.tls.allow.common.name", wit.KindString, wit.Low,
			role.HostDefault(role.TLSAllowCommonName),
			"1 accepts a server's certificate without subject alternative names by its common name. Issuers need not "+
				"verify that name, so use it with a separate truststore.",
			setting.Allowed(setting.BoolValues...), setting.Role(role.TLSAllowCommonName), group,
			setting.Display("Common name")),
	)
}

func declareLoad(t *setting.Table) {
	group := setting.InGroup("Load")
	t.Declare(
		setting.Define("sap.odata.max.concurrent.requests", wit.KindInt, wit.Low, role.HostDefault(role.MaxConcurrent),
			"Requests to the destination at a time, over all connectors of the worker. The "+
				"least of their values applies.",
			setting.AtLeast(1), setting.Role(role.MaxConcurrent), group, setting.Display("Requests at a time")),
		setting.Define("sap.odata.max.connections", wit.KindInt, wit.Low, nil, "Connections to the destination and "+
			"sessions of a user there, over all connectors of the worker. Default: as many as requests at a time.",
			setting.AtLeast(1), setting.Role(role.MaxConnections), group, setting.Display("Connections")),
		setting.Define("sap.odata.requests.per.second", wit.KindDouble, wit.Low, nil,
			"Requests to the destination in a second, over all connectors of the worker. Default: no limit.",
			setting.Role(role.RequestsPerSecond), group, setting.Display("Requests in a second")),
		setting.Define("sap.odata.maintenance.windows", wit.KindString, wit.Low, nil, "Times in which no requests are "+
			"sent to the destination, by any connector of the worker, with semicolons between them: a Quartz cron "+
			"expression for the start, / and the duration, and a time zone (default UTC), such as 0 0 22 ? "+
			"* SAT/4h Europe/Berlin.",
			setting.Role(role.MaintenanceWindows), group, setting.Display("Maintenance")),
		setting.Define("sap.odata.logoff.path", wit.KindString, wit.Low, setting.Default("/sap/public/bc/icf/logoff"),
			"Path that ends a session, requested when the last connector of a user stops. Empty: no request.",
			setting.Role(role.LogoffPath), group, setting.Display("Log off")),
	)
}

// Examine validates each setting by itself, and the connection settings that depend on each other.
func Examine(t *setting.Table, settings []wit.Setting) []wit.ConfigValue {
	examined := t.Validate(settings)
	v := t.Values(settings)
	if v.String(Destination) == "" {
		for _, name := range []string{Address, Port} {
			if v.String(name) == "" {
				setting.AddError(examined, name, setting.Missing(name))
			}
		}
	}
	// Reject a client inside a path. The client of a BTP destination is known to the host only, which does not change
	// queries.
	if v.Lower(ClientIn) == "query" && v.String(Destination) != "" && v.String(Client) == "" {
		setting.AddError(examined, ClientIn, setting.Invalid(ClientIn, "query",
			"expected "+Client+" with it, since the client of "+Destination+" is sent as a header only"))
	}
	for _, g := range Groups(v) {
		for _, name := range []string{g.Name("service"), g.Name("entityset")} {
			_, query, _ := strings.Cut(v.String(name), "?")
			if other, ok := uri.Option(query, optionClient); ok {
				setting.AddError(examined, name, setting.Invalid(name, v.String(name),
					"it names the SAP client "+other+"; expected a name without a query, and the client in "+Client))
			}
		}
	}
	return examined
}

const (
	optionClient   = "sap-client"
	optionLanguage = "sap-language"
)

// Query returns the SAP client and language for URLs if they are configured there. The host sets the headers in any
// case.
func Query(values setting.Values) uri.Query {
	if values.Lower(ClientIn) != "query" {
		return ""
	}
	var options []string
	for _, o := range []struct{ name, from string }{{optionClient, Client}, {optionLanguage, Language}} {
		if value := values.String(o.from); value != "" {
			options = append(options, o.name+"="+value)
		}
	}
	return uri.Query(strings.Join(options, "&"))
}
