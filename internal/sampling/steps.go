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

// filter drops the rows that its predicate means: with a stage's predicate, those that the stage sees.
const filter = "org.apache.kafka.connect.transforms.Filter"

// quiet is for chains: what becomes of their rows is nowhere but in the sample.
var quiet = slog.New(slog.DiscardHandler)

// beginning is a chain up to one of its stages.
type beginning struct {
	stage transform.Stage
	chain *chaintest.Opened
	// kept has a filter with the stage's predicate in its place, and leaves the rows that the stage does not see; nil:
	// it sees all, or no plugin has the filter.
	kept *chaintest.Opened
}

type beginnings []beginning

// open opens the beginnings of a chain, up to the first stage, the second, and so on; none where one of them cannot be
// opened.
func open(ctx context.Context, c chaintest.Chain, connector string) (all beginnings, err error) {
	if c.Broken != nil {
		return nil, c.Broken
	}
	upTo := func(k int, end transform.Stage) (*chaintest.Opened, error) {
		b := chaintest.Chain{Plugins: c.Plugins, Stages: append(slices.Clone(c.Stages[:k]), end)}
		return b.Open(ctx, connector+" (samples)", quiet)
	}
	for k, stage := range c.Stages {
		b := beginning{stage: stage}
		if b.chain, err = upTo(k, stage); err != nil {
			all.close()
			return nil, err
		}
		if stage.Predicate != nil {
			if b.kept, err = upTo(k, transform.Stage{Alias: stage.Alias, Class: filter, Predicate: stage.Predicate,
				Negate: stage.Negate}); err != nil {
				b.kept = nil
			}
		}
		all = append(all, b)
	}
	return all, nil
}

func (all beginnings) close() {
	for _, b := range all {
		if b.chain.Close(); b.kept != nil {
			b.kept.Close()
		}
	}
}

// made is what a chain makes of a row: a batch and the outcome in it.
func made(ctx context.Context, c *chaintest.Opened, r *row) (b *record.Batch, o chaintest.Outcome, err error) {
	b = r.batch.CopyRow(0)
	all, err := c.Run(ctx, b)
	if err == nil {
		o = all[0]
	}
	return b, o, err
}

// row shows a row with what each beginning of a chain makes of it. The error is that the time is over.
func (w *writer) row(r *row, chain beginnings) (shown rest.SampledRow, err error) {
	shown = r.SampledRow
	shown.Steps = []rest.SampledStep{}
	if r.batch == nil {
		return shown, nil
	}
	shown.Input = w.record(r.batch.CopyRow(0), &r.batch.Rows[0])
	before, rows := r.batch, r.batch.Rows
	for _, beginning := range chain {
		step := rest.SampledStep{Did: "changed", Records: []rest.SampledRecord{}}
		b, o, err := made(w.ctx, beginning.chain, r)
		switch {
		case w.ctx.Err() != nil:
			return shown, err
		case err != nil || o.Fault != nil:
			step.Did, step.Error = "failed", line(w.strike(beginning.stage.Alias+": "+w.why(o, err)))
		case len(o.Rows) == 0:
			step.Did = "dropped"
		case same(b, o.Rows, before, rows):
			step.Did = "unchanged"
			if beginning.kept != nil {
				kept, after, err := made(w.ctx, beginning.kept, r)
				if err == nil && same(kept, after.Rows, before, rows) {
					step.Did = "skipped"
				}
			}
		default:
			step.Records = w.records(b, o.Rows)
		}
		shown.Steps, before, rows = append(shown.Steps, step), b, o.Rows
		if len(rows) == 0 {
			break
		}
	}
	return shown, nil
}

// why says why a chain failed; not by a text that may have values where only the shape of rows is shown.
func (w *writer) why(o chaintest.Outcome, err error) string {
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
