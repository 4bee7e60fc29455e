package task

import (
	"context"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// Calls is how a task gets what it makes its calls on of a pool, and gives it back.
type Calls[C any] struct {
	Acquire func(ctx context.Context, p *plugin.Pool, fresh bool) (C, error)
	Release func(p *plugin.Pool, c C)
	// Seen are the settings of the task that a version may see; nil: all.
	Seen Settings
}

// Settings are those of a task's that a version of its plugin may see.
type Settings func(plugin.Info) []wit.Setting

// Seen are the settings that a version is shown of all.
func Seen[C any](of Code[C], all []wit.Setting) []wit.Setting {
	if c, ok := of.(code[C]); ok && c.calls.Seen != nil {
		return c.calls.Seen(c.pool.Module())
	}
	return all
}

// Of is the versions of a connector's plugin.
func Of[C any](b *plugin.Binding, calls Calls[C]) Versions[C] { return versions[C]{b, &calls} }

type versions[C any] struct {
	*plugin.Binding
	calls *Calls[C]
}

func (v versions[C]) Current() Code[C] { return code[C]{v.Binding.Current(), v.calls} }

func (v versions[C]) Candidate() Code[C] {
	if p := v.Binding.Candidate(); p != nil {
		return code[C]{p, v.calls}
	}
	return nil
}

func (v versions[C]) Promote(c Code[C]) { v.Binding.Promote(c.(code[C]).pool) }

func (v versions[C]) Reject(c Code[C], reason string) { v.Binding.Reject(c.(code[C]).pool, reason) }

type code[C any] struct {
	pool  *plugin.Pool
	calls *Calls[C]
}

func (c code[C]) Acquire(ctx context.Context) (C, error) { return c.calls.Acquire(ctx, c.pool, false) }

func (c code[C]) AcquireFresh(ctx context.Context) (C, error) {
	return c.calls.Acquire(ctx, c.pool, true)
}

func (c code[C]) Release(call C)  { c.calls.Release(c.pool, call) }
func (c code[C]) Version() string { return c.pool.Module().Version }
