package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

// Commands that show what connectors do at the moment, and what keeps them from it.

func (r *remote) newFlow() *cobra.Command {
	return &cobra.Command{
		Use: "flow NAME", Short: "Show where the time of a connector's tasks went in the last minute", Args: one("NAME"),
		Long: `Show where the time of a connector's tasks went in the last minute, by stage, for workers that are Culvert's. What a stage waits for, such as
limits of the service, is no work of it: of the stage with the longest bar hangs how fast the connector is.`,
		Example:           "  culvert connectors flow orders",
		ValidArgsFunction: r.complete,
		RunE: func(c *cobra.Command, args []string) error {
			var f rest.Flow
			if err := r.get(c.Context(), "/culvert/connectors/{name}/flow", &f, args[0]); err != nil {
				return err
			}
			if r.json {
				return failed(printJSON(c.OutOrStdout(), f))
			}
			if err := printFlow(c.OutOrStdout(), f); err != nil {
				return failed(err)
			}
			return failed(saySilent(c.OutOrStdout(), f.Silent))
		},
	}
}

// barLength is how many characters the bar of a stage has that was at work all the time.
const barLength = 40

func printFlow(out io.Writer, f rest.Flow) error {
	fmt.Fprintf(out, "%s (%s): %.1f rows and %.0f bytes in a second; %s, the last %.0f s\n", inLine(f.Name),
		inLine(f.Type), f.Rows, f.Bytes, number(f.Tasks, "task"), f.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STAGE\tSHARE\tCALLS\tAT WORK")
	for _, s := range f.Stages {
		bar := strings.Repeat("#", int(barLength*min(max(s.Share, 0), 1)+0.5))
		fmt.Fprintf(w, "%s\t%.1f %%\t%d\t%s\n", inLine(s.Stage), 100*s.Share, s.Calls, bar)
	}
	return w.Flush()
}

// saySilent names the workers of a group that have not answered.
func saySilent(out io.Writer, silent []string) error {
	for _, why := range silent {
		if _, err := fmt.Fprintf(out, "not among it: %s\n", shown.Line(why)); err != nil {
			return err
		}
	}
	return nil
}
