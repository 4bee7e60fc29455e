package config

import (
	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// outageOfRole is the role with the same meaning for a service.
var outageOfRole, _ = role.Find(role.ProxyOutageMS)

var proxySettings = []wit.ConfigKey{
	declared("kafka.proxy.type", wit.KindString, "none", "How brokers are reached: directly, by an ordinary SOCKS5 or "+
		"HTTP proxy, or by SAP Connectivity through a Cloud Connector.",
		allowed("none", "socks5", "http", "sap-connectivity")),
	declared("kafka.proxy.address", wit.KindString, "",
		"Host and port of the proxy; for SAP Connectivity its SOCKS5 port (default: the binding's)."),
	declared("kafka.proxy.user", wit.KindString, "", "User of an ordinary proxy."),
	declared("kafka.proxy.password", wit.KindPassword, "", "Password of an ordinary proxy."),
	declared("kafka.proxy.location.id", wit.KindList, "",
		"Location ids of Cloud Connectors, tried in order; empty means the one without a location id."),
	declared("kafka.proxy.address.map", wit.KindString, "",
		"Virtual addresses of brokers in the Cloud Connector: advertised:port=virtual:port, …; both sides may have "+
			"ranges of ports (9092-9094). Other brokers are reached at their advertised addresses."),
	declared("kafka.proxy.token.url", wit.KindString, "",
		"URL of the token service for SAP Connectivity. By default kafka.proxy.service.key or VCAP_SERVICES "+
			"provides it with the credentials."),
	declared("kafka.proxy.token.client.id", wit.KindString, "", "Client id for the token service."),
	declared("kafka.proxy.token.client.secret", wit.KindPassword, "", "Client secret for the token service."),
	declared("kafka.proxy.token.certificate.location", wit.KindString, "",
		"PEM file of the client certificate for the token service, instead of a secret."),
	declared("kafka.proxy.token.key.location", wit.KindString, "", "PEM file of the key of that certificate."),
	declared("kafka.proxy.service.key", wit.KindString, "", "File of a service key of the connectivity service."),
	declared("kafka.proxy.outage.ms", wit.KindLong, outageOfRole.HostDefault,
		"How long all Cloud Connectors may be unavailable before tasks fail, in milliseconds.", atLeast(0)),
}

var restSettings = []wit.ConfigKey{
	declared("listeners.https.ssl.keystore.location", wit.KindString, "",
		"File with the key and certificate of https listeners. If no listeners.https.… is set, the worker's ssl.… "+
			"settings apply, as in Kafka Connect. The file is read again after each change."),
	declared("listeners.https.ssl.keystore.password", wit.KindPassword, "", "Password of that file."),
	declared("listeners.https.ssl.keystore.type", wit.KindString, "",
		"JKS, PKCS12 or PEM; detected from the content by default."),
	declared("listeners.https.ssl.key.password", wit.KindPassword, "",
		"Password of the key in that file; default: the password of the file."),
	declared("listeners.https.ssl.truststore.location", wit.KindString, "",
		"File with the certificate authorities that are trusted for client certificates; default: the system's."),
	declared("listeners.https.ssl.truststore.password", wit.KindPassword, "", "Password of that file."),
	declared("listeners.https.ssl.truststore.type", wit.KindString, "",
		"JKS, PKCS12 or PEM; detected from the content by default."),
	declared("listeners.https.ssl.client.auth", wit.KindString, "none", "Whether clients present a certificate: none, "+
		"requested or required.", allowed("none", "requested", "required")),
}

var securitySettings = clientconfig.Settings()
