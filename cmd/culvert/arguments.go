package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// one is a command's only argument, by the name that its usage has for it.
func one(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("expected %s, found nothing", name)
		case 1:
			return nil
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
		return nil
	}
}
