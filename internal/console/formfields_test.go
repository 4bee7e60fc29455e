package console

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check"
)

// newValidation returns declared settings of all steps. The first has an error.
func newValidation() check.Validation {
	service := "Service destination"
	sets := "Entity set 00"
	return check.Validation{Groups: []string{service, sets}, Configs: []check.Validated{
		{
			Definition: check.Definition{Name: "a", Group: &service, Importance: "HIGH"},
			Value:      check.Value{Visible: true, Errors: []string{"missing"}},
		},
		{
			Definition: check.Definition{Name: "hidden", Group: &service},
		},
		{
			Definition: check.Definition{Name: "rare", Group: &service, Importance: "LOW"},
			Value:      check.Value{Visible: true},
		},
		{
			Definition: check.Definition{Name: "b", Group: &sets, DisplayName: "The set", Importance: "HIGH"},
			Value:      check.Value{Visible: true},
		},
		{
			Definition: check.Definition{Name: "errors.tolerance", Required: true},
			Value:      check.Value{Visible: true},
		},
	}}
}

// Settings are in the step that they belong to.
func TestSettingsAreInTheirSteps(t *testing.T) {
	steps := formSteps(newValidation(), map[string]string{}, allSteps)
	assert.Equal(t, 1, steps[serviceStep].Problems)
	assert.Equal(t, "The set", steps[setsStep].Groups[0].Fields[0].Label())
	assert.Equal(t, "errors.tolerance", steps[kafkaStep].Groups[0].Fields[0].Label())
}

// Required and important settings, and those that are set or have an error, are not among the folded ones.
func TestNeededSettingsAreNotFolded(t *testing.T) {
	v := check.Validation{}
	add := func(name, importance string, isRequired bool, problems ...string) {
		v.Configs = append(v.Configs, check.Validated{
			Definition: check.Definition{Name: name, Importance: importance, Required: isRequired},
			Value:      check.Value{Visible: true, Errors: problems},
		})
	}
	add("important", "HIGH", false)
	add("required", "LOW", true)
	add("set", "LOW", false)
	add("set.empty", "MEDIUM", false)
	add("wrong", "MEDIUM", false, "it is wrong")
	add("medium", "MEDIUM", false)
	add("low", "LOW", false)
	group := formSteps(v, map[string]string{"set": "x", "set.empty": ""}, allSteps)[setsStep].Groups[0]
	assert.Equal(t, []string{"important", "required", "set", "set.empty", "wrong"}, labels(group.Fields))
	assert.Equal(t, []string{"medium", "low"}, labels(group.More))
}

func labels(fields []formField) (labels []string) {
	for _, f := range fields {
		labels = append(labels, f.Label())
	}
	return labels
}

// A setting with a fixed set of values has them as choices, without the default, which means that it is not set. Other
// stored values, such as references, are choices, too. Lists and proposed values are typed.
func TestFixedValuesAreChoices(t *testing.T) {
	allowed := []string{"json", "atom"}
	booleans := []string{"0", "1", "true", "false"}
	for name, test := range map[string]struct {
		kind         string
		allowed      []string
		defaultValue *string
		text         string
		want         []string
	}{
		"without a default":   {allowed: allowed, want: allowed},
		"with a default":      {allowed: allowed, defaultValue: new("json"), want: []string{"atom"}},
		"a stored default":    {allowed: allowed, defaultValue: new("json"), text: "json", want: []string{"atom", "json"}},
		"a reference":         {allowed: allowed, text: "${env:A}", want: []string{"json", "atom", "${env:A}"}},
		"another case":        {allowed: allowed, text: "Atom", want: []string{"json", "atom", "Atom"}},
		"a boolean":           {kind: "BOOLEAN", defaultValue: new("true"), want: []string{"false"}},
		"an odd boolean":      {kind: "BOOLEAN", text: "yes ", want: []string{"true", "false", "yes "}},
		"a boolean of string": {allowed: booleans, text: "true", want: []string{"0", "1", "true"}},
		"an empty value":      {allowed: []string{"", "x"}, want: []string{"x"}},
		"a list":              {kind: "LIST", allowed: allowed},
		"no fixed set":        {},
	} {
		definition := check.Definition{Name: "a", Type: test.kind, DefaultValue: test.defaultValue, Required: true}
		value := check.Value{Visible: true, AllowedValues: test.allowed, RecommendedValues: []string{"proposal"}}
		settings := map[string]string{}
		if test.text != "" {
			settings["a"] = test.text
		}
		v := check.Validation{Configs: []check.Validated{{Definition: definition, Value: value}}}
		assert.Equal(t, test.want, formSteps(v, settings, allSteps)[setsStep].Groups[0].Fields[0].Choices, name)
	}
	assert.Equal(t, []string{"json", "atom"}, allowed, "the declaration is not changed")
}

// A set without settings is shown after a user has added it. The first set is always shown.
func TestFurtherSetIsShownWhenAdded(t *testing.T) {
	v := check.Validation{}
	for _, group := range []string{"Entity set 00", "Entity set 01"} {
		for _, name := range []string{"service", "entityset"} {
			v.Groups = append(v.Groups, group)
			v.Configs = append(v.Configs, check.Validated{
				Definition: check.Definition{Name: "s#" + group[len(group)-2:] + "." + name, Group: &group, Required: true},
				Value:      check.Value{Visible: true},
			})
		}
	}
	isNext := func(settings map[string]string) (isNext []bool) {
		for _, g := range formSteps(v, settings, allSteps)[setsStep].Groups {
			isNext = append(isNext, g.IsNext)
		}
		return isNext
	}
	assert.Equal(t, []bool{false, true}, isNext(map[string]string{"s#00.entityset": "A"}))
	assert.Equal(t, []bool{false, true}, isNext(map[string]string{}))
	assert.Equal(t, []bool{false, false}, isNext(map[string]string{"s#01.service": "/s"}))
	v.Configs[3].Value.Errors = []string{"it is wrong"}
	assert.Equal(t, []bool{false, false}, isNext(map[string]string{}))
}

// An empty field of a new connector has no error before its step is revealed.
func TestEmptyFieldsHaveNoErrorsBeforeTheirStep(t *testing.T) {
	for _, test := range []struct {
		settings map[string]string
		revealed int
		want     int // number of problems of the first step
	}{
		{settings: map[string]string{}, revealed: 0, want: 0},
		{settings: map[string]string{"a": ""}, revealed: 0, want: 0},
		{settings: map[string]string{}, revealed: setsStep, want: 1},
		{settings: map[string]string{"a": ""}, revealed: setsStep, want: 1},
		{settings: map[string]string{"a": "x"}, revealed: 0, want: 1},
	} {
		steps := formSteps(newValidation(), test.settings, test.revealed)
		about := fmt.Sprintf("%v, revealed: %d", test.settings, test.revealed)
		assert.Equal(t, test.want, steps[serviceStep].Problems, about)
	}
}

// Of very many values the browser gets at most maxProposals, if possible those that contain the typed text.
func TestProposalsAreBounded(t *testing.T) {
	v := newValidation()
	for n := range 10_000 {
		v.Configs[0].Value.RecommendedValues = append(v.Configs[0].Value.RecommendedValues, fmt.Sprint("service", n))
	}
	proposed := func(settings map[string]string) []string {
		return formSteps(v, settings, allSteps)[serviceStep].Groups[0].Fields[0].Value.RecommendedValues
	}
	assert.Equal(t, []string{"service9999"}, proposed(map[string]string{"a": "e9999"}))
	assert.Equal(t, maxProposals, len(proposed(map[string]string{})))
}

// The groups of entity sets precede the settings of all sets. That a logon was not tried is a note and no error.
func TestGroupsOfSetsPrecedeSettingsOfAllSets(t *testing.T) {
	groups := []string{"Authentication", "All entity sets", "Entity set 00", "Entity set 01"}
	v := check.Validation{Groups: groups}
	for i, name := range []string{"secret", "page.size", "s#00.entityset", "s#01.entityset", "undeclared"} {
		validated := check.Validated{Definition: check.Definition{Name: name, Required: true},
			Value: check.Value{Visible: true}}
		if i < len(groups) {
			validated.Definition.Group = &groups[i]
		}
		v.Configs = append(v.Configs, validated)
	}
	note := check.LogonNotTried + "it is new"
	v.Configs[0].Value.Errors = []string{note, "too short"}
	steps := formSteps(v, map[string]string{"secret": "x"}, 0)
	var names []string
	for _, g := range steps[setsStep].Groups {
		names = append(names, g.Name)
	}
	assert.Equal(t, []string{"Entity set 00", "Entity set 01", "All entity sets", "Other settings"}, names)
	f := steps[serviceStep].Groups[0].Fields[0]
	assert.Equal(t, note, f.Note)
	assert.Equal(t, []string{"too short"}, f.Value.Errors)
	assert.Equal(t, []string{note, "too short"}, v.Configs[0].Value.Errors, "the validation is not changed")
}
