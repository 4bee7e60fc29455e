package sink

import (
	"context"

	"github.com/culvert-project/culvert/host/plugin"
)

// VersionsOf makes a binding what a task runs.
func VersionsOf(b *plugin.Binding) Versions { return binding{b} }

type binding struct{ *plugin.Binding }

func (b binding) Current() Code { return code{b.Binding.Current()} }

func (b binding) Candidate() Code {
	if p := b.Binding.Candidate(); p != nil {
		return code{p}
	}
	return nil
}

func (b binding) Promote(c Code)               { b.Binding.Promote(c.(code).Pool) }
func (b binding) Reject(c Code, reason string) { b.Binding.Reject(c.(code).Pool, reason) }

type code struct{ *plugin.Pool }

func (c code) Acquire(ctx context.Context) (Writer, error) {
	i, err := c.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (c code) AcquireFresh(ctx context.Context) (Writer, error) {
	i, err := c.Pool.AcquireFresh(ctx)
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (c code) Release(w Writer) { c.Pool.Release(w.(*plugin.Instance)) }
func (c code) Version() string  { return c.Module().Version }
