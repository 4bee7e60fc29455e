package setting

import "github.com/culvert-project/culvert/wit"

// Names of settings that both connectors have.
const (
	Scheme    = "sap.odata.host.protocol"
	Address   = "sap.odata.host.address"
	Port      = "sap.odata.host.port"
	User      = "sap.odata.user.name"
	Client    = "sap.odata.sap.client"
	Language  = "sap.odata.sap.language"
	LinkHosts = "sap.odata.link.hosts"
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
	group := Group("Service destination")
	t.Declare(
		Spec(Scheme, wit.KindText, wit.High, Is("https"), "Protocol of the OData service: http or https.",
			Allowed("http", "https"), Role("http.scheme"), group, Display("Protocol")),
		Spec(Address, wit.KindText, wit.High, nil, "DNS name or IP address of the OData service.",
			Required(), Role("http.address"), group, Display("Host")),
		Spec(Port, wit.KindInt, wit.High, nil, "Port of the OData service.",
			Required(), AtLeast(1), AtMost(65535), Role("http.port"), group, Display("Port")),
		Spec(User, wit.KindText, wit.High, nil, "User for basic authentication. Services without authentication take any value, or none.",
			Role("http.user"), group, Display("User")),
		Spec("sap.odata.user.pwd", wit.KindPassword, wit.High, nil, "Password for basic authentication.",
			Role("http.password"), group, Display("Password")),
		Spec(Client, wit.KindText, wit.Medium, nil, "SAP client, sent with every request as header sap-client. Default: the system's.",
			wit.Rule{Pattern: wit.Ptr("[0-9]{3}")}, Role("http.header.sap-client"), group, Display("SAP client")),
		Spec(Language, wit.KindText, wit.Low, nil, "Logon language, sent with every request as header sap-language. Default: the user's.",
			wit.Rule{Pattern: wit.Ptr("[A-Za-z0-9-]{1,14}")}, Role("http.header.sap-language"), group, Display("Language")),
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
	t.destinationLater()
}

// destinationLater declares what the host is going to do for connections.
func (t *Table) destinationLater() {
	later := func(name string, kind wit.SettingKind, documentation, role string, harmless ...string) {
		rules := []wit.Rule{}
		if role != "" {
			rules = append(rules, Role(role))
		}
		t.Later(Spec(name, kind, wit.Low, nil, documentation, rules...), harmless...)
	}
	for _, store := range []string{"keystore", "truststore"} {
		later("sap.odata."+store+".location", wit.KindText, "Path of the "+store+".", "tls."+store+".location")
		later("sap.odata."+store+".password", wit.KindPassword, "Password of the "+store+".", "tls."+store+".password")
		later("sap.odata."+store+".type", wit.KindText, "Type of the "+store+": jceks, jks, dks, pkcs11 or pkcs12.", "tls."+store+".type")
	}
	later("sap.odata.sslcontext.protocol", wit.KindText, "Protocol of encrypted connections, as Java names it: SSL, TLS, TLSv1.2 and so on.", "tls.protocol")
	later("sap.odata.sap.client.in", wit.KindText, "Whether client and language go as headers or in the query.", "", "header")
	later("sap.odata.initial.read.timeout.ms", wit.KindLong, "Silence allowed before the first byte of an initial delta extraction.", "")
	later("sap.odata.max.concurrent.requests", wit.KindInt, "Requests to a destination at a time, over all connectors.", "http.max-concurrent")
	later("sap.odata.max.connections", wit.KindInt, "Connections to a destination.", "http.max-connections")
	later("sap.odata.requests.per.second", wit.KindDouble, "Requests to a destination in a second, over all connectors.", "http.requests-per-second")
	later("sap.odata.maintenance.windows", wit.KindText, "Times in which no requests are sent.", "http.maintenance-windows")
	later("sap.odata.headers.enable", wit.KindText, "Whether records get headers that say where they come from.", "", "0", "false")
}
