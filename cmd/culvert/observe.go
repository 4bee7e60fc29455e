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
		fmt.Fprintln(w, "NAME\tTYPE\tSTATE\tSINCE\tTASKS\tROWS/S\tBY\tCAUSE")
		for _, l := range all.Connectors {
			since := ""
			if l.Since != nil {
				since = l.Since.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.1f\t%s\t%s\n", inLine(l.Name), inLine(l.Type), inLine(l.State), since,
				l.Tasks, l.Rows, inLine(l.By), strings.TrimSpace(shown.Line(l.Cause)+" "+shown.Line(l.Advice)))
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
