package resolved

import (
	"iter"
	"log/slog"
	"maps"
	"sort"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Roles are the settings of a connector that the host uses, such as address and password of the service. The host finds
// them by role (`http.address`), never by name. A plugin's default counts only if package role allows it: only the user
// may decide where data are sent. Roles contain secrets and never print them.
type Roles struct{ byRole map[string]roleValue }

type roleValue struct {
	spec  *wit.ConfigKey
	value string
	isSet bool // by the user
	has   bool // set, or a default that counts
}

// NewRoles collects settings with a role. Of several declarations of a role the first one with a value of the user
// counts, else the first one. Templates count only with a value.
func NewRoles(declarations *setting.Table, connector *config.Connector) Roles {
	r := Roles{map[string]roleValue{}}
	for i := range declarations.Keys() {
		spec := &declarations.Keys()[i]
		name := spec.Role()
		if name == "" || r.byRole[name].isSet || strings.Contains(spec.Name, "{") {
			continue
		}
		candidate := roleValue{spec: spec}
		if definition, ok := role.Find(name); ok && definition.PluginDefault && spec.DefaultValue != nil {
			candidate.value = *spec.DefaultValue
			candidate.has = true
		}
		for _, key := range spec.Names() {
			if configured, ok := connector.Get(key); ok {
				candidate.value = setting.Trim(configured)
				candidate.isSet = true
				candidate.has = true
				break
			}
		}
		if candidate.has && spec.Kind != wit.KindPassword {
			if s, ok := setting.Canonical(spec, candidate.value); ok {
				candidate.value = s
			}
		}
		if _, ok := r.byRole[name]; !ok || candidate.isSet {
			r.byRole[name] = candidate
		}
	}
	for _, entry := range connector.Entries { // those that match a template
		if declarations.Declares(entry.Key) {
			continue
		}
		if spec, ok := declarations.Find(entry.Key); ok && spec.Role() != "" && !r.byRole[spec.Role()].isSet {
			value := setting.Trim(entry.Value.Reveal())
			r.byRole[spec.Role()] = roleValue{spec: &spec, value: value, isSet: true, has: true}
		}
	}
	return r
}

// Declared reports whether a setting has the role.
func (r Roles) Declared(role string) bool {
	_, ok := r.byRole[role]
	return ok
}

// Spec returns the declaration of the role, nil if no setting has it, and whether it has a value or a default that
// counts.
func (r Roles) Spec(role string) (spec *wit.ConfigKey, hasValue bool) {
	value := r.byRole[role]
	return value.spec, value.has
}

// All returns the roles of all settings, in any order.
func (r Roles) All() iter.Seq[string] { return maps.Keys(r.byRole) }

// IsSet reports whether the user set the role, perhaps to an empty value.
func (r Roles) IsSet(role string) bool { return r.byRole[role].isSet }

// Has reports whether the role has a nonempty value or default.
func (r Roles) Has(role string) bool { return r.byRole[role].value != "" }

// Text returns the role's value, empty if it has none.
func (r Roles) Text(role string) string { return r.byRole[role].value }

// Setting returns the name of the role's setting, for errors, or the role itself.
func (r Roles) Setting(role string) string {
	if value, ok := r.byRole[role]; ok {
		return value.spec.Name
	}
	return role
}

// Int returns the role's value as a number, 0 if it has none. Values were checked before.
func (r Roles) Int(role string) int {
	n, _ := setting.ParseInt(wit.KindLong, r.byRole[role].value)
	return int(n)
}

// Duration returns the role's value in milliseconds, 0 if it has none.
func (r Roles) Duration(role string) time.Duration { return setting.Milliseconds(int64(r.Int(role))) }

// Prefix returns nonempty values by the rest of the role: Prefix("http.header.") may have "sap-client".
func (r Roles) Prefix(prefix string) map[string]string {
	values := map[string]string{}
	for role, value := range r.byRole {
		if strings.HasPrefix(role, prefix) && value.value != "" {
			values[strings.TrimPrefix(role, prefix)] = value.value
		}
	}
	return values
}

// String returns the roles that have a value, without the values.
func (r Roles) String() string {
	var names []string
	for role, value := range r.byRole {
		if value.has {
			names = append(names, role)
		}
	}
	sort.Strings(names)
	return "roles(" + strings.Join(names, " ") + ")"
}

// LogValue implements [slog.LogValuer].
func (r Roles) LogValue() slog.Value { return slog.StringValue(r.String()) }
