package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
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
	filter    connect.DeadLetterFilter
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
		"only dead letters with a newer one of the same key and another value; needs --connector")
}

func (l *deadLetterFlags) read(now time.Time) (f connect.DeadLetterFilter, err error) {
	f = l.filter
	if l.since != "" {
		if f.Since, err = parseTime("--since", l.since, now); err != nil {
			return f, asUsageError(err)
		}
	}
	if l.until != "" {
		f.Until, err = parseTime("--until", l.until, now)
	}
	if f.Superseded && f.Connector == "" {
		err = errors.New("--superseded: expected --connector too")
	}
	return f, asUsageError(err)
}

// selection returns the filter for the running worker.
func (l *deadLetterFlags) selection(f *connect.DeadLetterFilter) rest.DeadLetterSelection {
	formatTime := func(bound time.Time) string {
		if bound.IsZero() {
			return ""
		}
		return bound.UTC().Format(time.RFC3339Nano)
	}
	return rest.DeadLetterSelection{Positions: l.positions, Cause: f.Cause, Error: f.Error, Since: formatTime(f.Since),
		Until: formatTime(f.Until), Superseded: f.Superseded}
}

// readDeadLetters calls each with the dead letters of a topic, or of a part of it. If it is unknown which ones are
// settled, it reports that to stderr and leaves Settled nil.
func (s *topicSource) readDeadLetters(ctx context.Context, stderr io.Writer, topic string, o kafka.ReadOptions,
	each func(*connect.DeadLetter) error) error {
	return s.withReader(ctx, stderr, func(w *config.Worker, reader *kafka.Reader, _ *slog.Logger) error {
		states, statesErr := connect.ReadReplayStates(ctx, reader, workerSettings(w), topic)
		if statesErr != nil && ctx.Err() == nil {
			fmt.Fprintln(stderr, "it is unknown which dead letters are settled:",
				shown.Line(w.Redact(statesErr.Error())))
		}
		_, err := reader.Read(ctx, topic, o, func(r *kgo.Record) error {
			l := connect.ParseDeadLetter(r)
			if statesErr == nil {
				isSettled := states.IsSettled(&l)
				l.Settled = &isSettled
			}
			return each(&l)
		})
		return asFailure(err)
	})
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

func (r *remote) newDLQList() *cobra.Command {
	var from topicSource
	var selection deadLetterFlags
	var show string
	var limit int
	var o output
	c := &cobra.Command{
		Use:   "list [TOPIC]",
		Short: "List dead letters",
		Long: `List dead letters, oldest first within a partition: position, time, connector, source, stage and error, and whether
they are settled (delivered or discarded), as the worker of --properties has stored it.

With --connector and no TOPIC, the running worker lists the dead letters of the connector: the newest first, one for
each original record or row, with the number of attempts. A row of a source that is refused again with the same key and
value is one of them.`,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := selection.read(time.Now())
			if err != nil {
				return err
			}
			switch {
			case len(args) == 0 && filter.Connector == "":
				return errNoTopic
			case len(args) == 0: // ask the running worker
				if err := rejectFlags(c, needsTopic, topicFlags...); err != nil {
					return err
				}
				if limit <= 0 {
					return asUsageError(fmt.Errorf("--limit: expected at least 1, found %d", limit))
				}
				return r.listLetters(c, filter.Connector, show, selection.selection(&filter), limit, o.json)
			}
			if err := rejectFlags(c, needsNoTopic, "show", "limit", "superseded", "url", "config", "user"); err != nil {
				return err
			}
			out := bufio.NewWriter(c.OutOrStdout())
			var rows [][]string
			list := func(l *connect.DeadLetter) error {
				switch {
				case !filter.Matches(l): // not selected
				case o.json:
					return printJSON(out, rest.NewDeadLetter(l))
				default:
					rows = append(rows, []string{rest.NewDeadLetter(l).Position(),
						l.FailedAt.UTC().Format(time.RFC3339), inLine(l.Connector),
						inLine(sourceText(l.Topic, l.Partition, l.Offset)), inLine(l.Stage),
						strconv.Itoa(l.Replays + 1), settledText(l.Settled), inLine(l.Message)})
				}
				return nil
			}
			err = from.readDeadLetters(c.Context(), c.ErrOrStderr(), args[0], kafka.ReadOptions{}, list)
			if !o.json {
				const titles = "LETTER FAILED CONNECTOR FROM STAGE ATTEMPTS SETTLED ERROR"
				err = errors.Join(err, printColumns(out, titles, rows))
			}
			return errors.Join(err, asFailure(out.Flush()))
		},
	}
	from.flags(c)
	selection.flags(c)
	c.Flags().StringVar(&show, "show", connect.ShowOpen,
		"without TOPIC: open, settled (delivered or discarded) or all dead letters")
	c.Flags().IntVar(&limit, "limit", 1000, "without TOPIC: at most this `number` of dead letters")
	o.flag(c, "as JSON, a line for each")
	return c
}

// sourceText formats the source of a dead letter: a record, or a row if the partition is negative.
func sourceText(topic string, partition int32, offset int64) string {
	if partition < 0 {
		return fmt.Sprintf("%s row %d", topic, offset)
	}
	return fmt.Sprintf("%s-%d@%d", topic, partition, offset)
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
			if _, err := connect.ParseDeadLetterPosition(last); err != nil {
				return asUsageError(err)
			}
			return cobra.MaximumNArgs(2)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && connector == "":
				return errNoTopic
			case len(args) == 1:
				if err := rejectFlags(c, needsTopic, topicFlags...); err != nil {
					return err
				}
				return r.showLetter(c, connector, args[0], o)
			}
			if err := rejectFlags(c, needsNoTopic, "connector", "url", "config", "user"); err != nil {
				return err
			}
			position, err := connect.ParseDeadLetterPosition(args[1])
			if err != nil {
				return asUsageError(err)
			}
			var letter *connect.DeadLetter
			only := kafka.ReadOptions{From: kafka.Positions{position.Partition: position.Offset},
				To: kafka.Positions{position.Partition: position.Offset + 1}}
			err = from.readDeadLetters(c.Context(), c.ErrOrStderr(), args[0], only, func(l *connect.DeadLetter) error {
				if l.Record.Offset == position.Offset {
					letter = l
				}
				return nil
			})
			switch {
			case err != nil:
				return err
			case letter == nil:
				return asFailure(fmt.Errorf("topic %s has no dead letter %s", args[0], args[1]))
			case o.json:
				_, err := c.OutOrStdout().Write(append(shown.JSON(kafka.AppendLine(nil, letter.Record)), '\n'))
				return asFailure(err)
			}
			return asFailure(printDeadLetter(c.OutOrStdout(), letter))
		},
	}
	from.flags(c)
	c.Flags().StringVar(&connector, "connector", "", "without TOPIC: of the connector with this `NAME`")
	o.flag(c, "as JSON; with TOPIC as culvert consume prints it")
	return c
}

func printDeadLetter(out io.Writer, l *connect.DeadLetter) error {
	rows := [][]string{
		{"failed", l.FailedAt.UTC().Format(time.RFC3339)},
		{"connector", l.Connector},
		{"from", sourceText(l.Topic, l.Partition, l.Offset)},
		{"request", l.Request},
		{"stage", l.Stage},
		{"setting", l.Setting},
		{"plugin", strings.TrimSpace(l.Plugin + " " + l.Version)},
		{"exception", l.Class},
		{"cause", l.Message},
		{"parts", l.Rows.String()},
		{"attempts", strconv.Itoa(l.Replays + 1)},
		{"settled", settledText(l.Settled)},
	}
	rows = slices.DeleteFunc(rows, func(row []string) bool { return row[1] == "" })
	if err := printColumns(out, "", rows); err != nil {
		return err
	}
	var line struct {
		Key     json.RawMessage
		Value   json.RawMessage
		Headers []struct {
			Key   string
			Value json.RawMessage
		}
	}
	if err := json.Unmarshal(kafka.AppendLine(nil, l.Record), &line); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nkey\n  %s\nvalue\n  %s\nheaders\n", shown.JSON(line.Key), shown.JSON(line.Value))
	for _, h := range line.Headers {
		fmt.Fprintf(out, "  %s: %s\n", shown.Line(h.Key), shown.JSON(h.Value))
	}
	return nil
}

func (r *remote) newDLQReplay() *cobra.Command {
	var in installation
	var selection deadLetterFlags
	var includeReplayed, includeSuperseded, isDryRun bool
	c := &cobra.Command{
		Use:   "replay [TOPIC worker-file connector-files…]",
		Short: "Send dead letters through their connectors again",
		Long: `Send dead letters through their connectors as configured now, each of them once. Records that are refused again return
to the topic. Other errors, such as a service that does not respond, end the command; the next run continues after the
replayed dead letters. A record is skipped if the topic that a sink reads, or a source writes, has a later one with the
same key.

Pass the files of culvert run. No worker may be running on the --data folder. With --connector and no TOPIC, the running
worker at --url replays those of its connector. See culvert reference guide/delivery.`,
		Example: `  culvert dlq replay --connector orders --since 2h
  culvert dlq replay orders-refused worker.properties orders.properties
  culvert dlq replay orders-refused --config /etc/culvert --connector orders --error "expected a number" --since 24h
  culvert dlq replay orders-refused worker.properties orders.properties --letters 0@17,0@18 --dry`,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := selection.read(time.Now())
			if err != nil {
				return err
			}
			if err := filter.SelectPositions(selection.positions); err != nil {
				return asUsageError(fmt.Errorf("--letters: %w", err))
			}
			switch {
			case len(args) == 0 && filter.Connector == "":
				return errNoTopic
			case len(args) == 0:
				if err := rejectFlags(c, needsTopic, "data", "set", "plugins", "log-level", "log-format"); err != nil {
					return err
				}
				r.config = in.folder // without TOPIC --config names the running worker
				if r.config != "" && r.url != "" {
					return asUsageError(errors.New("expected --url or --config, found both"))
				}
				request := rest.ReplayRequest{DeadLetterSelection: selection.selection(&filter),
					IncludeReplayed: includeReplayed, IncludeSuperseded: includeSuperseded, DryRun: isDryRun}
				return r.replayLetters(c, "/replay", request, filter.Connector)
			}
			if err := rejectFlags(c, needsNoTopic, "url", "user", "timeout"); err != nil {
				return err
			}
			configuration, err := in.read(args[1:], "expected --config DIR or files of the installation",
				c.ErrOrStderr())
			if err != nil {
				return err
			}
			result, err := host.Replay(c.Context(), configuration, connect.ReplayRequest{Topic: args[0], Filter: filter,
				IncludeReplayed: includeReplayed, IncludeSuperseded: includeSuperseded, DryRun: isDryRun})
			printReplay(c.OutOrStdout(), result, isDryRun)
			if err != nil {
				return asSetupError(asFailure(err))
			}
			return replayError(result)
		},
	}
	in.flags(c, "warn")
	in.folderFlag(c)
	selection.flags(c)
	c.Flags().StringSliceVar(&selection.positions, "letters", nil,
		"only these, as `PARTITION@OFFSET` separated by commas")
	c.Flags().BoolVar(&isDryRun, "dry", false, "report what would pass, and send and store nothing")
	c.Flags().BoolVar(&includeReplayed, "again", false, "also dead letters that were replayed before")
	c.Flags().BoolVar(&includeSuperseded, "older", false,
		"also records that have a later one with the same key in their topic, and records of a sink without a key "+
			"that have any later one")
	return c
}

// replayError returns an error if not all dead letters were delivered.
func replayError(result connect.ReplayResult) error {
	if result.Rejected > 0 || isIncomplete(result.Kept) {
		return asFailure(errors.New("not all dead letters were delivered"))
	}
	return nil
}

// isIncomplete reports whether a dead letter was kept for another reason than that its connector settles it without
// sending. kept counts the dead letters by reason.
func isIncomplete(kept map[string]int) bool {
	_, ok := kept[connect.SettledUnsent]
	return len(kept) > 1 || (len(kept) == 1 && !ok)
}

func printReplay(out io.Writer, result connect.ReplayResult, isDryRun bool) {
	if isDryRun {
		fmt.Fprintf(out, "%d would pass, %d would be refused\n", result.Sent-result.Rejected, result.Rejected)
	} else {
		fmt.Fprintf(out, "%d sent: %d delivered, %d refused\n", result.Sent, result.Delivered, result.Rejected)
	}
	for _, r := range result.Rejections {
		fmt.Fprintf(out, "%s: %s\n", r.Position, shown.Line(r.Reason))
	}
	if result.Letter != "" {
		fmt.Fprintf(out, "refused again as dead letter %s\n", result.Letter)
	}
	printKept(out, result.Kept)
}

// printKept prints how many dead letters were kept, by reason.
func printKept(out io.Writer, kept map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(kept)) {
		fmt.Fprintf(out, "%d kept: dead letters %s\n", kept[reason], shown.Line(reason))
	}
}
