package security

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/culvert-project/culvert/internal/base/loopback"
	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/socks"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

var dialDirect dialFunc = socks.Direct().DialContext

// Access connects one kind of client: directly or through a proxy, with or without TLS and SASL. Nil means plain TCP.
type Access struct {
	dial           dialFunc
	isProxied      bool
	maxProxyOutage time.Duration // the longest outage behind the proxy
	connectTimeout time.Duration // for a connection with its handshakes
	tls            *tls.Config   // nil means no TLS
	stores         keystore.Options
	sasl           sasl.Mechanism // nil means no SASL
	settingName    func(property string) string
	live           *CurrentValues
}

// SASL returns the mechanism, nil for no mechanism.
func (a *Access) SASL() sasl.Mechanism {
	if a == nil {
		return nil
	}
	return a.sasl
}

// TLS returns the configuration of connections, nil if plain. explain adds the setting that fixes a failed handshake.
func (a *Access) TLS() (config *tls.Config, explain func(error) error) {
	if a == nil || a.tls == nil {
		return nil, func(err error) error { return err }
	}
	return a.tls, func(err error) error { return keystore.Explain(err, a.stores) }
}

// Options configure an [Access].
type Options struct {
	Properties map[string]clientconfig.Value // Properties are security properties by Kafka's names without a prefix.
	Bootstrap  []string
	Timeout    time.Duration // Timeout bounds a connection with its handshakes. Zero means 10 s, through a proxy 30 s.
	Proxy      *Proxy        // Proxy may be nil.
	Live       *CurrentValues
}

// New creates an access and returns warnings. It opens stores and sends nothing. ctx cancels it.
func New(ctx context.Context, options Options) (a *Access, warnings setting.Problems, err error) {
	values := settings{ctx: ctx, properties: options.Properties, live: options.Live}
	a = &Access{dial: dialDirect, connectTimeout: 10 * time.Second, settingName: values.fullName, live: options.Live}
	if options.Proxy != nil {
		a.dial = options.Proxy.dial
		a.isProxied = true
		a.maxProxyOutage = options.Proxy.maxOutage
		a.connectTimeout = 30 * time.Second
	}
	if options.Timeout > 0 {
		a.connectTimeout = options.Timeout
	}
	protocol := strings.ToUpper(values.text("security.protocol"))
	if protocol == "" {
		protocol = "PLAINTEXT"
	}
	if strings.HasSuffix(protocol, "SSL") {
		if a.stores, err = values.stores(); err != nil {
			return nil, nil, err
		}
		if a.tls, err = values.tls(a.stores); err != nil {
			return nil, nil, err
		}
	}
	if strings.HasPrefix(protocol, "SASL") {
		if a.sasl, err = values.mechanism(); err != nil {
			return nil, nil, err
		}
	}
	return a, values.warnings(protocol, options.Bootstrap), nil
}

// mechanism returns the SASL mechanism. It reads credentials for every logon, so that changed secrets take effect.
func (s settings) mechanism() (sasl.Mechanism, error) {
	name := s.text("sasl.mechanism")
	if name == "" {
		return nil, s.problem("sasl.mechanism", "expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, found "+
			"nothing; Kafka's default, GSSAPI (Kerberos), is not built")
	}
	if !s.has("sasl.jaas.config") {
		return nil, s.problem("sasl.jaas.config", "expected a login module for %s, found nothing", name)
	}
	if handler := s.text("sasl.login.callback.handler.class"); handler != "" && name != "OAUTHBEARER" {
		return nil, s.problem("sasl.login.callback.handler.class", "not built for %s: Java classes cannot be run", name)
	}
	switch name {
	case "PLAIN":
		_, err := s.user(plainModule)
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			u, err := s.user(plainModule)
			return plain.Auth{User: u.name, Pass: u.password}, err
		}), err
	case "OAUTHBEARER":
		// The login module is checked now and before each logon.
		source, err := s.tokenSource()
		if err != nil {
			return nil, err
		}
		if _, err := source.check(); err != nil {
			return nil, err
		}
		mechanism := oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			m, err := source.check()
			if err != nil {
				return oauth.Auth{}, err
			}
			token, err := source.token(ctx, m)
			if err != nil {
				return oauth.Auth{}, err
			}
			return oauth.Auth{Token: token, Extensions: extensions(m)}, nil
		})
		if service, ok := source.(*tokenService); ok {
			return renewingMechanism{Mechanism: mechanism, tokenService: service}, nil
		}
		return mechanism, nil
	}
	_, err := s.user(scramModule)
	auth := func(context.Context) (scram.Auth, error) {
		u, err := s.user(scramModule)
		return scram.Auth{User: u.name, Pass: u.password, IsToken: u.isToken}, err
	}
	if name == "SCRAM-SHA-512" {
		return scram.Sha512(auth), err
	}
	return scram.Sha256(auth), err
}

// warnings names unused and unsafe properties.
func (s settings) warnings(protocol string, bootstrap []string) (warnings setting.Problems) {
	warn := func(name, format string, args ...any) {
		warnings = append(warnings, setting.Problem{Setting: s.fullName(name), Text: fmt.Sprintf(format, args...),
			Warning: true})
	}
	withTLS := strings.HasSuffix(protocol, "SSL")
	withSASL := strings.HasPrefix(protocol, "SASL")
	for _, name := range slices.Sorted(maps.Keys(s.properties)) {
		if (strings.HasPrefix(name, "ssl.") && !withTLS) || (strings.HasPrefix(name, "sasl.") && !withSASL) {
			warn(name, "has no effect: %s is %s", s.fullName("security.protocol"), protocol)
		}
	}
	mechanism := strings.ToUpper(s.text("sasl.mechanism"))
	isReadable := withSASL && !withTLS && (mechanism == "PLAIN" || mechanism == "OAUTHBEARER")
	remote := slices.IndexFunc(bootstrap, func(server string) bool {
		host, _, err := net.SplitHostPort(server)
		return err == nil && !loopback.Is(host) // an error: embedded
	})
	if isReadable && remote >= 0 {
		warn("security.protocol", "SASL_PLAINTEXT with %s sends the password or token to %s in clear text: use "+
			"SASL_SSL", mechanism, bootstrap[remote])
	}
	if withTLS && s.has("ssl.endpoint.identification.algorithm") &&
		s.text("ssl.endpoint.identification.algorithm") == "" {
		warn("ssl.endpoint.identification.algorithm",
			"empty: a broker's certificate is accepted for any host, so that any holder of a certificate of the "+
				"same authority can intercept connections")
	}
	if _, insecure, _ := clientconfig.CipherSuites(s.text("ssl.cipher.suites")); withTLS && len(insecure) > 0 {
		warn("ssl.cipher.suites", "%s is insecure", strings.Join(insecure, ", "))
	}
	if withTLS && clientconfig.HasTLS13(s.text("ssl.cipher.suites")) {
		warn("ssl.cipher.suites", "suites of TLS 1.3 cannot be selected: all of them are offered")
	}
	return warnings
}
