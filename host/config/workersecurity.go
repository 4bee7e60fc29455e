package config

import "github.com/culvert-project/culvert/wit"

// proxySettings are the way to the brokers.
var proxySettings = []wit.SettingSpec{
	declared("kafka.proxy.type", wit.KindText, "none", "How brokers are reached: directly, by an ordinary SOCKS5 or "+
		"HTTP proxy, or by SAP Connectivity through a Cloud Connector.",
		allowed("none", "socks5", "http", "sap-connectivity")),
	declared("kafka.proxy.address", wit.KindText, "",
		"Host and port of the proxy; for SAP Connectivity its SOCKS5 port (default: what the binding says)."),
	declared("kafka.proxy.user", wit.KindText, "", "User of an ordinary proxy."),
	declared("kafka.proxy.password", wit.KindPassword, "", "Password of an ordinary proxy."),
	declared("kafka.proxy.location.id", wit.KindListOfText, "",
		"Location ids of Cloud Connectors, tried in order; none: the one without."),
	declared("kafka.proxy.address.map", wit.KindText, "", "What the Cloud Connector calls a broker: "+
		"advertised:port=virtual:port, …; ranges of ports (9092-9094) on both sides. Brokers that are not in it are "+
		"called as they advertise themselves."),
	declared("kafka.proxy.token.url", wit.KindText, "", "Token service for SAP Connectivity; without it "+
		"kafka.proxy.service.key, else VCAP_SERVICES, has all that is needed."),
	declared("kafka.proxy.token.client.id", wit.KindText, "", "Client id for the token service."),
	declared("kafka.proxy.token.client.secret", wit.KindPassword, "", "Client secret for the token service."),
	declared("kafka.proxy.token.certificate.location", wit.KindText, "",
		"PEM file of the client certificate for the token service, in the place of a secret."),
	declared("kafka.proxy.token.key.location", wit.KindText, "", "PEM file of its key."),
	declared("kafka.proxy.service.key", wit.KindText, "", "File of a service key of the connectivity service."),
	declared("kafka.proxy.outage.ms", wit.KindLong, "300000",
		"How long no Cloud Connector may answer before tasks fail, in milliseconds.", atLeast(0)),
}

// restSettings are those of REST's listeners of https; package rest knows which others are taken.
var restSettings = []wit.SettingSpec{
	declared("listeners.https.ssl.keystore.location", wit.KindText, "", "File with the key and certificate of "+
		"listeners of https. Where nothing is given below listeners.https. the ssl.… of the worker hold, as in Kafka "+
		"Connect. It is read again when it has changed."),
	declared("listeners.https.ssl.keystore.password", wit.KindPassword, "", "Password of that file."),
	declared("listeners.https.ssl.keystore.type", wit.KindText, "", "JKS, PKCS12 or PEM; by content unless given."),
	declared("listeners.https.ssl.key.password", wit.KindPassword, "",
		"Password of the key in it; that of the file unless given."),
	declared("listeners.https.ssl.truststore.location", wit.KindText, "",
		"File with the authorities that clients' certificates are trusted by; the system's unless given."),
	declared("listeners.https.ssl.truststore.password", wit.KindPassword, "", "Password of that file."),
	declared("listeners.https.ssl.truststore.type", wit.KindText, "", "JKS, PKCS12 or PEM; by content unless given."),
	declared("listeners.https.ssl.client.auth", wit.KindText, "none", "Whether clients show a certificate: none, "+
		"requested or required.", allowed("none", "requested", "required")),
}

// securitySettings are Kafka's own, for all of the worker's clients; package kafka knows which of them are built, and
// the same below producer., consumer. and admin.
var securitySettings = []wit.SettingSpec{
	declared("ssl.protocol", wit.KindText, "", "TLS versions by the name of a Java context: TLS, TLSv1.2, TLSv1.3."),
	declared("ssl.enabled.protocols", wit.KindListOfText, "", "TLS versions: TLSv1.2, TLSv1.3."),
	declared("ssl.cipher.suites", wit.KindListOfText, "", "Cipher suites of TLS 1.2 by their standard names."),
	declared("ssl.keystore.type", wit.KindText, "", "JKS, PKCS12 or PEM; by content unless given."),
	declared("ssl.keystore.location", wit.KindText, "", "File with the client's key and certificate."),
	declared("ssl.keystore.password", wit.KindPassword, "", "Password of that file."),
	declared("ssl.key.password", wit.KindPassword, "", "Password of the key in it; that of the file unless given."),
	declared("ssl.keystore.key", wit.KindPassword, "", "The client's key as PEM text."),
	declared("ssl.keystore.certificate.chain", wit.KindText, "",
		"The client's certificate and those above it as PEM text."),
	declared("ssl.truststore.type", wit.KindText, "", "JKS, PKCS12 or PEM; by content unless given."),
	declared("ssl.truststore.location", wit.KindText, "",
		"File with the certificates that brokers' are trusted by; the system's unless given."),
	declared("ssl.truststore.password", wit.KindPassword, "", "Password of that file."),
	declared("ssl.truststore.certificates", wit.KindText, "", "The same as PEM text."),
	declared("ssl.endpoint.identification.algorithm", wit.KindText, "",
		"Empty: a broker's certificate may be for any host."),
	declared("sasl.mechanism", wit.KindText, "", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."),
	declared("sasl.jaas.config", wit.KindPassword, "",
		"The login module with user and password, as Java's JAAS has it."),
	declared("sasl.login.callback.handler.class", wit.KindClassName, "", "Where tokens of OAUTHBEARER come from."),
	declared("sasl.login.connect.timeout.ms", wit.KindInt, "", "For the token service, in milliseconds."),
	declared("sasl.login.read.timeout.ms", wit.KindInt, "", "For the token service, in milliseconds."),
	declared("sasl.oauthbearer.token.endpoint.url", wit.KindText, "", "Token service, or file:///… with a token."),
	declared("sasl.oauthbearer.scope", wit.KindText, "", "Scope of tokens."),
	declared("sasl.oauthbearer.client.credentials.client.id", wit.KindText, "", "Client id for the token service."),
	declared("sasl.oauthbearer.client.credentials.client.secret", wit.KindPassword, "",
		"Client secret for the token service."),
	declared("sasl.oauthbearer.jwt.retriever.class", wit.KindClassName, "", "How tokens are fetched."),
}
