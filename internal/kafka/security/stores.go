package security

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/keystore"
)

// storeFields maps package keystore's names of settings to properties, if they are not `ssl.` and the name.
var storeFields = map[string]string{
	"keystore." + keystore.FieldKeyPassword: "ssl.key.password",
	"keystore." + keystore.FieldPEM:         "ssl.keystore.key",
	"keystore." + keystore.FieldAlias:       "ssl.keystore.location",
	"truststore." + keystore.FieldPEM:       "ssl.truststore.certificates",
	"truststore." + keystore.FieldAlias:     "ssl.truststore.location",
	keystore.FieldHostCheck:                 "ssl.endpoint.identification.algorithm",
}

// storeTexts maps properties of files to the properties of PEM text that replace them.
var storeTexts = map[string]string{
	"ssl.keystore.location":   "ssl.keystore.key",
	"ssl.truststore.location": "ssl.truststore.certificates",
}

// stores applies Kafka's rules for keys and certificates: PEM texts and files exclude each other.
func (s settings) stores() (keystore.Options, error) {
	options := keystore.Options{Context: s.ctx, Protocol: s.text("ssl.protocol"), Logger: s.live.logger(),
		Name: func(field string) string {
			name, ok := storeFields[field]
			if !ok {
				name = "ssl." + field
			}
			if inline, ok := storeTexts[name]; ok && s.has(inline) {
				name = inline
			}
			return s.fullName(name)
		}}
	options.SkipHostCheck = s.has("ssl.endpoint.identification.algorithm") &&
		s.text("ssl.endpoint.identification.algorithm") == ""
	if s.has("ssl.enabled.protocols") {
		// Java prefers its list of versions to the context's, which must only be valid.
		options.Protocol = ""
		switch strings.ToUpper(s.text("ssl.protocol")) {
		case "SSL", "TLS", "", "TLSV1.2", "TLSV1.3": // valid
		default:
			options.Protocol = s.text("ssl.protocol")
		}
	}
	var err error
	if options.Key, err = s.keyLocation(); err != nil {
		return options, err
	}
	options.Trust, err = s.trustLocation()
	return options, err
}

// keyLocation returns the location of the client's key, nil for no key.
func (s settings) keyLocation() (*keystore.Location, error) {
	key := s.text("ssl.keystore.key")
	chain := s.text("ssl.keystore.certificate.chain")
	path := s.text("ssl.keystore.location")
	location := &keystore.Location{Path: path, Type: s.text("ssl.keystore.type"),
		Password: s.text("ssl.keystore.password"), KeyPassword: s.text("ssl.key.password")}
	switch {
	case key == "" && chain == "" && path == "":
		return nil, nil
	case key == "" && chain == "":
		return location, nil
	case path != "":
		return nil, s.problem("ssl.keystore.location",
			"expected nothing in addition to ssl.keystore.key and ssl.keystore.certificate.chain")
	case key == "":
		return nil, s.problem("ssl.keystore.key",
			"expected the private key of ssl.keystore.certificate.chain, found nothing")
	case chain == "":
		return nil, s.problem("ssl.keystore.certificate.chain",
			"expected the certificate of ssl.keystore.key, found nothing")
	}
	if err := s.checkPEMType("ssl.keystore.type"); err != nil {
		return nil, err
	}
	location.PEM = []byte(pemLines(key) + "\n" + pemLines(chain) + "\n")
	location.Type = "PEM"
	return location, nil
}

// trustLocation returns the location of the trusted certificates, nil for the system's.
func (s settings) trustLocation() (*keystore.Location, error) {
	certificates := s.text("ssl.truststore.certificates")
	path := s.text("ssl.truststore.location")
	location := &keystore.Location{Path: path, Type: s.text("ssl.truststore.type"),
		Password: s.text("ssl.truststore.password")}
	switch {
	case certificates == "" && path == "":
		return nil, nil
	case certificates == "":
		return location, nil
	case path != "":
		return nil, s.problem("ssl.truststore.location", "expected nothing in addition to ssl.truststore.certificates")
	}
	if err := s.checkPEMType("ssl.truststore.type"); err != nil {
		return nil, err
	}
	location.PEM = []byte(pemLines(certificates) + "\n")
	location.Type = "PEM"
	return location, nil
}

// checkPEMType returns an error if the type of a store is another one than PEM. As in Kafka, texts must be PEM.
func (s settings) checkPEMType(name string) error {
	if t := s.text(name); t != "" && !strings.EqualFold(t, "PEM") {
		return s.problem(name, "expected PEM, since key and certificates are in settings, found %q", t)
	}
	return nil
}

func (s settings) tls(o keystore.Options) (*tls.Config, error) {
	config, err := keystore.ClientTLS(o)
	if err != nil {
		return nil, err
	}
	if v := s.text("ssl.enabled.protocols"); v != "" {
		if config.MinVersion, config.MaxVersion, err = clientconfig.EnabledProtocols(v); err != nil {
			return nil, s.problem("ssl.enabled.protocols", "%v", err)
		}
	}
	if v := s.text("ssl.cipher.suites"); v != "" {
		if config.CipherSuites, _, err = clientconfig.CipherSuites(v); err != nil {
			return nil, s.problem("ssl.cipher.suites", "%v", err)
		}
	}
	return config, nil
}

// ClientTLS returns the TLS configuration of `ssl.*` properties for a host that is not a broker. prefix is for errors.
func ClientTLS(ctx context.Context, properties map[string]string, prefix string,
	log *slog.Logger) (func(host string) *tls.Config, error) {
	config, err := serviceTLS(ctx, properties, prefix, &CurrentValues{log: log}, func(name, problem string) error {
		return fmt.Errorf("%s%s: %s", prefix, name, problem)
	})
	if err != nil {
		return nil, err
	}
	return func(host string) *tls.Config { return keystore.ForHost(config, host) }, nil
}

// serviceTLS is ClientTLS with the errors that newError returns.
func serviceTLS(ctx context.Context, properties map[string]string, prefix string, live *CurrentValues,
	newError func(name, problem string) error) (*tls.Config, error) {
	values := settings{ctx: ctx, properties: map[string]clientconfig.Value{}, live: live, prefix: prefix}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		value := properties[name]
		if problem := clientconfig.Problem(name, prefix+name, value); problem != "" {
			return nil, newError(name, problem)
		}
		values.properties[name] = clientconfig.Value{Name: prefix + name, Value: value}
	}
	o, err := values.stores()
	if err != nil {
		return nil, err
	}
	return values.tls(o)
}

// pemLines restores line breaks of one-line PEM, which Java accepts in properties.
func pemLines(text string) string {
	if strings.Contains(text, "\n") {
		return text
	}
	return pemBlock.ReplaceAllStringFunc(text, func(block string) string {
		parts := pemBlock.FindStringSubmatch(block)
		return parts[1] + "\n" + strings.Join(strings.Fields(parts[2]), "\n") + "\n" + parts[3] + "\n"
	})
}

var pemBlock = regexp.MustCompile(`(-----BEGIN [^-]+-----)([^-]*)(-----END [^-]+-----)\s*`)
