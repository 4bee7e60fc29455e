package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ConfigChange is a configuration that somebody sends to have it checked or stored, who need not know the secrets in
// it. Its secrets have owners: those that it takes from the stored configuration of the connector, and those that the
// worker or a binding of BTP lends it. Each goes only where its owner sends it; what the sender shows goes where he
// says.
type ConfigChange struct {
	// New is the configuration, Stored what is stored of the connector, nil where there is none.
	New, Stored *Connector
	// FromStored tells which settings of Now the sender has not shown: [Mask] stood in their place, or a PATCH left
	// them out.
	FromStored func(key string) bool
	// Declarations are the settings of the connector's class.
	Declarations *Declarations
	// IsPassword tells whether values of a setting are secrets, see [IsPassword].
	IsPassword func(key string) bool
	Worker     *Worker
}

// part is a share of a configuration whose secrets go to the same places: the service of a plugin, its listener, the
// schema registry of a converter, the brokers of a client, a transform or predicate. All but the first two are the
// prefixes of their settings.
type part string

const (
	nowhere    part = "" // of what goes to no place that the configuration names
	ofService  part = "service"
	ofListener part = "listener"
)

var (
	clientParts    = []part{"producer.override.", "consumer.override.", "admin.override."}
	converterParts = []part{"key.converter.", "value.converter.", "header.converter."}
	prefixedParts  = slices.Concat(clientParts, converterParts)
)

// side is the prefix of the worker's own settings for the kind of client that a part is of.
func (p part) side() string { return strings.TrimSuffix(string(p), "override.") }

// MisdirectedSecrets are the secrets that would go elsewhere than their owner sends them, one problem for each, at the
// setting that is to be given.
func (s ConfigChange) MisdirectedSecrets() (problems Problems) {
	for _, e := range s.New.Entries {
		p := s.part(e.Key)
		if !s.FromStored(e.Key) || e.Value.Reveal() == "" || !e.Value.Secret() && !s.IsPassword(e.Key) ||
			s.isPlace(p, e.Key) {
			continue
		}
		if moved := s.moved(p); moved != "" {
			problems = append(problems, e.problem("expected the secret itself, since %s is another one than that "+
				"stored: the secret that is stored goes nowhere else than the stored configuration sends it", moved))
		}
	}
	return append(problems, s.lent()...)
}

// HasCompleteCredentials reports whether nobody can be in the middle of typing the secrets that log on at the
// connector's service: they are as stored, with where they go, or each is a reference to a config provider of the
// worker. A user without a password is in the middle of it.
func (s ConfigChange) HasCompleteCredentials() bool {
	roles := NewRoles(s.Declarations, s.New)
	isBegun := roles.Text(role.User) != "" && roles.Text(role.Password) == ""
	return s.logsOnAsStored() || !isBegun && !slices.ContainsFunc(s.New.Entries, func(e Entry) bool {
		return s.part(e.Key) == ofService && s.IsPassword(e.Key) && setting.Trim(e.Raw) != "" &&
			(!IsReference(e.Raw) || s.Worker.Providers.HasUnknownProvider(e))
	})
}

// logsOnAsStored tells whether all that logs on at the connector's service, and where, is as it is stored.
func (s ConfigChange) logsOnAsStored() bool {
	if s.Stored == nil || s.moved(ofService) != "" {
		return false
	}
	now, stored := NewRoles(s.Declarations, s.New), NewRoles(s.Declarations, s.Stored)
	return !slices.ContainsFunc([]string{role.Auth, role.User, role.OAuth, role.Header, role.Query, role.Password,
		role.TLSKeyStore}, func(name string) bool {
		return now.Text(name) != stored.Text(name) || strings.HasSuffix(name, ".") &&
			!maps.Equal(now.Prefix(name), stored.Prefix(name))
	})
}

// part is the one that a setting belongs to.
func (s ConfigChange) part(key string) part {
	for _, p := range prefixedParts {
		if strings.HasPrefix(key, string(p)) {
			return p
		}
	}
	if prefix := partOf(key); prefix != "" {
		return part(prefix)
	}
	spec, declared := s.Declarations.Find(key)
	switch {
	case strings.HasPrefix(spec.Role(), role.Listener):
		return ofListener
	case declared && !common.Declares(key):
		return ofService
	}
	return nowhere
}

// isPlace tells whether a setting says where a part's secrets go, or who is believed to be there.
func (s ConfigChange) isPlace(p part, key string) bool {
	short, _ := strings.CutPrefix(key, string(p))
	if slices.Contains(clientParts, p) {
		return isClientPlace(short)
	}
	if slices.Contains(converterParts, p) {
		registry, ok := strings.CutPrefix(short, "schema.registry.")
		return strings.HasPrefix(short, "proxy.") || ok && (registry == "url" ||
			strings.HasPrefix(registry, "proxy.") || isClientPlace(registry))
	}
	if partOf(key) != "" {
		return short == "type"
	}
	spec, _ := s.Declarations.Find(key)
	return isPlaceRole(p, spec.Role())
}

// isClientPlace tells it of a setting of Kafka's clients. Whatever TLS and SASL go by counts, but who logs on.
func isClientPlace(name string) bool {
	if !hasPrefix(name, []string{"bootstrap.servers", "security.", "ssl.", "sasl."}) {
		return false
	}
	return !hasPrefix(name, []string{"ssl.keystore.", "ssl.key.", "ssl.truststore.password", "sasl.jaas.config",
		"sasl.oauthbearer.client.credentials.", "sasl.oauthbearer.scope"})
}

// isPlaceRole tells it of a role. A header of SAP Connectivity chooses the Cloud Connector.
func isPlaceRole(p part, name string) bool {
	if p == ofListener {
		return strings.HasPrefix(name, role.Listener) && !role.IsSecret(name) && name != role.ListenerUser &&
			!strings.HasSuffix(name, ".password")
	}
	if slices.Contains([]string{role.ProxyUser, role.ProxyPassword, role.ProxyTokenClientID,
		role.ProxyTokenClientSecret, role.ProxyOutageMS}, name) {
		return false
	}
	return slices.Contains([]string{role.Scheme, role.Address, role.Port, role.Destination, role.OAuthTokenEndpoint,
		role.Origins, role.TLSTrustStoreLocation, role.TLSTrustStoreType, role.TLSProtocol, role.TLSAllowLegacy,
		role.TLSAllowRSAKeyExchange, role.TLSAllowRenegotiation, role.TLSAllowCommonName},
		name) || hasPrefix(strings.ToLower(name), []string{role.Proxy, role.Login, role.Header + "sap-connectivity-"})
}

// moved is a setting that says where a part's secrets go, and says another place than the stored configuration; ""
// where all go to the same ones.
func (s ConfigChange) moved(p part) string { return s.differs(p, s.Stored) }

// differs is a setting that says where a part's secrets go, and says another place than another configuration; nil is
// one that says nothing of it. "": all go to the same places.
func (s ConfigChange) differs(p part, than *Connector) string {
	now, before := s.places(p, s.New), s.places(p, than)
	names := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(now))
	slices.Sort(names)
	for _, name := range names {
		value, given := now[name]
		other, stored := before[name]
		if value != other || given != stored {
			return s.name(p, name)
		}
	}
	return ""
}

// name is the setting of a place.
func (s ConfigChange) name(p part, place string) string {
	if p != ofService && p != ofListener {
		return place
	}
	for _, c := range []*Connector{s.New, s.Stored} {
		if c != nil {
			if setting := NewRoles(s.Declarations, c).Setting(place); setting != place {
				return setting
			}
		}
	}
	return place
}

// places are what the settings of a part that say where its secrets go come to, by role or name; nil has none.
func (s ConfigChange) places(p part, c *Connector) map[string]string {
	places := map[string]string{}
	if slices.Contains(clientParts, p) {
		for _, prefix := range []string{"", p.side()} {
			for name, value := range s.Worker.Prefixed(prefix) {
				if isClientPlace(name) {
					places[string(p)+name] = setting.Trim(value)
				}
			}
		}
	}
	if c == nil {
		return places
	}
	if p == ofService || p == ofListener {
		roles := NewRoles(s.Declarations, c)
		for name := range roles.byRole {
			if value := roles.Text(name); value != "" && isPlaceRole(p, name) {
				places[name] = value
			}
		}
		if p == ofService {
			places["connector.class"] = c.Text("connector.class")
			normalize(places)
		}
		return places
	}
	for _, e := range c.Entries {
		if strings.HasPrefix(e.Key, string(p)) && s.isPlace(p, e.Key) {
			places[e.Key] = setting.Trim(e.Value.Reveal())
		}
	}
	return places
}

// normalize has ways to write one origin be one.
func normalize(places map[string]string) {
	places[role.Scheme] = strings.ToLower(cmp.Or(places[role.Scheme], "https"))
	places[role.Address] = strings.ToLower(strings.Trim(places[role.Address], "[]"))
	if places[role.Port] == "" && places[role.Destination] == "" {
		places[role.Port] = map[string]string{"http": "80", "https": "443"}[places[role.Scheme]]
	}
}

// lent are the secrets that are not the connector's own: what a destination of BTP logs on with, what a binding or the
// file of a service key has for SAP Connectivity, and what the worker logs on with at its brokers. Neither goes where
// only the sender says.
func (s ConfigChange) lent() (problems Problems) {
	const whose = "found another place than that stored: expected none, since %s logs on with %s, which goes nowhere " +
		"else than its owner says"
	roles := NewRoles(s.Declarations, s.New)
	at := func(name string) Entry {
		e, _ := s.New.Entry(roles.Setting(name))
		return e
	}
	if s.moved(ofService) != "" {
		for _, name := range slices.Sorted(maps.Keys(roles.byRole)) {
			if roles.Has(role.Destination) && roles.IsSet(name) && roles.Has(name) && isPlaceRole(ofService, name) &&
				name != role.Destination && name != role.OAuthTokenEndpoint && !strings.HasPrefix(name, role.Login) {
				problems = append(problems, at(name).problem(whose, roles.Setting(role.Destination),
					"what the destination of BTP says"))
			}
		}
		if strings.HasPrefix(roles.Text(role.ProxyType), route.Connectivity) && roles.Has(role.ProxyAddress) &&
			!slices.ContainsFunc([]string{role.ProxyTokenURL, role.ProxyTokenClientID, role.ProxyTokenClientSecret,
				role.ProxyTokenCertificate, role.ProxyTokenKey}, roles.Has) {
			problems = append(problems, at(role.ProxyAddress).problem(whose, roles.Setting(role.ProxyType),
				"a service key or a binding of SAP Connectivity"))
		}
	}
	for _, p := range clientParts {
		if at := s.differs(p, nil); at != "" { // than the worker's own brokers
			problems = append(problems, s.lentByWorker(p, at, s.moved(p) == "")...)
		}
	}
	return problems
}

// lentByWorker are the secrets of the worker that a client would log on with at brokers that a connector names by the
// setting at. stored: the stored configuration names the same, and where it lends a secret there, that stays so.
func (s ConfigChange) lentByWorker(p part, at string, stored bool) (problems Problems) {
	of := func(name string) (value string, own bool) {
		if value, own = s.New.Get(string(p) + name); !own {
			value = cmp.Or(s.Worker.Prefixed(p.side())[name], s.Worker.Prefixed("")[name])
		}
		return setting.Trim(value), own
	}
	protocol, _ := of("security.protocol")
	if !strings.HasPrefix(strings.ToUpper(protocol), "SASL") {
		return nil
	}
	secrets := []string{"sasl.jaas.config"}
	if mechanism, _ := of("sasl.mechanism"); strings.EqualFold(mechanism, "OAUTHBEARER") {
		secrets = append(secrets, "sasl.oauthbearer.client.credentials.client.secret")
	}
	for _, name := range secrets {
		value, own := of(name)
		if value == "" || own {
			continue
		}
		if stored {
			if _, was := s.Stored.Get(string(p) + name); !was {
				continue
			}
		}
		e, _ := s.New.Entry(at)
		e.Key = string(p) + name
		problems = append(problems, e.problem("expected the secret itself, since %s is another one than the "+
			"worker's: what the worker logs on with goes to its own brokers alone", at))
	}
	return problems
}
