package main

import (
	"testing"

	"github.com/spf13/cobra"
)

func TestArgumentsOfUsage(t *testing.T) {
	for _, c := range []struct {
		name, usage string
		args        []string
		want        string
	}{
		{"all are there", "delete NAME…", []string{"a", "b"}, ""},
		{"nothing", "delete NAME…", nil, "expected NAME, found nothing"},
		{"first is empty", "delete NAME…", []string{"", "a"}, "expected NAME, found an empty one"},
		{"last of many is empty", "delete NAME…", []string{"a", "b", ""}, "expected NAME, found an empty one"},
		{"second name is missing", "set NAME FILE [files…]", []string{"a"}, "expected FILE, found nothing"},
		{"second name is empty", "set NAME FILE [files…]", []string{"a", ""}, "expected FILE, found an empty one"},
		{"too many", "show NAME", []string{"a", "b"}, `expected one NAME, found ["a" "b"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := ""
			if err := argumentsOf(c.usage)(&cobra.Command{Use: c.usage}, c.args); err != nil {
				found = err.Error()
			}
			if found != c.want {
				t.Errorf("expected %q, found %q", c.want, found)
			}
		})
	}
}
