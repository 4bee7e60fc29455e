package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ConfigChange is a configuration whose sender may not know the secrets in it. A secret may only go where its owner
// sends it: the stored configuration, the worker, or a binding of BTP. Values that the sender has shown may go
// anywhere.
type ConfigChange struct {
	New, Stored *Connector
	// FromStored reports whether a value of New is the stored one, because the sender sent [Mask] or a PATCH without
	// it.
	FromStored   func(key string) bool
	Declarations *Declarations
	IsPassword   func(key string) bool
	Worker       *Worker
}

// secretScope is a group of settings whose secrets go to the same endpoint. All but the first two are prefixes.
type secretScope string

const (
	noScope       secretScope = "" // of what goes to no place that the configuration names
	serviceScope  secretScope = "service"
	listenerScope secretScope = "listener"
)

var (
	clientScopes    = []secretScope{"producer.override.", "consumer.override.", "admin.override."}
	converterScopes = []secretScope{"key.converter.", "value.converter.", "header.converter."}
	prefixedScopes  = slices.Concat(clientScopes, converterScopes)
)

func (p secretScope) workerPrefix() string { return strings.TrimSuffix(string(p), "override.") }

// MisdirectedSecrets returns a problem for each secret that would go to another endpoint than its owner sends it.
func (s ConfigChange) MisdirectedSecrets() (problems Problems) {
	for _, e := range s.New.Entries {
		p := s.scope(e.Key)
		if !s.FromStored(e.Key) || e.Value.Reveal() == "" || !e.Value.IsSecret() && !s.IsPassword(e.Key) ||
			s.isEndpointSetting(p, e.Key) {
			continue
		}
		if moved := s.changedEndpoint(p); moved != "" {
			problems = append(problems, e.problem("expected the secret itself, since %s is another one than that "+
				"stored: the secret that is stored goes nowhere else than the stored configuration sends it", moved))
		}
	}
	return append(problems, s.sharedCredentials()...)
}

// HasCompleteCredentials reports whether the credentials for the service cannot be half typed: they are stored for this
// endpoint, or references. A user without a password is incomplete.
func (s ConfigChange) HasCompleteCredentials() bool {
	roles := NewRoles(s.Declarations, s.New)
	isBegun := roles.Text(role.User) != "" && roles.Text(role.Password) == ""
	return s.hasStoredCredentials() || !isBegun && !slices.ContainsFunc(s.New.Entries, func(e Entry) bool {
		return s.scope(e.Key) == serviceScope && s.IsPassword(e.Key) && setting.Trim(e.Raw) != "" &&
			(!IsReference(e.Raw) || s.Worker.Providers.HasUnknownProvider(e))
	})
}

func (s ConfigChange) hasStoredCredentials() bool {
	if s.Stored == nil || s.changedEndpoint(serviceScope) != "" {
		return false
	}
	now, stored := NewRoles(s.Declarations, s.New), NewRoles(s.Declarations, s.Stored)
	return !slices.ContainsFunc([]string{role.Auth, role.User, role.OAuth, role.Header, role.Query, role.Password,
		role.TLSKeyStore}, func(name string) bool {
		return now.Text(name) != stored.Text(name) || strings.HasSuffix(name, ".") &&
			!maps.Equal(now.Prefix(name), stored.Prefix(name))
	})
}

func (s ConfigChange) scope(key string) secretScope {
	for _, p := range prefixedScopes {
		if strings.HasPrefix(key, string(p)) {
			return p
		}
	}
	if prefix := stagePrefix(key); prefix != "" {
		return secretScope(prefix)
	}
	spec, declared := s.Declarations.Find(key)
	switch {
	case strings.HasPrefix(spec.Role(), role.Listener):
		return listenerScope
	case declared && !common.Declares(key):
		return serviceScope
	}
	return noScope
}

func (s ConfigChange) isEndpointSetting(p secretScope, key string) bool {
	short, _ := strings.CutPrefix(key, string(p))
	if slices.Contains(clientScopes, p) {
		return isClientEndpoint(short)
	}
	if slices.Contains(converterScopes, p) {
		registry, ok := strings.CutPrefix(short, "schema.registry.")
		return strings.HasPrefix(short, "proxy.") || ok && (registry == "url" ||
			strings.HasPrefix(registry, "proxy.") || isClientEndpoint(registry))
	}
	if stagePrefix(key) != "" {
		return short == "type"
	}
	spec, _ := s.Declarations.Find(key)
	return isEndpointRole(p, spec.Role())
}

// isClientEndpoint is isEndpointSetting for a Kafka client: everything about TLS and SASL but the credentials.
func isClientEndpoint(name string) bool {
	if !hasPrefix(name, []string{"bootstrap.servers", "security.", "ssl.", "sasl."}) {
		return false
	}
	return !hasPrefix(name, []string{"ssl.keystore.", "ssl.key.", "ssl.truststore.password", "sasl.jaas.config",
		"sasl.oauthbearer.client.credentials.", "sasl.oauthbearer.scope"})
}

// isEndpointRole is isEndpointSetting for a role. A header of SAP Connectivity selects the Cloud Connector.
func isEndpointRole(p secretScope, name string) bool {
	if p == listenerScope {
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

func (s ConfigChange) changedEndpoint(p secretScope) string { return s.differingEndpoint(p, s.Stored) }

func (s ConfigChange) differingEndpoint(p secretScope, than *Connector) string {
	now, before := s.endpoints(p, s.New), s.endpoints(p, than)
	names := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(now))
	slices.Sort(names)
	for _, name := range names {
		value, given := now[name]
		other, stored := before[name]
		if value != other || given != stored {
			return s.settingName(p, name)
		}
	}
	return ""
}

func (s ConfigChange) settingName(p secretScope, place string) string {
	if p != serviceScope && p != listenerScope {
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

func (s ConfigChange) endpoints(p secretScope, c *Connector) map[string]string {
	places := map[string]string{}
	if slices.Contains(clientScopes, p) {
		for _, prefix := range []string{"", p.workerPrefix()} {
			for name, value := range s.Worker.Prefixed(prefix) {
				if isClientEndpoint(name) {
					places[string(p)+name] = setting.Trim(value)
				}
			}
		}
	}
	if c == nil {
		return places
	}
	if p == serviceScope || p == listenerScope {
		roles := NewRoles(s.Declarations, c)
		for name := range roles.byRole {
			if value := roles.Text(name); value != "" && isEndpointRole(p, name) {
				places[name] = value
			}
		}
		if p == serviceScope {
			places["connector.class"] = c.Text("connector.class")
			normalizeOrigin(places)
		}
		return places
	}
	for _, e := range c.Entries {
		if strings.HasPrefix(e.Key, string(p)) && s.isEndpointSetting(p, e.Key) {
			places[e.Key] = setting.Trim(e.Value.Reveal())
		}
	}
	return places
}

func normalizeOrigin(places map[string]string) {
	places[role.Scheme] = strings.ToLower(cmp.Or(places[role.Scheme], "https"))
	places[role.Address] = strings.ToLower(strings.Trim(places[role.Address], "[]"))
	if places[role.Port] == "" && places[role.Destination] == "" {
		places[role.Port] = map[string]string{"http": "80", "https": "443"}[places[role.Scheme]]
	}
}

// sharedCredentials checks credentials that are not the connector's: of a BTP destination, of a binding or service key
// of SAP Connectivity, and the worker's. They must not go to an endpoint that only the sender names.
func (s ConfigChange) sharedCredentials() (problems Problems) {
	const whose = "found another place than that stored: expected none, since %s logs on with %s, which goes nowhere " +
		"else than its owner says"
	roles := NewRoles(s.Declarations, s.New)
	at := func(name string) Entry {
		e, _ := s.New.Entry(roles.Setting(name))
		return e
	}
	if s.changedEndpoint(serviceScope) != "" {
		for _, name := range slices.Sorted(maps.Keys(roles.byRole)) {
			if roles.Has(role.Destination) && roles.IsSet(name) && roles.Has(name) && isEndpointRole(serviceScope,
				name) &&
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
	for _, p := range clientScopes {
		if at := s.differingEndpoint(p, nil); at != "" { // than the worker's own brokers
			problems = append(problems, s.workerCredentials(p, at, s.changedEndpoint(p) == "")...)
		}
	}
	return problems
}

// workerCredentials checks the worker's secrets at brokers that the setting at names. With stored, the stored
// configuration names the same brokers, and what it uses there is accepted.
func (s ConfigChange) workerCredentials(p secretScope, at string, stored bool) (problems Problems) {
	of := func(name string) (value string, own bool) {
		if value, own = s.New.Get(string(p) + name); !own {
			value = cmp.Or(s.Worker.Prefixed(p.workerPrefix())[name], s.Worker.Prefixed("")[name])
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
