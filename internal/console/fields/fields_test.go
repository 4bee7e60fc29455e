package fields

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/check"
)

// Settings are in the step that they belong to. Of a new connector, an empty field has no error before a review. Of
// very many values the browser gets at most maxChoices.
func TestFormSteps(t *testing.T) {
	service, sets := "Service destination", "Entity set 00"
	v := check.Validation{Groups: []string{service, sets}, Configs: []check.Validated{
		{Definition: check.Definition{Name: "a", Group: &service, Importance: "HIGH"}, Value: check.Value{Visible: true,
			Errors: []string{"missing"}}},
		{Definition: check.Definition{Name: "hidden", Group: &service}, Value: check.Value{}},
		{Definition: check.Definition{Name: "rare", Group: &service, Importance: "LOW"},
			Value: check.Value{Visible: true}},
		{Definition: check.Definition{Name: "b", Group: &sets, Display: "The set"}, Value: check.Value{Visible: true}},
		{Definition: check.Definition{Name: "errors.tolerance"}, Value: check.Value{Visible: true}}}}
	steps := Steps(v, map[string]string{}, false)
	in := func(n int) *Group { return &steps[n].Groups[0] }
	if len(in(Service).Fields) != 1 || len(in(Service).More) != 1 ||
		in(Sets).Fields[0].Label() != "The set" || steps[Service].Problems != 1 ||
		in(Kafka).Fields[0].Label() != "errors.tolerance" {
		t.Errorf("found %+v", steps)
	}
	if steps = Steps(v, map[string]string{}, true); steps[Service].Problems != 0 {
		t.Errorf("expected no errors of empty fields, found %+v", steps[Service])
	}
	if steps = Steps(v, map[string]string{"a": "x"}, true); steps[Service].Problems != 1 {
		t.Errorf("expected the error of a field with a value, found %+v", steps[Service])
	}
	for n := range 10_000 {
		v.Configs[0].Value.Recommended = append(v.Configs[0].Value.Recommended, fmt.Sprint("service", n))
	}
	steps = Steps(v, map[string]string{"a": "e9999"}, false)
	if got := in(Service).Fields[0].Value.Recommended; fmt.Sprint(got) != "[service9999]" {
		t.Errorf("found %d values", len(got))
	}
	steps = Steps(v, map[string]string{}, false)
	if got := in(Service).Fields[0].Value.Recommended; len(got) != maxChoices {
		t.Errorf("found %d values", len(got))
	}
}
