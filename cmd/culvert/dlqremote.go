package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

var errNoTopic = asUsageError(errors.New(
	"expected TOPIC or --connector NAME, found neither: with --connector, the running worker reads the dead letters"))

// Why flags have no effect without or with TOPIC.
const (
	needsTopic   = "expected TOPIC too: without it, --url or --config finds the running worker"
	needsNoTopic = "expected no TOPIC: only the running worker uses it"
)

// rejectFlags returns an error with the reason if one of these flags is set, which would have no effect.
func rejectFlags(c *cobra.Command, reason string, names ...string) error {
	for _, name := range names {
		if c.Flags().Changed(name) {
			return asUsageError(fmt.Errorf("--%s: %s", name, reason))
		}
	}
	return nil
}

func (r *remote) deadLetterPage(ctx context.Context, connector string,
	query url.Values) (page rest.DeadLetterList, err error) {
	err = r.get(ctx, "/culvert/connectors/{name}/deadletters?"+query.Encode(), &page, connector)
	return page, err
}

// listLetters prints dead letters of a connector, the newest first, as their pages arrive.
func (r *remote) listLetters(c *cobra.Command, connector, show string, selection rest.DeadLetterSelection, limit int,
	asJSON bool) error {
	out := c.OutOrStdout()
	titles := "LETTER FAILED FROM STAGE ATTEMPTS SETTLED ERROR"
	query := url.Values{"show": {show}, "cause": {selection.Cause}, "error": {selection.Error},
		"since": {selection.Since}, "until": {selection.Until}}
	if selection.Superseded {
		query.Set("superseded", "true")
	}
	for remaining := limit; ; {
		page, err := r.deadLetterPage(c.Context(), connector, query)
		if err != nil {
			return err
		}
		letters := page.DeadLetters[:min(len(page.DeadLetters), remaining)]
		remaining -= len(letters)
		isLast := page.Next == "" || remaining == 0
		var rows [][]string
		for i := range letters {
			l := &letters[i]
			if asJSON {
				if err := printJSON(out, l); err != nil {
					return asFailure(err)
				}
				continue
			}
			rows = append(rows, []string{l.Position(), l.Failed,
				inLine(sourceText(l.From.Topic, l.From.Partition, l.From.Offset)), inLine(l.Stage),
				strconv.Itoa(l.Attempts), settledText(l.Settled), inLine(l.Message)})
		}
		if !asJSON && (len(rows) > 0 || isLast) {
			if err := printColumns(out, titles, rows); err != nil {
				return err
			}
			titles = ""
		}
		switch {
		case isLast && (page.Next != "" || len(letters) < len(page.DeadLetters)):
			fmt.Fprintf(c.ErrOrStderr(), "there are more than %d dead letters: see --limit\n", limit)
			return nil
		case isLast:
			return nil
		}
		query.Set("after", page.Next)
	}
}

func (r *remote) showLetter(c *cobra.Command, connector, letter string, o output) error {
	page, err := r.deadLetterPage(c.Context(), connector, url.Values{"letter": {letter}})
	if err != nil {
		return err
	}
	if len(page.DeadLetters) == 0 {
		return asFailure(fmt.Errorf("connector %s has no dead letter %s", shown.Line(connector), letter))
	}
	l := &page.DeadLetters[0]
	return o.print(c.OutOrStdout(), l, func(out io.Writer) error {
		rows := [][]string{
			{"letter", l.Position()},
			{"failed", l.Failed},
			{"attempts", strconv.Itoa(l.Attempts)},
			{"settled", settledText(l.Settled)},
			{"from", sourceText(l.From.Topic, l.From.Partition, l.From.Offset)},
			{"request", l.From.Request},
			{"stage", l.Stage},
			{"exception", l.Class},
			{"cause", l.Message},
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
	})
}

func (r *remote) replayLetters(c *cobra.Command, route string, body any, names ...string) error {
	r.setReplayTimeout(c)
	defer r.printProgress(c, names[0])()
	var answer rest.ReplayResult
	err := r.call(c.Context(), "POST /culvert/connectors/{name}/deadletters"+route, body, &answer, names...)
	if err != nil {
		return err
	}
	result := connect.ReplayResult{Sent: answer.Sent, Delivered: answer.Delivered, Rejected: answer.Refused,
		Kept: answer.Kept, Rejections: answer.Refusals, Letter: answer.Letter}
	if answer.DryRun {
		result.Sent = answer.WouldPass + answer.Refused
	}
	if !r.json {
		printReplay(c.OutOrStdout(), result, answer.DryRun)
	} else if err := printJSON(c.OutOrStdout(), answer); err != nil {
		return asFailure(err)
	}
	return replayError(result)
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
				page, err := r.deadLetterPage(ctx, connector, url.Values{"letter": {"0@0"}}) // of at most one letter
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

func connectorFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "connector", "", "`NAME` of the connector")
	requireConnector(c, name)
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
	connectorFlag(c, &connector)
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
			if len(args) > 0 {
				selection.positions = args
			}
			body := selection.selection(&filter)
			body.All = all
			r.setReplayTimeout(c)
			defer r.printProgress(c, filter.Connector)()
			var answer rest.DiscardResult
			err = r.call(c.Context(), "POST /culvert/connectors/{name}/deadletters/discard", body, &answer,
				filter.Connector)
			if err != nil {
				return err
			}
			if !r.json {
				fmt.Fprintf(c.OutOrStdout(), "%d discarded\n", answer.Discarded)
				printKept(c.OutOrStdout(), answer.Kept)
			} else if err := printJSON(c.OutOrStdout(), answer); err != nil {
				return asFailure(err)
			}
			if isIncomplete(answer.Kept) {
				return asFailure(errors.New("not all dead letters were discarded"))
			}
			return nil
		},
	}
	selection.flags(c)
	requireConnector(c, &selection.filter.Connector)
	c.Flags().BoolVar(&all, "all", false, "all open dead letters of the connector")
	return c
}
