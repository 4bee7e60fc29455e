package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// one is a command's only argument, by the name that its usage has for it.
func one(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("expected %s, found nothing", name)
		case 1:
			return noneEmpty(name, args)
		}
		return fmt.Errorf("expected one %s, found %q", name, args)
	}
}

// some are one argument or more.
func some(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("expected %s, found nothing", name)
		}
		return noneEmpty(name, args)
	}
}

// first are arguments with these names, and more after them.
func first(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("expected %s, found nothing", names[len(args)])
		}
		return noneEmpty(names[0], args[:1])
	}
}

// these are arguments with these names, and no others.
func these(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return fmt.Errorf("expected %s, found %q", strings.Join(names, " and "), args)
		}
		return errors.Join(first(names...)(c, args), noneEmpty(names[len(names)-1], args))
	}
}

// noneEmpty refuses what a shell makes of a variable that is not set.
func noneEmpty(name string, args []string) error {
	if slices.Contains(args, "") {
		return fmt.Errorf("expected %s, found an empty one", name)
	}
	return nil
}
