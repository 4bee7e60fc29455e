package check

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ConfigChange is a configuration that REST received for a connector. Its sender may not know the secrets in it, so a
// secret may only go where its owner sends it: the stored configuration, the worker, or a binding of BTP. A value that
// the sender has sent in clear may go anywhere.
type ConfigChange struct {
	New    *resolved.Connector // New is the received configuration.
	Stored *resolved.Connector // Stored is the configuration that New replaces. Nil means that there is none.
	// FromStored reports whether a value of New is the stored one: the sender sent [Mask], or a PATCH without the key.
	FromStored func(key string) bool
	IsPassword func(key string) bool
}

// secretScope is a group of settings whose secrets go to the same endpoint. All but the three constants are prefixes of
// the settings.
type secretScope string

const (
	noScope       secretScope = "" // common settings; their secrets are treated like those of the service
	serviceScope  secretScope = "service"
	listenerScope secretScope = "listener"
)

var (
	clientScopes    = []secretScope{"producer.override.", "consumer.override.", "admin.override."}
	converterScopes = []secretScope{"key.converter.", "value.converter.", "header.converter."}
	prefixedScopes  = slices.Concat(clientScopes, converterScopes)
)

func (s secretScope) workerPrefix() string { return strings.TrimSuffix(string(s), "override.") }

// MisdirectedSecrets returns a problem for each secret that would go to another endpoint than its owner sends it.
func (c ConfigChange) MisdirectedSecrets() (problems config.Problems) {
	for _, entry := range c.New.Entries {
		scope := c.scope(entry.Key)
		isSecret := entry.Value.IsSecret() || c.IsPassword(entry.Key)
		if !c.FromStored(entry.Key) || entry.Value.Reveal() == "" || !isSecret ||
			c.isEndpointSetting(scope, entry.Key) {
			continue
		}
		if changedSetting := c.changedEndpoint(scope); changedSetting != "" {
			problems = append(problems, entry.Problem(
				"expected the secret itself, because %s differs from the stored configuration: a stored secret is "+
					"sent only where the stored configuration sends it",
				changedSetting))
		}
	}
	return append(problems, c.sharedCredentials()...)
}

// HasCompleteCredentials reports whether the credentials for the service are certainly not partly typed, as in a form
// that validates after each keystroke: they are stored for this endpoint, or are references. A user without a password
// is incomplete.
func (c ConfigChange) HasCompleteCredentials() bool {
	roles := c.New.Roles()
	isBegun := (roles.Text(role.User) != "" && roles.Text(role.Password) == "") ||
		(roles.Text(role.ProxyUser) != "" && roles.Text(role.ProxyPassword) == "")
	isTypedSecret := func(entry config.Entry) bool { // not a reference to a known provider
		return c.scope(entry.Key) == serviceScope && c.IsPassword(entry.Key) && setting.Trim(entry.Raw) != "" &&
			(!config.IsReference(entry.Raw) || c.New.Worker.Providers.HasUnknownProvider(entry))
	}
	return c.hasStoredCredentials() || (!isBegun && !slices.ContainsFunc(c.New.Entries, isTypedSecret))
}

func (c ConfigChange) hasStoredCredentials() bool {
	if c.Stored == nil || c.changedEndpoint(serviceScope) != "" {
		return false
	}
	current := c.New.Roles()
	stored := c.Stored.Roles()
	return !slices.ContainsFunc([]string{role.Auth, role.User, role.OAuth, role.Header, role.Query, role.Password,
		role.TLSKeyStore, role.ProxyUser, role.ProxyPassword, role.ProxyTokenClientID,
		role.ProxyTokenClientSecret}, func(name string) bool {
		return current.Text(name) != stored.Text(name) || (strings.HasSuffix(name, ".") &&
			!maps.Equal(current.Prefix(name), stored.Prefix(name)))
	})
}

func (c ConfigChange) scope(key string) secretScope {
	for _, scope := range prefixedScopes {
		if strings.HasPrefix(key, string(scope)) {
			return scope
		}
	}
	if prefix := resolved.StagePrefix(key); prefix != "" {
		return secretScope(prefix)
	}
	spec, declared := c.New.Class.Component.Table().Find(key)
	switch {
	case strings.HasPrefix(spec.Role(), role.Listener):
		return listenerScope
	case declared && !config.IsCommonSetting(key):
		return serviceScope
	}
	return noScope
}

// isEndpointSetting reports whether a setting of a scope decides where the scope's secrets go.
func (c ConfigChange) isEndpointSetting(scope secretScope, key string) bool {
	short, _ := strings.CutPrefix(key, string(scope))
	if slices.Contains(clientScopes, scope) {
		return isClientEndpoint(short)
	}
	if slices.Contains(converterScopes, scope) {
		registry, ok := strings.CutPrefix(short, "schema.registry.")
		if !ok {
			return strings.HasPrefix(short, "proxy.")
		}
		return registry == "url" || strings.HasPrefix(registry, "proxy.") || isClientEndpoint(registry)
	}
	if resolved.StagePrefix(key) != "" {
		return short == "type"
	}
	spec, _ := c.New.Class.Component.Table().Find(key)
	return isEndpointRole(scope, spec.Role())
}

// isClientEndpoint is isEndpointSetting for a Kafka client: everything about TLS and SASL but the credentials.
func isClientEndpoint(name string) bool {
	if !config.HasPrefix(name, []string{"bootstrap.servers", "security.", "ssl.", "sasl."}) {
		return false
	}
	return !config.HasPrefix(name, []string{"ssl.keystore.", "ssl.key.", "ssl.truststore.password", "sasl.jaas.config",
		"sasl.oauthbearer.client.credentials.", "sasl.oauthbearer.scope"})
}

// isEndpointRole is isEndpointSetting for a role. A header of SAP Connectivity selects the Cloud Connector.
func isEndpointRole(scope secretScope, name string) bool {
	if scope == listenerScope {
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
		name) || config.HasPrefix(strings.ToLower(name), []string{role.Proxy, role.Header + "sap-connectivity-"})
}

// changedEndpoint returns an endpoint setting of a scope that differs from the stored configuration, "" if none does.
func (c ConfigChange) changedEndpoint(scope secretScope) string {
	return c.differingEndpoint(scope, c.Stored)
}

// differingEndpoint is changedEndpoint for another configuration. A nil baseline has the worker's settings only.
func (c ConfigChange) differingEndpoint(scope secretScope, baseline *resolved.Connector) string {
	current := c.endpoints(scope, c.New)
	previous := c.endpoints(scope, baseline)
	names := slices.AppendSeq(slices.Collect(maps.Keys(previous)), maps.Keys(current))
	slices.Sort(names)
	for _, name := range names {
		value, ok := current[name]
		if other, stored := previous[name]; value != other || ok != stored {
			return c.settingName(scope, name)
		}
	}
	return ""
}

// settingName returns the user's name of an endpoint, which differs from its key in endpoints if that is a role.
func (c ConfigChange) settingName(scope secretScope, name string) string {
	if scope != serviceScope && scope != listenerScope {
		return name
	}
	for _, connector := range []*resolved.Connector{c.New, c.Stored} {
		if connector != nil {
			if named := connector.Roles().Setting(name); named != name {
				return named
			}
		}
	}
	return name
}

// endpoints returns the values of a scope's endpoint settings, by key or, for service and listener, by role. For Kafka
// clients the worker's settings are included, which the connector's override.
func (c ConfigChange) endpoints(scope secretScope, connector *resolved.Connector) map[string]string {
	endpoints := map[string]string{}
	if slices.Contains(clientScopes, scope) {
		for _, prefix := range []string{"", scope.workerPrefix()} {
			for name, value := range c.New.Worker.Prefixed(prefix) {
				if isClientEndpoint(name) {
					endpoints[string(scope)+name] = setting.Trim(value)
				}
			}
		}
	}
	if connector == nil {
		return endpoints
	}
	if scope == serviceScope || scope == listenerScope {
		roles := connector.Roles()
		for name := range roles.All() {
			if value := roles.Text(name); value != "" && isEndpointRole(scope, name) {
				endpoints[name] = value
			}
		}
		if scope == serviceScope {
			endpoints["connector.class"] = connector.Text("connector.class")
			endpoints[role.Scheme] = strings.ToLower(cmp.Or(endpoints[role.Scheme], "https"))
			endpoints[role.Address] = strings.ToLower(strings.Trim(endpoints[role.Address], "[]"))
			if endpoints[role.Port] == "" && endpoints[role.Destination] == "" {
				endpoints[role.Port] = map[string]string{"http": "80", "https": "443"}[endpoints[role.Scheme]]
			}
		}
		return endpoints
	}
	for _, entry := range connector.Entries {
		if strings.HasPrefix(entry.Key, string(scope)) && c.isEndpointSetting(scope, entry.Key) {
			endpoints[entry.Key] = setting.Trim(entry.Value.Reveal())
		}
	}
	return endpoints
}

// sharedCredentials checks credentials that do not belong to the connector: of a BTP destination, of a binding or
// service key of SAP Connectivity, and the worker's. They must not go to an endpoint that only the sender names.
func (c ConfigChange) sharedCredentials() (problems config.Problems) {
	const mustNotChange = "differs from the stored configuration: expected no change, because %s logs on with %s, " +
		"which must not be sent elsewhere"
	roles := c.New.Roles()
	entryOf := func(name string) config.Entry {
		entry, _ := c.New.Entry(roles.Setting(name))
		return entry
	}
	if c.changedEndpoint(serviceScope) != "" {
		for _, name := range slices.Sorted(roles.All()) {
			overrides := isEndpointRole(serviceScope, name) && name != role.Destination &&
				name != role.OAuthTokenEndpoint
			if roles.Has(role.Destination) && roles.IsSet(name) && roles.Has(name) && overrides {
				problems = append(problems, entryOf(name).Problem(mustNotChange, roles.Setting(role.Destination),
					"the credentials of the BTP destination"))
			}
		}
		if strings.HasPrefix(roles.Text(role.ProxyType), route.Connectivity) && roles.Has(role.ProxyAddress) &&
			!slices.ContainsFunc([]string{role.ProxyTokenURL, role.ProxyTokenClientID, role.ProxyTokenClientSecret,
				role.ProxyTokenCertificate, role.ProxyTokenKey}, roles.Has) {
			problems = append(problems, entryOf(role.ProxyAddress).Problem(mustNotChange, roles.Setting(role.ProxyType),
				"a service key or a binding of SAP Connectivity"))
		}
	}
	for _, scope := range clientScopes {
		// Without a configuration to compare with, endpoints that differ override the worker's brokers.
		if changedSetting := c.differingEndpoint(scope, nil); changedSetting != "" {
			problems = append(problems, c.workerCredentials(scope, changedSetting, c.changedEndpoint(scope) == "")...)
		}
	}
	return problems
}

// workerCredentials checks the worker's secrets at brokers that the setting endpoint names. With stored, the stored
// configuration names the same brokers, and what it uses there is accepted.
func (c ConfigChange) workerCredentials(scope secretScope, endpoint string, stored bool) (problems config.Problems) {
	lookup := func(name string) (value string, isOwn bool) {
		if value, isOwn = c.New.Get(string(scope) + name); !isOwn {
			value = cmp.Or(c.New.Worker.Prefixed(scope.workerPrefix())[name], c.New.Worker.Prefixed("")[name])
		}
		return setting.Trim(value), isOwn
	}
	protocol, _ := lookup("security.protocol")
	if !strings.HasPrefix(strings.ToUpper(protocol), "SASL") {
		return nil
	}
	secrets := []string{"sasl.jaas.config"}
	if mechanism, _ := lookup("sasl.mechanism"); strings.EqualFold(mechanism, "OAUTHBEARER") {
		secrets = append(secrets, "sasl.oauthbearer.client.credentials.client.secret")
	}
	for _, name := range secrets {
		if value, isOwn := lookup(name); value == "" || isOwn {
			continue
		}
		if stored {
			if _, ok := c.Stored.Get(string(scope) + name); !ok {
				continue
			}
		}
		entry, _ := c.New.Entry(endpoint)
		entry.Key = string(scope) + name
		problems = append(problems, entry.Problem(
			"expected the secret itself, because %s differs from the worker's: the worker's credentials are sent "+
				"only to its own brokers", endpoint))
	}
	return problems
}
