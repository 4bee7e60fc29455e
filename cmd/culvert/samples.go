package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
)

// samplePause is between two questions for rows that are waited for.
const samplePause = 300 * time.Millisecond

func (r *remote) newSample() *cobra.Command {
	var asked rest.SampleAsked
	c := &cobra.Command{
		Use:   "sample NAME",
		Short: "Print the next rows of a connector before and after each of its transforms, as JSON",
		Long: `Print the next rows of a connector as they come, and what each of its transforms makes of them, computed again beside its tasks, as REST
answers them in JSON; the console shows them side by side. It ends when so many rows have come, or after --timeout with those that have.`,
		Example: `  culvert connectors sample orders --rows 5 | jq .rows
  culvert connectors sample orders --show shape`,
		Args: one("NAME"), ValidArgsFunction: r.complete,
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
			case len(s.Rows) == 0:
				return failed(fmt.Errorf("%s: no row has come within %v", inLine(args[0]), r.timeout))
			}
			return failed(printJSON(c.OutOrStdout(), s))
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
