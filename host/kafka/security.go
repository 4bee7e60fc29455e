package kafka

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/host/keystore"
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
	// check says what is wrong with a value; nil: anything may be given.
	check func(value string) error
	// refuse is why it cannot be had.
	refuse string
	// idle: known, without effect here.
	idle bool
}

// built are those that Kafka's Java clients and this one understand.
func built(check func(string) error) securitySetting { return securitySetting{check: check} }

func notBuilt(reason string) securitySetting { return securitySetting{refuse: reason} }

var idle = securitySetting{idle: true}

// securitySettings are all of Kafka 4.3's clients, without a prefix. They are the same for every kind of client.
var securitySettings = map[string]securitySetting{
	"security.protocol":  built(oneWord(true, "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
	"security.providers": notBuilt("there are no Java security providers"),

	"ssl.protocol":                          built(nil),
	"ssl.provider":                          notBuilt("there are no Java security providers"),
	"ssl.enabled.protocols":                 built(func(v string) error { _, _, err := enabledProtocols(v); return err }),
	"ssl.cipher.suites":                     built(func(v string) error { _, err := cipherSuites(v); return err }),
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
	"ssl.endpoint.identification.algorithm": built(oneWord(true, "https", "")),
	"ssl.engine.factory.class":              notBuilt("Java classes cannot be run; ssl.keystore.* and ssl.truststore.* take JKS, PKCS12 and PEM"),
	"ssl.keymanager.algorithm":              idle,
	"ssl.trustmanager.algorithm":            idle,
	"ssl.secure.random.implementation":      idle,

	"sasl.mechanism":                           built(oneWord(false, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")),
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

const noAssertions = "tokens by JWT assertion are not built: client credentials (clientId, clientSecret) and token files are"

// isSecurity tells whether a name without a prefix is about security, known or not.
func isSecurity(name string) bool {
	return strings.HasPrefix(name, "ssl.") || strings.HasPrefix(name, "sasl.") || strings.HasPrefix(name, "security.")
}

// giveSecurity notes a property for one kind of client.
func (c *Config) giveSecurity(s side, name string, given Given) (note string, err error) {
	rule, known := securitySettings[name]
	if name == "sasl.mechanism" && strings.EqualFold(given.Value, "GSSAPI") {
		return "", fmt.Errorf("GSSAPI (Kerberos) is not built: expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	}
	switch {
	case !known:
		return unknown + nearestOf(name, slices.Sorted(maps.Keys(securitySettings))), nil
	case rule.refuse != "" && given.Value == "":
		return "", nil
	case rule.refuse != "":
		return "", fmt.Errorf("not built: %s", rule.refuse)
	case rule.idle:
		return "has no effect here", nil
	case rule.check != nil:
		if err := rule.check(given.Value); err != nil {
			return "", err
		}
	}
	client := c.client(s)
	client.Security = maps.Clone(client.Security) // shared with the configuration that this one was made of
	if client.Security == nil {
		client.Security = map[string]Given{}
	}
	client.Security[name] = given
	return "", nil
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
	given map[string]Given
	// prefix is for the names of properties that are missing: none, since what is given for all clients holds for this kind, too.
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
	return fmt.Errorf("%s: %s", s.named(name), fmt.Sprintf(format, args...))
}

func (s security) milliseconds(name string) time.Duration {
	n, _ := number(0, maxMillis)(s.text(name))
	return time.Duration(n) * time.Millisecond
}

// access is how clients of one kind come to their brokers: the way, TLS, and who they say they are.
type access struct {
	way     way
	proxied bool
	outage  time.Duration // how long the way may be barred
	connect time.Duration // for one connection with all that belongs to it
	tls     *tls.Config   // nil: none
	stores  keystore.Options
	sasl    sasl.Mechanism // nil: none
	named   func(property string) string
	shared  *shared
}

// secure makes the accesses of all kinds of clients and returns what the user should know. Stores are opened, nothing is sent.
func (c *Config) secure() (warnings []string, err error) {
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
		made, notes, err := c.newAccess(security{given: merged.Security, shared: c.shared}, merged)
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
		if maps.Equal(other.Security, merged.Security) && slices.Equal(other.Bootstrap, merged.Bootstrap) && other.ConnectTimeout == merged.ConnectTimeout {
			return c.client(before)
		}
	}
	return nil
}

func (c *Config) newAccess(s security, client ClientConfig) (a *access, warnings []string, err error) {
	a = &access{way: direct, connect: 10 * time.Second, named: s.named, shared: s.shared}
	if c.Proxy != nil {
		a.way, a.proxied, a.outage, a.connect = c.Proxy.dial, true, c.Proxy.outage, 30*time.Second
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
func (s security) warnings(protocol string, bootstrap []string) (warnings []string) {
	warn := func(name, format string, args ...any) {
		warnings = append(warnings, s.named(name)+": "+fmt.Sprintf(format, args...))
	}
	withTLS, withSASL := strings.HasSuffix(protocol, "SSL"), strings.HasPrefix(protocol, "SASL")
	for _, name := range slices.Sorted(maps.Keys(s.given)) {
		if strings.HasPrefix(name, "ssl.") && !withTLS || strings.HasPrefix(name, "sasl.") && !withSASL {
			warn(name, "has no effect: %s is %s", s.named("security.protocol"), protocol)
		}
	}
	mechanism := strings.ToUpper(s.text("sasl.mechanism"))
	if far := farHost(bootstrap); withSASL && !withTLS && far != "" && (mechanism == "PLAIN" || mechanism == "OAUTHBEARER") {
		warn("security.protocol", "SASL_PLAINTEXT with %s sends the password or token to %s in clear: SASL_SSL does not", mechanism, far)
	}
	if withTLS && s.has("ssl.endpoint.identification.algorithm") && s.text("ssl.endpoint.identification.algorithm") == "" {
		warn("ssl.endpoint.identification.algorithm", "empty: a broker's certificate may be for any host, so that whoever has one of the same authority can listen in")
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
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return server
		}
	}
	return ""
}

// storeFields are Kafka's names of what package keystore calls otherwise.
var storeFields = map[string]string{
	"keystore." + keystore.FieldKeyPassword: "ssl.key.password",
	"keystore." + keystore.FieldPEM:         "ssl.keystore.key",
	"keystore." + keystore.FieldAlias:       "ssl.keystore.location",
	"truststore." + keystore.FieldPEM:       "ssl.truststore.certificates",
	"truststore." + keystore.FieldAlias:     "ssl.truststore.location",
	keystore.FieldHostCheck:                 "ssl.endpoint.identification.algorithm",
}

// storeTexts are in the place of files.
var storeTexts = map[string]string{"ssl.keystore.location": "ssl.keystore.key", "ssl.truststore.location": "ssl.truststore.certificates"}

// stores are what is said about keys and certificates, by Kafka's rules: PEM texts and files exclude each other.
func (s security) stores() (keystore.Options, error) {
	o := keystore.Options{Protocol: s.text("ssl.protocol"), Logger: s.shared.logger(), Name: func(field string) string {
		name, ok := storeFields[field]
		if !ok {
			name = "ssl." + field
		}
		if text, ok := storeTexts[name]; ok && s.has(text) {
			name = text
		}
		return s.named(name)
	}}
	o.SkipHostCheck = s.has("ssl.endpoint.identification.algorithm") && s.text("ssl.endpoint.identification.algorithm") == ""
	if s.has("ssl.enabled.protocols") {
		// Java's own list of versions goes before the context's, which then only has to be one that there is.
		o.Protocol = ""
		switch strings.ToUpper(s.text("ssl.protocol")) {
		case "SSL", "TLS", "", "TLSV1.2", "TLSV1.3":
		default:
			o.Protocol = s.text("ssl.protocol")
		}
	}
	var err error
	if o.Key, err = s.keyLocation(); err != nil {
		return o, err
	}
	o.Trust, err = s.trustLocation()
	return o, err
}

func (s security) keyLocation() (*keystore.Location, error) {
	key, chain, path := s.text("ssl.keystore.key"), s.text("ssl.keystore.certificate.chain"), s.text("ssl.keystore.location")
	l := &keystore.Location{Path: path, Type: s.text("ssl.keystore.type"), Password: s.text("ssl.keystore.password"), KeyPassword: s.text("ssl.key.password")}
	switch {
	case key == "" && chain == "" && path == "":
		return nil, nil
	case key == "" && chain == "":
		return l, nil
	case path != "":
		return nil, s.fault("ssl.keystore.location", "expected nothing beside ssl.keystore.key and ssl.keystore.certificate.chain")
	case key == "":
		return nil, s.fault("ssl.keystore.key", "expected the private key of ssl.keystore.certificate.chain, found nothing")
	case chain == "":
		return nil, s.fault("ssl.keystore.certificate.chain", "expected the certificate of ssl.keystore.key, found nothing")
	}
	if err := s.isPEM("ssl.keystore.type"); err != nil {
		return nil, err
	}
	l.Type, l.PEM = "PEM", []byte(pemLines(key)+"\n"+pemLines(chain)+"\n")
	return l, nil
}

func (s security) trustLocation() (*keystore.Location, error) {
	certificates, path := s.text("ssl.truststore.certificates"), s.text("ssl.truststore.location")
	l := &keystore.Location{Path: path, Type: s.text("ssl.truststore.type"), Password: s.text("ssl.truststore.password")}
	switch {
	case certificates == "" && path == "":
		return nil, nil
	case certificates == "":
		return l, nil
	case path != "":
		return nil, s.fault("ssl.truststore.location", "expected nothing beside ssl.truststore.certificates")
	}
	if err := s.isPEM("ssl.truststore.type"); err != nil {
		return nil, err
	}
	l.Type, l.PEM = "PEM", []byte(pemLines(certificates)+"\n")
	return l, nil
}

// isPEM: texts in a setting are PEM, and where a type is given it must say so, as in Kafka.
func (s security) isPEM(name string) error {
	if t := s.text(name); t != "" && !strings.EqualFold(t, "PEM") {
		return s.fault(name, "expected PEM, since key and certificates stand in settings, found %q", t)
	}
	return nil
}

// tls is the configuration of connections.
func (s security) tls(o keystore.Options) (*tls.Config, error) {
	config, err := keystore.ClientTLS(o)
	if err != nil {
		return nil, err
	}
	if v := s.text("ssl.enabled.protocols"); v != "" {
		if config.MinVersion, config.MaxVersion, err = enabledProtocols(v); err != nil {
			return nil, s.fault("ssl.enabled.protocols", "%v", err)
		}
	}
	if v := s.text("ssl.cipher.suites"); v != "" {
		if config.CipherSuites, err = cipherSuites(v); err != nil {
			return nil, s.fault("ssl.cipher.suites", "%v", err)
		}
	}
	return config, nil
}

// enabledProtocols are the lowest and the highest of a list of versions by Java's names; 0 and 0 for an empty list.
func enabledProtocols(list string) (lowest, highest uint16, err error) {
	for _, name := range items(list) {
		var version uint16
		switch name {
		case "TLSv1.2":
			version = tls.VersionTLS12
		case "TLSv1.3":
			version = tls.VersionTLS13
		case "TLSv1", "TLSv1.1", "SSLv3", "SSLv2Hello":
			return 0, 0, fmt.Errorf("%s is broken, and Java has it switched off, too: expected TLSv1.2 or TLSv1.3", name)
		default:
			return 0, 0, fmt.Errorf("expected TLSv1.2 or TLSv1.3, found %q", name)
		}
		if lowest == 0 || version < lowest {
			lowest = version
		}
		highest = max(highest, version)
	}
	return lowest, highest, nil
}

// cipherSuites are the suites of TLS 1.2 of a list by their standard names, which Java has, too.
func cipherSuites(list string) ([]uint16, error) {
	ids, _, err := suites(list)
	return ids, err
}

func suites(list string) (ids []uint16, insecure []string, err error) {
	known := map[string]*tls.CipherSuite{}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		known[s.Name] = s
	}
	for _, name := range items(list) {
		s, ok := known[name]
		switch {
		case name == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV": // no suite
		case !ok:
			return nil, nil, fmt.Errorf("cipher suite %s is not built: expected some of %s", name, strings.Join(suiteNames(), ", "))
		case s.SupportedVersions[0] == tls.VersionTLS13: // not to be chosen
		default:
			ids = append(ids, s.ID)
			if s.Insecure {
				insecure = append(insecure, name)
			}
		}
	}
	return ids, insecure, nil
}

func suiteNames() (names []string) {
	for _, s := range tls.CipherSuites() {
		names = append(names, s.Name)
	}
	return names
}

func hasTLS13(list string) bool {
	return slices.ContainsFunc(items(list), func(name string) bool {
		return slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
			return s.Name == name && s.SupportedVersions[0] == tls.VersionTLS13
		})
	})
}

// items cuts a list at its commas and leaves out what is empty.
func items(list string) (items []string) {
	for _, item := range strings.Split(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// pemText wants PEM of a kind, and does not show what it found: it may be a key.
func pemText(kind string) func(string) error {
	return func(v string) error {
		if v == "" || strings.Contains(v, "-----BEGIN") && strings.Contains(v, kind) {
			return nil
		}
		return fmt.Errorf("expected PEM text with -----BEGIN %s-----, found something else (not shown)", kind)
	}
}

// pemLines gives PEM text of one line its lines back: that is how properties often hold it, and Java takes it.
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

// oneWord wants one of a few words; fold: in any case.
func oneWord(fold bool, words ...string) func(string) error {
	return func(v string) error {
		for _, w := range words {
			if v == w || fold && strings.EqualFold(v, w) {
				return nil
			}
		}
		return fmt.Errorf("expected one of %s, found %q", strings.Join(words, ", "), v)
	}
}

func milliseconds(v string) error {
	if _, err := number(0, maxMillis)(v); err != nil && v != "" {
		return fmt.Errorf("%w (milliseconds)", err)
	}
	return nil
}
