// Package runtest is what tests of tasks have in common, those of sources and those of sinks.
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
	"github.com/culvert-project/culvert/internal/run/task"
)

// Bubble is a subtest in a bubble of its own, whose time is virtual.
func Bubble(t *testing.T, name string, f func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// Fails reports parts that an error does not have, and ends the test where there is none.
func Fails(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("expected an error with %q", parts)
	}
	assert.Contains(t, err.Error(), parts...)
}

// Start runs a task, until it ends or is stopped. stop returns what it has ended with.
func Start(t *testing.T, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// Seeds runs a test in a bubble for each of so many seeds, with random numbers of the seed and the stream.
func Seeds(t *testing.T, seeds, stream int, f func(t *testing.T, seed uint64, r *rand.Rand)) {
	t.Helper()
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) { f(t, seed, rand.New(rand.NewPCG(seed, uint64(stream)))) })
	}
}

// Pass lets so much of a bubble's time pass, and then all that is to be done at that moment.
func Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Code is a version of a plugin that has one instance.
type Code[C any] struct {
	Instance C
	Name     string
	// FreshCalls is how often an instance was asked for that has done nothing yet.
	FreshCalls atomic.Int32
}

// Acquire returns the instance.
func (c *Code[C]) Acquire(context.Context) (C, error) { return c.Instance, nil }

// AcquireFresh returns it, too, and counts.
func (c *Code[C]) AcquireFresh(context.Context) (C, error) {
	c.FreshCalls.Add(1)
	return c.Instance, nil
}

// Release does nothing.
func (c *Code[C]) Release(C) {}

// Version is the name.
func (c *Code[C]) Version() string { return c.Name }

// Versions is what a task runs and could run.
type Versions[C any] struct {
	mu                 sync.Mutex
	current, candidate task.PluginVersion[C]
	rejected           string
	// OnShouldRetry is what Again does, nil: nothing is swapped in by a binding that could leave it.
	OnShouldRetry func() bool
}

// NewVersions is versions of which one is at work.
func NewVersions[C any](c task.PluginVersion[C]) *Versions[C] { return &Versions[C]{current: c} }

// SetCandidate has c be the candidate.
func (v *Versions[C]) SetCandidate(c task.PluginVersion[C]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.candidate = c
}

// Rejected is why the last candidate was rejected, "" if none was.
func (v *Versions[C]) Rejected() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rejected
}

// Current is the version at work.
func (v *Versions[C]) Current() task.PluginVersion[C] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current
}

// Candidate is what was offered.
func (v *Versions[C]) Candidate() task.PluginVersion[C] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.candidate
}

// Promote has the candidate be at work.
func (v *Versions[C]) Promote(task.PluginVersion[C]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.current, v.candidate = v.candidate, nil
}

// Reject forgets the candidate.
func (v *Versions[C]) Reject(_ task.PluginVersion[C], reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.candidate, v.rejected = nil, reason
}

// ShouldRetry is what OnAgain says.
func (v *Versions[C]) ShouldRetry(error) bool { return v.OnShouldRetry != nil && v.OnShouldRetry() }
