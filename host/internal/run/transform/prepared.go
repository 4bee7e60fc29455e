package transform

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// prepared is stages of one plugin and the context that its current version made of them.
type prepared struct {
	binding *plugin.Binding
	version string
	stages  []staged
	context []byte
	// aside is as in [Options].
	aside bool
	// origins are those of the rows of a call.
	origins []uint32
}

// prepare makes the context on the current version.
func (p *prepared) prepare(ctx context.Context) error {
	made, err := prepare(ctx, p.binding.Current(), p.stages)
	p.context = made
	return err
}

// staged is a stage with what says which settings a version may see, nil: none.
type staged struct {
	wit.Stage
	settings, condition func(plugin.Info) []wit.Setting
}

// seen is the stage as a version may see it.
func (s staged) seen(version plugin.Info) wit.Stage {
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

func prepare(ctx context.Context, pool *plugin.Pool, all []staged) (made []byte, err error) {
	stages := make([]wit.Stage, len(all))
	for i, s := range all {
		stages[i] = s.seen(pool.Module())
	}
	err = pool.Do(ctx, func(i *plugin.Instance) error {
		made, err = i.Prepare(ctx, stages)
		return err
	})
	return made, err
}

// swap takes a newer version of the plugin if it can prepare the same stages; else the present one goes on and the
// binding's status says why.
func (p *prepared) swap(ctx context.Context) {
	if p.aside {
		return
	}
	candidate := p.binding.Candidate()
	if candidate == nil {
		return
	}
	made, err := prepare(ctx, candidate, p.stages)
	switch {
	case err == nil:
		if p.binding.Promote(candidate); p.binding.Current() == candidate { // else the binding refused it
			p.context = made
		}
	case ctx.Err() == nil:
		p.binding.Reject(candidate, fmt.Sprintf("it does not take the settings of the transforms: %v", err))
	}
}

// again reports whether a call that failed is to be made once more, by another version where that is in doubt which
// broke.
func (p *prepared) again(ctx context.Context, err error) bool {
	if err == nil || p.aside || ctx.Err() != nil || !p.binding.ShouldRetry(err) {
		return false
	}
	p.swap(ctx)
	return true
}

// apply sends b through the stages. Faults name rows by the Origin that they have in b.
func (p *prepared) apply(ctx context.Context, b *record.Batch) (faults []wit.RowError, err error) {
	p.origins = p.origins[:0]
	for i := range b.Rows {
		p.origins = append(p.origins, b.Rows[i].RowIndex)
	}
	err = p.do(ctx, func(i *plugin.Instance) error {
		faults, err = i.Apply(ctx, p.context, b)
		return err
	})
	for i := range faults {
		faults[i].RowIndex = p.origins[faults[i].RowIndex]
	}
	return faults, err
}

// test asks the predicate of each row. Faults name rows by their place in b.
func (p *prepared) test(ctx context.Context, b *record.Batch) (matches []bool, faults []wit.RowError, err error) {
	err = p.do(ctx, func(i *plugin.Instance) error {
		matches, faults, err = i.Test(ctx, p.context, b)
		return err
	})
	return matches, faults, err
}

// do makes a call with rows on the current version.
func (p *prepared) do(ctx context.Context, call func(*plugin.Instance) error) error {
	return p.binding.Current().Do(ctx, call)
}
