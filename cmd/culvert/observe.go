package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

// Commands that show what connectors do at the moment, and what keeps them from it.

// listing is what the worker, or its group, says of the connectors of one state, all for "", that a search finds; ask
// is [remote.call], or [remote.once] where a group without a leader is not waited for.
func (r *remote) listing(ctx context.Context, ask func(ctx context.Context, route string, body, into any,
	names ...string) error, state, search string) (all rest.Listing, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for after := ""; ; after = all.Next {
		var page rest.Listing
		query := url.Values{"state": {state}, "search": {search}, "after": {after}, "limit": {"1000"}}
		if err := ask(ctx, "GET /culvert/connectors?"+query.Encode(), nil, &page); err != nil {
			return all, err
		}
		page.Connectors = append(all.Connectors, page.Connectors...)
		if all = page; all.Next == "" {
			return all, nil
		}
	}
}

// list lists the connectors of one state, all for "", that a search finds.
func (r *remote) list(c *cobra.Command, state, search string) error {
	all, err := r.listing(c.Context(), r.call, state, search)
	if err != nil {
		return err
	}
	return r.printed(c, all, all.Silent, func(w io.Writer) {
		fmt.Fprintln(w, "NAME\tTYPE\tSTATE\tSINCE\tTASKS\tROWS/S\tCAUSE")
		for _, l := range all.Connectors {
			since := ""
			if l.Since != nil {
				since = l.Since.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.1f\t%s\n", inLine(l.Name), inLine(l.Type), inLine(l.State), since,
				l.Tasks, l.Rows, strings.TrimSpace(shown.Line(l.Cause)+" "+shown.Line(l.Advice)))
		}
	})
}

// printed prints an answer as JSON, or else what print writes, in columns, with the workers of a group that have not
// answered.
func (r *remote) printed(c *cobra.Command, answer any, silent []string, print func(columns io.Writer)) error {
	if r.json {
		return failed(printJSON(c.OutOrStdout(), answer))
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	print(w)
	for _, why := range silent {
		fmt.Fprintf(w, "not among it: %s\n", shown.Line(why))
	}
	return failed(w.Flush())
}

func newOrigins() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "origins",
		Short: "Show what connectors use of their services, against the limits",
		Long: `Show what the connectors of a running worker, or of its group, use of their services: requests, connections and sessions, of as many as there
may be at the moment, and what waits, by origin and worker.`,
		Example: "  culvert origins --url http://connect.example.com:8083",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var all rest.Origins
			if err := r.get(c.Context(), "/culvert/origins", &all); err != nil {
				return err
			}
			return r.printed(c, all, all.Silent, func(w io.Writer) { printOrigins(w, all) })
		},
	}
	r.flags(c)
	return c
}

func printOrigins(w io.Writer, all rest.Origins) {
	fmt.Fprintln(w, "ORIGIN\tWORKER\tREQUESTS\tCONNECTIONS\tSESSIONS\tCONNECTORS\tWAITING")
	for _, o := range all.Origins {
		why := o.Waiting
		if !o.Until.IsZero() {
			why = append(why, "maintenance until "+o.Until.Format(time.RFC3339))
		}
		if n := len(o.Lockouts); n > 0 {
			why = append(why, number(n, "refused logon"))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", inLine(o.Origin), inLine(o.WorkerID), o.Requests,
			o.Connections, o.Sessions, inLine(strings.Join(o.Connectors, ",")),
			shown.Line(strings.Join(why, "; ")))
	}
}

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
			return r.printed(c, f, f.Silent, func(w io.Writer) { printFlow(w, f) })
		},
	}
}

// barLength is how many characters the bar of a stage has that was at work all the time.
const barLength = 40

func printFlow(w io.Writer, f rest.Flow) {
	fmt.Fprintf(w, "%s (%s): %.1f rows and %.0f bytes in a second; %s, the last %.0f s\n", inLine(f.Name),
		inLine(f.Type), f.Rows, f.Bytes, number(f.Tasks, "task"), f.Seconds)
	fmt.Fprintln(w, "STAGE\tSHARE\tCALLS\tAT WORK")
	for _, s := range f.Stages {
		bar := strings.Repeat("#", int(barLength*min(max(s.Share, 0), 1)+0.5))
		fmt.Fprintf(w, "%s\t%.1f %%\t%d\t%s\n", inLine(s.Stage), 100*s.Share, s.Calls, bar)
	}
}
