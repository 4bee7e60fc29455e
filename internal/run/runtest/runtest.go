// Package runtest helps tests of source and sink tasks.
package runtest

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/task"
)

// Bubble runs a subtest in a synctest bubble, whose time is virtual.
func Bubble(t *testing.T, name string, run func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, run) })
}

// Fails checks that an error contains all parts.
func Fails(t *testing.T, err error, parts ...string) {
	t.Helper()
	require.True(t, err != nil, "expected an error with %q", parts)
	assert.Contains(t, err.Error(), parts...)
}

// Start runs a task in the background. stop cancels it, waits for its end, and returns its error.
func Start(t *testing.T, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- run(ctx) }()
	return func() error {
		cancel()
		return <-result
	}
}

// Seeds runs a test in a bubble for each of the seeds 0 to seeds-1, with random numbers from the seed and stream.
func Seeds(t *testing.T, seeds, stream int, run func(t *testing.T, seed uint64, r *rand.Rand)) {
	t.Helper()
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) { run(t, seed, rand.New(rand.NewPCG(seed, uint64(stream)))) })
	}
}

// Pass lets time pass, and then waits until all goroutines of the bubble are blocked.
func Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Code is a [task.PluginVersion] with one instance, for fakes.
type Code[C any] struct {
	Instance C
	Name     string
	// FreshCalls counts the requests for an unused instance.
	FreshCalls atomic.Int32
}

// Acquire returns the instance.
func (c *Code[C]) Acquire(context.Context) (C, error) { return c.Instance, nil }

// AcquireFresh returns the instance and counts the call.
func (c *Code[C]) AcquireFresh(context.Context) (C, error) {
	c.FreshCalls.Add(1)
	return c.Instance, nil
}

// Release does nothing.
func (c *Code[C]) Release(C) {}

// Version returns the name.
func (c *Code[C]) Version() string { return c.Name }

// Versions holds the current version of a task's plugin and its candidate.
type Versions[C any] struct {
	mu        sync.Mutex
	current   task.PluginVersion[C]
	candidate task.PluginVersion[C]
	rejected  string
	// OnShouldRetry replaces ShouldRetry. If nil, ShouldRetry returns false.
	OnShouldRetry func() bool
}

// NewVersions returns Versions whose current version is c.
func NewVersions[C any](c task.PluginVersion[C]) *Versions[C] { return &Versions[C]{current: c} }

// SetCandidate sets the candidate.
func (v *Versions[C]) SetCandidate(c task.PluginVersion[C]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.candidate = c
}

// Rejected returns why the last candidate was rejected, or "".
func (v *Versions[C]) Rejected() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rejected
}

// Current returns the current version.
func (v *Versions[C]) Current() task.PluginVersion[C] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current
}

// Candidate returns the candidate.
func (v *Versions[C]) Candidate() task.PluginVersion[C] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.candidate
}

// Promote makes the candidate the current version.
func (v *Versions[C]) Promote(task.PluginVersion[C]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.current = v.candidate
	v.candidate = nil
}

// Reject removes the candidate.
func (v *Versions[C]) Reject(_ task.PluginVersion[C], reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.candidate = nil
	v.rejected = reason
}

// ShouldRetry calls OnShouldRetry, or returns false if it is nil.
func (v *Versions[C]) ShouldRetry(error) bool { return v.OnShouldRetry != nil && v.OnShouldRetry() }
