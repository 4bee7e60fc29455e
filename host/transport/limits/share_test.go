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

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

const origin = "https://sap.example"

// shared hands out one share, of the origin of these tests alone.
func shared(s Share) func(string) Share {
	return func(of string) Share {
		if of != origin {
			return Share{}
		}
		return s
	}
}

func join(l *Limiter, own Limits) *Client {
	return l.Join(own, slog.New(slog.DiscardHandler), func() {}, func(int) {})
}

func TestPartOfLimits(t *testing.T) {
	for name, c := range map[string]struct {
		clients  []Limits
		share    Share
		want     Limits
		sessions int
	}{
		"less at a time":   {[]Limits{{Concurrent: 4}}, Share{3, 0}, Limits{Concurrent: 3}, 3},
		"as many":          {[]Limits{{Concurrent: 4}}, Share{4, 0}, Limits{Concurrent: 4}, 4},
		"clients are less": {[]Limits{{Concurrent: 4}}, Share{9, 9}, Limits{Concurrent: 4, PerSecond: 9}, 4},
		"the strictest client": {[]Limits{{Concurrent: 9, PerSecond: 1}, {Concurrent: 2, PerSecond: 7}}, Share{3, 5},
			Limits{Concurrent: 2, PerSecond: 1}, 2},
		"less in a second": {[]Limits{{Concurrent: 4, PerSecond: 10}}, Share{1, 2.5},
			Limits{Concurrent: 1, PerSecond: 2.5}, 1},
		"connections in proportion": {[]Limits{{Concurrent: 4, Connections: 10}}, Share{3, 0},
			Limits{Concurrent: 3, Connections: 7}, 7},
		"fewer connections than requests": {[]Limits{{Concurrent: 9, Connections: 2}}, Share{1, 0},
			Limits{Concurrent: 1, Connections: 1}, 1},
		"no share yet": {[]Limits{{Concurrent: 4, Connections: 8, PerSecond: 10}}, Share{},
			Limits{Concurrent: 1, Connections: 2, PerSecond: 2.5}, 2},
		"a rate without a share": {[]Limits{{Concurrent: 4}}, Share{0, 9}, Limits{Concurrent: 1}, 1},
		"none of sense":          {[]Limits{{Concurrent: 4}}, Share{-1, 0}, Limits{Concurrent: 1}, 1},
		"nobody is there":        {nil, Share{2, 3}, Limits{Concurrent: 2, PerSecond: 3}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := New(origin), New(origin)
			before.Share(shared(c.share))
			for _, own := range c.clients {
				join(before, own)
				join(after, own)
			}
			alone, sessions := after.limits, after.sessions
			after.Share(shared(c.share))
			for when, l := range map[string]*Limiter{"before clients": before, "after clients": after} {
				assert.Equal(t, c.want, l.limits, when)
				assert.Equal(t, c.sessions, l.sessions, when)
			}
			after.Share(nil)
			assert.Equal(t, alone, after.limits, "without shares")
			assert.Equal(t, sessions, after.sessions, "without shares")
		})
	}
}

// The parts of all workers come to no more than one worker alone may have, whatever the limits, and let each of them do
// something.
func TestPartsComeToNoMore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(26, 16))
	for range 10_000 {
		all := Limits{Concurrent: 1 + r.IntN(20), Connections: r.IntN(30), PerSecond: float64(r.IntN(3)) * 2.5}
		all.Concurrent = least(all.Concurrent, all.Connections)
		left, sum := all.Concurrent, Limits{}
		for left > 0 {
			s := Share{Requests: 1 + r.IntN(left)}
			s.PerSecond = all.PerSecond * float64(s.Requests) / float64(all.Concurrent)
			left -= s.Requests
			part := s.of(all)
			if all.Connections > 0 && part.Connections < part.Concurrent || part.Concurrent != s.Requests {
				t.Fatalf("%+v of %+v: expected a connection for each request of the share, found %+v", s, all, part)
			}
			sum.Concurrent += part.Concurrent
			sum.Connections += part.Connections
			sum.PerSecond += part.PerSecond
		}
		if sum.Concurrent > all.Concurrent || sum.Connections > all.Connections || sum.PerSecond > all.PerSecond+1e-9 {
			t.Fatalf("expected no more than %+v, found %+v", all, sum)
		}
	}
}

// asking are requests that a test lets end one by one.
type asking struct {
	t   *testing.T
	now atomic.Int64
	end chan bool // ends one that is under way
	all sync.WaitGroup
}

func (a *asking) begin(n int, c *Client) {
	for range n {
		a.all.Go(func() {
			if err := c.Enter(a.t.Context()); err != nil {
				a.t.Error(err)
				return
			}
			a.now.Add(1)
			<-a.end
			a.now.Add(-1)
			c.Done()
		})
	}
}

// wants compares how many requests are under way once everything has settled.
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

func TestShareWhileRequestsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		one, two := join(l, Limits{Concurrent: 4}), join(l, Limits{Concurrent: 6})
		a := &asking{t: t, end: make(chan bool)}
		a.begin(10, one)
		a.begin(10, two)
		a.wants(4, "alone")
		l.Share(shared(Share{Requests: 2}))
		a.wants(4, "what runs goes on")
		assert.Equal(t, 4, l.Taken())
		a.ends(2)
		a.wants(2, "nothing is let through before there is less than the share")
		assert.Equal(t, 2, l.Taken())
		a.ends(1)
		a.wants(2, "one goes, one comes")
		l.Share(shared(Share{Requests: 3}))
		a.wants(3, "a larger share counts at once")
		l.Share(shared(Share{Requests: 100}))
		a.wants(4, "no more than the clients' own limits")
		l.Share(shared(Share{}))
		a.ends(3)
		a.wants(1, "without a share")
		l.Share(nil)
		a.wants(4, "alone again")
		two.Leave()
		l.Share(shared(Share{Requests: 1}))
		one.Leave()
		a.ends(3)
		a.wants(1, "also where clients have left")
		a.ends(20 - 3 - 3 - 3)
		a.wants(0, "all are through")
		a.all.Wait()
		assert.Equal(t, 0, l.Taken())
	})
}

func TestWaitingForAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 2})
		a := &asking{t: t, end: make(chan bool)}
		a.begin(4, c)
		time.Sleep(longWait + time.Second)
		const waits = "requests to https://sap.example wait for others: "
		assert.Equal(t, waits+"2 at a time", c.Waiting())
		l.Share(shared(Share{Requests: 1}))
		assert.Equal(t, waits+"1 at a time, this worker's share in the cluster", c.Waiting())
		l.Share(shared(Share{Requests: 2}))
		assert.Equal(t, waits+"2 at a time", c.Waiting(), "the client's own limit is as low")
		l.Share(nil)
		assert.Equal(t, waits+"2 at a time", c.Waiting())
		assert.Ends(t, c.EnterAtOnce(t.Context()), ErrNoRoom.Error())
		a.ends(4)
		a.all.Wait()
		assert.Equal(t, "", c.Waiting())

		for range 2 {
			l.Share(shared(Share{Requests: 2, PerSecond: 0.5}))
			require.NoError(t, c.Begin(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			go c.Begin(ctx)
			synctest.Wait()
			assert.Equal(t, "no more than 0.5 requests a second go to https://sap.example, this worker's share in the "+
				"cluster", c.Waiting())
			cancel()
			synctest.Wait()
			time.Sleep(time.Minute)
		}
	})
}

func TestShareOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 100, PerSecond: 10})
		began := time.Now()
		var mu sync.Mutex
		var at []time.Duration
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if err := c.Begin(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(began).Round(100*time.Microsecond))
			})
		}
		sleep := func(until time.Duration) { time.Sleep(until - time.Since(began)) }
		sleep(250 * time.Millisecond)
		l.Share(shared(Share{Requests: 100, PerSecond: 1})) // those that wait have times by the rate before
		sleep(3500 * time.Millisecond)
		l.Share(shared(Share{Requests: 100, PerSecond: 4}))
		sleep(4100 * time.Millisecond)
		l.Share(nil) // 10 a second again
		wg.Wait()
		var want []time.Duration
		for _, ms := range []float64{0, 100, 200, 750, 1750, 2750, 3562.5, 3812.5, 4062.5, 4185, 4285, 4385} {
			want = append(want, time.Duration(ms*float64(time.Millisecond)))
		}
		assert.Equal(t, want, at)
	})
}

// Requests that wait for their time keep it where their client leaves, and with it the last limit.
func TestTimesOfAClientThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := join(New(origin), Limits{Concurrent: 4, PerSecond: 1})
		began := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { assert.NoError(t, c.Begin(t.Context())) })
		}
		synctest.Wait()
		c.Leave()
		wg.Wait()
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// A share leaves maintenance windows as they are.
func TestShareWithinAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows, err := ParseWindows("0 0 0 * * ?/2h UTC") // synctest begins at midnight
		require.NoError(t, err)
		l := New(origin)
		c := join(l, Limits{Concurrent: 4, Windows: windows})
		began := time.Now()
		a := &asking{t: t, end: make(chan bool)}
		a.begin(2, c)
		a.wants(0, "nothing in a window")
		l.Share(shared(Share{Requests: 1}))
		a.wants(0, "nor with a share")
		time.Sleep(2*time.Hour - time.Since(began))
		a.wants(1, "after it")
		a.ends(2)
		a.all.Wait()
	})
}

// Connections that a smaller share leaves no room for stay until they are closed; no other is made meanwhile.
func TestConnectionsOfAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(origin)
		c := join(l, Limits{Concurrent: 2, Connections: 4})
		dial := func() net.Conn {
			conn, err := c.Dial(t.Context(), false, func(context.Context) (net.Conn, error) {
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
		l.Share(shared(Share{Requests: 1}))
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

func TestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows, err := ParseWindows("0 0 2 * * ?/1h UTC; 0 0 2 * * ?/1h UTC")
		require.NoError(t, err)
		l := New(origin)
		one, two := join(l, Limits{Concurrent: 2, Connections: 3, PerSecond: 50}), join(l, Limits{Concurrent: 4,
			Windows: windows})
		a := &asking{t: t, end: make(chan bool)}
		a.begin(3, one)
		a.begin(1, two)
		a.wants(2, "as many as may")
		began := time.Now()
		time.Sleep(longWait + time.Second)
		why := "requests to " + origin + " wait for others: 2 at a time"
		want := Use{Origin: origin, Requests: Count{2, 2, 2}, Connections: Count{Limit: 3},
			Sessions: Count{Limit: 3}, PerSecond: 50,
			Waiting: []string{why}, Windows: []string{"0 0 2 * * ?/1h UTC"}}
		assert.Equal(t, want, one.Use())
		assert.Equal(t, want, two.Use(), "it is the origin's")
		assert.Equal(t, Wait{Reasons: []string{why}, Since: began}, one.Waits())
		a.ends(4)
		a.all.Wait()
		end := one.Asked()
		waits := one.Waits()
		assert.Equal(t, true, waits.Asked && waits.Since.Equal(time.Now()), "the service has asked for it")
		end()
		assert.Equal(t, Wait{}, one.Waits())
		time.Sleep(time.Until(began.Truncate(24 * time.Hour).Add(2*time.Hour + time.Minute)))
		assert.Equal(t, 3*time.Hour, one.Use().Until.Sub(began.Truncate(24*time.Hour)), "a window is open")
	})
}
