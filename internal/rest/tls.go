package rest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

const httpsPrefix = "listeners.https."

// tlsSettings lists the supported settings of https listeners, without the prefix.
var tlsSettings = map[string]bool{"ssl.keystore.location": true, "ssl.keystore.password": true,
	"ssl.keystore.type": true, "ssl.key.password": true, "ssl.keystore.key": true,
	"ssl.keystore.certificate.chain": true, "ssl.truststore.location": true, "ssl.truststore.password": true,
	"ssl.truststore.type": true, "ssl.truststore.certificates": true, "ssl.protocol": true, "ssl.client.auth": true,
	"ssl.endpoint.identification.algorithm": true}

// IsTLSSetting reports whether a setting, without prefix, is one of https listeners.
func IsTLSSetting(name string) bool { return tlsSettings[name] }

var clientAuth = map[string]tls.ClientAuthType{"": tls.NoClientCert, "none": tls.NoClientCert,
	"requested": tls.VerifyClientCertIfGiven, "required": tls.RequireAndVerifyClientCert}

func serverTLS(settings map[string]string, log *slog.Logger) (*tls.Config, error) {
	options, err := keystoreOptions(settings, log)
	if err != nil {
		return nil, err
	}
	mode := strings.TrimSpace(settings["ssl.client.auth"])
	clients, ok := clientAuth[strings.ToLower(mode)]
	if !ok {
		return nil, invalid(httpsPrefix+"ssl.client.auth", mode, "expected none, requested or required")
	}
	if options.Key == nil {
		return nil, setting.Problem{Setting: httpsPrefix + "ssl.keystore.location", Code: setting.CodeInvalid,
			Text: httpsPrefix + "ssl.keystore.location: expected a store with the key and certificate of " +
				"listeners=https://…"}
	}
	return keystore.ServerTLS(options, clients)
}

func keystoreOptions(settings map[string]string, log *slog.Logger) (options keystore.Options, err error) {
	get := func(name string) string { return strings.TrimSpace(settings[name]) }
	for name := range settings {
		if !tlsSettings[name] {
			return options, setting.Problem{Setting: httpsPrefix + name, Code: setting.CodeUnsupported,
				Text: fmt.Sprintf("%s%s is not built: expected ssl.keystore.…, ssl.truststore.…, ssl.key.password, "+
					"ssl.protocol or ssl.client.auth below %s", httpsPrefix, name, httpsPrefix)}
		}
	}
	store := func(role, key, certificates string) *keystore.Location {
		l := &keystore.Location{Path: get("ssl." + role + ".location"), Type: get("ssl." + role + ".type"),
			Password: settings["ssl."+role+".password"]}
		if pem := get(key) + "\n" + get(certificates); l.Path == "" && strings.TrimSpace(pem) != "" {
			l.PEM = []byte(pem)
		}
		if l.Path == "" && l.PEM == nil {
			return nil
		}
		return l
	}
	options = keystore.Options{Protocol: get("ssl.protocol"), Logger: log, Name: tlsName,
		Trust: store("truststore", "", "ssl.truststore.certificates")}
	if options.Key = store("keystore", "ssl.keystore.key", "ssl.keystore.certificate.chain"); options.Key != nil {
		options.Key.KeyPassword = settings["ssl.key.password"]
	}
	return options, nil
}

// tlsName returns the setting of a field of [keystore.Options].
func tlsName(field string) string {
	switch field {
	case "keystore.key-password":
		field = "key.password"
	case "keystore.pem":
		field = "keystore.key"
	case "truststore.pem":
		field = "truststore.certificates"
	}
	return httpsPrefix + "ssl." + field
}
