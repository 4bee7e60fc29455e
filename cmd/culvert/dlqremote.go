package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/connect"
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

// listLetters prints the connector's dead letters that the filter selects, the newest first.
func (r *remote) listLetters(c *cobra.Command, filter connect.DeadLetterFilter, show string, asJSON bool) error {
	out := bufio.NewWriter(c.OutOrStdout())
	var rows [][]string
	query := url.Values{"show": {show}}
	for {
		page, err := r.deadLetterPage(c.Context(), filter.Connector, query)
		if err != nil {
			return err
		}
		for i := range page.DeadLetters {
			l := &page.DeadLetters[i]
			failed, _ := time.Parse(time.RFC3339, l.Failed) // the zero time if the letter has none
			hasText := strings.Contains(strings.ToLower(l.Class+"\n"+l.Message), strings.ToLower(filter.Error))
			switch {
			case !hasText, failed.Before(filter.Since), !filter.Until.IsZero() && !failed.Before(filter.Until):
				// not selected
			case asJSON:
				if err := printJSON(out, l); err != nil {
					return asFailure(err)
				}
			default:
				rows = append(rows, []string{l.Position(), l.Failed,
					inLine(sourceText(l.From.Topic, l.From.Partition, l.From.Offset)), inLine(l.Stage),
					strconv.Itoa(l.Attempts), settledText(l.Settled), inLine(l.Message)})
			}
		}
		if page.Next == "" {
			break
		}
		query.Set("after", page.Next)
	}
	if !asJSON {
		if err := printColumns(out, "LETTER FAILED FROM STAGE ATTEMPTS SETTLED ERROR", rows); err != nil {
			return err
		}
	}
	return asFailure(out.Flush())
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

// setReplayTimeout makes calls wait longer than a worker replays or discards, unless --timeout is set.
func (r *remote) setReplayTimeout(c *cobra.Command) {
	if !c.Flags().Changed("timeout") {
		r.timeout = 5 * time.Minute
	}
}

func connectorFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "connector", "", "`NAME` of the connector")
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
	var connector string
	c := &cobra.Command{
		Use:     "discard PARTITION@OFFSET…",
		Short:   "Settle dead letters without sending them, through the running worker",
		Example: `  culvert dlq discard 0@17 0@18 --connector orders`,
		RunE: func(c *cobra.Command, args []string) error {
			r.setReplayTimeout(c)
			var answer rest.DiscardResult
			err := r.call(c.Context(), "POST /culvert/connectors/{name}/deadletters/discard",
				rest.DiscardRequest{Letters: args}, &answer, connector)
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
	connectorFlag(c, &connector)
	return c
}
