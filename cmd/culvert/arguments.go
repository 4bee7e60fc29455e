package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// finish adds argument checks derived from the usages of a command and its subcommands. A command without action shows
// its help.
func finish(c *cobra.Command) {
	if !c.Runnable() {
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if c.Args == nil {
		c.Args = argumentsOf(c.Use)
	}
	for _, subcommand := range c.Commands() {
		finish(subcommand)
	}
}

// argumentsOf parses a usage such as `set NAME FILE [worker-file connector-files…]`. Names are required; a last one
// with … may be repeated. Brackets contain one optional argument, or with … any number.
func argumentsOf(usage string) cobra.PositionalArgs {
	required, optional, _ := strings.Cut(usage, "[")
	names := strings.Fields(required)[1:]
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "-") }); i >= 0 {
		names = names[:i] // a flag with its value
	}
	maxCount := len(names)
	isRepeated := strings.HasSuffix(required, "…")
	switch {
	case isRepeated, strings.Contains(optional, "…"):
		maxCount = -1
	case optional != "" && !strings.HasPrefix(optional, "-"):
		maxCount++
	}
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("expected %s, found nothing", strings.TrimSuffix(names[len(args)], "…"))
		}
		for i, arg := range args {
			// A shell passes "" for a variable that is not set.
			if arg == "" && (i < len(names) || isRepeated) {
				name := names[min(i, len(names)-1)]
				return fmt.Errorf("expected %s, found an empty one", strings.TrimSuffix(name, "…"))
			}
		}
		switch {
		case maxCount < 0 || len(args) <= maxCount:
			return nil
		case maxCount == 0:
			return cobra.NoArgs(c, args)
		case len(names) == 0:
			return cobra.MaximumNArgs(maxCount)(c, args)
		}
		return fmt.Errorf("expected one %s, found %q", strings.Join(names, " and one "), args)
	}
}
