package task

import (
	"context"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/wit"
)

// InstanceFuncs acquire and release instances of a pool.
type InstanceFuncs[C any] struct {
	Acquire         func(ctx context.Context, p *plugin.Pool, fresh bool) (C, error) // fresh: an unused instance
	Release         func(p *plugin.Pool, c C)
	VisibleSettings SettingsFunc // nil means all
}

// SettingsFunc returns the settings of a task that the plugin version with this info may see.
type SettingsFunc func(plugin.Info) []wit.Setting

// VisibleSettings returns the settings that a version may see: all, unless the InstanceFuncs of its pool select them.
func VisibleSettings[C any](v PluginVersion[C], settings []wit.Setting) []wit.Setting {
	if p, ok := v.(poolVersion[C]); ok && p.funcs.VisibleSettings != nil {
		return p.funcs.VisibleSettings(p.pool.Module())
	}
	return settings
}

// NewPluginVersions returns the versions of a bound plugin.
func NewPluginVersions[C any](b *plugin.Binding, funcs InstanceFuncs[C]) PluginVersions[C] {
	return poolVersions[C]{Binding: b, funcs: &funcs}
}

type poolVersions[C any] struct {
	*plugin.Binding
	funcs *InstanceFuncs[C]
}

// Current returns the version that the binding uses.
func (v poolVersions[C]) Current() PluginVersion[C] {
	return poolVersion[C]{pool: v.Binding.Current(), funcs: v.funcs}
}

// Candidate returns a version to try instead of the current one, or nil.
func (v poolVersions[C]) Candidate() PluginVersion[C] {
	if p := v.Binding.Candidate(); p != nil {
		return poolVersion[C]{pool: p, funcs: v.funcs}
	}
	return nil
}

// Promote makes the candidate c current.
func (v poolVersions[C]) Promote(c PluginVersion[C]) { v.Binding.Promote(c.(poolVersion[C]).pool) }

func (v poolVersions[C]) Reject(c PluginVersion[C], reason string) {
	v.Binding.Reject(c.(poolVersion[C]).pool, reason)
}

type poolVersion[C any] struct {
	pool  *plugin.Pool
	funcs *InstanceFuncs[C]
}

func (p poolVersion[C]) Acquire(ctx context.Context) (C, error) {
	return p.funcs.Acquire(ctx, p.pool, false)
}

// AcquireFresh returns an unused instance, which has no state of earlier calls.
func (p poolVersion[C]) AcquireFresh(ctx context.Context) (C, error) {
	return p.funcs.Acquire(ctx, p.pool, true)
}

func (p poolVersion[C]) Release(c C)     { p.funcs.Release(p.pool, c) }
func (p poolVersion[C]) Version() string { return p.pool.Module().Version }
