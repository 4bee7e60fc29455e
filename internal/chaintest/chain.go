package chaintest

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/transform"
	"github.com/culvert-project/culvert/wit"
)

// Chain is a chain of transforms for the records of tests and samples. Broken is the reason why it cannot be built.
type Chain struct {
	Plugins *plugin.Manager
	Stages  []transform.Stage
	Broken  error
}

// ChainOf returns the chain of a configuration.
func ChainOf(c *resolved.Connector) Chain {
	stages, err := connect.Stages(c, nil)
	return Chain{Plugins: c.Plugins, Stages: stages, Broken: err}
}

// Opened is a chain with its own instances, independent of any task. It belongs to one goroutine.
type Opened struct {
	chain  *transform.Chain
	stages []transform.Stage
}

// Outcome is the result of one record: rows of the batch, an error, or neither if the record was dropped.
type Outcome struct {
	Rows  []wit.Row
	Fault *wit.RowError
	// Stage is the alias of the transform that Fault is of; empty if a plugin names a stage that it does not have.
	Stage string
}

// Open opens a chain under a connector's name.
func (c Chain) Open(ctx context.Context, connector string, logger *slog.Logger) (*Opened, error) {
	if c.Broken != nil {
		return nil, c.Broken
	}
	chain, err := transform.New(ctx, transform.Options{Manager: c.Plugins, Connector: connector, Stages: c.Stages,
		Logger: logger, Isolated: true})
	return &Opened{chain: chain, stages: c.Stages}, err
}

// Close releases the instances.
func (o *Opened) Close() { o.chain.Close() }

// Run sends a batch through the chain and returns one outcome for each of its rows, in order. The rows of outcomes have
// their data in b. The error is that the chain does not run, or that ctx has ended.
func (o *Opened) Run(ctx context.Context, b *record.Batch) ([]Outcome, error) {
	outcomes := make([]Outcome, len(b.Rows))
	for i := range b.Rows {
		b.Rows[i].RowIndex = uint32(i)
	}
	faults, err := o.chain.Apply(ctx, b)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	for _, row := range b.Rows {
		outcomes[row.RowIndex].Rows = append(outcomes[row.RowIndex].Rows, row)
	}
	for _, f := range faults {
		outcome := &outcomes[f.RowIndex]
		outcome.Fault = &f
		if int(f.Stage) < len(o.stages) {
			outcome.Stage = o.stages[f.Stage].Alias
		}
	}
	return outcomes, nil
}
