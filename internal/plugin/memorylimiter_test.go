package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// limitedManager is a manager whose connectors share the memory for instances.
type limitedManager struct {
	*plugin.Manager
	log *logtest.Journal
}

// limit is the memory limit of an instance of the small plugins.
const limit = 2 << 20

// newLimitedManager starts a manager of the small plugins a, b and c, with memory for n instances of sources and sinks,
// and n of transforms.
func newLimitedManager(t *testing.T, n int64) limitedManager {
	t.Helper()
	folder := t.TempDir()
	log := &logtest.Journal{}
	for _, name := range []string{"a", "b", "c"} {
		put(t, folder, name+".wasm", guesttest.Static(wit.Description{Name: name, Version: "1.0.0",
			Components: []wit.Component{
				{Name: name + "Source", Kind: wit.ComponentSource},
				{Name: name + "Transform", Kind: wit.ComponentTransformation},
			}}, "", wit.InterfaceSource, wit.InterfaceTransform))
	}
	m, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), Folders: []string{folder},
		Logger: log.Logger(plugin.LevelTrace), MemoryBytes: n * limit, Limits: plugin.Limits{MemoryBytes: limit}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	for _, i := range m.Modules() {
		require.NoError(t, i.Err)
		binding, err := m.BindPlugin("first", i.Name, "")
		require.NoError(t, err)
		assertWorks(t, binding.Current(), "1.0.0") // compile outside of the bubble
		binding.Close()
	}
	return limitedManager{Manager: m, log: log}
}

// instances returns the number of instances of all plugins.
func (l limitedManager) instances() (n int64) {
	for _, i := range l.Modules() {
		n += i.Metrics.Instances
	}
	return n
}

func (l limitedManager) bind(t *testing.T, connector, name string) *plugin.Binding {
	t.Helper()
	binding, err := l.BindPlugin(connector, name, "")
	require.NoError(t, err)
	return binding
}

// bindTransform binds the plugin's transform.
func (l limitedManager) bindTransform(t *testing.T, connector, name string) *plugin.Binding {
	t.Helper()
	binding, err := l.Bind(connector, wit.ComponentTransformation, name+"Transform", "")
	require.NoError(t, err)
	return binding
}

// Fifty connectors, sources with transforms and sinks, share memory for three instances of each plugin. Every page and
// batch is processed, at most three instances of a kind work at the same time, and every connector gets one before
// another gets its third.
func TestConnectorsTakeTurnsForMemory(t *testing.T) {
	m := newLimitedManager(t, 3)
	synctest.Test(t, func(t *testing.T) {
		const (
			connectors   = 50
			pages        = 8
			maxInstances = 3
		)
		var calls, sources, transforms, reachedLimit atomic.Int64
		turns := make([]atomic.Int64, connectors)
		occupy := func(kind string, running *atomic.Int64, f func()) {
			if n := running.Add(1); n > maxInstances {
				t.Errorf("expected at most %d running %s, found %d", maxInstances, kind, n)
			} else if n == maxInstances && running == &sources {
				reachedLimit.Store(n)
			}
			f()
			running.Add(-1)
		}
		var wait sync.WaitGroup
		for n := range connectors {
			wait.Go(func() {
				name := fmt.Sprintf("c%02d", n)
				source := m.bind(t, name, "a")
				transform := m.bindTransform(t, name, "b")
				defer source.Close()
				defer transform.Close()
				for range pages {
					if n%2 == 1 { // a sink
						err := source.Current().Do(t.Context(), func(*plugin.Instance) error {
							occupy("sinks and sources", &sources, func() { time.Sleep(400 * time.Millisecond) })
							return nil
						})
						assert.NoError(t, err)
					} else {
						r, err := source.Current().Reader(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						occupy("sinks and sources", &sources, func() {
							time.Sleep(200 * time.Millisecond)
							err := transform.Current().Do(t.Context(), func(*plugin.Instance) error {
								occupy("transforms", &transforms, func() { time.Sleep(200 * time.Millisecond) })
								return nil
							})
							assert.NoError(t, err)
						})
						r.Close()
					}
					calls.Add(1)
					if turns[n].Add(1) == 7 { // a turn of a second is three pages
						for other := range turns {
							assert.True(t, turns[other].Load() != 0,
								"connector %d starts its third turn before the first turn of connector %d", n, other)
						}
					}
				}
			})
		}
		wait.Wait()
		assert.Equal(t, connectors*pages, calls.Load(), "calls done")
		assert.Equal(t, maxInstances, reachedLimit.Load(), "calls at the same time")
		time.Sleep(10 * time.Second)
		assert.Equal(t, 0, m.instances(), "remaining instances")
	})
	n := strings.Count(m.log.String(), "the memory for plugins is used up")
	assert.True(t, n != 0 && strings.Contains(m.log.String(), plugin.MemorySetting),
		"expected a warning that names %s, found %s", plugin.MemorySetting, m.log.String())
}

// A connector whose pages overlap all the time gets no further instance while another connector waits.
func TestOverlappingPagesYieldMemory(t *testing.T) {
	m := newLimitedManager(t, 1)
	synctest.Test(t, func(t *testing.T) {
		greedy := m.bind(t, "greedy", "a")
		other := m.bind(t, "other", "a")
		defer greedy.Close()
		defer other.Close()
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for n := range 3 {
			wait.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				for ctx.Err() == nil {
					r, err := greedy.Current().Reader(ctx)
					if err != nil {
						return
					}
					time.Sleep(300 * time.Millisecond)
					r.Close()
				}
			})
		}
		time.Sleep(5 * time.Second)
		began := time.Now()
		for range 5 {
			assertWorks(t, other.Current(), "1.0.0")
			time.Sleep(100 * time.Millisecond)
		}
		assert.AtMost(t, 10*time.Second, time.Since(began), "five calls within 10 s")
		stop()
		wait.Wait()
		time.Sleep(10 * time.Second)
	})
}

// Waiting calls leave the queue when they are canceled or their connector ends.
func TestWaitingForMemoryIsCanceled(t *testing.T) {
	m := newLimitedManager(t, 1)
	synctest.Test(t, func(t *testing.T) {
		first := m.bind(t, "first", "a")
		second := m.bind(t, "second", "a")
		third := m.bind(t, "third", "a")
		defer first.Close()
		defer second.Close()
		r, err := first.Current().Reader(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = second.Current().Acquire(ctx)
		assert.True(t, errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), plugin.MemorySetting),
			"expected the deadline and %s, found %v", plugin.MemorySetting, err)
		ended := make(chan error)
		go func() {
			_, err := third.Current().Acquire(t.Context())
			ended <- err
		}()
		synctest.Wait()
		third.Close()
		assert.ErrorIs(t, <-ended, plugin.ErrClosed)
		r.Close()
		assertWorks(t, second.Current(), "1.0.0")
		time.Sleep(10 * time.Second)
	})
}
