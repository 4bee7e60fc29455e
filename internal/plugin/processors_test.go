package plugin

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
)

// A call that yields waits like all others, and gets a processor again.
func TestYieldedProcessorsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &processors{slots: make(chan struct{}, 1)}
		require.NoError(t, p.acquire(t.Context()))
		assert.True(t, !p.yield(), "the processor was passed on without a waiting call")
		second := make(chan error, 1)
		first := make(chan bool, 1)
		go func() { second <- p.acquire(t.Context()) }()
		synctest.Wait()
		go func() { first <- p.yield() }()
		require.NoError(t, <-second)
		synctest.Wait()
		go func() { second <- nil; p.yield(); second <- nil }()
		<-second
		assert.True(t, <-first, "the waiting call did not run first")
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
		var running, maxRunning, completed, canceled atomic.Int64
		enter := func() {
			n := running.Add(1)
			assert.AtMost(t, processorCount, n, "running calls")
			raise(&maxRunning, n)
		}
		var wait sync.WaitGroup
		for n := range calls {
			wait.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(n)))
				for range 30 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(300))*time.Millisecond)
					err := p.acquire(ctx)
					cancel()
					if err != nil {
						assert.ErrorIs(t, err, context.DeadlineExceeded)
						canceled.Add(1)
						continue
					}
					enter()
					for range random.IntN(5) {
						<-time.After(processorSlice) // virtual time
						running.Add(-1)
						p.yield()
						enter()
					}
					running.Add(-1)
					p.release()
					completed.Add(1)
				}
			})
		}
		wait.Wait()
		assert.True(t, len(p.slots) == 0 && p.waiting.Load() == 0 && maxRunning.Load() == processorCount,
			"expected 0 processors in use, 0 waiting and at most %d running calls, found %d, %d and %d", processorCount,
			len(p.slots), p.waiting.Load(), maxRunning.Load())
		assert.True(t, completed.Load() != 0 && canceled.Load() != 0,
			"expected completed and canceled calls, found %d and %d", completed.Load(), canceled.Load())
	})
}
