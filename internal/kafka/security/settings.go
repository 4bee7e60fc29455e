package security

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Value is a security property as the user specified it.
type Value struct {
	// Name is the whole name: producer.override.sasl.jaas.config.
	Name string
	// Value may be a secret.
	Value string
}

// String leaves the value out: configurations end up in logs.
func (g Value) String() string { return g.Name }

// GoString is String.
func (g Value) GoString() string { return g.Name }

type property struct {
	name    string
	kind    wit.SettingKind
	rules   []wit.Rule
	initial string
	doc     string
	// check returns why a value is wrong beyond kind and rules; may be nil.
	check  func(value string) error
	refuse string
	idle   bool
}

func (s *property) spec(name string) wit.ConfigKey {
	spec := wit.ConfigKey{Name: name, Kind: s.kind, Importance: wit.Low, Documentation: s.doc, Rules: s.rules}
	if s.initial != "" {
		spec.DefaultValue = &s.initial
	}
	return spec
}

// wrong returns why a value is wrong, in Kafka Connect's words, without quoting passwords and keys.
func (s *property) wrong(name, value string) string {
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

func built(name string, kind wit.SettingKind, doc string, rules ...wit.Rule) property {
	return property{name: name, kind: kind, doc: doc, rules: rules}
}

func (s property) checked(check func(value string) error) property {
	s.check = check
	return s
}

func notBuilt(name, reason string) property {
	return property{name: name, refuse: reason}
}

func idle(name string) property { return property{name: name, idle: true} }

const (
	typeOfStore   = "JKS, PKCS12 or PEM; by content unless given."
	noJavaClasses = "Java classes cannot be run"
	noProviders   = "there are no Java security providers"
)

// properties are Kafka 4.3's security properties without a prefix, in the order of the reference.
var properties = []property{
	{name: "security.protocol", initial: "PLAINTEXT", doc: "How brokers are spoken to.",
		rules: []wit.Rule{setting.Allowed("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")}},
	notBuilt("security.providers", noProviders),

	built("ssl.protocol", wit.KindString, "TLS versions by the name of a Java context: TLS, TLSv1.2, TLSv1.3."),
	notBuilt("ssl.provider", noProviders),
	built("ssl.enabled.protocols", wit.KindList, "TLS versions: TLSv1.2, TLSv1.3.").checked(tlsVersions),
	built("ssl.cipher.suites", wit.KindList,
		"Cipher suites of TLS 1.2 by their standard names.").checked(knownSuites),
	built("ssl.keystore.type", wit.KindString, typeOfStore),
	built("ssl.keystore.location", wit.KindString, "File with the client's key and certificate."),
	built("ssl.keystore.password", wit.KindPassword, "Password of that file."),
	built("ssl.key.password", wit.KindPassword, "Password of the key in it; that of the file unless given."),
	built("ssl.keystore.key", wit.KindPassword, "The client's key as PEM text.").checked(pemText("PRIVATE KEY")),
	built("ssl.keystore.certificate.chain", wit.KindPassword,
		"The client's certificate and those above it as PEM text.").checked(pemText("CERTIFICATE")),
	built("ssl.truststore.type", wit.KindString, typeOfStore),
	built("ssl.truststore.location", wit.KindString,
		"File with the certificates that brokers' are trusted by; the system's unless given."),
	built("ssl.truststore.password", wit.KindPassword, "Password of that file."),
	built("ssl.truststore.certificates", wit.KindPassword, "The same as PEM text.").checked(pemText("CERTIFICATE")),
	built("ssl.endpoint.identification.algorithm", wit.KindString,
		"Empty: a broker's certificate may be for any host.").checked(hostNames),
	notBuilt("ssl.engine.factory.class", noJavaClasses+"; ssl.keystore.* and ssl.truststore.* take JKS, PKCS12 and "+
		"PEM"),
	idle("ssl.keymanager.algorithm"),
	idle("ssl.trustmanager.algorithm"),
	idle("ssl.secure.random.implementation"),

	built("sasl.mechanism", wit.KindString, mechanisms+".").checked(knownMechanism),
	built("sasl.jaas.config", wit.KindPassword, "The login module with user and password, as Java's JAAS has it."),
	built("sasl.login.callback.handler.class", wit.KindClass, "Where tokens of OAUTHBEARER come from."),
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

	built("sasl.oauthbearer.token.endpoint.url", wit.KindString, "Token service, or file:///… with a token."),
	built("sasl.oauthbearer.scope", wit.KindString, "Scope of tokens."),
	built("sasl.oauthbearer.client.credentials.client.id", wit.KindString, "Client id for the token service."),
	built("sasl.oauthbearer.client.credentials.client.secret", wit.KindPassword,
		"Client secret for the token service."),
	built("sasl.oauthbearer.jwt.retriever.class", wit.KindClass, "How tokens are fetched."),
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

var byName = func() map[string]*property {
	byName := make(map[string]*property, len(properties))
	for i := range properties {
		byName[properties[i].name] = &properties[i]
	}
	return byName
}()

// Property is a security property of Kafka without a prefix.
type Property struct {
	Name string
	// Idle: it has no effect.
	Idle bool
	// Refused says why it is not supported; "" otherwise.
	Refused string
}

// Properties returns all supported properties in the order of the reference.
func Properties() (known []Property) {
	for _, p := range properties {
		known = append(known, Property{p.name, p.idle, p.refuse})
	}
	return known
}

// Settings returns the declarations of properties with an effect, for any prefix. [Check] and [New] check their
// values further.
func Settings() []wit.ConfigKey {
	var specs []wit.ConfigKey
	for i := range properties {
		if s := &properties[i]; s.refuse == "" && !s.idle {
			specs = append(specs, s.spec(s.name))
		}
	}
	return specs
}

const noAssertions = "tokens by JWT assertion are not built: client credentials (clientId, " +
	"clientSecret) and token files are"

// Concerns reports whether a name without a prefix is about security, known or not.
func Concerns(name string) bool {
	return strings.HasPrefix(name, "ssl.") || strings.HasPrefix(name, "sasl.") || strings.HasPrefix(name, "security.")
}

// Check reports whether a property without prefix has an effect, with a warning if not, or a [setting.Problem]. A
// warning without a text is none.
func Check(name string, given Value) (effective bool, warns setting.Problem, err error) {
	rule, known := byName[name]
	problem := setting.Problem{Setting: given.Name, Code: setting.CodeUnsupported}
	if name == "sasl.mechanism" && strings.EqualFold(given.Value, "GSSAPI") {
		problem.Text = "GSSAPI (Kerberos) is not built: expected " + mechanisms
		return false, warns, problem
	}
	switch {
	case !known:
		return false, setting.Problem{Setting: given.Name, Code: setting.CodeUnknown, Text: unknown(name),
			Warning: true}, nil
	case rule.refuse != "" && given.Value == "":
		return false, warns, nil
	case rule.refuse != "":
		problem.Text = "not built: " + rule.refuse
		return false, warns, problem
	case rule.idle:
		return false, setting.Problem{Setting: given.Name, Code: setting.CodeNoEffect, Text: "has no effect here",
			Warning: true}, nil
	}
	if why := rule.wrong(given.Name, given.Value); why != "" {
		return false, warns, setting.Problem{Setting: given.Name, Code: setting.CodeInvalid, Text: why}
	}
	return true, warns, nil
}

func unknown(name string) string {
	var t setting.Table
	for _, known := range slices.Sorted(maps.Keys(byName)) {
		t.Declare(wit.ConfigKey{Name: known})
	}
	return setting.Unknown(t.Nearest(name))
}

type settings struct {
	ctx   context.Context
	given map[string]Value
	// prefix is for names of missing properties; empty, since common properties apply too.
	prefix string
	live   *Live
}

func (s settings) text(name string) string { return s.given[name].Value }

// has reports whether a property is set, even to "".
func (s settings) has(name string) bool { _, ok := s.given[name]; return ok }

func (s settings) named(name string) string {
	if g, ok := s.given[name]; ok {
		return g.Name
	}
	return s.prefix + name
}

// now returns the current value, which may come from a changed file.
func (s settings) now(name string) string {
	g := s.given[name]
	if value, ok := s.live.now(g.Name); ok {
		return strings.TrimSpace(value)
	}
	return g.Value
}

func (s settings) fault(name, format string, args ...any) error {
	return setting.Problem{Setting: s.named(name), Text: fmt.Sprintf(format, args...)}
}

func (s settings) milliseconds(name string) time.Duration {
	n, _ := setting.ParseInt(wit.KindInt, s.text(name))
	return time.Duration(n) * time.Millisecond
}
