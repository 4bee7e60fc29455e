package config

import (
	"log/slog"
	"sort"
	"strings"
	"time"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Roles are the settings of a connector that the host acts on, by what they are for (`http.address`, `retry.codes`) and
// never by name. Defaults of the plugin are in where one counts for the role, see package role: where a byte goes, and
// what secures it, comes from the user alone. They hold secrets, and show none when printed.
type Roles struct{ byRole map[string]roleValue }

type roleValue struct {
	spec  wit.ConfigKey
	value string
	given bool
	has   bool
}

// NewRoles collects the settings with a role of a component. Declarations whose name is a template take part only where
// the connector gives a value; the first declaration of a role counts.
func NewRoles(d *Declarations, c *Connector) Roles {
	r := Roles{map[string]roleValue{}}
	for _, spec := range d.Keys() {
		name := spec.Role()
		if name == "" || r.byRole[name].given || strings.Contains(spec.Name, "{") {
			continue
		}
		v := roleValue{spec: spec}
		if known, ok := role.Find(name); ok && known.Default && spec.DefaultValue != nil {
			v.value, v.has = *spec.DefaultValue, true
		}
		for _, key := range spec.Names() {
			if given, ok := c.Get(key); ok {
				v.value, v.given, v.has = setting.Trim(given), true, true
				break
			}
		}
		if v.has && spec.Kind != wit.KindPassword {
			if s, ok := setting.Spelling(&spec, v.value); ok {
				v.value = s
			}
		}
		if _, ok := r.byRole[name]; !ok || v.given {
			r.byRole[name] = v
		}
	}
	for _, e := range c.Entries {
		if d.Declares(e.Key) {
			continue
		}
		if spec, ok := d.Find(e.Key); ok && spec.Role() != "" && !r.byRole[spec.Role()].given {
			value := setting.Trim(e.Value.Reveal())
			r.byRole[spec.Role()] = roleValue{spec: spec, value: value, given: true, has: true}
		}
	}
	return r
}

// Roles returns the connector's settings by the roles that a component declares, see [NewRoles].
func (c *Connector) Roles(component wit.Component) Roles {
	return NewRoles(DeclareComponent(component), c)
}

// Declared tells whether any setting has the role.
func (r Roles) Declared(role string) bool {
	_, ok := r.byRole[role]
	return ok
}

// IsSet tells whether the user gave the role a value, be it empty.
func (r Roles) IsSet(role string) bool { return r.byRole[role].given }

// Has tells whether the role has a value, by the user or by default, that is not empty.
func (r Roles) Has(role string) bool { return r.byRole[role].value != "" }

// Text is the role's value, "" if it has none.
func (r Roles) Text(role string) string { return r.byRole[role].value }

// Setting is the name of the setting with that role, for errors; the role itself if nobody declares it.
func (r Roles) Setting(role string) string {
	if v, ok := r.byRole[role]; ok {
		return v.spec.Name
	}
	return role
}

// Int is the role's value as a number, 0 if it has none. Values were checked before roles are made.
func (r Roles) Int(role string) int {
	n, _ := setting.Integer(wit.KindLong, r.byRole[role].value)
	return int(n)
}

// Duration is the role's value, given in milliseconds; 0 if it has none.
func (r Roles) Duration(role string) time.Duration { return setting.Milliseconds(int64(r.Int(role))) }

// Prefix is the values of all roles that begin so and have one, by what follows the prefix: Prefix("http.header.") may
// hold "sap-client".
func (r Roles) Prefix(prefix string) map[string]string {
	values := map[string]string{}
	for role, v := range r.byRole {
		if strings.HasPrefix(role, prefix) && v.value != "" {
			values[strings.TrimPrefix(role, prefix)] = v.value
		}
	}
	return values
}

// String names the roles that have a value, without the values.
func (r Roles) String() string {
	var names []string
	for role, v := range r.byRole {
		if v.has {
			names = append(names, role)
		}
	}
	sort.Strings(names)
	return "roles(" + strings.Join(names, " ") + ")"
}

// LogValue is String.
func (r Roles) LogValue() slog.Value { return slog.StringValue(r.String()) }
