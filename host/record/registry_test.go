package record

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/wit"
)

func TestInternGivesEqualStructuresOneNumber(t *testing.T) {
	r := NewRegistry()
	nodes := func(name string) []wit.Node {
		return []wit.Node{{Kind: wit.Structure, Name: &name, Members: []wit.Member{{Name: "a", Node: 1}}}, {Kind: wit.Int32}}
	}
	a, err := r.Intern(nodes("x"))
	if err != nil {
		t.Fatal(err)
	}
	same, _ := r.Intern(nodes("x"))
	other, _ := r.Intern(nodes("y"))
	if a != same || a == other || a.ID == 0 || r.Get(a.ID) != a || r.Get(0) != nil || r.Get(99) != nil {
		t.Fatalf("a=%v same=%v other=%v", a, same, other)
	}
}

func TestInternRefusesLoopsAndMissingNodes(t *testing.T) {
	for want, nodes := range map[string][]wit.Node{
		"at least one node":        {},
		"node 0, element":          {{Kind: wit.Array, Element: 0}},
		"node 0, member a":         {{Kind: wit.Structure, Members: []wit.Member{{Name: "a", Node: 7}}}},
		"unknown kind":             {{Kind: 200}},
		"node 1, key: expected a ": {{Kind: wit.Array, Element: 1}, {Kind: wit.Mapping, Key: 1, Element: 1}},
	} {
		if _, err := NewRegistry().Intern(nodes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
}
