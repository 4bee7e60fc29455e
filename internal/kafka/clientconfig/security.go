package clientconfig

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Value is a security property as the user specified it.
type Value struct {
	Name  string // Name is the whole name: producer.override.sasl.jaas.config.
	Value string // Value may be a secret.
}

// String leaves the value out: configurations end up in logs.
func (v Value) String() string { return v.Name }

// GoString is String.
func (v Value) GoString() string { return v.Name }

// property is a security property of Kafka, without a prefix.
type property struct {
	name         string
	kind         wit.SettingKind
	rules        []wit.Rule
	defaultValue string
	doc          string
	check        func(value string) error // check returns why a value is wrong beyond kind and rules; may be nil.
	unsupported  string                   // why the property is rejected; "" if it is supported
	noEffect     bool                     // the property is accepted without an effect
}

func (p *property) spec(name string) wit.ConfigKey {
	spec := wit.ConfigKey{Name: name, Kind: p.kind, Importance: wit.Low, Documentation: p.doc, Rules: p.rules}
	if p.defaultValue != "" {
		spec.DefaultValue = &p.defaultValue
	}
	return spec
}

// problem returns why a value is wrong, in Kafka Connect's words, without quoting passwords and keys.
func (p *property) problem(name, value string) string {
	spec := p.spec(name)
	if problem := (setting.Check{}).Value(&spec, value); problem != "" || p.check == nil {
		return problem
	}
	if err := p.check(value); err != nil {
		if p.kind == wit.KindPassword {
			value = setting.Hidden
		}
		return setting.Invalid(name, value, err.Error())
	}
	return ""
}

func supported(name string, kind wit.SettingKind, doc string, rules ...wit.Rule) property {
	return property{name: name, kind: kind, doc: doc, rules: rules}
}

func (p property) withCheck(check func(value string) error) property {
	p.check = check
	return p
}

func unsupported(name, reason string) property { return property{name: name, unsupported: reason} }

func noEffect(name string) property { return property{name: name, noEffect: true} }

const (
	storeTypeDoc  = "JKS, PKCS12 or PEM; detected from the content if not set."
	noJavaClasses = "Java classes cannot be run"
	noProviders   = "there are no Java security providers"
)

// properties are Kafka 4.3's security properties without a prefix, in the order of the reference.
var properties = []property{
	{name: "security.protocol", defaultValue: "PLAINTEXT", doc: "Protocol of connections to brokers.",
		rules: []wit.Rule{setting.Allowed("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")}},
	unsupported("security.providers", noProviders),

	supported("ssl.protocol", wit.KindString, "TLS versions by the name of a Java context: TLS, TLSv1.2, TLSv1.3."),
	unsupported("ssl.provider", noProviders),
	supported("ssl.enabled.protocols", wit.KindList, "TLS versions: TLSv1.2, TLSv1.3.").withCheck(func(v string) error {
		_, _, err := EnabledProtocols(v)
		return err
	}),
	supported("ssl.cipher.suites", wit.KindList,
		"Cipher suites of TLS 1.2 by their standard names.").withCheck(func(v string) error {
		_, _, err := CipherSuites(v)
		return err
	}),
	supported("ssl.keystore.type", wit.KindString, storeTypeDoc),
	supported("ssl.keystore.location", wit.KindString, "File with the client's key and certificate."),
	supported("ssl.keystore.password", wit.KindPassword, "Password of that file."),
	supported("ssl.key.password", wit.KindPassword, "Password of the key in that file; default: the file's password."),
	supported("ssl.keystore.key", wit.KindPassword,
		"The client's key as PEM text.").withCheck(checkPEMText("PRIVATE KEY")),
	supported("ssl.keystore.certificate.chain", wit.KindPassword,
		"The client's certificate and its issuers as PEM text.").withCheck(checkPEMText("CERTIFICATE")),
	supported("ssl.truststore.type", wit.KindString, storeTypeDoc),
	supported("ssl.truststore.location", wit.KindString,
		"File with the trusted certificates of brokers; default: the system's."),
	supported("ssl.truststore.password", wit.KindPassword, "Password of that file."),
	supported("ssl.truststore.certificates", wit.KindPassword,
		"The same as PEM text.").withCheck(checkPEMText("CERTIFICATE")),
	supported("ssl.endpoint.identification.algorithm", wit.KindString,
		"Empty: host names in certificates are not checked.").withCheck(checkHostNames),
	unsupported("ssl.engine.factory.class", noJavaClasses+"; ssl.keystore.* and ssl.truststore.* take JKS, PKCS12 and "+
		"PEM"),
	noEffect("ssl.keymanager.algorithm"),
	noEffect("ssl.trustmanager.algorithm"),
	noEffect("ssl.secure.random.implementation"),

	supported("sasl.mechanism", wit.KindString, mechanisms+".").withCheck(checkMechanism),
	supported("sasl.jaas.config", wit.KindPassword, "JAAS login module with user and password."),
	supported("sasl.login.callback.handler.class", wit.KindClass, "Source of OAUTHBEARER tokens."),
	unsupported("sasl.client.callback.handler.class", noJavaClasses),
	unsupported("sasl.login.class", noJavaClasses),
	noEffect("sasl.kerberos.service.name"), // GSSAPI itself is rejected as a mechanism
	noEffect("sasl.kerberos.kinit.cmd"),
	noEffect("sasl.kerberos.ticket.renew.window.factor"),
	noEffect("sasl.kerberos.ticket.renew.jitter"),
	noEffect("sasl.kerberos.min.time.before.relogin"),
	noEffect("sasl.login.refresh.window.factor"), // tokens are renewed 60 s before they expire
	noEffect("sasl.login.refresh.window.jitter"),
	noEffect("sasl.login.refresh.min.period.seconds"),
	noEffect("sasl.login.refresh.buffer.seconds"),
	supported("sasl.login.connect.timeout.ms", wit.KindInt, "Connect timeout of the token service, in milliseconds.",
		setting.AtLeast(0)),
	supported("sasl.login.read.timeout.ms", wit.KindInt, "Read timeout of the token service, in milliseconds.",
		setting.AtLeast(0)),
	noEffect("sasl.login.retry.backoff.ms"),
	noEffect("sasl.login.retry.backoff.max.ms"),

	supported("sasl.oauthbearer.token.endpoint.url", wit.KindString,
		"URL of the token service, or file:///… of a file with a token."),
	supported("sasl.oauthbearer.scope", wit.KindString, "Scope of tokens."),
	supported("sasl.oauthbearer.client.credentials.client.id", wit.KindString, "Client id for the token service."),
	supported("sasl.oauthbearer.client.credentials.client.secret", wit.KindPassword,
		"Client secret for the token service."),
	supported("sasl.oauthbearer.jwt.retriever.class", wit.KindClass, "How tokens are fetched."),
	noEffect("sasl.oauthbearer.header.urlencode"), // always true, as in RFC 6749
	noEffect("sasl.oauthbearer.scope.claim.name"), // tokens are the broker's to validate
	noEffect("sasl.oauthbearer.sub.claim.name"),
	noEffect("sasl.oauthbearer.jwt.validator.class"),
	noEffect("sasl.oauthbearer.clock.skew.seconds"),
	noEffect("sasl.oauthbearer.expected.audience"),
	noEffect("sasl.oauthbearer.expected.issuer"),
	noEffect("sasl.oauthbearer.jwks.endpoint.url"),
	noEffect("sasl.oauthbearer.jwks.endpoint.refresh.ms"),
	noEffect("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"),
	noEffect("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"),
	unsupported("sasl.oauthbearer.assertion.algorithm", noAssertions),
	unsupported("sasl.oauthbearer.assertion.claim.aud", noAssertions),
	unsupported("sasl.oauthbearer.assertion.claim.exp.seconds", noAssertions),
	unsupported("sasl.oauthbearer.assertion.claim.iss", noAssertions),
	unsupported("sasl.oauthbearer.assertion.claim.jti.include", noAssertions),
	unsupported("sasl.oauthbearer.assertion.claim.nbf.seconds", noAssertions),
	unsupported("sasl.oauthbearer.assertion.claim.sub", noAssertions),
	unsupported("sasl.oauthbearer.assertion.file", noAssertions),
	unsupported("sasl.oauthbearer.assertion.private.key.file", noAssertions),
	unsupported("sasl.oauthbearer.assertion.private.key.passphrase", noAssertions),
	unsupported("sasl.oauthbearer.assertion.template.file", noAssertions),
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
	Name        string
	NoEffect    bool   // NoEffect reports that the property is accepted without an effect.
	Unsupported string // Unsupported is why the property is rejected; "" if it is supported.
}

// Properties returns all known properties in the order of the reference.
func Properties() (list []Property) {
	for _, p := range properties {
		list = append(list, Property{Name: p.name, NoEffect: p.noEffect, Unsupported: p.unsupported})
	}
	return list
}

// Settings declares the properties with an effect, for any prefix. [Check] and security.New check their values.
func Settings() []wit.ConfigKey {
	var specs []wit.ConfigKey
	for i := range properties {
		if p := &properties[i]; p.unsupported == "" && !p.noEffect {
			specs = append(specs, p.spec(p.name))
		}
	}
	return specs
}

const noAssertions = "JWT assertions are not supported: use client credentials (clientId, " +
	"clientSecret) or a token file"

// IsSecurityProperty reports whether a name without a prefix is about security, known or not.
func IsSecurityProperty(name string) bool {
	return strings.HasPrefix(name, "ssl.") || strings.HasPrefix(name, "sasl.") || strings.HasPrefix(name, "security.")
}

// Check reports whether a property without a prefix has an effect, with a warning if not, or a [setting.Problem].
func Check(name string, value Value) (hasEffect bool, warning setting.Problem, err error) {
	rule, ok := byName[name]
	problem := setting.Problem{Setting: value.Name, Code: setting.CodeUnsupported}
	if name == "sasl.mechanism" && strings.EqualFold(value.Value, "GSSAPI") {
		problem.Text = "GSSAPI (Kerberos) is not built: expected " + mechanisms
		return false, warning, problem
	}
	switch {
	case !ok:
		return false, setting.Problem{Setting: value.Name, Code: setting.CodeUnknown, Text: unknownText(name),
			Warning: true}, nil
	case rule.unsupported != "" && value.Value == "": // as if it were not set
		return false, warning, nil
	case rule.unsupported != "":
		problem.Text = "not built: " + rule.unsupported
		return false, warning, problem
	case rule.noEffect:
		return false, setting.Problem{Setting: value.Name, Code: setting.CodeNoEffect, Text: "has no effect here",
			Warning: true}, nil
	}
	if text := rule.problem(value.Name, value.Value); text != "" {
		return false, warning, setting.Problem{Setting: value.Name, Code: setting.CodeInvalid, Text: text}
	}
	return true, warning, nil
}

func unknownText(name string) string {
	var t setting.Table
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t.Declare(wit.ConfigKey{Name: name})
	}
	return setting.Unknown(t.Nearest(name))
}

// Problem returns why a property of a service that is no broker cannot be used, or "". name has no prefix.
func Problem(name, fullName, value string) string {
	switch rule, ok := byName[name]; {
	case !ok:
		return unknownText(name)
	case rule.unsupported != "":
		return "not built: " + rule.unsupported
	case rule.noEffect:
		return ""
	default:
		return rule.problem(fullName, value)
	}
}

// IsEmbedded reports whether an entry of bootstrap.servers is the embedded broker, with or without a port.
func IsEmbedded(server string) bool {
	return server == "embedded" || strings.HasPrefix(server, "embedded:")
}
