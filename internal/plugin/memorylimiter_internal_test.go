package plugin

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// While calls wait for the processors, four instances are created for each processor, and further ones one a second. If
// a processor is free, because pages wait for services, any number is created.
func TestBusyProcessorsDelayInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const admitted = 8
		slots := &processors{slots: make(chan struct{}, 2)}
		budget := &newMemoryLimiter(0, slots, slog.New(slog.DiscardHandler)).sources
		pool := &Pool{module: &module{limits: Limits{MemoryBytes: 1 << 20}}, shutdown: shutdown{ctx: t.Context()}}
		reserve := func(instances int) time.Duration {
			t.Helper()
			start := time.Now()
			for range instances {
				require.NoError(t, budget.reserve(t.Context(), pool))
			}
			return time.Since(start)
		}
		require.NoError(t, slots.acquire(t.Context()))
		require.NoError(t, slots.acquire(t.Context()))
		assert.Equal(t, 0, reserve(admitted), "wait of the first instances")
		assert.Equal(t, false, budget.tryReserve(pool.module), "another instance at once")
		assert.Equal(t, contendedLifetime, reserve(1), "wait of the next instance")
		budget.release(pool.module)
		budget.release(pool.module)
		assert.Equal(t, 0, reserve(1), "wait for a place that became free")
		slots.release()
		assert.Equal(t, freeTime, reserve(50), "wait of fifty instances while a processor is free")
	})
}
