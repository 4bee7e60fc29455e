package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/wit"
)

func newVersion() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  culvert version\n  culvert version --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return printVersion(c, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func printVersion(c *cobra.Command, asJSON bool) error {
	v, commit := host.Version()
	out := map[string]string{"version": v, "commit": commit, "contract": wit.Package + "@" + wit.Version,
		"go": runtime.Version()}
	if asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(out)
	}
	fmt.Fprintf(c.OutOrStdout(), "culvert %s (%s), contract %s, %s\n", v, commit, out["contract"], out["go"])
	return nil
}
