package fields

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
			Definition: check.Definition{Name: "b", Group: &sets, DisplayName: "The set"},
			Value:      check.Value{Visible: true},
		},
		{
			Definition: check.Definition{Name: "errors.tolerance"},
			Value:      check.Value{Visible: true},
		},
	}}
}

// Settings are in the step that they belong to, and rarely used ones are separate.
func TestSettingsAreInTheirSteps(t *testing.T) {
	steps := Steps(newValidation(), map[string]string{}, All)
	service := &steps[Service].Groups[0]
	assert.Equal(t, 1, len(service.Fields))
	assert.Equal(t, 1, len(service.More))
	assert.Equal(t, 1, steps[Service].Problems)
	assert.Equal(t, "The set", steps[Sets].Groups[0].Fields[0].Label())
	assert.Equal(t, "errors.tolerance", steps[Kafka].Groups[0].Fields[0].Label())
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
		{settings: map[string]string{}, revealed: Sets, want: 1},
		{settings: map[string]string{"a": ""}, revealed: Sets, want: 1},
		{settings: map[string]string{"a": "x"}, revealed: 0, want: 1},
	} {
		steps := Steps(newValidation(), test.settings, test.revealed)
		about := fmt.Sprintf("%v, revealed: %d", test.settings, test.revealed)
		assert.Equal(t, test.want, steps[Service].Problems, about)
	}
}

// Of very many values the browser gets at most maxChoices, if possible those that contain the typed text.
func TestChoicesAreBounded(t *testing.T) {
	v := newValidation()
	for n := range 10_000 {
		v.Configs[0].Value.RecommendedValues = append(v.Configs[0].Value.RecommendedValues, fmt.Sprint("service", n))
	}
	proposed := func(settings map[string]string) []string {
		return Steps(v, settings, All)[Service].Groups[0].Fields[0].Value.RecommendedValues
	}
	assert.Equal(t, []string{"service9999"}, proposed(map[string]string{"a": "e9999"}))
	assert.Equal(t, maxChoices, len(proposed(map[string]string{})))
}

// The groups of entity sets precede the settings of all sets. That a logon was not tried is a note and no error.
func TestGroupsOfSetsPrecedeSettingsOfAllSets(t *testing.T) {
	groups := []string{"Authentication", "All entity sets", "Entity set 00", "Entity set 01"}
	v := check.Validation{Groups: groups}
	for i, name := range []string{"secret", "page.size", "s#00.entityset", "s#01.entityset", "undeclared"} {
		validated := check.Validated{Definition: check.Definition{Name: name}, Value: check.Value{Visible: true}}
		if i < len(groups) {
			validated.Definition.Group = &groups[i]
		}
		v.Configs = append(v.Configs, validated)
	}
	note := check.LogonNotTried + "it is new"
	v.Configs[0].Value.Errors = []string{note, "too short"}
	steps := Steps(v, map[string]string{"secret": "x"}, 0)
	var names []string
	for _, g := range steps[Sets].Groups {
		names = append(names, g.Name)
	}
	assert.Equal(t, []string{"Entity set 00", "Entity set 01", "All entity sets", "Other settings"}, names)
	f := steps[Service].Groups[0].Fields[0]
	assert.Equal(t, note, f.Note)
	assert.Equal(t, []string{"too short"}, f.Value.Errors)
	assert.Equal(t, []string{note, "too short"}, v.Configs[0].Value.Errors, "the validation is not changed")
}
