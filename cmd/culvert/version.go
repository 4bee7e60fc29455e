package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/wit"
)

func newVersion() *cobra.Command {
	var o output
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  culvert version\n  culvert version --json",
		RunE:    func(c *cobra.Command, _ []string) error { return printVersion(c, o) },
	}
	o.flag(c, "as JSON")
	return c
}

func printVersion(c *cobra.Command, o output) error {
	v, commit := buildinfo.Version()
	contract := wit.Package + "@" + wit.Version
	document := map[string]string{"version": v, "commit": commit, "kafka_connect": buildinfo.KafkaConnect,
		"contract": contract, "go": runtime.Version()}
	return o.print(c.OutOrStdout(), document, func(out io.Writer) error {
		_, err := fmt.Fprintf(out, "Culvert %s, compatible with Kafka Connect %s, contract %s, %s\n",
			buildinfo.Product(), buildinfo.KafkaConnect, contract, runtime.Version())
		return err
	})
}
