package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configcheck"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

func newDiff() *cobra.Command {
	var in installation
	var at string
	var o output
	c := &cobra.Command{
		Use:   "diff --config DIR",
		Short: "Show what a running worker would do if a folder were its own",
		Long: `Compare the connectors of a folder with those that a worker runs: what a reload would do to each of them if these were
the files of the worker's --config folder. Nothing is changed, values of passwords are not shown. Exit code: 0, or 1 if
a file would be refused.`,
		Example: `  culvert diff --config ./checkout
  culvert diff --config ./checkout --url http://127.0.0.1:8083 --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if in.folder == "" {
				return wrong(errors.New("expected --config DIR; see culvert diff --help"))
			}
			hostConfig, err := in.read(nil, "", c.ErrOrStderr())
			if err != nil {
				return err
			}
			hostConfig.Compiling = compiling(c.ErrOrStderr())
			var others map[string]bool
			plan, err := configcheck.Compare(c.Context(), hostConfig, func(from string) (now []config.RunningConnector,
				err error) {
				if at = cmp.Or(at, from); at == "" {
					return nil, errors.New("expected --url: the worker's file says that REST listens nowhere")
				}
				now, others, err = asked(c.Context(), strings.TrimSuffix(at, "/"), in.folder)
				return now, err
			})
			if err != nil {
				return wrong(err)
			}
			// What stands elsewhere is not missed in the folder.
			plan = slices.DeleteFunc(plan, func(c rest.Comparison) bool {
				return c.Effect == config.Remove && others[c.Connector]
			})
			return printPlan(c.OutOrStdout(), plan, plan, o)
		},
	}
	in.flags(c, "error")
	c.Flags().StringVar(&in.folder, "config", "", "`folder` with the connectors' files")
	c.Flags().StringVar(&at, "url", "", "`URL` of the worker's REST (default: the first of listeners in the folder's "+
		"worker file, else http://127.0.0.1:8083)")
	o.flag(c, "as JSON")
	return c
}

// asked are the connectors that a worker has. Their files are named as if they stood in folder, by which those that
// can't be read are recognized. others are those whose files stand outside of the folder that the worker follows: they
// were made by REST.
func asked(ctx context.Context, at, folder string) (now []config.RunningConnector, others map[string]bool, err error) {
	worker := remote{url: at, timeout: time.Minute}
	connectors, err := worker.expanded(ctx)
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
		n := config.RunningConnector{Name: name, Raw: c.Info.Config,
			HasFailed: c.Status.Connector.State != connect.Running ||
				slices.ContainsFunc(c.Status.Tasks,
					func(t connect.TaskStatus) bool { return t.State != connect.Running })}
		file := c.Status.Connector.File
		for _, r := range reload.Connectors {
			if r.Name == name { // of a group's worker: its settings stand in a topic
				file = r.File
			}
		}
		if file != "" {
			n.File = filepath.Join(folder, filepath.Base(file))
			others[name] = reload.Folder != "" && filepath.Dir(file) != filepath.Clean(reload.Folder)
		}
		for _, r := range reload.Connectors {
			n.Rejected = n.Rejected || r.Name == name && r.Error != "" && c.Status.Connector.ConfigError == ""
		}
		now = append(now, n)
	}
	return now, others, nil
}

// printPlan prints what would be done to connectors; document is the form for JSON. The error is that some would be
// refused.
func printPlan(out io.Writer, document any, all []rest.Comparison, o output) error {
	err := o.print(out, document, func(out io.Writer) error {
		_, err := io.WriteString(out, planText(all))
		return err
	})
	refused := 0
	for _, c := range all {
		if c.Effect == config.Reject || c.Kept != "" {
			refused++
		}
	}
	if err == nil && refused > 0 {
		err = failed(fmt.Errorf("%s would be refused", number(refused, "connector")))
	}
	return err
}

// planText formats comparisons for people.
func planText(all []rest.Comparison) string {
	var b strings.Builder
	if !slices.ContainsFunc(all, func(c rest.Comparison) bool { return c.Effect != config.NoChange }) {
		b.WriteString("nothing would change\n")
	}
	say := func(format string, texts ...string) {
		args := make([]any, len(texts))
		for i, text := range texts {
			args[i] = shown.Line(text)
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	for _, c := range all {
		what := map[config.Action]string{config.Create: "a new connector",
			config.Remove:        "stops and is removed; its offsets stay",
			config.UpdateInPlace: "continues with the new settings", config.Restart: "its tasks are created again",
			config.Reject: "would be refused, and fail"}[c.Effect]
		if c.KeepsRunning {
			what = "would be refused; what runs goes on"
		}
		switch {
		case c.Effect == config.NoChange:
		case c.File != "":
			say("%s: %s (%s)", c.Connector, what, c.File)
		default:
			say("%s: %s", c.Connector, what)
		}
		for _, d := range c.Differences {
			say("  %s: %s -> %s", d.Setting, side(d.Before), side(d.After))
		}
		for _, text := range c.Problems {
			say("  %s", text)
		}
		for _, f := range c.Feeds {
			what := map[string]string{"fail": "fails, since its offset belongs to something else",
				"reload": "is read again from its beginning", "keep": "goes on from its offset"}[f.Effect]
			say("  feed %s %s, by %s", f.Feed, what, strings.Join(f.Differs, ", "))
		}
		for _, d := range c.Stored {
			say("  what is stored has another %s", d.Setting)
		}
		if c.StoredProblem != "" {
			say("  what is stored is not taken: %s", c.StoredProblem)
		}
		if c.Kept != "" {
			say("  %s", c.Kept)
		}
		for _, text := range c.Warnings {
			say("  warning: %s", text)
		}
		if c.Version != "" {
			say("version %s", c.Version)
		}
	}
	return b.String()
}

func side(value *string) string {
	if value == nil {
		return "(not set)"
	}
	return inLine(*value)
}
