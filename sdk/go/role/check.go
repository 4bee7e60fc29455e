package role

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Finding is a problem with the roles of a declaration. It is advice unless Fatal or Invalid is set.
type Finding struct {
	// Fatal prevents the plugin from being loaded: a value could go to another destination than its setting describes.
	Fatal bool
	// Invalid means that the declaration violates the contract. The host handles it in the safe way.
	Invalid bool
	// Setting is the name of the setting. "" means that the problem concerns the component.
	Setting string
	// Text describes the problem.
	Text string
}

func (f Finding) String() string {
	if f.Setting == "" {
		return f.Text
	}
	return "setting " + f.Setting + ": " + f.Text
}

// Only these roles may contain a placeholder: the user chooses the name of the header or parameter.
const (
	anyHeader = Header + "{name}"
	anyQuery  = Query + "{name}"
)

// Check returns the problems of the roles that a component assigns to its settings.
func Check(component *wit.Component) (findings []Finding) {
	sendsRequests := component.Kind == wit.ComponentSource || component.Kind == wit.ComponentSink
	settingByRole := map[string]string{}
	for i := range component.Settings {
		key := &component.Settings[i]
		var roles []string
		for _, r := range key.Rules {
			if r.Role != nil {
				roles = append(roles, *r.Role)
			}
		}
		switch {
		case len(roles) > 1:
			findings = append(findings, Finding{Fatal: true, Invalid: true, Setting: key.Name,
				Text: "expected one role, found " + strings.Join(roles, ", ")})
			continue
		case len(roles) == 0 && key.Kind == wit.KindPassword:
			findings = append(findings, Finding{Setting: key.Name,
				Text: "is a password without a role: neither plugin nor host uses its value"})
			continue
		case len(roles) == 0:
			continue
		case !sendsRequests:
			findings = append(findings, Finding{Invalid: true, Setting: key.Name,
				Text: "has the role " + roles[0] + ": only settings of sources and sinks have roles"})
		}
		declared, _ := Find(roles[0])
		if other, ok := settingByRole[roles[0]]; ok && !declared.Multiple {
			findings = append(findings, Finding{Fatal: true, Invalid: true, Setting: key.Name,
				Text: "has the role " + roles[0] + ", which " + other +
					" has too: expected one setting with this role"})
		}
		settingByRole[roles[0]] = key.Name
		findings = append(findings, checkRole(key, roles[0])...)
	}
	if sendsRequests && settingByRole[Address] == "" {
		findings = append(findings, Finding{Text: "no setting has the role " + Address + ": the host does not know " +
			"where to send the requests of this " + component.Kind.String()})
	}
	return findings
}

// checkRole checks the role of one setting.
func checkRole(key *wit.ConfigKey, name string) []Finding {
	role, isKnown := Find(name)
	invalid := func(text string) []Finding { return []Finding{{Invalid: true, Setting: key.Name, Text: text}} }
	fatal := func(text string) []Finding {
		return []Finding{{Fatal: true, Invalid: true, Setting: key.Name, Text: text}}
	}
	isPlaceholder := name == anyHeader || name == anyQuery
	switch {
	case strings.Contains(name, "{") && (!isPlaceholder || !strings.HasSuffix(key.Name, "{name}")):
		return fatal("has the role " + name + ": expected no placeholder, except " + anyHeader + " and " + anyQuery +
			" after a name that ends with {name}")
	case strings.Contains(key.Name, "{") && !isPlaceholder && !role.Multiple:
		return fatal("is a template and has the role " + name + ", which only one setting may have")
	case !isKnown:
		return invalid("has the role " + name + ", which is unknown" + suggestRole(name))
	case !role.accepts(key.Kind) && key.Kind == wit.KindPassword:
		return fatal("is a password with the role " + name + ", whose values are shown: expected the kind " +
			role.Kind.String())
	case !role.accepts(key.Kind) && role.Kind == Secret:
		return invalid("has the role " + name + ": expected the kind " + role.Kind.String() +
			"; no plugin sees its value")
	case !role.accepts(key.Kind):
		return invalid("has the role " + name + ": expected the kind " + role.Kind.String())
	case key.DefaultValue != nil && !role.AcceptsDefault(*key.DefaultValue):
		return []Finding{{Setting: key.Name, Text: "its default " + strconv.Quote(*key.DefaultValue) +
			" has no effect: " + name + " must be set by the user" + role.defaultNote()}}
	}
	return nil
}

// AcceptsDefault reports whether a plugin's default has an effect, or is the value that the host uses anyway.
func (r Role) AcceptsDefault(value string) bool {
	if r.Name == Port && (value == "443" || value == "80") {
		return true // the host derives them from the scheme
	}
	return r.PluginDefault || value == "" || strings.EqualFold(value, r.HostDefault)
}

func (r Role) defaultNote() string {
	if r.HostDefault == "" {
		return ""
	}
	return ", else it is " + r.HostDefault
}

// suggestRole returns the end of a message about an unknown role: a role with the same last part, if there is one.
func suggestRole(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	index := slices.IndexFunc(All, func(r Role) bool { return strings.HasSuffix(r.Name, "."+last) })
	if index < 0 {
		return "; see wit/roles.md"
	}
	return ": did you mean " + All[index].Name + "? See wit/roles.md"
}
