package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/wit"
)

// Checker checks connectors against declarations: Kafka Connect's own, and those of the connector's component.
type Checker struct {
	Worker *Worker
	// Embedded: the broker is the one that is built in.
	Embedded bool
}

// Component checks what can be said by declarations alone, without asking the plugin: values, what is missing, and unknown keys.
// Unknown keys under the component's own prefixes are errors (a misspelt filter would export the whole table), unless
// unknown.settings says warn; other unknown keys are warnings.
func (ch Checker) Component(c *Connector, component wit.Component) Problems {
	own := DeclareComponent(component)
	frame := Declare(CommonSettings(component.Kind)...)
	var problems Problems
	for _, e := range c.Entries {
		problems = append(problems, ch.entry(c, e, own, frame)...)
	}
	problems = append(problems, missing(c, frame)...)
	problems = append(problems, missing(c, own)...)
	problems = append(problems, place(c, own)...)
	problems = append(problems, frameRules(c, component.Kind)...)
	return problems
}

func (ch Checker) entry(c *Connector, e Entry, own, frame *Declarations) Problems {
	if text := connectorNotBuilt(e, ch.Embedded); text != "" {
		return Problems{e.problem("%s", text)}
	}
	spec, ok := own.Find(e.Key)
	if !ok {
		spec, ok = frame.Find(e.Key)
	}
	switch {
	case ok:
		problems := checkEntry(e, &spec)
		if value, unused := connectorUnused[e.Key]; unused && problems == nil && !strings.EqualFold(strings.TrimSpace(e.Value), value) {
			problems = Problems{e.warning("has no effect: not built yet")}
		}
		return problems
	case own.OwnPrefix(e.Key) != "":
		p := e.problem("%s", own.unknown(e.Key))
		p.Warning = strings.EqualFold(c.Setting("unknown.settings", ch.Worker), "warn")
		return Problems{p}
	case belongs(c, e.Key):
		return nil
	}
	both := Declare(joined(own.Specs(), frame.Specs())...)
	return Problems{e.warning("%s", both.unknown(e.Key))}
}

func checkEntry(e Entry, spec *wit.SettingSpec) Problems {
	if e.Secret && e.Value == "" {
		return nil // could not be resolved, which is a problem already
	}
	if text := CheckValue(spec, e.Value, !e.Secret); text != "" {
		return Problems{e.problem("%s", text)}
	}
	return nil
}

// belongs tells whether a key is a stage's that `transforms` or `predicates` name, a converter's, a topic creation group's or a
// client's: they are looked at where those are.
func belongs(c *Connector, key string) bool {
	if hasPrefix(key, []string{"key.converter.", "value.converter.", "header.converter.", "topic.creation.",
		"producer.override.", "consumer.override.", "admin.override."}) {
		return true
	}
	for _, list := range []string{"transforms", "predicates"} {
		for _, alias := range List(c.Text(list)) {
			if strings.HasPrefix(key, list+"."+alias+".") {
				return true
			}
		}
	}
	return false
}

// missing are the required settings that nobody gave. Templates can only be missing where validate says so.
func missing(c *Connector, d *Declarations) Problems {
	var problems Problems
	for _, spec := range d.Specs() {
		if !required(&spec) || spec.DefaultValue != nil || strings.Contains(spec.Name, "{") {
			continue
		}
		given := slices.ContainsFunc(append([]string{spec.Name}, aliases(&spec)...), func(name string) bool {
			_, ok := c.Get(name)
			return ok
		})
		if !given {
			problems = append(problems, c.missing(spec.Name))
		}
	}
	return problems
}

// place finds a service that is nowhere: settings with the roles of address and port are required unless a destination of BTP has
// both.
func place(c *Connector, d *Declarations) Problems {
	roles := NewRoles(d, c)
	if !roles.Declared("http.destination") || roles.Has("http.destination") {
		return nil
	}
	var problems Problems
	for _, role := range []string{"http.address", "http.port"} {
		if roles.Declared(role) && !roles.byRole[role].has {
			problems = append(problems, c.missing(roles.Setting(role)))
		}
	}
	return problems
}

func (c *Connector) missing(name string) Problem {
	return Problem{File: c.File, Line: 1, Setting: name, Text: "required setting is missing"}
}

// frameRules are Kafka Connect's own rules across settings.
func frameRules(c *Connector, kind wit.ComponentKind) Problems {
	var problems Problems
	if e, ok := c.Entry("name"); ok {
		name := strings.TrimSpace(e.Value)
		if name == "" || strings.ContainsFunc(name, unicode.IsControl) {
			problems = append(problems, e.problem("expected a name without control characters, found %q", name))
		}
	}
	if kind != wit.ComponentSink {
		return problems
	}
	topics, regex := List(c.Text("topics")), c.Text("topics.regex")
	entry, _ := c.Entry("topics.regex")
	switch {
	case len(topics) > 0 && regex != "":
		problems = append(problems, entry.problem("expected either topics or topics.regex, found both"))
	case regex != "":
		if _, err := regexp.Compile(regex); err != nil {
			problems = append(problems, entry.problem("expected a regular expression: %v", err))
		}
	}
	if dead := c.Text("errors.deadletterqueue.topic.name"); dead != "" && slices.Contains(topics, dead) {
		e, _ := c.Entry("errors.deadletterqueue.topic.name")
		problems = append(problems, e.problem("expected a topic that is not among topics, found %q", dead))
	}
	return problems
}

// Part checks the settings of a transform or predicate: values and what is missing. Unknown keys are warnings.
func (ch Checker) Part(c *Connector, prefix string, component wit.Component) Problems {
	part, own := c.Part(prefix), DeclareComponent(component)
	var problems Problems
	for _, e := range part.Entries {
		spec, ok := own.Find(e.Key)
		if ok {
			problems = append(problems, checkEntry(e, &spec)...)
			continue
		}
		p := e.problem("%s", own.unknown(e.Key))
		p.Warning = own.OwnPrefix(e.Key) == ""
		problems = append(problems, p)
	}
	problems = append(problems, missing(part, own)...)
	for i := range problems {
		problems[i].Setting = prefix + problems[i].Setting
	}
	return problems
}

// Examined turns what a plugin's validate said into problems, each at the line of its setting. What this package found about a
// setting itself goes before what the plugin says of it, and of a password that was given a plugin can know nothing.
func Examined(c *Connector, prefix string, examined []wit.Examined, found Problems) Problems {
	var problems Problems
	for _, x := range examined {
		name := prefix + x.Spec.Name
		if slices.ContainsFunc(found, func(p Problem) bool { return p.Setting == name && !p.Warning }) {
			continue
		}
		e, ok := c.Entry(name)
		if ok && x.Spec.Kind == wit.KindPassword {
			continue
		}
		if !ok {
			e = Entry{Key: name, File: c.File, Line: 1}
		}
		for _, text := range x.Errors {
			problems = append(problems, e.problem("%s", text))
		}
	}
	return problems
}
