package limits

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

const origin = "https://sap.example"

func join(l *Limiter, own Limits) *Client {
	return l.Join(own, slog.New(slog.DiscardHandler), func() {}, func(int) {})
}

func TestShareOfLimits(t *testing.T) {
	for name, c := range map[string]struct {
		clients  []Limits
		workers  int
		want     Limits
		sessions int
	}{
		"alone":               {[]Limits{{Concurrent: 4}}, 1, Limits{Concurrent: 4}, 0},
		"two workers":         {[]Limits{{Concurrent: 4}}, 2, Limits{Concurrent: 2}, 2},
		"three, rounded down": {[]Limits{{Concurrent: 4}}, 3, Limits{Concurrent: 1}, 1},
		"more than requests":  {[]Limits{{Concurrent: 4, PerSecond: 9}}, 9, Limits{Concurrent: 1, PerSecond: 1}, 1},
		"the strictest client": {[]Limits{{Concurrent: 9, PerSecond: 1}, {Concurrent: 2, PerSecond: 7}}, 2,
			Limits{Concurrent: 1, PerSecond: 0.5}, 1},
		"connections, too": {[]Limits{{Concurrent: 4, Connections: 10}}, 3, Limits{Concurrent: 1, Connections: 3}, 3},
		"fewer connections than requests": {[]Limits{{Concurrent: 9, Connections: 2}}, 2,
			Limits{Concurrent: 1, Connections: 1}, 1},
		"no tasks": {[]Limits{{Concurrent: 4, Connections: 8, PerSecond: 10}}, 0,
			Limits{Concurrent: 1, Connections: 2, PerSecond: 2.5}, 2},
		"nobody is there": {nil, 2, Limits{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := New(origin)
			after := New(origin)
			before.Divide(Division{Workers: c.workers})
			for _, own := range c.clients {
				join(before, own)
				join(after, own)
			}
			alone := after.limits
			sessions := after.sessions
			after.Divide(Division{Workers: c.workers})
			for when, l := range map[string]*Limiter{"before clients": before, "after clients": after} {
				assert.Equal(t, c.want, l.limits, when)
				assert.Equal(t, c.sessions, l.sessions, when)
			}
			after.Divide(Division{Workers: 1})
			assert.Equal(t, alone, after.limits, "alone again")
			assert.Equal(t, sessions, after.sessions, "alone again")
		})
	}
}

// The shares of all workers do not exceed the limits together, and each share allows something.
func TestSharesDoNotExceedLimits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(26, 16))
	for range 10_000 {
		all := Limits{Concurrent: 1 + r.IntN(20), Connections: r.IntN(30), PerSecond: float64(r.IntN(3)) * 2.5}
		all.Concurrent = Least(all.Concurrent, all.Connections)
		workers := 1 + r.IntN(all.Concurrent)
		part := all.perWorker(workers)
		if part.Concurrent < 1 || (all.Connections > 0 && part.Connections < part.Concurrent) {
			t.Fatalf("%+v of %d: expected a request, and a connection for each, found %+v", all, workers, part)
		}
		if part.Concurrent*workers > all.Concurrent || part.Connections*workers > all.Connections ||
			part.PerSecond*float64(workers) > all.PerSecond+1e-9 {
			t.Fatalf("%+v of %d: found %+v", all, workers, part)
		}
	}
}

// asking sends requests that a test ends one by one.
type asking struct {
	t   *testing.T
	now atomic.Int64
	end chan bool // ends one request in flight
	all sync.WaitGroup
}

func (a *asking) begin(n int, c *Client) {
	for range n {
		a.all.Go(func() {
			if err := c.Acquire(a.t.Context()); err != nil {
				a.t.Error(err)
				return
			}
			a.now.Add(1)
			<-a.end
			a.now.Add(-1)
			c.Release()
		})
	}
}

// wants compares the number of requests in flight.
func (a *asking) wants(want int64, when string) {
	a.t.Helper()
	synctest.Wait()
	assert.Equal(a.t, want, a.now.Load(), when)
}

func (a *asking) ends(n int) {
	for range n {
		a.end <- true
	}
}

func TestDivisionWhileRequestsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		one := join(l, Limits{Concurrent: 4})
		two := join(l, Limits{Concurrent: 6})
		a := &asking{t: t, end: make(chan bool)}
		a.begin(10, one)
		a.begin(10, two)
		a.wants(4, "alone")
		l.Divide(Division{Workers: 2})
		a.wants(4, "what runs goes on")
		a.ends(2)
		a.wants(2, "nothing is let through before there is less than the part")
		a.ends(1)
		a.wants(2, "one goes, one comes")
		l.Divide(Division{Workers: 1})
		a.wants(4, "a larger part counts at once")
		l.Divide(Division{Workers: 0})
		a.ends(3)
		a.wants(1, "without tasks")
		l.Divide(Division{Workers: 1})
		a.wants(4, "alone again")
		two.Leave()
		l.Divide(Division{Workers: 4})
		one.Leave()
		a.ends(3)
		a.wants(1, "also where clients have left")
		a.ends(20 - 3 - 3 - 3)
		a.wants(0, "all are through")
		a.all.Wait()
		assert.Equal(t, 0, one.Usage().Requests.Used)
	})
}

func TestWaitingForShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 2, PerSecond: 1})
		a := &asking{t: t, end: make(chan bool)}
		a.begin(4, c)
		time.Sleep(longWait + time.Second)
		const waits = "waiting for other requests to https://sap.example: limit "
		assert.Equal(t, waits+"2 at a time", c.Waiting())
		l.Divide(Division{Workers: 2})
		assert.Equal(t, waits+"1 at a time, this worker's part of the cluster's limit", c.Waiting())
		l.Divide(Division{Workers: 1})
		assert.Equal(t, waits+"2 at a time", c.Waiting())
		assert.ErrorOrNone(t, c.TryAcquire(t.Context()), ErrNoRoom.Error())
		a.ends(4)
		a.all.Wait()
		assert.Equal(t, "", c.Waiting())

		for range 2 {
			l.Divide(Division{Workers: 2})
			require.NoError(t, c.WaitToSend(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			go c.WaitToSend(ctx)
			synctest.Wait()
			assert.Equal(t, "waiting for the limit of 0.5 requests per second to https://sap.example, this worker's "+
				"part of the "+
				"cluster's limit", c.Waiting())
			cancel()
			synctest.Wait()
			time.Sleep(time.Minute)
		}
	})
}

func TestShareOfRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 100, PerSecond: 10})
		began := time.Now()
		var mu sync.Mutex
		var at []time.Duration
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if err := c.WaitToSend(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(began).Round(100*time.Microsecond))
			})
		}
		sleep := func(until time.Duration) { time.Sleep(until - time.Since(began)) }
		sleep(250 * time.Millisecond)
		l.Divide(Division{Workers: 10}) // waiting requests keep the times of the previous rate
		sleep(3500 * time.Millisecond)
		l.Divide(Division{Workers: 5})
		sleep(4100 * time.Millisecond)
		l.Divide(Division{Workers: 1}) // 10 a second again
		wg.Wait()
		var want []time.Duration
		for _, ms := range []float64{0, 100, 200, 750, 1750, 2750, 3625, 4105, 4205, 4305, 4405, 4505} {
			want = append(want, time.Duration(ms*float64(time.Millisecond)))
		}
		assert.Equal(t, want, at)
	})
}

// A request that waits for the rate keeps its slot when its client disconnects.
func TestDisconnectedClientKeepsItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := join(New(origin), Limits{Concurrent: 4, PerSecond: 1})
		began := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { assert.NoError(t, c.WaitToSend(t.Context())) })
		}
		synctest.Wait()
		c.Leave()
		wg.Wait()
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// A division does not change maintenance windows.
func TestDivisionDuringMaintenanceWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows, err := ParseWindows("0 0 0 * * ?/2h UTC") // synctest begins at midnight
		require.NoError(t, err)
		l := New(origin)
		c := join(l, Limits{Concurrent: 4, Windows: windows})
		began := time.Now()
		a := &asking{t: t, end: make(chan bool)}
		a.begin(2, c)
		a.wants(0, "nothing in a window")
		l.Divide(Division{Workers: 4})
		a.wants(0, "nor in a group")
		time.Sleep(2*time.Hour - time.Since(began))
		a.wants(1, "after it")
		a.ends(2)
		a.all.Wait()
	})
}

// Connections beyond a smaller share stay until they are closed, and no new one is opened before.
func TestConnectionsOfShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 2, Connections: 4})
		dial := func() net.Conn {
			conn, err := c.Dial(t.Context(), func(context.Context) (net.Conn, error) {
				near, _ := net.Pipe()
				return near, nil
			})
			assert.NoError(t, err)
			return conn
		}
		var open []net.Conn
		for range 4 {
			open = append(open, dial())
		}
		l.Divide(Division{Workers: 2})
		var made atomic.Bool
		go func() { dial(); made.Store(true) }()
		open[0].Close()
		open[1].Close()
		synctest.Wait()
		assert.Equal(t, false, made.Load(), "two of two are open")
		open[2].Close()
		synctest.Wait()
		assert.Equal(t, true, made.Load(), "one of two is open")
	})
}

func TestUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows, err := ParseWindows("0 0 2 * * ?/1h UTC; 0 0 2 * * ?/1h UTC")
		require.NoError(t, err)
		l := New(origin)
		one := join(l, Limits{Concurrent: 2, Connections: 3, PerSecond: 50})
		two := join(l, Limits{Concurrent: 4, Windows: windows})
		a := &asking{t: t, end: make(chan bool)}
		a.begin(3, one)
		a.begin(1, two)
		a.wants(2, "as many as may")
		began := time.Now()
		time.Sleep(longWait + time.Second)
		why := "waiting for other requests to " + origin + ": limit 2 at a time"
		want := Usage{Origin: origin, Requests: Count{2, 2, 2}, Connections: Count{Limit: 3},
			Sessions: Count{Limit: 3}, PerSecond: 50,
			Waiting: []string{why}, Windows: []string{"0 0 2 * * ?/1h UTC"}}
		assert.Equal(t, want, one.Usage())
		assert.Equal(t, want, two.Usage(), "it is the origin's")
		assert.Equal(t, Wait{Reasons: []string{why}, Since: began}, one.Waits())
		a.ends(4)
		a.all.Wait()
		end := one.RecordRetryAfter()
		waits := one.Waits()
		assert.Equal(t, true, waits.ByService && waits.Since.Equal(time.Now()), "the service has requested a pause")
		end()
		assert.Equal(t, Wait{}, one.Waits())
		time.Sleep(time.Until(began.Truncate(24 * time.Hour).Add(2*time.Hour + time.Minute)))
		assert.Equal(t, 3*time.Hour, one.Usage().Until.Sub(began.Truncate(24*time.Hour)), "a window is open")
	})
}
