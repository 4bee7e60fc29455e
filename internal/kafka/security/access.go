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
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/culvert-project/culvert/internal/base/loopback"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/socks"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

var direct dialFunc = socks.Direct().DialContext

// Access is how one kind of client connects: directly or by a proxy, with or without TLS and SASL. Nil is plain TCP.
type Access struct {
	connectBy dialFunc
	proxied   bool
	outage    time.Duration // how long the proxy may be unable to connect
	connect   time.Duration // for one connection with all that belongs to it
	tls       *tls.Config   // nil: none
	stores    keystore.Options
	sasl      sasl.Mechanism // nil: none
	named     func(property string) string
	live      *Live
}

// SASL returns the mechanism, nil for none.
func (a *Access) SASL() sasl.Mechanism {
	if a == nil {
		return nil
	}
	return a.sasl
}

// TLS returns the configuration of connections, nil for none. explain adds the setting that fixes a failed handshake.
func (a *Access) TLS() (config *tls.Config, explain func(error) error) {
	if a == nil || a.tls == nil {
		return nil, func(err error) error { return err }
	}
	return a.tls, func(err error) error { return keystore.Explain(err, a.stores) }
}

// Options configure an [Access].
type Options struct {
	// Value are security properties by Kafka's names without a prefix.
	Given     map[string]Value
	Bootstrap []string
	// Timeout bounds a connection with its handshakes. Zero means 10 s, through a proxy 30 s.
	Timeout time.Duration
	// Proxy may be nil.
	Proxy *Proxy
	Live  *Live
}

// New creates an access and returns warnings. It opens stores and sends nothing. ctx cancels it.
func New(ctx context.Context, o Options) (a *Access, warnings setting.Problems, err error) {
	s := settings{ctx: ctx, given: o.Given, live: o.Live}
	a = &Access{connectBy: direct, connect: 10 * time.Second, named: s.named, live: o.Live}
	if o.Proxy != nil {
		a.connectBy, a.proxied, a.outage, a.connect = o.Proxy.dial, true, o.Proxy.outage, 30*time.Second
	}
	if o.Timeout > 0 {
		a.connect = o.Timeout
	}
	protocol := strings.ToUpper(s.text("security.protocol"))
	if protocol == "" {
		protocol = "PLAINTEXT"
	}
	if strings.HasSuffix(protocol, "SSL") {
		if a.stores, err = s.stores(); err != nil {
			return nil, nil, err
		}
		if a.tls, err = s.tls(a.stores); err != nil {
			return nil, nil, err
		}
	}
	if strings.HasPrefix(protocol, "SASL") {
		if a.sasl, err = s.mechanism(); err != nil {
			return nil, nil, err
		}
	}
	return a, s.warnings(protocol, o.Bootstrap), nil
}

// mechanism reads credentials again for every logon, so that changed secrets take effect.
func (s settings) mechanism() (sasl.Mechanism, error) {
	name := s.text("sasl.mechanism")
	if name == "" {
		return nil, s.fault("sasl.mechanism", "expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, found "+
			"nothing; Kafka's default, GSSAPI (Kerberos), is not built")
	}
	if !s.has("sasl.jaas.config") {
		return nil, s.fault("sasl.jaas.config", "expected a login module for %s, found nothing", name)
	}
	if handler := s.text("sasl.login.callback.handler.class"); handler != "" && name != "OAUTHBEARER" {
		return nil, s.fault("sasl.login.callback.handler.class", "not built for %s: Java classes cannot be run", name)
	}
	switch name {
	case "PLAIN":
		_, err := s.user(plainModule)
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			u, err := s.user(plainModule)
			return plain.Auth{User: u.name, Pass: u.password}, err
		}), err
	case "OAUTHBEARER":
		return s.bearer()
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
		warnings = append(warnings, setting.Problem{Setting: s.named(name), Text: fmt.Sprintf(format, args...),
			Warning: true})
	}
	withTLS, withSASL := strings.HasSuffix(protocol, "SSL"), strings.HasPrefix(protocol, "SASL")
	for _, name := range slices.Sorted(maps.Keys(s.given)) {
		if strings.HasPrefix(name, "ssl.") && !withTLS || strings.HasPrefix(name, "sasl.") && !withSASL {
			warn(name, "has no effect: %s is %s", s.named("security.protocol"), protocol)
		}
	}
	mechanism := strings.ToUpper(s.text("sasl.mechanism"))
	if far := farHost(bootstrap); withSASL && !withTLS && far != "" && (mechanism == "PLAIN" ||
		mechanism == "OAUTHBEARER") {
		warn("security.protocol", "SASL_PLAINTEXT with %s sends the password or token to %s in "+
			"clear: SASL_SSL does not", mechanism, far)
	}
	if withTLS && s.has("ssl.endpoint.identification.algorithm") &&
		s.text("ssl.endpoint.identification.algorithm") == "" {
		warn("ssl.endpoint.identification.algorithm", "empty: a broker's certificate may be for any host, so that "+
			"whoever has one of the same authority can listen in")
	}
	if _, insecure, _ := suites(s.text("ssl.cipher.suites")); withTLS && len(insecure) > 0 {
		warn("ssl.cipher.suites", "%s can be broken", strings.Join(insecure, ", "))
	}
	if withTLS && hasTLS13(s.text("ssl.cipher.suites")) {
		warn("ssl.cipher.suites", "those of TLS 1.3 cannot be chosen: all of them are offered")
	}
	return warnings
}

func farHost(bootstrap []string) string {
	for _, server := range bootstrap {
		host, _, err := net.SplitHostPort(server)
		if err != nil {
			continue // embedded
		}
		if !loopback.Is(host) {
			return server
		}
	}
	return ""
}
