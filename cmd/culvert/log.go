package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/host/shown"
)

// logPause is between two looks at what a worker has logged meanwhile.
const logPause = time.Second

func newLog() *cobra.Command {
	r := &remote{}
	var follow bool
	var level, connector, worker string
	c := &cobra.Command{
		Use:   "log",
		Short: "Show the last lines of a worker's log",
		Long: `Show the last 200 lines of a running worker's log, out of the last 10,000 that it has in memory; with --follow those that come, too. A
word on stderr says where lines were lost before they were read.`,
		Example: `  culvert log --level WARN --url http://connect.example.com:8083
  culvert log --follow --connector orders`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"level": level, "connector": connector, "worker": worker} {
				if value != "" {
					query.Set(name, value)
				}
			}
			for after := int64(0); ; {
				var page rest.LogPage
				if err := r.get(c.Context(), "/culvert/log?"+query.Encode(), &page); err != nil {
					if follow && c.Context().Err() != nil {
						return nil
					}
					return err
				}
				if err := printLog(c, page, r.json); err != nil || !follow {
					return failed(err)
				}
				if page.Last < after { // the worker was restarted, and numbers its lines from 1 again
					page.Last = 0
				}
				after = page.Last
				query.Set("after", strconv.FormatInt(after, 10))
				query.Set("limit", "1000")
				if len(page.Lines) < 1000 && !pause(c.Context(), logPause) {
					return nil
				}
			}
		},
	}
	r.flags(c)
	f := c.Flags()
	f.BoolVar(&follow, "follow", false, "go on with the lines that come, until stopped")
	f.StringVar(&level, "level", "", "only lines of this `LEVEL` or a higher one, such as WARN")
	f.StringVar(&connector, "connector", "", "only lines about the connector with this `NAME`")
	f.StringVar(&worker, "worker", "", "the log of the worker of the group with this `ID`, as HOST:PORT")
	return c
}

func printLog(c *cobra.Command, page rest.LogPage, asJSON bool) error {
	if page.Lost {
		fmt.Fprintln(c.ErrOrStderr(), "lines before these are lost: the worker has logged more than it keeps in memory")
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), page)
	}
	for _, l := range page.Lines {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%s %s %s %s\n", l.Time.Format(time.RFC3339Nano), inLine(l.Level),
			inLine(l.Logger), shown.Line(l.Text)); err != nil {
			return err
		}
	}
	return nil
}
