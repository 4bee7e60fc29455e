package plugin

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A call that yields waits like all others, and gets a processor again.
func TestYieldedProcessorsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &processors{slots: make(chan struct{}, 1)}
		require.NoError(t, p.acquire(t.Context()))
		if p.yield() {
			t.Error("the processor was passed on without a waiting call")
		}
		second := make(chan error, 1)
		first := make(chan bool, 1)
		go func() { second <- p.acquire(t.Context()) }()
		synctest.Wait()
		go func() { first <- p.yield() }()
		require.NoError(t, <-second)
		synctest.Wait()
		go func() { second <- nil; p.yield(); second <- nil }()
		<-second
		if !<-first {
			t.Error("the waiting call did not run first")
		}
		synctest.Wait()
		p.release()
		<-second
		p.release()
		assert.Equal(t, 0, len(p.slots), "processors in use")
	})
}

// No more calls run than there are processors, whether calls yield or are canceled; finally all processors are free.
func TestProcessorsLimitRunningCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const processorCount, calls = 3, 40
		p := &processors{slots: make(chan struct{}, processorCount)}
		var running, most, done, gaveUp atomic.Int64
		in := func() {
			n := running.Add(1)
			if n > processorCount {
				t.Errorf("%d calls run", n)
			}
			raise(&most, n)
		}
		var all sync.WaitGroup
		for n := range calls {
			all.Go(func() {
				pick := rand.New(rand.NewPCG(1, uint64(n)))
				for range 30 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(pick.IntN(300))*time.Millisecond)
					err := p.acquire(ctx)
					cancel()
					if err != nil {
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
						gaveUp.Add(1)
						continue
					}
					in()
					for range pick.IntN(5) {
						<-time.After(processorSlice) // virtual time
						running.Add(-1)
						p.yield()
						in()
					}
					running.Add(-1)
					p.release()
					done.Add(1)
				}
			})
		}
		all.Wait()
		if len(p.slots) != 0 || p.waiting.Load() != 0 || most.Load() != processorCount {
			t.Errorf("%d processors are in use, %d calls wait, at most %d ran", len(p.slots), p.waiting.Load(),
				most.Load())
		}
		if done.Load() == 0 || gaveUp.Load() == 0 {
			t.Errorf("%d calls ran, %d were canceled", done.Load(), gaveUp.Load())
		}
	})
}
