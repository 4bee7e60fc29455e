package sampling

import (
	"context"
	"log/slog"
	"slices"

	"github.com/culvert-project/culvert/host/internal/run/transform"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/rest"
)

// Chain is a chain of transforms that rows are sent through. Broken is why there is none.
type Chain struct {
	Plugins *plugin.Manager
	Stages  []transform.Stage
	Broken  error
}

// filter drops the rows that its predicate means: with a stage's predicate, those that the stage sees.
const filter = "org.apache.kafka.connect.transforms.Filter"

// quiet is for chains: what becomes of their rows is nowhere but in the sample.
var quiet = slog.New(slog.DiscardHandler)

// beginning is a chain on instances of its own, up to one of its stages.
type beginning struct {
	stage transform.Stage
	chain *transform.Chain
	// kept has a filter with the stage's predicate in its place, and leaves the rows that the stage does not see; nil:
	// it sees all, or no plugin has the filter.
	kept *transform.Chain
}

type beginnings []beginning

// open opens the beginnings of a chain, up to the first stage, the second, and so on; none where one of them cannot be
// opened.
func (c Chain) open(ctx context.Context, connector string) (all beginnings, err error) {
	if c.Broken != nil {
		return nil, c.Broken
	}
	begin := func(k int, end transform.Stage) (*transform.Chain, error) {
		return transform.New(ctx, transform.Options{Manager: c.Plugins, Connector: connector + " (samples)",
			Stages: append(slices.Clone(c.Stages[:k]), end), Logger: quiet, Aside: true})
	}
	for k, stage := range c.Stages {
		b := beginning{stage: stage}
		if b.chain, err = begin(k, stage); err != nil {
			all.close()
			return nil, err
		}
		if stage.Predicate != nil {
			b.kept, _ = begin(k, transform.Stage{Alias: stage.Alias, Class: filter, Predicate: stage.Predicate,
				Negate: stage.Negate})
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

// made is what a beginning makes of a row. The error is that ctx has ended.
func made(ctx context.Context, c *transform.Chain, r *row) (b *record.Batch, o outcome, err error) {
	b = r.batch.Copy(0)
	faults, err := c.Apply(ctx, b)
	if ctx.Err() != nil {
		return nil, o, context.Cause(ctx)
	}
	return b, outcomeOf(b, faults, err, 0), nil
}

// row shows a row with what each beginning of a chain makes of it.
func (w *writer) row(r *row, chain beginnings) (shown rest.SampledRow, err error) {
	shown = r.SampledRow
	shown.Steps = []rest.SampledStep{}
	if r.batch == nil {
		return shown, nil
	}
	shown.Came = w.record(r.batch.Copy(0), &r.batch.Rows[0])
	if len(chain) == 0 {
		return shown, nil
	}
	before := outcomeOf(r.batch, nil, nil, 0)
	for _, beginning := range chain {
		b, after, err := made(w.ctx, beginning.chain, r)
		if err != nil {
			return shown, err
		}
		step := rest.SampledStep{Did: "changed", Records: []rest.SampledRecord{}}
		switch {
		case after.fault != "":
			step.Did = "failed"
			why := after.fault
			if w.shape { // its text may have values
				why = after.class
			}
			step.Error = line(w.strike(beginning.stage.Alias + ": " + why))
		case len(after.records) == 0:
			step.Did = "dropped"
		case slices.Equal(after.records, before.records):
			step.Did = "unchanged"
			if beginning.kept != nil {
				_, kept, err := made(w.ctx, beginning.kept, r)
				if err != nil {
					return shown, err
				}
				if slices.Equal(kept.records, before.records) {
					step.Did = "skipped"
				}
			}
		default:
			step.Records = w.records(b)
		}
		shown.Steps, before = append(shown.Steps, step), after
		if len(after.records) == 0 {
			break
		}
	}
	if r.made != nil {
		shown.Differs = r.made.differs(&before)
	}
	return shown, nil
}
