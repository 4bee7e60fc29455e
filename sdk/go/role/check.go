package role

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Finding is something wrong with the roles of a declaration.
type Finding struct {
	// Fatal keeps the plugin from being loaded: a value could go elsewhere than where its setting says.
	Fatal bool
	// Invalid breaks the contract. Where it is not refused, the host takes the safe side. What is neither is advice.
	Invalid bool
	// Setting is "" where it is about the component.
	Setting, Text string
}

func (f Finding) String() string {
	if f.Setting == "" {
		return f.Text
	}
	return "setting " + f.Setting + ": " + f.Text
}

// anyHeader and anyQuery are the only roles that may stand for many: the name of the header, or of the parameter, is
// what the user writes.
const (
	anyHeader = Header + "{name}"
	anyQuery  = Query + "{name}"
)

// Check finds what is wrong with the roles that a component gives to its settings.
func Check(c *wit.Component) (findings []Finding) {
	connects := c.Kind == wit.ComponentSource || c.Kind == wit.ComponentSink
	settings := map[string]string{} // by role
	for i := range c.Settings {
		s := &c.Settings[i]
		roles := rolesOf(s)
		switch {
		case len(roles) > 1:
			findings = append(findings, Finding{true, true, s.Name, "expected one role, found " + strings.Join(roles,
				", ")})
			continue
		case len(roles) == 0 && s.Kind == wit.KindPassword:
			findings = append(findings, Finding{Setting: s.Name,
				Text: "is a password without a role: no plugin sees its value, and the host does nothing with it"})
			continue
		case len(roles) == 0:
			continue
		case !connects:
			findings = append(findings, Finding{Invalid: true, Setting: s.Name,
				Text: "has the role " + roles[0] + ": the host uses settings of sources and sinks alone"})
		}
		if before, ok := settings[roles[0]]; ok && !allowsMultiple(roles[0]) {
			findings = append(findings, Finding{true, true, s.Name, "has the role " + roles[0] + ", which " + before +
				" has: expected one setting for it"})
		}
		settings[roles[0]] = s.Name
		findings = append(findings, checkRole(s, roles[0])...)
	}
	findings = append(findings, missingLoginRoles(c, settings)...)
	if connects && settings[Address] == "" {
		findings = append(findings, Finding{Text: "no setting has the role " + Address + ": the host does not know " +
			"where to send the requests of this " + c.Kind.String()})
	}
	return findings
}

// missingLoginRoles are the roles without which the host makes no login exchange, where a component gives some of its
// roles.
func missingLoginRoles(c *wit.Component, settings map[string]string) (findings []Finding) {
	for i := range c.Settings {
		s := &c.Settings[i]
		roles := rolesOf(s)
		if len(roles) != 1 || !strings.HasPrefix(roles[0], Login) {
			continue
		}
		for _, other := range loginRoles {
			if settings[other] == "" {
				findings = append(findings, Finding{Setting: s.Name,
					Text: "has the role " + roles[0] + ", and no setting has " + other +
						": the host makes no login exchange without"})
			}
		}
		return findings
	}
	return nil
}

// loginRoles are the roles that a login exchange needs.
var loginRoles = []string{Login + "target", Login + "body", Login + "token-path", "http.user", "http.password"}

func allowsMultiple(name string) bool {
	r, _ := Find(name)
	return r.Multiple
}

// rolesOf are the roles that a declaration gives.
func rolesOf(s *wit.ConfigKey) (roles []string) {
	for _, r := range s.Rules {
		if r.Role != nil {
			roles = append(roles, *r.Role)
		}
	}
	return roles
}

// checkRole checks the role of one setting.
func checkRole(s *wit.ConfigKey, name string) []Finding {
	r, known := Find(name)
	finding := func(refused bool, text string) []Finding { return []Finding{{refused, true, s.Name, text}} }
	anyName := name == anyHeader || name == anyQuery
	switch {
	case strings.Contains(name, "{") && (!anyName || !strings.HasSuffix(s.Name, "{name}")):
		return finding(true, "has the role "+name+": expected no placeholder, but for "+anyHeader+" and "+anyQuery+
			" after a name that ends with {name}")
	case strings.Contains(s.Name, "{") && !anyName && !r.Multiple:
		return finding(true, "stands for many settings and has the role "+name+", which is for one")
	case !known:
		return finding(false, "has the role "+name+", which the host does not know"+nearest(name))
	case !r.accepts(s.Kind) && s.Kind == wit.KindPassword:
		return finding(true, "is a password with the role "+name+", whose values are shown: expected the kind "+
			r.Kind.String())
	case !r.accepts(s.Kind) && r.Kind == Secret:
		return finding(false, "has the role "+name+": expected the kind "+r.Kind.String()+"; no plugin sees its value")
	case !r.accepts(s.Kind):
		return finding(false, "has the role "+name+": expected the kind "+r.Kind.String())
	case s.DefaultValue != nil && !r.AcceptsDefault(*s.DefaultValue):
		return []Finding{{Setting: s.Name, Text: "its default " + strconv.Quote(*s.DefaultValue) + " does not count: " +
			name + " comes from the user alone" + r.defaultNote()}}
	}
	return nil
}

// AcceptsDefault tells whether the default of a plugin comes to anything: where none counts, that is so for what the
// host goes by itself.
func (r Role) AcceptsDefault(value string) bool {
	if r.Name == Port && (value == "443" || value == "80") {
		return true // the host knows them by the scheme
	}
	return r.PluginDefault || value == "" || strings.EqualFold(value, r.HostDefault)
}

func (r Role) defaultNote() string {
	if r.HostDefault == "" {
		return ""
	}
	return ", else it is " + r.HostDefault
}

// nearest names the role that was meant, as it seems: one that differs by what stands in front of the last dot, or
// after it.
func nearest(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	at := slices.IndexFunc(All, func(r Role) bool { return strings.HasSuffix(r.Name, "."+last) })
	if at < 0 {
		return "; see wit/roles.md"
	}
	return ": is it " + All[at].Name + "? See wit/roles.md"
}
