// Package configtest holds tests that the OData plugins share.
package configtest

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// CheckNames checks that each setting of the original connector exists, under its name or as an alias, or is rejected
// as not built yet. side is `source` or `sink`, list is the file with the names.
func CheckNames(t *testing.T, settings *setting.Table, side, list string) {
	t.Helper()
	content, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if words[0] != "both" && words[0] != side {
			continue
		}
		checked++
		name := words[1]
		canonical := words[1]
		refused := false
		if len(words) > 2 {
			if refused = words[2] == "refused"; !refused {
				canonical = words[2]
			}
		}
		spec, ok := settings.Find(name)
		if !ok || spec.Name != canonical {
			t.Errorf("%s: expected the setting %s, found %q", name, canonical, spec.Name)
			continue
		}
		for _, e := range settings.Validate([]wit.Setting{{Name: name, Value: "7"}}) {
			built := !strings.Contains(strings.Join(e.Errors, " "), "not built yet")
			if e.Key.Name == canonical && built == refused {
				t.Errorf("%s: expected refused %v, found %q", name, refused, e.Errors)
			}
		}
	}
	if checked < 30 {
		t.Errorf("looked at %d names", checked)
	}
}
