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

func join(l *Limiter, limits Limits) *Client {
	return l.Join(limits, slog.New(slog.DiscardHandler), func() {}, func(int) {})
}

func TestShareOfLimits(t *testing.T) {
	for name, c := range map[string]struct {
		clients  []Limits
		workers  int
		want     Limits
		sessions int
	}{
		"alone":       {clients: []Limits{{Concurrent: 4}}, workers: 1, want: Limits{Concurrent: 4}},
		"two workers": {clients: []Limits{{Concurrent: 4}}, workers: 2, want: Limits{Concurrent: 2}, sessions: 2},
		"three, rounded down": {
			clients:  []Limits{{Concurrent: 4}},
			workers:  3,
			want:     Limits{Concurrent: 1},
			sessions: 1,
		},
		"more than requests": {
			clients:  []Limits{{Concurrent: 4, PerSecond: 9}},
			workers:  9,
			want:     Limits{Concurrent: 1, PerSecond: 1},
			sessions: 1,
		},
		"the strictest client": {
			clients:  []Limits{{Concurrent: 9, PerSecond: 1}, {Concurrent: 2, PerSecond: 7}},
			workers:  2,
			want:     Limits{Concurrent: 1, PerSecond: 0.5},
			sessions: 1,
		},
		"connections, too": {
			clients:  []Limits{{Concurrent: 4, Connections: 10}},
			workers:  3,
			want:     Limits{Concurrent: 1, Connections: 3},
			sessions: 3,
		},
		"fewer connections than requests": {
			clients:  []Limits{{Concurrent: 9, Connections: 2}},
			workers:  2,
			want:     Limits{Concurrent: 1, Connections: 1},
			sessions: 1,
		},
		"no tasks": {
			clients:  []Limits{{Concurrent: 4, Connections: 8, PerSecond: 10}},
			want:     Limits{Concurrent: 1, Connections: 2, PerSecond: 2.5},
			sessions: 2,
		},
		"no clients": {workers: 2, want: Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dividedFirst := New(origin)
			dividedLater := New(origin)
			dividedFirst.Divide(Division{Workers: c.workers})
			for _, limits := range c.clients {
				join(dividedFirst, limits)
				join(dividedLater, limits)
			}
			undivided := dividedLater.limits
			sessions := dividedLater.sessions
			dividedLater.Divide(Division{Workers: c.workers})
			for about, l := range map[string]*Limiter{
				"divided before clients": dividedFirst,
				"divided after clients":  dividedLater,
			} {
				assert.Equal(t, c.want, l.limits, about)
				assert.Equal(t, c.sessions, l.sessions, about)
			}
			dividedLater.Divide(Division{Workers: 1})
			assert.Equal(t, undivided, dividedLater.limits, "alone again")
			assert.Equal(t, sessions, dividedLater.sessions, "alone again")
		})
	}
}

// The shares of all workers do not exceed the limits together, and each share allows something.
func TestSharesDoNotExceedLimits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(26, 16))
	for range 10_000 {
		total := Limits{Concurrent: 1 + r.IntN(20), Connections: r.IntN(30), PerSecond: float64(r.IntN(3)) * 2.5}
		total.Concurrent = Least(total.Concurrent, total.Connections)
		workers := 1 + r.IntN(total.Concurrent)
		part := total.perWorker(workers)
		require.True(t, part.Concurrent >= 1 && (total.Connections <= 0 || part.Connections >= part.Concurrent),
			"%+v of %d: expected a request, and a connection for each, found %+v", total, workers, part)
		require.True(t, part.Concurrent*workers <= total.Concurrent && part.Connections*workers <= total.Connections &&
			part.PerSecond*float64(workers) <= total.PerSecond+1e-9,
			"%+v of %d: expected parts that do not exceed it together, found %+v", total, workers, part)
	}
}

// load sends requests that a test ends one by one.
type load struct {
	t        *testing.T
	inFlight atomic.Int64
	release  chan bool // ends one request in flight
	running  sync.WaitGroup
}

// begin begins n requests.
func (l *load) begin(n int, c *Client) {
	for range n {
		l.running.Go(func() {
			if err := c.Acquire(l.t.Context()); err != nil {
				l.t.Error(err)
				return
			}
			l.inFlight.Add(1)
			<-l.release
			l.inFlight.Add(-1)
			c.Release()
		})
	}
}

// expect compares the number of requests in flight once all goroutines are blocked.
func (l *load) expect(want int64, about string) {
	l.t.Helper()
	synctest.Wait()
	assert.Equal(l.t, want, l.inFlight.Load(), about)
}

// end ends n requests in flight.
func (l *load) end(n int) {
	for range n {
		l.release <- true
	}
}

func TestDivisionWhileRequestsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		first := join(l, Limits{Concurrent: 4})
		second := join(l, Limits{Concurrent: 6})
		a := &load{t: t, release: make(chan bool)}
		a.begin(10, first)
		a.begin(10, second)
		a.expect(4, "alone")
		l.Divide(Division{Workers: 2})
		a.expect(4, "requests in flight continue")
		a.end(2)
		a.expect(2, "no request is admitted before fewer than the part are in flight")
		a.end(1)
		a.expect(2, "one has ended, one was admitted")
		l.Divide(Division{Workers: 1})
		a.expect(4, "a larger part counts at once")
		l.Divide(Division{Workers: 0})
		a.end(3)
		a.expect(1, "without tasks")
		l.Divide(Division{Workers: 1})
		a.expect(4, "alone again")
		second.Leave()
		l.Divide(Division{Workers: 4})
		first.Leave()
		a.end(3)
		a.expect(1, "also after the clients have left")
		a.end(20 - 3 - 3 - 3)
		a.expect(0, "all have ended")
		a.running.Wait()
		assert.Equal(t, 0, first.Usage().Requests.Used)
	})
}

func TestWaitingForShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 2, PerSecond: 1})
		a := &load{t: t, release: make(chan bool)}
		a.begin(4, c)
		time.Sleep(longWait + time.Second)
		const waits = "waiting for other requests to https://sap.example: limit "
		assert.Equal(t, waits+"2 at a time", c.Waiting())
		l.Divide(Division{Workers: 2})
		assert.Equal(t, waits+"1 at a time, this worker's part of the cluster's limit", c.Waiting())
		l.Divide(Division{Workers: 1})
		assert.Equal(t, waits+"2 at a time", c.Waiting())
		assert.ErrorOrNone(t, c.TryAcquire(t.Context()), ErrNoRoom.Error())
		a.end(4)
		a.running.Wait()
		assert.Equal(t, "", c.Waiting())

		for range 2 {
			l.Divide(Division{Workers: 2})
			require.NoError(t, c.WaitToSend(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			go c.WaitToSend(ctx)
			synctest.Wait()
			assert.Equal(t, "waiting for the limit of 0.5 requests per second to https://sap.example, this worker's "+
				"part of the cluster's limit", c.Waiting())
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
		var sendTimes []time.Duration
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				assert.NoError(t, c.WaitToSend(t.Context()))
				mu.Lock()
				defer mu.Unlock()
				sendTimes = append(sendTimes, time.Since(began).Round(100*time.Microsecond))
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
		assert.Equal(t, want, sendTimes)
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
		a := &load{t: t, release: make(chan bool)}
		a.begin(2, c)
		a.expect(0, "nothing in a window")
		l.Divide(Division{Workers: 4})
		a.expect(0, "nor in a group")
		time.Sleep(2*time.Hour - time.Since(began))
		a.expect(1, "after it")
		a.end(2)
		a.running.Wait()
	})
}

// Connections beyond a smaller share stay until they are closed, and no new one is opened before.
func TestConnectionsOfShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 2, Connections: 4})
		dial := func() net.Conn {
			conn, err := c.Dial(t.Context(), func(context.Context) (net.Conn, error) {
				conn, _ := net.Pipe()
				return conn, nil
			})
			assert.NoError(t, err)
			return conn
		}
		var open []net.Conn
		for range 4 {
			open = append(open, dial())
		}
		l.Divide(Division{Workers: 2})
		var isDialed atomic.Bool
		go func() {
			dial()
			isDialed.Store(true)
		}()
		open[0].Close()
		open[1].Close()
		synctest.Wait()
		assert.Equal(t, false, isDialed.Load(), "two of two are open")
		open[2].Close()
		synctest.Wait()
		assert.Equal(t, true, isDialed.Load(), "one of two is open")
	})
}

func TestUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows, err := ParseWindows("0 0 2 * * ?/1h UTC; 0 0 2 * * ?/1h UTC")
		require.NoError(t, err)
		l := New(origin)
		first := join(l, Limits{Concurrent: 2, Connections: 3, PerSecond: 50})
		second := join(l, Limits{Concurrent: 4, Windows: windows})
		assert.Equal(t, false, first.Usage().Asked, "asked before a request")
		a := &load{t: t, release: make(chan bool)}
		a.begin(3, first)
		a.begin(1, second)
		a.expect(2, "as many as the limit allows")
		began := time.Now()
		time.Sleep(longWait + time.Second)
		reason := "waiting for other requests to " + origin + ": limit 2 at a time"
		want := Usage{
			Origin:      origin,
			Asked:       true,
			Requests:    Count{Used: 2, Limit: 2, Waiting: 2},
			Connections: Count{Limit: 3},
			Sessions:    Count{Limit: 3},
			PerSecond:   50,
			Waiting:     []string{reason},
			Windows:     []string{"0 0 2 * * ?/1h UTC"},
		}
		assert.Equal(t, want, first.Usage())
		assert.Equal(t, want, second.Usage(), "it is the origin's")
		assert.Equal(t, Wait{Reasons: []string{reason}, Since: began}, first.Waits())
		a.end(4)
		a.running.Wait()
		end := first.RecordRetryAfter()
		waits := first.Waits()
		assert.Equal(t, true, waits.ByService && waits.Since.Equal(time.Now()), "the service has requested a pause")
		end()
		assert.Equal(t, Wait{}, first.Waits())
		time.Sleep(time.Until(began.Truncate(24 * time.Hour).Add(2*time.Hour + time.Minute)))
		assert.Equal(t, 3*time.Hour, first.Usage().Until.Sub(began.Truncate(24*time.Hour)), "a window is open")
	})
}
