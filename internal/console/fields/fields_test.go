package fields

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/check"
)

// Settings are in the step that they belong to. Of a new connector, an empty field has no error before a review. Of
// very many values the browser gets at most maxChoices.
func TestFormSteps(t *testing.T) {
	service := "Service destination"
	sets := "Entity set 00"
	v := check.Validation{Groups: []string{service, sets}, Configs: []check.Validated{
		{Definition: check.Definition{Name: "a", Group: &service, Importance: "HIGH"}, Value: check.Value{Visible: true,
			Errors: []string{"missing"}}},
		{Definition: check.Definition{Name: "hidden", Group: &service}, Value: check.Value{}},
		{Definition: check.Definition{Name: "rare", Group: &service, Importance: "LOW"},
			Value: check.Value{Visible: true}},
		{Definition: check.Definition{Name: "b", Group: &sets, DisplayName: "The set"}, Value: check.Value{Visible: true}},
		{Definition: check.Definition{Name: "errors.tolerance"}, Value: check.Value{Visible: true}}}}
	steps := Steps(v, map[string]string{}, All)
	in := func(n int) *Group { return &steps[n].Groups[0] }
	if len(in(Service).Fields) != 1 || len(in(Service).More) != 1 ||
		in(Sets).Fields[0].Label() != "The set" || steps[Service].Problems != 1 ||
		in(Kafka).Fields[0].Label() != "errors.tolerance" {
		t.Errorf("found %+v", steps)
	}
	for _, settings := range []map[string]string{{}, {"a": ""}} {
		if steps = Steps(v, settings, 0); steps[Service].Problems != 0 {
			t.Errorf("expected no errors of empty fields, found %+v", steps[Service])
		}
		if steps = Steps(v, settings, Sets); steps[Service].Problems != 1 {
			t.Errorf("expected the error of an empty field in the first step, found %+v", steps[Service])
		}
	}
	if steps = Steps(v, map[string]string{"a": "x"}, 0); steps[Service].Problems != 1 {
		t.Errorf("expected the error of a field with a value, found %+v", steps[Service])
	}
	for n := range 10_000 {
		v.Configs[0].Value.RecommendedValues = append(v.Configs[0].Value.RecommendedValues, fmt.Sprint("service", n))
	}
	steps = Steps(v, map[string]string{"a": "e9999"}, All)
	if got := in(Service).Fields[0].Value.RecommendedValues; fmt.Sprint(got) != "[service9999]" {
		t.Errorf("found %d values", len(got))
	}
	steps = Steps(v, map[string]string{}, All)
	if got := in(Service).Fields[0].Value.RecommendedValues; len(got) != maxChoices {
		t.Errorf("found %d values", len(got))
	}
}

// The groups of entity sets precede the settings of all sets. That a logon was not tried is a note, no error.
func TestOrderAndNotes(t *testing.T) {
	groups := []string{"Authentication", "All entity sets", "Entity set 00", "Entity set 01"}
	v := check.Validation{Groups: groups}
	for i, name := range []string{"secret", "page.size", "s#00.entityset", "s#01.entityset", "undeclared"} {
		c := check.Validated{Definition: check.Definition{Name: name}, Value: check.Value{Visible: true}}
		if i < len(groups) {
			c.Definition.Group = &groups[i]
		}
		v.Configs = append(v.Configs, c)
	}
	note := check.LogonNotTried + "it is new"
	v.Configs[0].Value.Errors = []string{note, "too short"}
	steps := Steps(v, map[string]string{"secret": "x"}, 0)
	var names []string
	for _, g := range steps[Sets].Groups {
		names = append(names, g.Name)
	}
	if got := fmt.Sprint(names); got != "[Entity set 00 Entity set 01 All entity sets Other settings]" {
		t.Errorf("found %s", got)
	}
	f := steps[Service].Groups[0].Fields[0]
	if f.Note != note || fmt.Sprint(f.Value.Errors) != "[too short]" || len(v.Configs[0].Value.Errors) != 2 {
		t.Errorf("expected a note and one error, found %+v", f)
	}
}
