package main

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
)

// instead begins what is said of names that are refused.
var instead = map[string]string{"sap.odata#00.cron.security.time.sec": "extractions of a set never overlap without it"}

// Every name that the original connector has is built under that name, an alias of ours, or refused by name.
func TestNamesOfTheOriginal(t *testing.T) {
	text, err := os.ReadFile("../../testdata/overview-names.txt")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for name, text := range map[string]string{"sap.odata.headers.enable": "the transform InsertHeader"} {
		for _, e := range settings.Examine([]wit.Setting{{Name: name, Value: "1"}}) {
			if found := strings.Join(e.Errors, " "); e.Spec.Name == name && !strings.Contains(found, "not built yet; "+text) {
				t.Errorf("%s: expected what to use instead, found %q", name, found)
			}
		}
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] != "both" && words[0] != "source" {
			continue
		}
		looked++
		name, canonical, refused := words[1], words[1], false
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
		for _, e := range settings.Examine([]wit.Setting{{Name: name, Value: "7"}}) {
			text := strings.Join(e.Errors, " ")
			if e.Spec.Name == canonical && refused && !strings.Contains(text, "not built yet; "+instead[name]) {
				t.Errorf("%s: expected what to use instead, found %q", name, text)
			}
			if built := !strings.Contains(strings.Join(e.Errors, " "), "not built yet"); e.Spec.Name == canonical && built == refused {
				t.Errorf("%s: expected refused %v, found %q", name, refused, e.Errors)
			}
		}
	}
	if looked < 30 {
		t.Errorf("looked at %d names", looked)
	}
}
