package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configcheck"
	"github.com/culvert-project/culvert/internal/shown"
)

func newValidate() *cobra.Command {
	var in installation
	var o output
	var online, withoutSecrets bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "validate FILES…",
		Short: "Check configuration files",
		Long: `Check files of connectors, and of the worker if one is among them, without sending anything anywhere. With --online
services and schema registries are queried too, and one that does not respond is a problem. The service of a connector
with other problems is not queried, and a refused password is not sent again. A folder means its files, as with culvert
run --config. Each problem is one line, FILE:LINE: SETTING: text. Exit code: 0 nothing wrong, 1 problems.`,
		Example: `  culvert validate orders.properties
  culvert validate worker.properties *.json
  culvert validate --online orders.properties
  culvert validate --without-secrets /etc/culvert   # in CI
  culvert validate /etc/culvert --json`,
		RunE: func(c *cobra.Command, args []string) error {
			files, emptyFolders, err := sortFiles(args)
			if err != nil {
				return asUsageError(err)
			}
			hostConfig, err := in.config(files, c.ErrOrStderr())
			if err != nil {
				return err
			}
			hostConfig.Compiling = compilingReporter(c.ErrOrStderr())
			var report configcheck.Report
			switch {
			case online:
				report, err = configcheck.Online(c.Context(), hostConfig, wait)
			case withoutSecrets:
				report, err = configcheck.WithoutSecrets(c.Context(), hostConfig)
			default:
				report, err = configcheck.Check(c.Context(), hostConfig)
			}
			if err != nil {
				return asUsageError(err)
			}
			return printReport(c, report, emptyFolders, o)
		},
	}
	in.flags(c, "warn")
	c.Flags().BoolVar(&online, "online", false, "also query the services")
	c.Flags().DurationVar(&wait, "wait", check.OnlineTimeout,
		"with --online: how long to wait for a connector's service")
	c.Flags().BoolVar(&withoutSecrets, "without-secrets", false,
		"assume that references to config providers (${env:…}, ${file:…}, ${dir:…}) resolve, if the secrets are not "+
			"available")
	c.MarkFlagsMutuallyExclusive("online", "without-secrets")
	o.flag(c, "as JSON")
	return c
}

// printReport prints the problems of a check, and the valid connectors if there are none. The error means that there
// are problems.
func printReport(c *cobra.Command, report configcheck.Report, emptyFolders config.Problems, o output) error {
	problems := append(append(config.Problems{}, report.Problems...), emptyFolders...)
	err := o.print(c.OutOrStdout(), problems, func(out io.Writer) error { return printProblems(out, problems) })
	if err != nil {
		return err
	}
	if problems.Err() != nil {
		return asFailure(fmt.Errorf("%s", countProblems(problems)))
	}
	for _, connector := range report.Valid {
		if _, err := fmt.Fprintf(c.ErrOrStderr(), "%s: ok: %s\n", shown.Line(connector.File),
			shown.Line(connector.Name)); err != nil {
			return asFailure(err)
		}
	}
	return nil
}

// sortFiles separates the worker's file from the connectors'. emptyFolders has a problem for each folder without
// connectors: a warning if it has a worker's file, otherwise an error, since such a folder is likely a mistake.
func sortFiles(args []string) (files config.Files, emptyFolders config.Problems, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return files, nil, err
		}
		var argFiles config.Files
		if info.IsDir() {
			if argFiles, err = config.ListFolder(arg); len(argFiles.Connectors) == 0 {
				emptyFolders = append(emptyFolders, config.Problem{File: arg, Warning: argFiles.Worker != "",
					Text: "no connector file found: expected files with the endings .properties, .json, .yaml or .yml"})
			}
		} else {
			argFiles, err = config.ParseArguments([]string{arg})
		}
		if err != nil {
			return files, nil, err
		}
		if argFiles.Worker != "" && files.Worker != "" {
			// Only a connector without a class looks like a second worker.
			argFiles.Connectors = append(argFiles.Connectors, argFiles.Worker)
			argFiles.Worker = ""
		}
		if argFiles.Worker != "" {
			files.Worker = argFiles.Worker
		}
		files.Connectors = append(files.Connectors, argFiles.Connectors...)
	}
	return files, emptyFolders, nil
}

func printProblems(out io.Writer, problems config.Problems) error {
	for _, p := range problems {
		if _, err := fmt.Fprintln(out, shown.Line(p.String())); err != nil {
			return err
		}
	}
	return nil
}

func countProblems(problems config.Problems) string {
	errors := 0
	warnings := 0
	for _, p := range problems {
		if p.Warning {
			warnings++
		} else {
			errors++
		}
	}
	return number(errors, "problem") + ", " + number(warnings, "warning")
}

// number returns a count with its noun, which gets an s unless the count is one.
func number(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
