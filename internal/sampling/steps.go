package sampling

import (
	"context"
	"log/slog"
	"slices"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/transform"
)

// filterClass drops rows that its predicate matches: with a stage's predicate it shows which rows the stage sees.
const filterClass = "org.apache.kafka.connect.transforms.Filter"

var discardLog = slog.New(slog.DiscardHandler)

// chainPrefix is a chain up to and including one of its stages.
type chainPrefix struct {
	stage transform.Stage
	chain *chaintest.Opened
	// seenByStage ends with a filter instead of the stage, to find rows that it skips. Nil means that the stage has
	// no predicate, or that there is no filter plugin.
	seenByStage *chaintest.Opened
}

type chainPrefixes []chainPrefix

// openPrefixes opens the prefixes of a chain, in the order of its stages, or no prefixes if a stage fails.
func openPrefixes(ctx context.Context, c chaintest.Chain, connector string) (prefixes chainPrefixes, err error) {
	if c.Broken != nil {
		return nil, c.Broken
	}
	upTo := func(n int, end transform.Stage) (*chaintest.Opened, error) {
		prefix := chaintest.Chain{Plugins: c.Plugins, Stages: append(slices.Clone(c.Stages[:n]), end)}
		return prefix.Open(ctx, connector+" (samples)", discardLog)
	}
	for n, stage := range c.Stages {
		prefix := chainPrefix{stage: stage}
		if prefix.chain, err = upTo(n, stage); err != nil {
			prefixes.close()
			return nil, err
		}
		if stage.Predicate != nil {
			filter := transform.Stage{
				Alias:     stage.Alias,
				Class:     filterClass,
				Predicate: stage.Predicate,
				Negate:    stage.Negate,
			}
			if prefix.seenByStage, err = upTo(n, filter); err != nil {
				prefix.seenByStage = nil
			}
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func (c chainPrefixes) close() {
	for _, prefix := range c {
		prefix.chain.Close()
		if prefix.seenByStage != nil {
			prefix.seenByStage.Close()
		}
	}
}

// runChain runs a chain on a row. It returns the batch and the outcome for the row.
func runChain(ctx context.Context, c *chaintest.Opened, r *row) (b *record.Batch, o chaintest.Outcome, err error) {
	b = r.batch.CopyRow(0)
	outcomes, err := c.Run(ctx, b)
	if err == nil {
		o = outcomes[0]
	}
	return b, o, err
}

// row renders a row with the result of each prefix of the chain. The error means that the time is over.
func (w *writer) row(r *row, chain chainPrefixes) (shown rest.SampledRow, err error) {
	shown = r.SampledRow
	shown.Steps = []rest.SampledStep{}
	if r.batch == nil {
		return shown, nil
	}
	shown.Input = w.record(r.batch.CopyRow(0), &r.batch.Rows[0])
	previous := r.batch
	rows := r.batch.Rows
	for _, prefix := range chain {
		step := rest.SampledStep{Outcome: "changed", Records: []rest.SampledRecord{}}
		batch, outcome, err := runChain(w.ctx, prefix.chain, r)
		switch {
		case w.ctx.Err() != nil:
			return shown, w.ctx.Err()
		case err != nil || outcome.Fault != nil:
			step.Error = line(w.redact(prefix.stage.Alias + ": " + w.failureText(outcome, err)))
			step.Outcome = "failed"
		case len(outcome.Rows) == 0:
			step.Outcome = "dropped"
		case sameRecords(batch, outcome.Rows, previous, rows):
			step.Outcome = "unchanged"
			if prefix.seenByStage != nil {
				seenBatch, seen, err := runChain(w.ctx, prefix.seenByStage, r)
				if err == nil && sameRecords(seenBatch, seen.Rows, previous, rows) {
					step.Outcome = "skipped"
				}
			}
		default:
			step.Records = w.records(batch, outcome.Rows)
		}
		shown.Steps = append(shown.Steps, step)
		previous = batch
		rows = outcome.Rows
		if len(rows) == 0 {
			break
		}
	}
	return shown, nil
}

// failureText returns why a chain failed, without texts that may contain values if only shapes are shown.
func (w *writer) failureText(o chaintest.Outcome, err error) string {
	switch {
	case w.shape && o.Fault != nil:
		return o.Fault.ErrorClass
	case w.shape:
		return ""
	case o.Fault != nil:
		return o.Fault.Error.Message
	}
	return err.Error()
}
