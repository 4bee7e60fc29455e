package config

import (
	"strconv"

	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/wit"
)

var proxySettings = []wit.ConfigKey{
	declared("kafka.proxy.type", wit.KindString, "none", "How brokers are reached: directly, by an ordinary SOCKS5 or "+
		"HTTP proxy, or by SAP Connectivity through a Cloud Connector.",
		allowed("none", "socks5", "http", "sap-connectivity")),
	declared("kafka.proxy.address", wit.KindString, "",
		"Host and port of the proxy; for SAP Connectivity its SOCKS5 port (default: what the binding says)."),
	declared("kafka.proxy.user", wit.KindString, "", "User of an ordinary proxy."),
	declared("kafka.proxy.password", wit.KindPassword, "", "Password of an ordinary proxy."),
	declared("kafka.proxy.location.id", wit.KindList, "",
		"Location ids of Cloud Connectors, tried in order; none: the one without."),
	declared("kafka.proxy.address.map", wit.KindString, "", "What the Cloud Connector calls a broker: "+
		"advertised:port=virtual:port, …; ranges of ports (9092-9094) on both sides. Brokers that are not in it are "+
		"called as they advertise themselves."),
	declared("kafka.proxy.token.url", wit.KindString, "", "Token service for SAP Connectivity; without it "+
		"kafka.proxy.service.key, else VCAP_SERVICES, has all that is needed."),
	declared("kafka.proxy.token.client.id", wit.KindString, "", "Client id for the token service."),
	declared("kafka.proxy.token.client.secret", wit.KindPassword, "", "Client secret for the token service."),
	declared("kafka.proxy.token.certificate.location", wit.KindString, "",
		"PEM file of the client certificate for the token service, in the place of a secret."),
	declared("kafka.proxy.token.key.location", wit.KindString, "", "PEM file of its key."),
	declared("kafka.proxy.service.key", wit.KindString, "", "File of a service key of the connectivity service."),
	declared("kafka.proxy.outage.ms", wit.KindLong, strconv.FormatInt(route.DefaultOutage.Milliseconds(), 10),
		"How long no Cloud Connector may answer before tasks fail, in milliseconds.", atLeast(0)),
}

var restSettings = []wit.ConfigKey{
	declared("listeners.https.ssl.keystore.location", wit.KindString, "", "File with the key and certificate of "+
		"listeners of https. Where nothing is given below listeners.https. the ssl.… of the worker hold, as in Kafka "+
		"Connect. It is read again when it has changed."),
	declared("listeners.https.ssl.keystore.password", wit.KindPassword, "", "Password of that file."),
	declared("listeners.https.ssl.keystore.type", wit.KindString, "",
		"JKS, PKCS12 or PEM; detected from the content if not set."),
	declared("listeners.https.ssl.key.password", wit.KindPassword, "",
		"Password of the key in that file; default: the file's password."),
	declared("listeners.https.ssl.truststore.location", wit.KindString, "",
		"File with the authorities that clients' certificates are trusted by; the system's unless given."),
	declared("listeners.https.ssl.truststore.password", wit.KindPassword, "", "Password of that file."),
	declared("listeners.https.ssl.truststore.type", wit.KindString, "",
		"JKS, PKCS12 or PEM; detected from the content if not set."),
	declared("listeners.https.ssl.client.auth", wit.KindString, "none", "Whether clients show a certificate: none, "+
		"requested or required.", allowed("none", "requested", "required")),
}

var securitySettings = security.Settings()
