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

// filterClass drops the rows that its predicate means: with a stage's predicate, those that the stage sees.
const filterClass = "org.apache.kafka.connect.transforms.Filter"

// discardLog is for chains: what becomes of their rows is nowhere but in the sample.
var discardLog = slog.New(slog.DiscardHandler)

// chainPrefix is a chain up to one of its stages.
type chainPrefix struct {
	stage transform.Stage
	chain *chaintest.Opened
	// seenByStage has a filter with the stage's predicate in its place, and leaves the rows that the stage does not
	// see; nil: it sees all, or no plugin has the filter.
	seenByStage *chaintest.Opened
}

type chainPrefixes []chainPrefix

// openPrefixes opens the beginnings of a chain, up to the first stage, the second, and so on; none where one of them
// cannot be opened.
func openPrefixes(ctx context.Context, c chaintest.Chain, connector string) (all chainPrefixes, err error) {
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
			all.close()
			return nil, err
		}
		if stage.Predicate != nil {
			if prefix.seenByStage, err = upTo(n, transform.Stage{Alias: stage.Alias, Class: filterClass,
				Predicate: stage.Predicate,
				Negate:    stage.Negate}); err != nil {
				prefix.seenByStage = nil
			}
		}
		all = append(all, prefix)
	}
	return all, nil
}

func (all chainPrefixes) close() {
	for _, b := range all {
		if b.chain.Close(); b.seenByStage != nil {
			b.seenByStage.Close()
		}
	}
}

// runChain is what a chain makes of a row: a batch and the outcome in it.
func runChain(ctx context.Context, c *chaintest.Opened, r *row) (b *record.Batch, o chaintest.Outcome, err error) {
	b = r.batch.Copy(0)
	all, err := c.Run(ctx, b)
	if err == nil {
		o = all[0]
	}
	return b, o, err
}

// row shows a row with what each beginning of a chain makes of it. The error is that the time is over.
func (w *writer) row(r *row, chain chainPrefixes) (shown rest.SampledRow, err error) {
	shown = r.SampledRow
	shown.Steps = []rest.SampledStep{}
	if r.batch == nil {
		return shown, nil
	}
	shown.Input = w.record(r.batch.Copy(0), &r.batch.Rows[0])
	before, rows := r.batch, r.batch.Rows
	for _, prefix := range chain {
		step := rest.SampledStep{Outcome: "changed", Records: []rest.SampledRecord{}}
		batch, outcome, err := runChain(w.ctx, prefix.chain, r)
		switch {
		case w.ctx.Err() != nil:
			return shown, err
		case err != nil || outcome.Fault != nil:
			step.Outcome, step.Error = "failed", line(w.redact(prefix.stage.Alias+": "+w.failureText(outcome, err)))
		case len(outcome.Rows) == 0:
			step.Outcome = "dropped"
		case sameRecords(batch, outcome.Rows, before, rows):
			step.Outcome = "unchanged"
			if prefix.seenByStage != nil {
				seenBatch, seen, err := runChain(w.ctx, prefix.seenByStage, r)
				if err == nil && sameRecords(seenBatch, seen.Rows, before, rows) {
					step.Outcome = "skipped"
				}
			}
		default:
			step.Records = w.records(batch, outcome.Rows)
		}
		shown.Steps, before, rows = append(shown.Steps, step), batch, outcome.Rows
		if len(rows) == 0 {
			break
		}
	}
	return shown, nil
}

// failureText says why a chain failed; not by a text that may have values where only the shape of rows is shown.
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
