package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/host"
	"github.com/culvert-project/culvert/internal/deadletters"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

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
				request := rest.ReplayRequest{DeadLetterSelection: selectionOf(&filter),
					IncludeReplayed: includeReplayed, IncludeSuperseded: includeSuperseded, DryRun: isDryRun}
				request.Positions = selection.positions
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
			result, err := host.Replay(c.Context(), configuration, deadletters.Request{Topic: args[0], Filter: filter,
				IncludeReplayed: includeReplayed, IncludeSuperseded: includeSuperseded, DryRun: isDryRun})
			// After an error, too, the result is printed. strings.Clone redacts nothing: the replay itself has done it.
			printErr := r.printReplay(c.OutOrStdout(), rest.NewReplayResult(result, isDryRun, strings.Clone))
			if err != nil {
				return asSetupError(asFailure(err))
			}
			return printErr
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

// printReplay prints the result of a replay. It returns an error if not all dead letters were delivered.
func (r *remote) printReplay(out io.Writer, result rest.ReplayResult) error {
	err := r.print(out, result, func(out io.Writer) error {
		if result.DryRun {
			fmt.Fprintf(out, "%d would pass, %d would be refused\n", result.WouldPass, result.Refused)
		} else {
			fmt.Fprintf(out, "%d sent: %d delivered, %d refused\n", result.Sent, result.Delivered, result.Refused)
		}
		for _, refusal := range result.Refusals {
			fmt.Fprintf(out, "%s: %s\n", refusal.Position, shown.Line(refusal.Reason))
		}
		if result.Letter != "" {
			fmt.Fprintf(out, "refused again as dead letter %s\n", result.Letter)
		}
		printKept(out, result.Kept)
		return nil
	})
	if err == nil && (result.Refused > 0 || isIncomplete(result.Kept)) {
		err = asFailure(errors.New("not all dead letters were delivered"))
	}
	return err
}

// isIncomplete reports whether a dead letter was kept for another reason than that its connector settles it without
// sending. kept counts the dead letters by reason.
func isIncomplete(kept map[string]int) bool {
	_, ok := kept[deadletters.SettledUnsent]
	return len(kept) > 1 || (len(kept) == 1 && !ok)
}

// printKept prints how many dead letters were kept, by reason.
func printKept(out io.Writer, kept map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(kept)) {
		fmt.Fprintf(out, "%d kept: dead letters %s\n", kept[reason], shown.Line(reason))
	}
}

func (r *remote) replayLetters(c *cobra.Command, route string, body any, names ...string) error {
	r.setReplayTimeout(c)
	defer r.printProgress(c, names[0])()
	var result rest.ReplayResult
	err := r.call(c.Context(), "POST /culvert/connectors/{name}/deadletters"+route, body, &result, names...)
	if err != nil {
		return err
	}
	return r.printReplay(c.OutOrStdout(), result)
}

// printProgress prints every two seconds how far a replay or discard of a connector is, until the caller calls stop.
func (r *remote) printProgress(c *cobra.Command, connector string) (stop func()) {
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan struct{})
	go func() {
		defer guard.Recover(nil, "the progress of a replay", nil)
		defer close(done)
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
				first := deadletters.Query{Only: &deadletters.Position{}} // at most one letter
				page, err := r.letters(connector)(ctx, first)
				if err == nil && page.Replay != nil && page.Replay.Selected > 0 {
					fmt.Fprintf(c.ErrOrStderr(), "%d of %d dead letters\n", page.Replay.Handled, page.Replay.Selected)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// setReplayTimeout makes calls wait longer than a worker replays or discards, unless --timeout is set.
func (r *remote) setReplayTimeout(c *cobra.Command) {
	if !c.Flags().Changed("timeout") {
		r.timeout = 5 * time.Minute
	}
}

func requireConnector(c *cobra.Command, name *string) {
	c.PreRunE = func(*cobra.Command, []string) error {
		if *name == "" {
			return asUsageError(errors.New("expected --connector NAME, found nothing"))
		}
		return nil
	}
}

func (r *remote) newDLQRetry() *cobra.Command {
	var connector, value string
	var includeSuperseded bool
	c := &cobra.Command{
		Use:   "retry PARTITION@OFFSET",
		Short: "Send one dead letter again, also with another value, through the running worker",
		Long: `Send one dead letter again, also with another value, through the running worker at --url, under the rules of
culvert dlq replay. A record that is refused again is another attempt of the same dead letter.`,
		Example: `  culvert dlq show 0@17 --connector orders
  culvert dlq retry 0@17 --connector orders --value '{"OrderID":17,"Freight":"12.50"}'
  culvert dlq retry 0@17 --connector orders --value - < mended.json`,
		RunE: func(c *cobra.Command, args []string) error {
			body := rest.RetryRequest{IncludeSuperseded: includeSuperseded}
			if value == "-" {
				input, err := io.ReadAll(io.LimitReader(c.InOrStdin(), rest.MaxRetryValue+1))
				if err != nil {
					return asFailure(err)
				}
				if len(input) > rest.MaxRetryValue {
					return asUsageError(fmt.Errorf("--value -: expected at most %d bytes, found more",
						rest.MaxRetryValue))
				}
				value = string(input)
			}
			if c.Flags().Changed("value") {
				body.Value = &value
			}
			return r.replayLetters(c, "/{letter}/retry", body, connector, args[0])
		},
	}
	c.Flags().StringVar(&connector, "connector", "", "`NAME` of the connector")
	requireConnector(c, &connector)
	c.Flags().StringVar(&value, "value", "", "send this `TEXT` in place of the record's value; JSON, if that is an "+
		"object or array; - reads standard input")
	c.Flags().BoolVar(&includeSuperseded, "older", false, "also if the topic has a later record with the same key")
	return c
}

func (r *remote) newDLQDiscard() *cobra.Command {
	var selection deadLetterFlags
	var all bool
	c := &cobra.Command{
		Use:   "discard [PARTITION@OFFSET…]",
		Short: "Settle dead letters without sending them, through the running worker",
		Long: `Settle dead letters without sending them, through the running worker: those that are named or selected by flags, or
with --all all open ones of the connector.`,
		Example: `  culvert dlq discard 0@17 0@18 --connector orders
  culvert dlq discard --connector orders --superseded`,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := selection.read(time.Now())
			if err != nil {
				return err
			}
			body := selectionOf(&filter)
			body.All = all
			if len(args) > 0 {
				body.Positions = args
			}
			r.setReplayTimeout(c)
			defer r.printProgress(c, filter.Connector)()
			var answer rest.DiscardResult
			err = r.call(c.Context(), "POST /culvert/connectors/{name}/deadletters/discard", body, &answer,
				filter.Connector)
			if err != nil {
				return err
			}
			err = r.print(c.OutOrStdout(), answer, func(out io.Writer) error {
				fmt.Fprintf(out, "%d discarded\n", answer.Discarded)
				printKept(out, answer.Kept)
				return nil
			})
			if err == nil && isIncomplete(answer.Kept) {
				err = asFailure(errors.New("not all dead letters were discarded"))
			}
			return err
		},
	}
	selection.flags(c)
	requireConnector(c, &selection.filter.Connector)
	c.Flags().BoolVar(&all, "all", false, "all open dead letters of the connector")
	return c
}
