package memory

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// All shares together leave memory for the program, above the least that a worker needs.
func TestSharesFitIntoTheLimit(t *testing.T) {
	for _, limit := range []int64{256 << 20, 512 << 20, 1 << 30, 64 << 30} {
		b := New(limit)
		sum := 2*b.Plugins() + b.Rows().Part() + b.Fetched().Part() + int64(b.Chunks())*chunkBytes + b.Spare().bytes
		assert.True(t, sum <= limit*25/32, "limit %d: expected shares of at most 25/32, found %d", limit, sum)
		if b.Instance()*2 > b.Plugins() {
			t.Errorf("limit %d: expected room for two instances of %d, found %d", limit, b.Instance(), b.Plugins())
		}
	}
	assert.Equal(t, int64(128<<20), New(512<<20).Plugins(), "plugins within 512 MiB")
	assert.Equal(t, int64(defaultPlugins), New(1<<50).Plugins(), "plugins without a limit")
	assert.Equal(t, int64(DefaultInstance), New(1<<30).Instance(), "an instance within 1 GiB")
	assert.Equal(t, int64(DefaultInstance/2), New(512<<20).Instance(), "an instance within 512 MiB")
	assert.Equal(t, DefaultChunks, New(512<<20).Chunks(), "chunks within 512 MiB")
	assert.Equal(t, minChunks, New(1).Chunks(), "chunks within the least memory")
}

// A quota is reserved up to its last byte, and what is released can be reserved again.
func TestQuota(t *testing.T) {
	q := NewQuota(10)
	assert.Equal(t, true, q.TryReserve(4), "4 of 10")
	assert.Equal(t, false, q.TryReserve(7), "7 of 6")
	assert.Equal(t, true, q.TryReserve(6), "6 of 6")
	assert.Equal(t, false, q.TryReserve(1), "1 of 0")
	q.Release(1)
	assert.Equal(t, true, q.TryReserve(1), "1 of 1")
	var unlimited *Quota
	assert.Equal(t, true, unlimited.TryReserve(math.MaxInt), "without a limit")
	unlimited.Release(1)
}

// The users of a share have equal parts, which together are the share until a part has its least size.
func TestPartsFollowTheUsers(t *testing.T) {
	s := newShare(16 << 20)
	assert.Equal(t, int64(16<<20), s.Part(), "without users")
	var leave []func()
	for range 16 {
		leave = append(leave, s.Join())
	}
	assert.Equal(t, int64(minPart), s.Part(), "16 users")
	leave = append(leave, s.Join())
	assert.Equal(t, int64(minPart), s.Part(), "17 users")
	for _, f := range leave[1:] {
		f()
	}
	assert.Equal(t, int64(16<<20), s.Part(), "one user")
}

// Only one user has the turn, and others wait until it ends or they give up.
func TestOnlyOneUserHasTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShare(16 << 20)
		assert.Equal(t, true, s.TryTurn(), "the first")
		assert.Equal(t, false, s.IsTurnWanted(), "wanted by nobody else")
		assert.Equal(t, false, s.TryTurn(), "the second")
		assert.Equal(t, true, s.IsTurnWanted(), "wanted by the second")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Equal(t, true, errors.Is(s.AwaitTurn(ctx), context.Canceled), "a wait that is given up")
		done := make(chan error)
		go func() { done <- s.AwaitTurn(t.Context()) }()
		synctest.Wait()
		s.EndTurn()
		require.NoError(t, <-done)
		assert.Equal(t, true, s.TryTurn(), "after the first")
		assert.Equal(t, false, s.IsTurnWanted(), "wanted after the second has it")
	})
}

// Without a budget nothing is limited.
func TestNoBudgetLimitsNothing(t *testing.T) {
	b := (*Budget)(nil)
	defer b.Rows().Join()()
	assert.Equal(t, int64(math.MaxInt64), b.Rows().Part(), "rows")
	assert.Equal(t, true, b.Fetched().TryTurn(), "the turn")
	require.NoError(t, b.Fetched().AwaitTurn(t.Context()))
	assert.Equal(t, false, b.Fetched().IsTurnWanted(), "wanted")
	b.Fetched().EndTurn()
	assert.Equal(t, DefaultChunks, b.Chunks(), "chunks")
}
