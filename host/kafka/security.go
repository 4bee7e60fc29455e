package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/host/internal/loopback"
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Given is a property of security.protocol, ssl.* or sasl.* as the user gave it.
type Given struct {
	// Name is the whole name: producer.override.sasl.jaas.config.
	Name string
	// Value may be a secret.
	Value string
}

// String leaves the value out: configurations end up in logs.
func (g Given) String() string { return g.Name }

// GoString is String.
func (g Given) GoString() string { return g.Name }

// securitySetting says what is done about a property.
type securitySetting struct {
	// check says what is wrong with the value of the setting of that name, in Kafka Connect's words; nil: anything may
	// be given.
	check func(name, value string) string
	// refuse is why it cannot be had.
	refuse string
	// idle: known, without effect here.
	idle bool
}

// built are those that Kafka's Java clients and this one understand.
func built(check func(name, value string) string) securitySetting {
	return securitySetting{check: check}
}

func notBuilt(reason string) securitySetting { return securitySetting{refuse: reason} }

var idle = securitySetting{idle: true}

// securitySettings are all of Kafka 4.3's clients, without a prefix. They are the same for every kind of client.
var securitySettings = map[string]securitySetting{
	"security.protocol":  built(oneWord(true, "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
	"security.providers": notBuilt("there are no Java security providers"),

	"ssl.protocol": built(nil),
	"ssl.provider": notBuilt("there are no Java security providers"),
	"ssl.enabled.protocols": built(worded(func(v string) error {
		_, _,
			err := enabledProtocols(v)
		return err
	})),
	"ssl.cipher.suites": built(worded(func(v string) error {
		_,
			err := cipherSuites(v)
		return err
	})),
	"ssl.keystore.type":                     built(nil),
	"ssl.keystore.location":                 built(nil),
	"ssl.keystore.password":                 built(nil),
	"ssl.keystore.key":                      built(pemText("PRIVATE KEY")),
	"ssl.keystore.certificate.chain":        built(pemText("CERTIFICATE")),
	"ssl.key.password":                      built(nil),
	"ssl.truststore.type":                   built(nil),
	"ssl.truststore.location":               built(nil),
	"ssl.truststore.password":               built(nil),
	"ssl.truststore.certificates":           built(pemText("CERTIFICATE")),
	"ssl.endpoint.identification.algorithm": built(worded(hostNames)),
	"ssl.engine.factory.class": notBuilt("Java classes cannot be run; ssl.keystore.* and " +
		"ssl.truststore.* take JKS, PKCS12 and PEM"),
	"ssl.keymanager.algorithm":         idle,
	"ssl.trustmanager.algorithm":       idle,
	"ssl.secure.random.implementation": idle,

	"sasl.mechanism": built(oneWord(false, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
		"OAUTHBEARER")),
	"sasl.jaas.config":                         built(nil),
	"sasl.login.callback.handler.class":        built(nil), // by mechanism, see sasl.go
	"sasl.client.callback.handler.class":       notBuilt("Java classes cannot be run"),
	"sasl.login.class":                         notBuilt("Java classes cannot be run"),
	"sasl.kerberos.service.name":               idle, // GSSAPI itself is refused as a mechanism
	"sasl.kerberos.kinit.cmd":                  idle,
	"sasl.kerberos.ticket.renew.window.factor": idle,
	"sasl.kerberos.ticket.renew.jitter":        idle,
	"sasl.kerberos.min.time.before.relogin":    idle,
	"sasl.login.refresh.window.factor":         idle, // tokens are renewed 60 s before they expire
	"sasl.login.refresh.window.jitter":         idle,
	"sasl.login.refresh.min.period.seconds":    idle,
	"sasl.login.refresh.buffer.seconds":        idle,
	"sasl.login.connect.timeout.ms":            built(milliseconds),
	"sasl.login.read.timeout.ms":               built(milliseconds),
	"sasl.login.retry.backoff.ms":              idle,
	"sasl.login.retry.backoff.max.ms":          idle,

	"sasl.oauthbearer.token.endpoint.url":                 built(nil),
	"sasl.oauthbearer.scope":                              built(nil),
	"sasl.oauthbearer.client.credentials.client.id":       built(nil),
	"sasl.oauthbearer.client.credentials.client.secret":   built(nil),
	"sasl.oauthbearer.jwt.retriever.class":                built(nil),
	"sasl.oauthbearer.header.urlencode":                   idle, // it always is, as RFC 6749 wants it
	"sasl.oauthbearer.scope.claim.name":                   idle, // tokens are the broker's to validate
	"sasl.oauthbearer.sub.claim.name":                     idle,
	"sasl.oauthbearer.jwt.validator.class":                idle,
	"sasl.oauthbearer.clock.skew.seconds":                 idle,
	"sasl.oauthbearer.expected.audience":                  idle,
	"sasl.oauthbearer.expected.issuer":                    idle,
	"sasl.oauthbearer.jwks.endpoint.url":                  idle,
	"sasl.oauthbearer.jwks.endpoint.refresh.ms":           idle,
	"sasl.oauthbearer.jwks.endpoint.retry.backoff.ms":     idle,
	"sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": idle,
	"sasl.oauthbearer.assertion.algorithm":                notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.claim.aud":                notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.claim.exp.seconds":        notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.claim.iss":                notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.claim.jti.include":        notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.claim.nbf.seconds":        notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.claim.sub":                notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.file":                     notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.private.key.file":         notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.private.key.passphrase":   notBuilt(noAssertions),
	"sasl.oauthbearer.assertion.template.file":            notBuilt(noAssertions),
}

const noAssertions = "tokens by JWT assertion are not built: client credentials (clientId, " +
	"clientSecret) and token files are"

// isSecurity tells whether a name without a prefix is about security, known or not.
func isSecurity(name string) bool {
	return strings.HasPrefix(name, "ssl.") || strings.HasPrefix(name, "sasl.") || strings.HasPrefix(name, "security.")
}

// giveSecurity notes a property for one kind of client. A warning without a text is none.
func (c *Config) giveSecurity(s side, name string, given Given) (warns setting.Problem, err error) {
	rule, known := securitySettings[name]
	if name == "sasl.mechanism" && strings.EqualFold(given.Value, "GSSAPI") {
		return warns, setting.Problem{Setting: given.Name, Code: setting.CodeNotBuilt,
			Text: "GSSAPI (Kerberos) is not built: expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"}
	}
	switch {
	case !known:
		return warning(given.Name, setting.CodeUnknown, unknownAmong(name, sortedKeys(securitySettings))), nil
	case rule.refuse != "" && given.Value == "":
		return warns, nil
	case rule.refuse != "":
		return warns, setting.Problem{Setting: given.Name, Code: setting.CodeNotBuilt,
			Text: "not built: " + rule.refuse}
	case rule.idle:
		return warning(given.Name, setting.CodeNoEffect, noEffect), nil
	case rule.check != nil:
		if why := rule.check(given.Name, given.Value); why != "" {
			return warns, setting.Problem{Setting: given.Name, Code: setting.CodeInvalid, Text: why}
		}
	}
	client := c.client(s)
	client.Security = maps.Clone(client.Security) // shared with the configuration that this one was made of
	if client.Security == nil {
		client.Security = map[string]Given{}
	}
	client.Security[name] = given
	return warns, nil
}

// client is where the settings of one kind of client are.
func (c *Config) client(s side) *ClientConfig {
	switch s {
	case sideProducer:
		return &c.Producer.ClientConfig
	case sideConsumer:
		return &c.Consumer.ClientConfig
	case sideAdmin:
		return &c.Admin
	}
	return &c.ClientConfig
}

// security is what one kind of client has, for it to be made something of.
type security struct {
	// ctx ends the reading of key stores.
	ctx   context.Context
	given map[string]Given
	// prefix is for the names of properties that are missing: none, since what is given for all clients holds for this
	// kind, too.
	prefix string
	shared *shared
}

// text is the value of a property; "" where it is not given.
func (s security) text(name string) string { return s.given[name].Value }

// has tells whether a property is given, be it empty.
func (s security) has(name string) bool { _, ok := s.given[name]; return ok }

// named is how the user calls a property.
func (s security) named(name string) string {
	if g, ok := s.given[name]; ok {
		return g.Name
	}
	return s.prefix + name
}

// now is the value as it is at this time, where the user has it from a file that may have changed since.
func (s security) now(name string) string {
	g := s.given[name]
	if value, ok := s.shared.now(g.Name); ok {
		return strings.TrimSpace(value)
	}
	return g.Value
}

func (s security) fault(name, format string, args ...any) error {
	return setting.Problem{Setting: s.named(name), Text: fmt.Sprintf(format, args...)}
}

func (s security) milliseconds(name string) time.Duration {
	n, _ := setting.Integer(wit.KindInt, s.text(name))
	return time.Duration(n) * time.Millisecond
}

// access is how clients of one kind reach their brokers: directly or by a proxy, with or without TLS, and how they log
// on.
type access struct {
	connectBy dialFunc
	proxied   bool
	outage    time.Duration // how long the proxy may be unable to connect
	connect   time.Duration // for one connection with all that belongs to it
	tls       *tls.Config   // nil: none
	stores    keystore.Options
	sasl      sasl.Mechanism // nil: none
	named     func(property string) string
	shared    *shared
}

// secure makes the accesses of all kinds of clients and returns what the user should know. Stores are opened, nothing
// is sent. ctx ends the opening.
func (c *Config) secure(ctx context.Context) (warnings setting.Problems, err error) {
	if c.shared == nil {
		c.shared = &shared{}
	}
	for _, s := range []side{sideProducer, sideConsumer, sideAdmin} {
		client := c.client(s)
		merged := client.over(c.ClientConfig)
		if like := c.alike(s, merged); like != nil {
			client.access = like.access
			continue
		}
		made, notes, err := c.newAccess(security{ctx: ctx, given: merged.Security, shared: c.shared}, merged)
		if err != nil {
			return warnings, err
		}
		client.access = made
		for _, note := range notes {
			if !slices.Contains(warnings, note) {
				warnings = append(warnings, note)
			}
		}
	}
	return warnings, nil
}

// alike is a kind of client before s whose access would be the same: stores are opened and tokens are fetched once.
func (c *Config) alike(s side, merged ClientConfig) *ClientConfig {
	for before := sideProducer; before < s; before++ {
		other := c.client(before).over(c.ClientConfig)
		if maps.Equal(other.Security, merged.Security) && slices.Equal(other.Bootstrap, merged.Bootstrap) &&
			other.ConnectTimeout == merged.ConnectTimeout {
			return c.client(before)
		}
	}
	return nil
}

func (c *Config) newAccess(s security, client ClientConfig) (a *access, warnings setting.Problems, err error) {
	a = &access{connectBy: direct, connect: 10 * time.Second, named: s.named, shared: s.shared}
	if c.Proxy != nil {
		a.connectBy, a.proxied, a.outage, a.connect = c.Proxy.dial, true, c.Proxy.outage, 30*time.Second
	}
	if client.ConnectTimeout > 0 {
		a.connect = client.ConnectTimeout
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
	return a, s.warnings(protocol, client.Bootstrap), nil
}

// warnings are about what is given and not used, and about what is used and not safe.
func (s security) warnings(protocol string, bootstrap []string) (warnings setting.Problems) {
	warn := func(name, format string, args ...any) {
		warnings = append(warnings, warning(s.named(name), "", fmt.Sprintf(format, args...)))
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

// farHost is the first of the servers that is not on this machine, "" if there is none.
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

// oneWord wants one of a few words; fold: in any case.
func oneWord(fold bool, words ...string) func(name, value string) string {
	spec := wit.SettingSpec{Rules: []wit.Rule{setting.Allowed(words...)}}
	return func(name, v string) string {
		spec.Name = name
		if !fold && !slices.Contains(words, v) {
			return setting.Invalid(name, v, "String must be one of: "+strings.Join(words, ", "))
		}
		return setting.Check{}.Value(&spec, v)
	}
}

// hostNames is how the names in certificates are checked.
func hostNames(v string) error {
	if v != "" && !strings.EqualFold(v, "https") {
		return errors.New("expected https, or nothing")
	}
	return nil
}

// worded words what a parser says of a value.
func worded(parse func(string) error) func(name, value string) string {
	return func(name, v string) string {
		if err := parse(v); err != nil {
			return setting.Invalid(name, v, err.Error())
		}
		return ""
	}
}

// milliseconds are what a time takes that may be left open.
func milliseconds(name, v string) string {
	if v == "" {
		return ""
	}
	return setting.Check{}.Value(&wit.SettingSpec{Name: name, Kind: wit.KindInt, Rules: []wit.Rule{setting.AtLeast(0)}},
		v)
}
