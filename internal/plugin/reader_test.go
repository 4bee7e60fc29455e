package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// newReader returns a reader of a pool.
func newReader(t *testing.T, pool *plugin.Pool) *plugin.Reader {
	t.Helper()
	r, err := pool.Reader(t.Context())
	require.NoError(t, err)
	return r
}

func begin(t *testing.T, r *plugin.Reader) uint32 {
	t.Helper()
	page, err := r.Begin(t.Context(), nil, 0, nil, wit.Response{Status: 200})
	require.NoError(t, err)
	return page
}

// breakPage traps: the result of its piece is larger than allowed.
func breakPage(t *testing.T, r *plugin.Reader, page uint32, into *record.Batch) {
	t.Helper()
	_, err := r.Decode(t.Context(), page, "", 200, []byte(strings.Repeat("x\n", 50_000)), true, into)
	trap := new(plugin.Trap)
	require.True(t, errors.As(err, &trap), "expected a trap, found %v", err)
}

// assertInstances checks the number of instances of a pool's plugin.
func assertInstances(t *testing.T, pool *plugin.Pool, want int64, when string) {
	t.Helper()
	assert.Equal(t, want, pool.Module().Metrics.Instances, when, "instances")
}

// An unused instance is closed after 5 s; an instance with an open page is in use.
func TestIdleInstancesAreClosed(t *testing.T) {
	m, binding := guest(t, plugin.Options{}, allGuest)
	assertWorks(t, binding.Current(), "1.0.0") // compile outside of the bubble
	other := bind(t, m, "other", "all")
	binding.Close()
	pool := other.Current()
	synctest.Test(t, func(t *testing.T) {
		count := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			assertInstances(t, pool, want, when)
		}
		r := newReader(t, pool)
		time.Sleep(time.Minute)
		count("a page is open", 1)
		r.Close()
		time.Sleep(4 * time.Second)
		count("idle for 4 s", 1)
		assertWorks(t, pool, "1.0.0")
		time.Sleep(4 * time.Second)
		count("idle for 4 s again", 1)
		time.Sleep(2 * time.Second)
		count("idle for 6 s", 0)
		assertWorks(t, pool, "1.0.0")
		count("used again", 1)
		time.Sleep(6 * time.Second)
		count("idle", 0)
	})
}

// Pages share an instance and are independent, whatever the order of their pieces.
func TestPagesShareAnInstance(t *testing.T) {
	reg := record.NewRegistry()
	_, binding := guest(t, plugin.Options{Registry: reg, Idle: time.Hour}, allGuest)
	pool := binding.Current()
	const pages = 40
	var readers [pages]*plugin.Reader
	var numbers [pages]uint32
	for n := range readers {
		readers[n] = newReader(t, pool)
		defer readers[n].Close()
		numbers[n] = begin(t, readers[n])
	}
	assertInstances(t, pool, 1, "pages that wait for their service")
	into := [pages]*record.Batch{}
	for half := range 2 {
		for n, r := range readers {
			if half == 0 {
				into[n] = &record.Batch{Registry: reg, Topics: []string{"t"}}
			}
			piece := fmt.Sprintf("first of %d\nsec", n)
			if half == 1 {
				piece = fmt.Sprintf("ond of %d\n", n)
			}
			_, err := r.Decode(t.Context(), numbers[n], "", 200, []byte(piece), half == 1, into[n])
			require.NoError(t, err)
		}
	}
	for n, b := range into {
		text := string(b.Data)
		assert.True(t, len(b.Rows) == 2 && strings.Count(text, fmt.Sprintf("of %d", n)) == 2,
			"page %d: %d rows of %q, expected first of %[1]d|second of %[1]d", n, len(b.Rows), text)
	}
}

// After a trap, all pages of its instance are lost: the call gets the trap, the others a PageLostError, and all can be
// read again.
func TestTrapAbandonsPages(t *testing.T) {
	reg := record.NewRegistry()
	_, binding := guest(t, plugin.Options{Registry: reg, Idle: time.Hour,
		Limits: plugin.Limits{ResultBytes: 64 << 10}}, allGuest)
	pool := binding.Current()
	var readers []*plugin.Reader
	var page uint32
	for range 3 {
		r := newReader(t, pool)
		defer r.Close()
		page = begin(t, r)
		readers = append(readers, r)
	}
	into := &record.Batch{Registry: reg, Topics: []string{"t"}}
	breakPage(t, readers[0], page, into)
	for n, r := range readers {
		_, err := r.Begin(t.Context(), nil, 0, nil, wit.Response{Status: 200})
		var lost *plugin.PageLostError
		assert.True(t, errors.As(err, &lost) != (n == 0) && err != nil, "reader %d: %v", n, err)
		assert.True(t, n <= 0 || !errors.As(err, new(*plugin.Trap)),
			"reader %d: found another reader's trap: %v", n, err)
	}
	next := newReader(t, pool)
	defer next.Close()
	begin(t, next)
	assertInstances(t, pool, 1, "after a trap")
}

// A page that has not started moves to another instance if its own traps: its request may be one that must not be
// repeated.
func TestUnstartedPagesSurviveTrap(t *testing.T) {
	reg := record.NewRegistry()
	_, binding := guest(t, plugin.Options{Registry: reg, Idle: time.Hour,
		Limits: plugin.Limits{ResultBytes: 64 << 10}}, allGuest)
	pool := binding.Current()
	trapping := newReader(t, pool)
	waiting := newReader(t, pool)
	_, err := waiting.Next(t.Context(), nil, 0, nil, wit.PollReason{Start: wit.Set}, 0)
	require.NoError(t, err)
	page := begin(t, trapping)
	into := &record.Batch{Registry: reg, Topics: []string{"t"}}
	breakPage(t, trapping, page, into)
	trapping.Close()
	page = begin(t, waiting)
	_, err = waiting.Decode(t.Context(), page, "", 200, []byte("row\n"), true, into)
	assert.True(t, err == nil && len(into.Rows) == 1, "expected 1 row, found %d and %v", len(into.Rows), err)
	waiting.Close()
	binding.Close()
	assertInstances(t, pool, 0, "closed")
}

// Calls wait in order, can be canceled, and end when the pool is closed.
func TestReadersWaitInOrder(t *testing.T) {
	_, binding := guest(t, plugin.Options{Idle: time.Hour}, allGuest)
	pool := binding.Current()
	i, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var calls sync.WaitGroup
	for n := range 20 {
		r := newReader(t, pool)
		calls.Go(func() {
			defer r.Close()
			ctx := t.Context()
			if n%2 == 1 {
				ctx = canceled
			}
			_, err := r.Begin(ctx, nil, 0, nil, wit.Response{Status: 200})
			assert.True(t, (err != nil) == (n%2 == 1), "call %d: %v", n, err)
		})
	}
	pool.Release(i)
	calls.Wait()
	binding.Close()
	assertInstances(t, pool, 0, "after closing")
	_, err = pool.Reader(t.Context())
	assert.ErrorIs(t, err, plugin.ErrClosed)
}

// The tasks of a connector share its instances; other connectors have their own. An idle connector keeps only the
// instances in use, and does not affect other connectors.
func TestIdleConnectorsReleaseInstances(t *testing.T) {
	m, binding := guest(t, plugin.Options{Idle: time.Hour}, allGuest)
	task := bind(t, m, "orders", "all")
	other := bind(t, m, "other", "all")
	pool := binding.Current()
	for _, binding := range []*plugin.Binding{binding, task, other} {
		assertWorks(t, binding.Current(), "1.0.0")
	}
	assertInstances(t, pool, 2, "at work")
	assert.True(t, pool == task.Current() && pool != other.Current(), "expected one pool for the tasks of a connector")
	binding.Close()
	r := newReader(t, pool)
	pool.CloseIdle()
	assertInstances(t, pool, 2, "with an open page")
	r.Close()
	pool.CloseIdle()
	assertInstances(t, pool, 1, "at rest")
	assertWorks(t, pool, "1.0.0")
	assertInstances(t, pool, 2, "at work once more")
}

// A panic of the host during a call closes the instance and releases the processor: otherwise others would wait for it
// forever. It is no outcome of a try of a stopped version, either.
func TestPanicReleasesProcessor(t *testing.T) {
	m, binding := guest(t, plugin.Options{}, allGuest)
	pool := binding.Current()
	plugin.StopLongAgo(binding, "describe")
	for range 2 * runtime.GOMAXPROCS(0) {
		err := guard.Do(slog.New(slog.DiscardHandler), "a call", func() error {
			return pool.Do(t.Context(), func(i *plugin.Instance) error { return plugin.Panic(t.Context(), i) })
		})
		mistake := new(guard.PanicError)
		require.True(t, errors.As(err, &mistake), "expected the panic, found %v", err)
		n := plugin.Running(m)
		require.True(t, n == 0, "%d calls have a processor although none runs", n)
	}
	assertInstances(t, pool, 0, "calls ended in the middle")
	assertWorks(t, pool, "1.0.0")
}
