package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

func newDLQ() *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay, retry and discard dead letters",
		Long: `List, show, replay, retry and discard dead letters: records that a connector could not process. They are in the topic
of its setting errors.deadletterqueue.topic.name; with errors.deadletterqueue.context.headers.enable=true their headers
contain the error and the connector. Pass TOPIC to read it directly, or --connector NAME to ask the running worker.`,
		Example: `  culvert dlq list --connector orders
  culvert dlq replay --connector orders
  culvert dlq list orders-refused -p worker.properties
  culvert dlq show orders-refused 0@17 -p worker.properties
  culvert dlq replay orders-refused worker.properties orders.properties`,
	}
	r := &remote{}
	r.flags(c)
	c.AddCommand(r.newDLQList(), r.newDLQShow(), r.newDLQReplay(), r.newDLQRetry(), r.newDLQDiscard())
	for _, command := range c.Commands() { // all have the flag
		_ = command.RegisterFlagCompletionFunc("connector",
			func(c *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
				return r.complete(c, nil, text)
			})
	}
	return c
}

type deadLetterFlags struct {
	filter    deadletters.Filter
	positions []string
	since     string
	until     string
}

func (l *deadLetterFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.filter.Connector, "connector", "", "only dead letters of the connector with this `NAME`")
	f.StringVar(&l.filter.Cause, "cause", "", "only dead letters of the cause with this `ID`, as --json lists it")
	f.StringVar(&l.filter.Error, "error", "",
		"only dead letters whose exception has this `TEXT` in its class or message, in any case")
	f.StringVar(&l.since, "since", "", "only dead letters that failed at this `time` or later, such as "+
		"2026-02-03T04:05:06Z or 2026-02-03, or how long ago, such as 2h")
	f.StringVar(&l.until, "until", "", "only dead letters that failed before this `time`")
	f.BoolVar(&l.filter.Superseded, "superseded", false,
		"only dead letters with a newer one of the same key and another value")
}

func (l *deadLetterFlags) read(now time.Time) (f deadletters.Filter, err error) {
	f = l.filter
	if l.since != "" {
		if f.Since, err = parseTime("--since", l.since, now); err != nil {
			return f, asUsageError(err)
		}
	}
	if l.until != "" {
		f.Until, err = parseTime("--until", l.until, now)
	}
	return f, asUsageError(err)
}

// selectionOf returns a filter for the running worker, without its positions.
func selectionOf(f *deadletters.Filter) rest.DeadLetterSelection {
	formatTime := func(bound time.Time) string {
		if bound.IsZero() {
			return ""
		}
		return bound.UTC().Format(time.RFC3339Nano)
	}
	return rest.DeadLetterSelection{Cause: f.Cause, Error: f.Error, Since: formatTime(f.Since),
		Until: formatTime(f.Until), Superseded: f.Superseded}
}

// Why flags have no effect without or with TOPIC.
const (
	needsTopic   = "expected TOPIC too: without it, --url or --config finds the running worker"
	needsNoTopic = "expected no TOPIC: only the running worker uses it"
)

var errNoTopic = asUsageError(errors.New(
	"expected TOPIC or --connector NAME, found neither: with --connector, the running worker reads the dead letters"))

// rejectFlags returns an error with the reason if one of these flags is set, which would have no effect.
func rejectFlags(c *cobra.Command, reason string, names ...string) error {
	for _, name := range names {
		if c.Flags().Changed(name) {
			return asUsageError(fmt.Errorf("--%s: %s", name, reason))
		}
	}
	return nil
}

// letterLister returns a page of the dead letters of a connector.
type letterLister func(context.Context, deadletters.Query) (rest.DeadLetterList, error)

// letters lists the dead letters of a connector of the running worker.
func (r *remote) letters(connector string) letterLister {
	return func(ctx context.Context, query deadletters.Query) (page rest.DeadLetterList, err error) {
		selection := selectionOf(&query.Filter)
		parameters := url.Values{"show": {query.Show}, "after": {query.After}, "cause": {selection.Cause},
			"error": {selection.Error}, "since": {selection.Since}, "until": {selection.Until}}
		if selection.Superseded {
			parameters.Set("superseded", "true")
		}
		if query.Only != nil {
			parameters.Set("letter", query.Only.String())
		}
		err = r.get(ctx, "/culvert/connectors/{name}/deadletters?"+parameters.Encode(), &page, connector)
		return page, err
	}
}

// eachLister reads a topic and calls do with a lister for each connector that has written letters to it. The name of
// the connector is "" for letters without headers.
func (s *topicSource) eachLister(ctx context.Context, stderr io.Writer, topic string,
	do func(connector string, list letterLister) error) error {
	return s.withReader(ctx, stderr, func(w *config.Worker, reader *kafka.Reader, _ *slog.Logger) error {
		t, err := deadletters.ReadTopic(ctx, reader, workerSettings(w), w.Redact, topic)
		if err != nil {
			return asFailure(err)
		}
		if t.StatesErr != nil {
			fmt.Fprintln(stderr, "it is unknown which dead letters are settled:",
				shown.Line(w.Redact(t.StatesErr.Error())))
		}
		for _, connector := range t.Connectors() {
			err := do(connector, func(ctx context.Context, query deadletters.Query) (rest.DeadLetterList, error) {
				const hidesValues = false
				return rest.ListDeadLetters(query, w.Redact, hidesValues,
					func(handle func(deadletters.ListedLetter) error) (deadletters.Page, error) {
						return t.List(ctx, connector, query, handle)
					})
			})
			if err != nil {
				return asFailure(err)
			}
		}
		return nil
	})
}

// letterPrinter prints lists of dead letters as one table, or as JSON lines.
type letterPrinter struct {
	out       io.Writer
	asJSON    bool
	titles    string // "" after they were printed
	remaining int    // the number of letters that may still be printed
	isCut     bool   // letters were left out
}

// print prints the letters of a query as their pages arrive.
func (p *letterPrinter) print(ctx context.Context, list letterLister, query deadletters.Query) error {
	for {
		page, err := list(ctx, query)
		if err != nil {
			return err
		}
		letters := page.DeadLetters[:min(len(page.DeadLetters), p.remaining)]
		p.remaining -= len(letters)
		p.isCut = p.isCut || len(letters) < len(page.DeadLetters) || (p.remaining == 0 && page.Next != "")
		var rows [][]string
		for i := range letters {
			l := &letters[i]
			if p.asJSON {
				if err := printJSON(p.out, l); err != nil {
					return err
				}
				continue
			}
			rows = append(rows, []string{l.Position(), l.Failed, inLine(l.Connector), inLine(sourceText(l.From)),
				inLine(l.Stage), strconv.Itoa(l.Attempts), settledText(l.Settled), inLine(l.Message)})
		}
		if len(rows) > 0 {
			if err := printColumns(p.out, p.titles, rows); err != nil {
				return err
			}
			p.titles = ""
		}
		if page.Next == "" || p.isCut {
			return nil
		}
		query.After = page.Next
	}
}

// settledText returns "?" for nil: it is unknown whether the dead letter is settled.
func settledText(isSettled *bool) string {
	switch {
	case isSettled == nil:
		return "?"
	case *isSettled:
		return "yes"
	}
	return "no"
}

// sourceText formats the source of a dead letter: a record, or a row if the partition is negative.
func sourceText(from rest.DeadLetterSource) string {
	if from.Partition < 0 {
		return fmt.Sprintf("%s row %d", from.Topic, from.Offset)
	}
	return fmt.Sprintf("%s-%d@%d", from.Topic, from.Partition, from.Offset)
}

func (r *remote) newDLQList() *cobra.Command {
	var from topicSource
	var selection deadLetterFlags
	var query deadletters.Query
	var limit int
	var o output
	c := &cobra.Command{
		Use:   "list [TOPIC]",
		Short: "List dead letters",
		Long: `List dead letters, the newest first: one for each original record or row, with its position, time, connector, source,
stage, number of attempts and error. A row of a source that is refused again with the same key and value is one of them.

The running worker lists the letters of --connector. With TOPIC, the command reads it, connector by connector; the
worker of --properties has stored which letters are settled (delivered or discarded).`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if query.Filter, err = selection.read(time.Now()); err != nil {
				return err
			}
			if limit <= 0 {
				return asUsageError(fmt.Errorf("--limit: expected at least 1, found %d", limit))
			}
			shows := []string{deadletters.ShowOpen, deadletters.ShowSettled, deadletters.ShowAll}
			if !slices.Contains(shows, query.Show) {
				return asUsageError(fmt.Errorf("--show: expected open, settled or all, found %q", query.Show))
			}
			connector := query.Filter.Connector
			p := letterPrinter{out: c.OutOrStdout(), asJSON: o.json, remaining: limit,
				titles: "LETTER FAILED CONNECTOR FROM STAGE ATTEMPTS SETTLED ERROR"}
			switch {
			case len(args) == 0 && connector == "":
				return errNoTopic
			case len(args) == 0:
				if err = rejectFlags(c, needsTopic, topicFlags...); err == nil {
					err = p.print(c.Context(), r.letters(connector), query)
				}
			default:
				if err = rejectFlags(c, needsNoTopic, "url", "config", "user"); err != nil {
					return err
				}
				printOf := func(name string, list letterLister) error {
					if connector != "" && connector != name {
						return nil
					}
					return p.print(c.Context(), list, query)
				}
				err = from.eachLister(c.Context(), c.ErrOrStderr(), args[0], printOf)
			}
			if err != nil {
				return err
			}
			if p.isCut {
				fmt.Fprintf(c.ErrOrStderr(), "there are more than %d dead letters: see --limit\n", limit)
			}
			if p.titles == "" || o.json {
				return nil
			}
			return asFailure(printColumns(p.out, p.titles, nil))
		},
	}
	from.flags(c)
	selection.flags(c)
	c.Flags().StringVar(&query.Show, "show", deadletters.ShowOpen,
		"open, settled (delivered or discarded) or all dead letters")
	c.Flags().IntVar(&limit, "limit", 1000, "at most this `number` of dead letters")
	o.flag(c, "as JSON, a line for each")
	return c
}

func (r *remote) newDLQShow() *cobra.Command {
	var from topicSource
	var connector string
	var o output
	c := &cobra.Command{
		Use:   "show [TOPIC] PARTITION@OFFSET",
		Short: "Show a dead letter with its headers, its record and its cause",
		Args: func(c *cobra.Command, args []string) error {
			last := ""
			if len(args) > 0 {
				last = args[len(args)-1]
			}
			if _, err := deadletters.ParsePosition(last); err != nil {
				return asUsageError(err)
			}
			return cobra.MaximumNArgs(2)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			position, err := deadletters.ParsePosition(args[len(args)-1])
			if err != nil {
				return asUsageError(err)
			}
			var letters []rest.DeadLetter
			find := func(_ string, list letterLister) error {
				page, err := list(c.Context(), deadletters.Query{Show: deadletters.ShowAll, Only: &position})
				letters = append(letters, page.DeadLetters...)
				return err
			}
			holder := "connector " + shown.Line(connector)
			switch {
			case len(args) == 1 && connector == "":
				return errNoTopic
			case len(args) == 1:
				if err = rejectFlags(c, needsTopic, topicFlags...); err == nil {
					err = find(connector, r.letters(connector))
				}
			default:
				holder = "topic " + shown.Line(args[0])
				if err = rejectFlags(c, needsNoTopic, "connector", "url", "config", "user"); err == nil {
					err = from.eachLister(c.Context(), c.ErrOrStderr(), args[0], find)
				}
			}
			switch {
			case err != nil:
				return err
			case len(letters) == 0:
				return asFailure(fmt.Errorf("%s has no dead letter %v", holder, position))
			}
			l := &letters[0]
			return o.print(c.OutOrStdout(), l, func(out io.Writer) error { return printLetter(out, l) })
		},
	}
	from.flags(c)
	c.Flags().StringVar(&connector, "connector", "", "without TOPIC: of the connector with this `NAME`")
	o.flag(c, "as JSON")
	return c
}

func printLetter(out io.Writer, l *rest.DeadLetter) error {
	rows := [][]string{
		{"letter", l.Position()},
		{"failed", l.Failed},
		{"connector", l.Connector},
		{"attempts", strconv.Itoa(l.Attempts)},
		{"settled", settledText(l.Settled)},
		{"from", sourceText(l.From)},
		{"request", l.From.Request},
		{"stage", l.Stage},
		{"setting", l.Setting},
		{"plugin", strings.TrimSpace(l.Plugin + " " + l.Version)},
		{"exception", l.Class},
		{"cause", l.Message},
		{"parts", l.Parts},
	}
	rows = slices.DeleteFunc(rows, func(row []string) bool { return row[1] == "" })
	if err := printColumns(out, "", rows); err != nil || l.Record == nil {
		return err
	}
	for _, part := range []struct {
		name  string
		text  *string
		isCut bool
	}{{"key", l.Record.Key, l.Record.KeyCut}, {"value", l.Record.Value, l.Record.Cut}} {
		if l.Record.Base64 {
			part.name += ", in base64"
		}
		if part.isCut {
			part.name += ", cut or redacted"
		}
		content := "null"
		if part.text != nil {
			content = shown.Text(*part.text)
		}
		fmt.Fprintf(out, "\n%s\n  %s", part.name, content)
	}
	fmt.Fprintln(out, "\nheaders")
	for _, h := range l.Headers {
		fmt.Fprintf(out, "  %s: %s\n", shown.Line(h.Key), shown.Line(h.Value))
	}
	if l.HeadersMore > 0 {
		fmt.Fprintf(out, "  and %d more\n", l.HeadersMore)
	}
	return nil
}
