package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

// samplePause is between two questions for rows that are waited for.
const samplePause = 300 * time.Millisecond

func (r *remote) newSample() *cobra.Command {
	var asked rest.SampleAsked
	c := &cobra.Command{
		Use:   "sample NAME",
		Short: "Show the next rows of a connector before and after each of its transforms",
		Long: `Show the next rows of a connector as they come, and what each of its transforms makes of them, computed again beside its tasks. It ends
when so many rows have come, or after --timeout with those that have.`,
		Example: "  culvert connectors sample orders --rows 5\n  culvert connectors sample orders --show shape --json",
		Args:    one("NAME"), ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			until := time.Now().Add(r.timeout)
			var s rest.Sample
			err := r.call(c.Context(), "POST /culvert/connectors/{name}/samples", asked, &s, args[0])
			for err == nil && s.State != "done" && time.Now().Before(until) && pause(c.Context(), samplePause) {
				err = r.get(c.Context(), "/culvert/connectors/{name}/samples/{id}", &s, args[0], s.ID)
			}
			switch err = cmp.Or(err, c.Context().Err()); {
			case err != nil:
				return err
			case !r.json && len(s.Rows) == 0:
				return failed(fmt.Errorf("%s: no row has come within %v", inLine(args[0]), r.timeout))
			}
			return r.printSample(c, &s)
		},
	}
	c.Flags().IntVar(&asked.Rows, "rows", 20, "`N` rows, at most 100")
	c.Flags().StringVar(&asked.Show, "show", "", "full values, or their `SHAPE`: full or shape; as much as the worker "+
		"allows unless given")
	return c
}

// pause waits, unless ctx ends meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// printSample prints rows with what each transform made of them.
func (r *remote) printSample(c *cobra.Command, s *rest.Sample) error {
	if r.json {
		return failed(printJSON(c.OutOrStdout(), s))
	}
	var b strings.Builder
	record := func(r *rest.SampledRecord) {
		fmt.Fprintf(&b, "    topic %s, key %s\n", shown.Line(r.Topic), shown.Line(r.Key))
		for _, h := range r.Headers {
			fmt.Fprintf(&b, "    header %s = %s\n", shown.Line(h.Name), shown.Line(h.Value))
		}
		value := strings.ReplaceAll(string(shown.JSON([]byte(r.Value))), "\n", "\n    ")
		fmt.Fprintf(&b, "    %s%s\n", value, map[bool]string{true: " (cut)"}[r.Cut])
	}
	for i := range s.Rows {
		row := &s.Rows[i]
		from := fmt.Sprintf("partition %d, offset %d", row.Partition, row.Offset)
		if row.Feed != "" {
			from = shown.Line(row.Feed)
		}
		fmt.Fprintf(&b, "row %d of task %d, %s\n", i+1, row.Task, from)
		record(&row.Came)
		for k := range row.Steps {
			step, of := &row.Steps[k], s.Steps[min(k, len(s.Steps)-1)]
			did := step.Did
			switch did {
			case "failed":
				did += ": " + step.Error
			case "skipped":
				did += " by " + of.Predicate
			}
			fmt.Fprintf(&b, "  %s (%s): %s\n", shown.Line(of.Alias), shown.Line(of.Class), shown.Line(did))
			for j := range step.Records {
				record(&step.Records[j])
			}
		}
		if row.Problem != "" {
			fmt.Fprintln(&b, " ", shown.Line(row.Problem))
		}
	}
	if s.Problem != "" {
		fmt.Fprintln(&b, shown.Line(s.Problem))
	}
	if len(s.Rows) < s.Wanted {
		fmt.Fprintf(&b, "%s of %d have come\n", number(len(s.Rows), "row"), s.Wanted)
	}
	_, err := io.WriteString(c.OutOrStdout(), b.String())
	return failed(err)
}
