package console

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// formStep is a part of the form: the fields of the service, of its sets, or of Kafka.
type formStep struct {
	ID       string
	Title    string
	Groups   []formGroup
	Problems int // number of fields with errors
}

// formGroup has the fields of a declared group. Fields are those that most connectors need, that are set, or that have
// an error; More are the others.
type formGroup struct {
	Name   string
	Fields []formField
	More   []formField
	IsNext bool // an entity set without settings, besides the first: it is shown after a user has added it
	// The following are not empty for a set of a source, of which rows can be shown.
	Service string
	Set     string
	SetName string // the setting of Set
}

// The steps by their index, and their number.
const (
	serviceStep = iota
	setsStep
	kafkaStep
	allSteps
)

// serviceGroups and kafkaPrefixes assign settings to steps: by the group that a plugin declares, and by the name that
// Kafka Connect gives. All others belong to the sets.
var (
	serviceGroups = []string{"Service destination", "Authentication", "Proxy", "TLS", "Load"}
	kafkaPrefixes = []string{"key.converter", "value.converter", "header.converter", "transforms", "predicates",
		"errors.", "topic", "producer.", "consumer.", "admin.", "tasks.max", "config.", "connector.",
		"unknown.settings", "task.auto.restart", "exactly.once", "transaction.", "offsets.", "on.delete", "tracing."}
)

func stepOf(name, group string) int {
	switch {
	case name == "name", slices.Contains(serviceGroups, group):
		return serviceStep
	case slices.ContainsFunc(kafkaPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }):
		return kafkaStep
	}
	return setsStep
}

// formField is a setting with its value.
type formField struct {
	check.Validated
	Text    string   // the value in the text; "" if it is absent or a secret
	IsSet   bool     // the text has the setting
	Secret  bool     // the value is not sent to the browser
	Note    string   // that a logon was not tried, which is no error
	Choices []string // the values besides the default; nil means that the value is typed
}

// Label returns the declared label, or the name of the setting if it has no label.
func (f formField) Label() string { return cmp.Or(f.Definition.DisplayName, f.Definition.Name) }

// SeveralLines reports whether the value has line ends, which an input field cannot hold.
func (f formField) SeveralLines() bool { return oneLine(f.Text) != f.Text }

const maxProposals = 500

// proposals returns the values to propose: at most maxProposals, if possible those that contain the typed text.
func proposals(values []string, typed string) []string {
	if len(values) > maxProposals && typed != "" {
		typed = strings.ToLower(typed)
		matching := slices.DeleteFunc(slices.Clone(values), func(value string) bool {
			return !strings.Contains(strings.ToLower(value), typed)
		})
		if len(matching) > 0 {
			values = matching
		}
	}
	return values[:min(len(values), maxProposals)]
}

// setChoices sets the choices of a setting with a fixed set of values. They include the stored value, whatever it is:
// it may be a reference.
func (f *formField) setChoices() {
	values := f.Value.AllowedValues
	switch {
	case f.Definition.Type == "BOOLEAN":
		values = []string{"true", "false"}
	case values == nil || f.Definition.Type == "LIST":
		return
	case slices.Equal(values, setting.BoolValues):
		values = []string{"0", "1"} // as the documentation has them
	}
	// Without the default, which the page offers as the choice that sets nothing.
	f.Choices = slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		return value == "" || (f.Definition.DefaultValue != nil && value == *f.Definition.DefaultValue)
	})
	if f.Text != "" && !slices.Contains(f.Choices, f.Text) {
		f.Choices = append(f.Choices, f.Text)
	}
}

// formSteps returns the steps of a form. Empty fields have errors only in the first steps, whose number is revealed.
func formSteps(v check.Validation, settings map[string]string, revealed int) []formStep {
	steps := []formStep{{ID: "service", Title: "Service"}, {ID: "sets", Title: "Sets"}, {ID: "kafka", Title: "Kafka"}}
	for _, validated := range v.Configs {
		definition := validated.Definition
		f := newFormField(validated, settings)
		if !f.IsSet && !validated.Value.Visible {
			continue
		}
		group := "Other settings"
		if definition.Group != nil && *definition.Group != "" {
			group = *definition.Group
		}
		step := stepOf(definition.Name, group)
		if step >= revealed && settings[definition.Name] == "" {
			f.Value.Errors = nil
		}
		steps[step].add(f, group)
	}
	isSink := slices.ContainsFunc(v.Configs, func(c check.Validated) bool { return c.Definition.Name == "topics" })
	for i := range steps[setsStep].Groups {
		if !isSink {
			steps[setsStep].Groups[i].findSet()
		}
	}
	for i := range steps {
		sortGroups(steps[i].Groups, v.Groups)
	}
	for i := range steps[setsStep].Groups {
		g := &steps[setsStep].Groups[i]
		g.IsNext = i > 0 && slices.ContainsFunc(g.Fields, isSetName) && !slices.ContainsFunc(g.Fields, formField.isUsed)
	}
	return steps
}

// newFormField returns the field of a setting, with its value in settings.
func newFormField(validated check.Validated, settings map[string]string) formField {
	f := formField{Validated: validated}
	f.Text, f.IsSet = settings[validated.Definition.Name]
	if (validated.Definition.Type == "PASSWORD" && !config.IsReference(f.Text)) || f.Text == config.Mask {
		f.Secret = true
		f.Text = ""
	}
	i := slices.IndexFunc(f.Value.Errors, func(e string) bool { return strings.HasPrefix(e, check.LogonNotTried) })
	if i >= 0 {
		f.Note = f.Value.Errors[i]
		f.Value.Errors = slices.Delete(slices.Clone(f.Value.Errors), i, i+1)
	}
	f.Value.RecommendedValues = proposals(validated.Value.RecommendedValues, f.Text)
	f.setChoices()
	return f
}

// sortGroups sorts groups as they are declared: entity sets before all others, undeclared groups after them.
func sortGroups(groups []formGroup, declared []string) {
	order := func(g formGroup) int {
		i := slices.Index(declared, g.Name)
		switch {
		case slices.ContainsFunc(g.Fields, isSetName):
			return i - len(declared)
		case i < 0:
			return len(declared)
		}
		return i
	}
	slices.SortStableFunc(groups, func(a, b formGroup) int { return cmp.Compare(order(a), order(b)) })
}

// isUsed reports whether the setting must be seen: it is set, or has an error.
func (f formField) isUsed() bool { return f.IsSet || len(f.Value.Errors) > 0 }

func isSetName(f formField) bool { return strings.HasSuffix(f.Definition.Name, ".entityset") }

// findSet sets Service, Set and SetName from the fields of the group, if it is the group of an entity set.
func (g *formGroup) findSet() {
	for _, f := range g.Fields {
		switch {
		case strings.HasSuffix(f.Definition.Name, ".service"):
			g.Service = f.Text
		case isSetName(f):
			g.Set = f.Text
			g.SetName = f.Definition.Name
		}
	}
}

func (s *formStep) add(f formField, group string) {
	i := slices.IndexFunc(s.Groups, func(g formGroup) bool { return g.Name == group })
	if i < 0 {
		i = len(s.Groups)
		s.Groups = append(s.Groups, formGroup{Name: group})
	}
	g := &s.Groups[i]
	if len(f.Value.Errors) > 0 {
		s.Problems++
	}
	if f.Definition.Required || f.Definition.Importance == "HIGH" || f.isUsed() {
		g.Fields = append(g.Fields, f)
	} else {
		g.More = append(g.More, f)
	}
}

// nextStep returns the step after the one at an index. The last one is the review, which has no fields.
func nextStep(steps []formStep, n int) formStep {
	if n+1 < len(steps) {
		return steps[n+1]
	}
	return formStep{ID: "review", Title: "Review"}
}

// oneLine returns a value without line ends, which an input field cannot hold.
func oneLine(value string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(value) }
