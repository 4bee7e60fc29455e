package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/configcheck"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

func newDiff() *cobra.Command {
	var in installation
	var baseURL string
	var o output
	c := &cobra.Command{
		Use:   "diff --config DIR",
		Short: "Compare a folder of connectors with a running worker",
		Long: `Compare the connectors of a folder with those that a worker runs: what a reload would do to each of them if these were
the files of the worker's --config folder. Nothing is changed, values of passwords are not shown. Exit code: 0, or 1 if
a file would be refused.`,
		Example: `  culvert diff --config ./checkout
  culvert diff --config ./checkout --url http://127.0.0.1:8083 --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if in.folder == "" {
				return asUsageError(errors.New("expected --config DIR; see culvert diff --help"))
			}
			hostConfig, err := in.read(nil, "", c.ErrOrStderr())
			if err != nil {
				return err
			}
			hostConfig.Compiling = compilingReporter(c.ErrOrStderr())
			var others map[string]bool
			find := func(listener string) (running []resolved.RunningConnector, err error) {
				if baseURL = cmp.Or(baseURL, listener, os.Getenv(environmentURL)); baseURL == "" {
					return nil, errors.New("expected --url: the worker's file has no listeners")
				}
				running, others, err = runningConnectors(c.Context(), strings.TrimSuffix(baseURL, "/"), in.folder)
				return running, err
			}
			plan, err := configcheck.Compare(c.Context(), hostConfig, find)
			if err != nil {
				return asUsageError(err)
			}
			// Connectors from elsewhere are not missing in the folder.
			plan = slices.DeleteFunc(plan, func(c rest.Comparison) bool {
				return c.Effect == resolved.Remove && others[c.Connector]
			})
			return printPlan(c.OutOrStdout(), plan, plan, o)
		},
	}
	in.flags(c, "error")
	c.Flags().StringVar(&in.folder, "config", "", "`folder` with the connectors' files")
	c.Flags().StringVar(&baseURL, "url", "", "`URL` of the worker's REST (default: the first of listeners in the "+
		"folder's worker file, else CULVERT_URL)")
	o.flag(c, "as JSON")
	return c
}

// runningConnectors returns the worker's connectors, with their files renamed as if in folder. others are connectors
// whose files are outside of the worker's folder: REST created them.
func runningConnectors(
	ctx context.Context, baseURL, folder string,
) (running []resolved.RunningConnector, others map[string]bool, err error) {
	worker := remote{url: baseURL, timeout: time.Minute}
	connectors, err := worker.expandedConnectors(ctx)
	if err != nil {
		return nil, nil, err
	}
	var reload rest.Reload
	err = worker.get(ctx, "/culvert/reload", &reload)
	if err != nil && !isRefused(err, http.StatusNotFound) {
		return nil, nil, err
	}
	others = map[string]bool{}
	for name, c := range connectors {
		isDown := func(t connect.TaskStatus) bool { return t.State != connect.Running }
		connector := resolved.RunningConnector{Name: name, Raw: c.Info.Config,
			HasFailed: c.Status.Connector.State != connect.Running || slices.ContainsFunc(c.Status.Tasks, isDown)}
		file := c.Status.Connector.File
		for _, r := range reload.Connectors {
			if r.Name == name { // the status has no file if the connector is stored in a group's topic
				file = r.File
			}
		}
		if file != "" {
			connector.File = filepath.Join(folder, filepath.Base(file))
			others[name] = reload.Folder != "" && filepath.Dir(file) != filepath.Clean(reload.Folder)
		}
		for _, r := range reload.Connectors {
			connector.Rejected = connector.Rejected || (r.Name == name && r.Error != "" &&
				c.Status.Connector.ConfigError == "")
		}
		running = append(running, connector)
	}
	return running, others, nil
}

// printPlan prints comparisons, or document as JSON. The error means that some would be refused.
func printPlan(out io.Writer, document any, comparisons []rest.Comparison, o output) error {
	err := o.print(out, document, func(out io.Writer) error {
		_, err := io.WriteString(out, planText(comparisons))
		return err
	})
	refused := 0
	for _, c := range comparisons {
		if c.Effect == resolved.Reject || c.LockedReason != "" {
			refused++
		}
	}
	if err == nil && refused > 0 {
		err = asFailure(fmt.Errorf("%s would be refused", number(refused, "connector")))
	}
	return err
}

func planText(comparisons []rest.Comparison) string {
	var b strings.Builder
	if !slices.ContainsFunc(comparisons, func(c rest.Comparison) bool { return c.Effect != resolved.NoChange }) {
		b.WriteString("nothing would change\n")
	}
	printf := func(format string, texts ...string) {
		args := make([]any, len(texts))
		for i, value := range texts {
			args[i] = shown.Line(value)
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	for _, c := range comparisons {
		effect := map[resolved.Action]string{resolved.Create: "a new connector",
			resolved.Remove:        "stops and is removed; its offsets are kept",
			resolved.UpdateInPlace: "continues with the new settings", resolved.Restart: "its tasks are created again",
			resolved.Reject: "would be refused, and fail"}[c.Effect]
		if c.KeepsRunning {
			effect = "would be refused; the running configuration continues"
		}
		switch {
		case c.Effect == resolved.NoChange: // no line: only problems and warnings of the connector follow
		case c.File != "":
			printf("%s: %s (%s)", c.Connector, effect, c.File)
		default:
			printf("%s: %s", c.Connector, effect)
		}
		for _, d := range c.Differences {
			printf("  %s: %s -> %s", d.Setting, valueText(d.Before), valueText(d.After))
		}
		for _, problem := range c.Problems {
			printf("  %s", problem)
		}
		for _, f := range c.Feeds {
			effect := map[string]string{"fail": "fails, since its offset belongs to something else",
				"reload": "is read again from its beginning", "keep": "continues from its offset"}[f.Effect]
			printf("  feed %s %s, by %s", f.Feed, effect, strings.Join(f.ChangedFields, ", "))
		}
		for _, d := range c.Stored {
			printf("  the stored configuration has another %s", d.Setting)
		}
		if c.StoredProblem != "" {
			printf("  the stored configuration is rejected: %s", c.StoredProblem)
		}
		if c.LockedReason != "" {
			printf("  %s", c.LockedReason)
		}
		for _, warning := range c.Warnings {
			printf("  warning: %s", warning)
		}
		if c.Version != "" {
			printf("version %s", c.Version)
		}
	}
	return b.String()
}

func valueText(value *string) string {
	if value == nil {
		return "(not set)"
	}
	return inLine(*value)
}
