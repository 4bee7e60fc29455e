package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// finish adds argument checks derived from the usages of a command and its subcommands. A command without action shows
// its help. Commands with up to two other letters are suggested for unknown ones.
func finish(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
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
			err := cobra.NoArgs(c, args)
			if suggestions := c.SuggestionsFor(args[0]); len(suggestions) > 0 {
				return fmt.Errorf("%w: did you mean %s?", err, strings.Join(suggestions, " or "))
			}
			return err
		case len(names) == 0:
			return cobra.MaximumNArgs(maxCount)(c, args)
		}
		return fmt.Errorf("expected one %s, found %q", strings.Join(names, " and one "), args)
	}
}

// flagError adds the most similar flag to the error about an unknown one.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return withNearest(err, unknown.GetSpecifiedName(), "--", names)
}
