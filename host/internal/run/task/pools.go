package task

import (
	"context"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// Calls makes what calls are made on of a pool. It is comparable.
type Calls[C any] interface {
	Acquire(ctx context.Context, p *plugin.Pool, fresh bool) (C, error)
	Release(p *plugin.Pool, c C)
}

// Settings are those of a task's that a version of its plugin may see; nil: all.
type Settings func(plugin.Info) []wit.Setting

// Seen are the settings that the pool's version is shown of all.
func (s Settings) Seen(p *plugin.Pool, all []wit.Setting) []wit.Setting {
	if s == nil {
		return all
	}
	return s(p.Module())
}

// Of is the versions of a connector's plugin.
func Of[C any](b *plugin.Binding, calls Calls[C]) Versions[C] { return versions[C]{b, calls} }

type versions[C any] struct {
	*plugin.Binding
	calls Calls[C]
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
	calls Calls[C]
}

func (c code[C]) Acquire(ctx context.Context) (C, error) { return c.calls.Acquire(ctx, c.pool, false) }

func (c code[C]) AcquireFresh(ctx context.Context) (C, error) {
	return c.calls.Acquire(ctx, c.pool, true)
}

func (c code[C]) Release(call C)  { c.calls.Release(c.pool, call) }
func (c code[C]) Version() string { return c.pool.Module().Version }
