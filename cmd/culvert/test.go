package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/record"
	secrets "github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/internal/shown"
)

func newTest() *cobra.Command {
	var in installation
	var junit, workerFile string
	c := &cobra.Command{
		Use:   "test [FILES or FOLDERS…]",
		Short: "Run tests of transforms: records through a connector's chain, without Kafka",
		Long: `Run tests of transforms: each file contains records and the expected results of a connector's transforms. The chain is
the one that a worker would run; neither Kafka nor a service is needed. A folder means its files that end with
_test.yaml or _test.yml; the default is the working folder. Exit code: 0 all passed, 1 failures, 2 no tests or wrong
use. See culvert reference guide/transforms.`,
		Example: `  culvert test
  culvert test /etc/culvert --junit report.xml
  culvert test orders_test.yaml --plugins ./plugins`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			files, err := chaintest.Files(args)
			if err != nil {
				return asUsageError(err)
			}
			o, w, err := pluginConfig(c, &in, workerFile)
			if err != nil {
				return err
			}
			defer func() { err = secrets.RedactError(err, w.Redact) }()
			o.Embedded = builtInPlugins()
			o.Logger = logging.Redacted(o.Logger, w.Redact)
			registry := record.NewRegistry()
			m, err := setup.OpenPlugins(c.Context(), o, w, registry)
			if err != nil {
				return asUsageError(err)
			}
			defer m.Close()
			results, err := chaintest.Run(c.Context(), chaintest.Options{Plugins: m, Worker: w, Registry: registry,
				Logger: o.Logger}, files)
			if err != nil {
				return asFailure(err)
			}
			err = printTests(c, results)
			if junit != "" {
				if writeErr := chaintest.WriteJUnit(junit, results); writeErr != nil {
					err = asFailure(errors.Join(err, fmt.Errorf("--junit: %w", writeErr)))
				}
			}
			return err
		},
	}
	in.flags(c, "warn")
	c.Flags().StringVar(&junit, "junit", "", "also write a JUnit report to this `file`")
	c.Flags().StringVar(&workerFile, "worker", "", "the worker's `file`, for plugin.path and config.providers")
	return c
}

// printTests prints the failures of each file, or the number of its tests if all passed. Results of one file follow
// each other. The error means that tests failed.
func printTests(c *cobra.Command, results []chaintest.Result) error {
	out := c.OutOrStdout()
	failures := 0
	for i := 0; i < len(results); {
		file := results[i].File
		first := i
		failuresBefore := failures
		for ; i < len(results) && results[i].File == file; i++ {
			r := &results[i]
			if len(r.Failures) == 0 {
				continue
			}
			failures++
			if r.Name != "" {
				fmt.Fprintf(out, "FAIL %s:%d: %s\n", inLine(r.File), r.Line, inLine(r.Name))
			} else { // the file itself failed
				fmt.Fprintf(out, "FAIL %s\n", inLine(r.File))
			}
			for _, f := range r.Failures {
				fmt.Fprintln(out, "  "+strings.ReplaceAll(shown.Text(f.String()), "\n", "\n  "))
			}
		}
		if failures == failuresBefore {
			fmt.Fprintf(out, "ok   %s: %s\n", inLine(file), number(i-first, "test"))
		}
	}
	if failures > 0 {
		return asFailure(fmt.Errorf("%s failed", number(failures, "test")))
	}
	return nil
}
