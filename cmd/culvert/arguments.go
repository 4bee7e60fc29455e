package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// finish gives a command, and those below it, what their usages say: which arguments they take. A command that does
// nothing by itself shows its help.
func finish(c *cobra.Command) {
	if !c.Runnable() {
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if c.Args == nil {
		c.Args = argumentsOf(c.Use)
	}
	for _, below := range c.Commands() {
		finish(below)
	}
}

// argumentsOf checks arguments by a usage such as `set NAME FILE [worker-file connector-files…]`: names that must be
// given, the last of them once or more if it ends with …, and in brackets one that may be, or any number of them.
func argumentsOf(usage string) cobra.PositionalArgs {
	required, optional, _ := strings.Cut(usage, "[")
	names := strings.Fields(required)[1:]
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "-") }); i >= 0 {
		names = names[:i] // a flag with its value
	}
	most := len(names)
	switch {
	case strings.HasSuffix(required, "…"), strings.Contains(optional, "…"):
		most = -1
	case optional != "" && !strings.HasPrefix(optional, "-"):
		most++
	}
	return func(c *cobra.Command, args []string) error {
		for i, name := range names {
			name = strings.TrimSuffix(name, "…")
			if i >= len(args) {
				return fmt.Errorf("expected %s, found nothing", name)
			}
			if args[i] == "" { // what a shell makes of a variable that is not set
				return fmt.Errorf("expected %s, found an empty one", name)
			}
		}
		switch {
		case most < 0 || len(args) <= most:
			return nil
		case most == 0:
			return cobra.NoArgs(c, args)
		case len(names) == 0:
			return cobra.MaximumNArgs(most)(c, args)
		}
		return fmt.Errorf("expected one %s, found %q", strings.Join(names, " and one "), args)
	}
}
