package transform

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// preparedStages are consecutive stages of one plugin, with the context that its current version has prepared.
type preparedStages struct {
	binding    *plugin.Binding
	version    string // as configured; empty means the newest
	stages     []boundStage
	context    []byte
	isolated   bool
	rowIndexes []uint32 // of the rows of a call
}

func (p *preparedStages) prepare(ctx context.Context) error {
	prepared, err := prepare(ctx, p.binding.Current(), p.stages)
	p.context = prepared
	return err
}

// Error is an error of stages with their plugin, which may be another one than the connector's.
type Error struct {
	Plugin string // the name and the version of the plugin
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error of the stages.
func (e *Error) Unwrap() error { return e.Err }

// withPlugin returns an error of the stages as an [Error], nil for nil.
func (p *preparedStages) withPlugin(err error) error {
	if err == nil {
		return nil
	}
	info := p.binding.Current().Module()
	return &Error{Plugin: info.Name + " " + info.Version, Err: err}
}

type boundStage struct {
	wit.Stage
	settings  func(plugin.Info) []wit.Setting
	condition func(plugin.Info) []wit.Setting
}

func (s boundStage) resolve(version plugin.Info) wit.Stage {
	if s.settings != nil {
		s.Settings = s.settings(version)
	}
	if s.condition != nil {
		condition := *s.Condition
		condition.Settings = s.condition(version)
		s.Condition = &condition
	}
	return s.Stage
}

func prepare(ctx context.Context, pool *plugin.Pool, bound []boundStage) (prepared []byte, err error) {
	stages := make([]wit.Stage, len(bound))
	for i, s := range bound {
		stages[i] = s.resolve(pool.Module())
	}
	err = pool.Do(ctx, func(i *plugin.Instance) error {
		prepared, err = i.Prepare(ctx, stages)
		return err
	})
	return prepared, err
}

// upgrade switches to a newer version if that can prepare the same stages. Else the plugin's status has the reason.
func (p *preparedStages) upgrade(ctx context.Context) {
	if p.isolated {
		return
	}
	candidate := p.binding.Candidate()
	if candidate == nil {
		return
	}
	prepared, err := prepare(ctx, candidate, p.stages)
	switch {
	case err == nil:
		p.binding.Promote(candidate)
		if p.binding.Current() == candidate { // otherwise the binding rejected it
			p.context = prepared
		}
	case ctx.Err() == nil:
		p.binding.Reject(candidate, fmt.Sprintf("it rejects the settings of the transforms: %v", err))
	}
}

// retry reports whether to repeat a call because a version on trial has failed, and then switches from it. It is true
// only a few times: that version is rolled back, and one that cannot be prepared in its place is rejected.
func (p *preparedStages) retry(ctx context.Context, err error) bool {
	if err == nil || p.isolated || ctx.Err() != nil || !p.binding.ShouldRetry(err) {
		return false
	}
	p.upgrade(ctx)
	return true
}

// apply applies the stages. The errors have the row indexes of the rows.
func (p *preparedStages) apply(ctx context.Context, b *record.Batch) (rowErrs []wit.RowError, err error) {
	p.rowIndexes = p.rowIndexes[:0]
	for i := range b.Rows {
		p.rowIndexes = append(p.rowIndexes, b.Rows[i].RowIndex)
	}
	err = p.do(ctx, func(i *plugin.Instance) error {
		rowErrs, err = i.Apply(ctx, p.context, b)
		return err
	})
	for i := range rowErrs {
		rowErrs[i].RowIndex = p.rowIndexes[rowErrs[i].RowIndex]
	}
	return rowErrs, err
}

func (p *preparedStages) test(ctx context.Context,
	b *record.Batch) (matches []bool, rowErrs []wit.RowError, err error) {
	err = p.do(ctx, func(i *plugin.Instance) error {
		matches, rowErrs, err = i.Test(ctx, p.context, b)
		return err
	})
	return matches, rowErrs, err
}

func (p *preparedStages) do(ctx context.Context, call func(*plugin.Instance) error) error {
	return p.binding.Current().Do(ctx, call)
}
