package role

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Finding is something wrong with the roles of a declaration.
type Finding struct {
	// Refused keeps the plugin from being loaded: a value could go elsewhere than where its setting says.
	Refused bool
	// Wrong breaks the contract. Where it is not refused, the host takes the safe side. What is neither is advice.
	Wrong bool
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
		given := names(s)
		switch {
		case len(given) > 1:
			findings = append(findings, Finding{true, true, s.Name, "expected one role, found " + strings.Join(given,
				", ")})
			continue
		case len(given) == 0 && s.Kind == wit.KindPassword:
			findings = append(findings, Finding{Setting: s.Name,
				Text: "is a password without a role: no plugin sees its value, and the host does nothing with it"})
			continue
		case len(given) == 0:
			continue
		case !connects:
			findings = append(findings, Finding{Wrong: true, Setting: s.Name,
				Text: "has the role " + given[0] + ": the host uses settings of sources and sinks alone"})
		}
		if before, ok := settings[given[0]]; ok && !many(given[0]) {
			findings = append(findings, Finding{true, true, s.Name, "has the role " + given[0] + ", which " + before +
				" has: expected one setting for it"})
		}
		settings[given[0]] = s.Name
		findings = append(findings, one(s, given[0])...)
	}
	findings = append(findings, loginLacks(c, settings)...)
	if connects && settings[Address] == "" {
		findings = append(findings, Finding{Text: "no setting has the role " + Address + ": the host does not know " +
			"where to send the requests of this " + c.Kind.String()})
	}
	return findings
}

// loginLacks are the roles without which the host makes no login exchange, where a component gives some of its roles.
func loginLacks(c *wit.Component, settings map[string]string) (findings []Finding) {
	for i := range c.Settings {
		s := &c.Settings[i]
		given := names(s)
		if len(given) != 1 || !strings.HasPrefix(given[0], Login) {
			continue
		}
		for _, other := range loginNeeds {
			if settings[other] == "" {
				findings = append(findings, Finding{Setting: s.Name,
					Text: "has the role " + given[0] + ", and no setting has " + other +
						": the host makes no login exchange without"})
			}
		}
		return findings
	}
	return nil
}

// loginNeeds are the roles that a login exchange needs.
var loginNeeds = []string{Login + "target", Login + "body", Login + "token-path", "http.user", "http.password"}

func many(name string) bool {
	r, _ := Find(name)
	return r.Many
}

// names are the roles that a declaration gives.
func names(s *wit.ConfigKey) (roles []string) {
	for _, r := range s.Rules {
		if r.Role != nil {
			roles = append(roles, *r.Role)
		}
	}
	return roles
}

// one checks the role of one setting.
func one(s *wit.ConfigKey, name string) []Finding {
	r, known := Find(name)
	wrong := func(refused bool, text string) []Finding { return []Finding{{refused, true, s.Name, text}} }
	anyName := name == anyHeader || name == anyQuery
	switch {
	case strings.Contains(name, "{") && (!anyName || !strings.HasSuffix(s.Name, "{name}")):
		return wrong(true, "has the role "+name+": expected no placeholder, but for "+anyHeader+" and "+anyQuery+
			" after a name that ends with {name}")
	case strings.Contains(s.Name, "{") && !anyName && !r.Many:
		return wrong(true, "stands for many settings and has the role "+name+", which is for one")
	case !known:
		return wrong(false, "has the role "+name+", which the host does not know"+nearest(name))
	case !r.fits(s.Kind) && s.Kind == wit.KindPassword:
		return wrong(true, "is a password with the role "+name+", whose values are shown: expected the kind "+
			r.Kind.String())
	case !r.fits(s.Kind) && r.Kind == Secret:
		return wrong(false, "has the role "+name+": expected the kind "+r.Kind.String()+"; no plugin sees its value")
	case !r.fits(s.Kind):
		return wrong(false, "has the role "+name+": expected the kind "+r.Kind.String())
	case s.DefaultValue != nil && !r.Counts(*s.DefaultValue):
		return []Finding{{Setting: s.Name, Text: "its default " + strconv.Quote(*s.DefaultValue) + " does not count: " +
			name + " comes from the user alone" + r.otherwise()}}
	}
	return nil
}

// Counts tells whether the default of a plugin comes to anything: where none counts, that is so for what the host goes
// by itself.
func (r Role) Counts(value string) bool {
	if r.Name == Port && (value == "443" || value == "80") {
		return true // the host knows them by the scheme
	}
	return r.Default || value == "" || strings.EqualFold(value, r.Own)
}

func (r Role) otherwise() string {
	if r.Own == "" {
		return ""
	}
	return ", else it is " + r.Own
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
