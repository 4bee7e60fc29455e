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

	"github.com/culvert-project/culvert/host/internal/base/loopback"
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

// securitySetting is a property of security.protocol, ssl.* or sasl.*, declared for all kinds of clients and with
// every prefix.
type securitySetting struct {
	name  string
	kind  wit.SettingKind
	rules []wit.Rule
	// initial is the default, "" for none.
	initial string
	// doc says what it is, for the reference of a worker's settings; "" where idle or refused.
	doc string
	// check says why a value is wrong where kind and rules cannot; nil: they can.
	check func(value string) error
	// refuse is why it cannot be had.
	refuse string
	// idle: known, without effect here.
	idle bool
}

// spec declares the property under the name that the user gave it.
func (s *securitySetting) spec(name string) wit.SettingSpec {
	spec := wit.SettingSpec{Name: name, Kind: s.kind, Importance: wit.Low, Documentation: s.doc, Rules: s.rules}
	if s.initial != "" {
		spec.DefaultValue = &s.initial
	}
	return spec
}

// wrong says what is wrong with a value, in Kafka Connect's words, "" if nothing. Passwords and keys are not shown.
func (s *securitySetting) wrong(name, value string) string {
	spec := s.spec(name)
	if text := (setting.Check{}).Value(&spec, value); text != "" || s.check == nil {
		return text
	}
	if err := s.check(value); err != nil {
		if s.kind == wit.KindPassword {
			value = setting.Hidden
		}
		return setting.Invalid(name, value, err.Error())
	}
	return ""
}

// built is a property that Kafka's Java clients and this one understand.
func built(name string, kind wit.SettingKind, doc string, rules ...wit.Rule) securitySetting {
	return securitySetting{name: name, kind: kind, doc: doc, rules: rules}
}

// checked is a property whose values a function checks in addition to kind and rules.
func (s securitySetting) checked(check func(value string) error) securitySetting {
	s.check = check
	return s
}

func notBuilt(name, reason string) securitySetting {
	return securitySetting{name: name, refuse: reason}
}

func idle(name string) securitySetting { return securitySetting{name: name, idle: true} }

const (
	typeOfStore   = "JKS, PKCS12 or PEM; by content unless given."
	noJavaClasses = "Java classes cannot be run"
	noProviders   = "there are no Java security providers"
)

// securityList are all such properties of Kafka 4.3's clients, without a prefix, in the order of the reference. They
// are the same for every kind of client.
var securityList = []securitySetting{
	{name: "security.protocol", initial: "PLAINTEXT", doc: "How brokers are spoken to.",
		rules: []wit.Rule{setting.Allowed("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")}},
	notBuilt("security.providers", noProviders),

	built("ssl.protocol", wit.KindText, "TLS versions by the name of a Java context: TLS, TLSv1.2, TLSv1.3."),
	notBuilt("ssl.provider", noProviders),
	built("ssl.enabled.protocols", wit.KindListOfText, "TLS versions: TLSv1.2, TLSv1.3.").checked(tlsVersions),
	built("ssl.cipher.suites", wit.KindListOfText,
		"Cipher suites of TLS 1.2 by their standard names.").checked(knownSuites),
	built("ssl.keystore.type", wit.KindText, typeOfStore),
	built("ssl.keystore.location", wit.KindText, "File with the client's key and certificate."),
	built("ssl.keystore.password", wit.KindPassword, "Password of that file."),
	built("ssl.key.password", wit.KindPassword, "Password of the key in it; that of the file unless given."),
	built("ssl.keystore.key", wit.KindPassword, "The client's key as PEM text.").checked(pemText("PRIVATE KEY")),
	built("ssl.keystore.certificate.chain", wit.KindPassword,
		"The client's certificate and those above it as PEM text.").checked(pemText("CERTIFICATE")),
	built("ssl.truststore.type", wit.KindText, typeOfStore),
	built("ssl.truststore.location", wit.KindText,
		"File with the certificates that brokers' are trusted by; the system's unless given."),
	built("ssl.truststore.password", wit.KindPassword, "Password of that file."),
	built("ssl.truststore.certificates", wit.KindPassword, "The same as PEM text.").checked(pemText("CERTIFICATE")),
	built("ssl.endpoint.identification.algorithm", wit.KindText,
		"Empty: a broker's certificate may be for any host.").checked(hostNames),
	notBuilt("ssl.engine.factory.class", noJavaClasses+"; ssl.keystore.* and ssl.truststore.* take JKS, PKCS12 and PEM"),
	idle("ssl.keymanager.algorithm"),
	idle("ssl.trustmanager.algorithm"),
	idle("ssl.secure.random.implementation"),

	built("sasl.mechanism", wit.KindText, mechanisms+".").checked(knownMechanism),
	built("sasl.jaas.config", wit.KindPassword, "The login module with user and password, as Java's JAAS has it."),
	// What it may name depends on the mechanism, see sasl.go.
	built("sasl.login.callback.handler.class", wit.KindClassName, "Where tokens of OAUTHBEARER come from."),
	notBuilt("sasl.client.callback.handler.class", noJavaClasses),
	notBuilt("sasl.login.class", noJavaClasses),
	idle("sasl.kerberos.service.name"), // GSSAPI itself is refused as a mechanism
	idle("sasl.kerberos.kinit.cmd"),
	idle("sasl.kerberos.ticket.renew.window.factor"),
	idle("sasl.kerberos.ticket.renew.jitter"),
	idle("sasl.kerberos.min.time.before.relogin"),
	idle("sasl.login.refresh.window.factor"), // tokens are renewed 60 s before they expire
	idle("sasl.login.refresh.window.jitter"),
	idle("sasl.login.refresh.min.period.seconds"),
	idle("sasl.login.refresh.buffer.seconds"),
	built("sasl.login.connect.timeout.ms", wit.KindInt, "For the token service, in milliseconds.", setting.AtLeast(0)),
	built("sasl.login.read.timeout.ms", wit.KindInt, "For the token service, in milliseconds.", setting.AtLeast(0)),
	idle("sasl.login.retry.backoff.ms"),
	idle("sasl.login.retry.backoff.max.ms"),

	built("sasl.oauthbearer.token.endpoint.url", wit.KindText, "Token service, or file:///… with a token."),
	built("sasl.oauthbearer.scope", wit.KindText, "Scope of tokens."),
	built("sasl.oauthbearer.client.credentials.client.id", wit.KindText, "Client id for the token service."),
	built("sasl.oauthbearer.client.credentials.client.secret", wit.KindPassword,
		"Client secret for the token service."),
	built("sasl.oauthbearer.jwt.retriever.class", wit.KindClassName, "How tokens are fetched."),
	idle("sasl.oauthbearer.header.urlencode"), // it always is, as RFC 6749 wants it
	idle("sasl.oauthbearer.scope.claim.name"), // tokens are the broker's to validate
	idle("sasl.oauthbearer.sub.claim.name"),
	idle("sasl.oauthbearer.jwt.validator.class"),
	idle("sasl.oauthbearer.clock.skew.seconds"),
	idle("sasl.oauthbearer.expected.audience"),
	idle("sasl.oauthbearer.expected.issuer"),
	idle("sasl.oauthbearer.jwks.endpoint.url"),
	idle("sasl.oauthbearer.jwks.endpoint.refresh.ms"),
	idle("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"),
	idle("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"),
	notBuilt("sasl.oauthbearer.assertion.algorithm", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.claim.aud", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.claim.exp.seconds", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.claim.iss", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.claim.jti.include", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.claim.nbf.seconds", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.claim.sub", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.file", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.private.key.file", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.private.key.passphrase", noAssertions),
	notBuilt("sasl.oauthbearer.assertion.template.file", noAssertions),
}

// securitySettings are securityList by name.
var securitySettings = func() map[string]*securitySetting {
	byName := make(map[string]*securitySetting, len(securityList))
	for i := range securityList {
		byName[securityList[i].name] = &securityList[i]
	}
	return byName
}()

// SecuritySettings are the declarations of security.protocol, ssl.* and sasl.* as far as they have an effect, in the
// order of the reference. They hold without a prefix, for all of a worker's clients, and after producer., consumer.,
// admin. and those of connectors alike. What a value says is checked by [Parse] beyond them.
func SecuritySettings() []wit.SettingSpec {
	var specs []wit.SettingSpec
	for i := range securityList {
		if s := &securityList[i]; s.refuse == "" && !s.idle {
			specs = append(specs, s.spec(s.name))
		}
	}
	return specs
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
			Text: "GSSAPI (Kerberos) is not built: expected " + mechanisms}
	}
	switch {
	case !known:
		return warning(given.Name, setting.CodeUnknown, unknownAmong(name, maps.Keys(securitySettings))), nil
	case rule.refuse != "" && given.Value == "":
		return warns, nil
	case rule.refuse != "":
		return warns, setting.Problem{Setting: given.Name, Code: setting.CodeNotBuilt,
			Text: "not built: " + rule.refuse}
	case rule.idle:
		return warning(given.Name, setting.CodeNoEffect, noEffect), nil
	}
	if why := rule.wrong(given.Name, given.Value); why != "" {
		return warns, setting.Problem{Setting: given.Name, Code: setting.CodeInvalid, Text: why}
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

// mechanisms are those of SASL, for messages.
const mechanisms = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"

// knownMechanism takes the names of mechanisms in their own spelling alone, as Kafka does.
func knownMechanism(v string) error {
	known := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
	if !slices.Contains(known, v) {
		return errors.New("String must be one of: " + strings.Join(known, ", "))
	}
	return nil
}

func tlsVersions(v string) error {
	_, _, err := enabledProtocols(v)
	return err
}

func knownSuites(v string) error {
	_, _, err := suites(v)
	return err
}

// hostNames is how the names in certificates are checked.
func hostNames(v string) error {
	if v != "" && !strings.EqualFold(v, "https") {
		return errors.New("expected https, or nothing")
	}
	return nil
}
