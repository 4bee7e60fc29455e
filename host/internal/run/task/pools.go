package task

import (
	"context"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// InstanceFuncs is how a task gets what it makes its calls on of a pool, and gives it back.
type InstanceFuncs[C any] struct {
	Acquire func(ctx context.Context, p *plugin.Pool, fresh bool) (C, error)
	Release func(p *plugin.Pool, c C)
	// VisibleSettings are the settings of the task that a version may see; nil: all.
	VisibleSettings SettingsFunc
}

// SettingsFunc are those of a task's that a version of its plugin may see.
type SettingsFunc func(plugin.Info) []wit.Setting

// VisibleSettings are the settings that a version is shown of all.
func VisibleSettings[C any](of PluginVersion[C], all []wit.Setting) []wit.Setting {
	if c, ok := of.(code[C]); ok && c.calls.VisibleSettings != nil {
		return c.calls.VisibleSettings(c.pool.Module())
	}
	return all
}

// NewPluginVersions is the versions of a connector's plugin.
func NewPluginVersions[C any](b *plugin.Binding, calls InstanceFuncs[C]) PluginVersions[C] {
	return versions[C]{b, &calls}
}

type versions[C any] struct {
	*plugin.Binding
	calls *InstanceFuncs[C]
}

func (v versions[C]) Current() PluginVersion[C] { return code[C]{v.Binding.Current(), v.calls} }

func (v versions[C]) Candidate() PluginVersion[C] {
	if p := v.Binding.Candidate(); p != nil {
		return code[C]{p, v.calls}
	}
	return nil
}

func (v versions[C]) Promote(c PluginVersion[C]) { v.Binding.Promote(c.(code[C]).pool) }

func (v versions[C]) Reject(c PluginVersion[C], reason string) {
	v.Binding.Reject(c.(code[C]).pool, reason)
}

type code[C any] struct {
	pool  *plugin.Pool
	calls *InstanceFuncs[C]
}

func (c code[C]) Acquire(ctx context.Context) (C, error) { return c.calls.Acquire(ctx, c.pool, false) }

func (c code[C]) AcquireFresh(ctx context.Context) (C, error) {
	return c.calls.Acquire(ctx, c.pool, true)
}

func (c code[C]) Release(call C)  { c.calls.Release(c.pool, call) }
func (c code[C]) Version() string { return c.pool.Module().Version }
