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

// opened is a chain on instances of its own, as all of its beginnings.
type opened struct {
	stages []transform.Stage
	// beginnings end with the first stage, the second, and so on. kept have the place of the last one taken by a filter
	// with its predicate, and leave the rows that it does not see; nil: it sees all, or no plugin has the filter.
	beginnings, kept []*transform.Chain
}

// open opens the beginnings of a chain; nil where one of them cannot be opened.
func (c Chain) open(ctx context.Context, connector string) (*opened, error) {
	if c.Broken != nil {
		return nil, c.Broken
	}
	o := &opened{stages: c.Stages}
	begin := func(stages ...transform.Stage) (*transform.Chain, error) {
		return transform.New(ctx, transform.Options{Manager: c.Plugins, Connector: connector + " (samples)",
			Stages: stages, Logger: quiet, Aside: true})
	}
	for k, stage := range c.Stages {
		chain, err := begin(c.Stages[:k+1]...)
		if err != nil {
			o.close()
			return nil, err
		}
		o.beginnings, o.kept = append(o.beginnings, chain), append(o.kept, nil)
		if stage.Predicate != nil {
			o.kept[k], _ = begin(append(slices.Clone(c.Stages[:k]), transform.Stage{Alias: stage.Alias, Class: filter,
				Predicate: stage.Predicate, Negate: stage.Negate})...)
		}
	}
	return o, nil
}

func (o *opened) close() {
	if o == nil {
		return
	}
	for _, c := range slices.Concat(o.beginnings, o.kept) {
		if c != nil {
			c.Close()
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

// row shows a row with what each beginning of a chain makes of it; o is nil where there is no chain.
func (w *writer) row(r *row, o *opened) (shown rest.SampledRow, err error) {
	shown = r.SampledRow
	shown.Steps = []rest.SampledStep{}
	if r.batch == nil {
		return shown, nil
	}
	shown.Came = w.record(r.batch.Copy(0), &r.batch.Rows[0])
	if o == nil {
		return shown, nil
	}
	before := outcomeOf(r.batch, nil, nil, 0)
	for k, beginning := range o.beginnings {
		b, after, err := made(w.ctx, beginning, r)
		if err != nil {
			return shown, err
		}
		step := rest.SampledStep{Records: []rest.SampledRecord{}}
		switch {
		case after.fault != "" && w.shape: // its text may have values
			step.Error = line(o.stages[k].Alias + ": " + after.class)
		case after.fault != "":
			step.Error = line(w.strike(o.stages[k].Alias + ": " + after.fault))
		case slices.Equal(after.records, before.records):
			step.Unchanged = true
			if o.kept[k] != nil {
				_, kept, err := made(w.ctx, o.kept[k], r)
				if err != nil {
					return shown, err
				}
				step.Skipped = slices.Equal(kept.records, before.records)
			}
		default:
			step.Records = w.records(b)
		}
		shown.Steps, before = append(shown.Steps, step), after
		if after.fault != "" || len(after.records) == 0 {
			break
		}
	}
	if r.made != nil {
		shown.Differs = r.made.differs(&before)
	}
	return shown, nil
}
