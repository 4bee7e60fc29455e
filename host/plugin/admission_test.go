package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/logtest"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
)

// crowded is a manager of connectors that share the memory for guests.
type crowded struct {
	*plugin.Manager
	log *logtest.Journal
}

// bounded starts a manager of the small plugins a, b and c whose guests have so much memory together.
func bounded(t *testing.T, bytes int64) crowded {
	t.Helper()
	folder, log := t.TempDir(), &logtest.Journal{}
	for mark, name := range []string{"a", "b", "c"} {
		put(t, folder, name+".wasm", named(name, "1.0.0", byte(mark)))
	}
	m, err := plugin.New(t.Context(), plugin.Options{Registry: record.NewRegistry(), Folders: []string{folder},
		Logger: log.Logger(plugin.LevelTrace), MemoryBytes: bytes})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	for _, i := range m.Modules() {
		if i.Err != nil {
			t.Fatal(i.Err)
		}
		b, err := m.BindPlugin("first", i.Name, "")
		require.NoError(t, err)
		works(t, b.Current(), "1.0.0") // compiled outside of a bubble
		b.Close()
	}
	return crowded{m, log}
}

// instances are those of a plugin.
func (c crowded) instances() (n int64) {
	for _, i := range c.Modules() {
		n += i.Metrics.Instances
	}
	return n
}

func (c crowded) bind(t *testing.T, connector, name string) *plugin.Binding {
	t.Helper()
	b, err := c.BindPlugin(connector, name, "")
	require.NoError(t, err)
	return b
}

// Fifty sources with transforms, and as many sinks, under a bound that lets in one connector at a time: every page and
// batch is done, no two connectors have instances at the same time, and nobody has a second turn before all others who
// want one had theirs. A page gets the instances of its transforms, and of a newer version that is judged meanwhile,
// without waiting for others.
func TestConnectorsTakeTurnsForMemory(t *testing.T) {
	c := bounded(t, 1)
	synctest.Test(t, func(t *testing.T) {
		const connectors, pages = 50, 8
		var mu sync.Mutex
		var turns []int
		var done, inside atomic.Int64
		within := func(n int, f func()) {
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d connectors are in", n)
			}
			mu.Lock()
			if len(turns) == 0 || turns[len(turns)-1] != n {
				turns = append(turns, n)
			}
			mu.Unlock()
			f()
			done.Add(1)
			inside.Add(-1)
		}
		var all sync.WaitGroup
		for n := range 2 * connectors {
			all.Go(func() {
				name := fmt.Sprintf("c%02d", n)
				source, transform, newer := c.bind(t, name, "a"), c.bind(t, name, "b"), c.bind(t, name, "c")
				defer source.Close()
				defer transform.Close()
				defer newer.Close()
				for range pages {
					if n%2 == 1 { // a sink
						err := source.Current().Do(t.Context(), func(*plugin.Instance) error {
							within(n, func() { time.Sleep(400 * time.Millisecond) })
							return nil
						})
						assert.NoError(t, err)
						continue
					}
					r, err := source.Current().Reader(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					within(n, func() {
						time.Sleep(200 * time.Millisecond)
						err := transform.Current().Do(t.Context(), func(*plugin.Instance) error {
							works(t, newer.Current(), "1.0.0")
							time.Sleep(200 * time.Millisecond)
							return nil
						})
						assert.NoError(t, err)
					})
					r.Close()
				}
			})
		}
		all.Wait()
		if done.Load() != 2*connectors*pages {
			t.Errorf("expected %d pages and batches, found %d", 2*connectors*pages, done.Load())
		}
		// A turn of a second is three of them, so that everybody has three.
		if want := 3 * 2 * connectors; len(turns) != want {
			t.Fatalf("expected %d turns, found %d: %v", want, len(turns), turns)
		}
		for round := range slices.Chunk(turns, 2*connectors) {
			slices.Sort(round)
			if len(slices.Compact(round)) != 2*connectors {
				t.Errorf("expected each once in a round, found %v", round)
			}
		}
		time.Sleep(10 * time.Second)
		if n := c.instances(); n != 0 {
			t.Errorf("%d instances are left", n)
		}
	})
	if n := strings.Count(c.log.String(), "the memory for plugins is used up"); n == 0 ||
		!strings.Contains(c.log.String(), plugin.MemorySetting) {
		t.Errorf("expected a warning that names %s, found %s", plugin.MemorySetting, c.log.String())
	}
}

// Pages of one connector that overlap for good end its turn, too: it gets no further one while another connector waits.
func TestOverlappingPagesEndTheirTurn(t *testing.T) {
	c := bounded(t, 1)
	synctest.Test(t, func(t *testing.T) {
		greedy, other := c.bind(t, "greedy", "a"), c.bind(t, "other", "a")
		defer greedy.Close()
		defer other.Close()
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() {
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
			works(t, other.Current(), "1.0.0")
			time.Sleep(100 * time.Millisecond)
		}
		if waited := time.Since(began); waited > 10*time.Second {
			t.Errorf("waited for %v", waited)
		}
		stop()
		all.Wait()
		time.Sleep(10 * time.Second)
	})
}

// Who does not wait any longer leaves the queue, and a connector that ends does.
func TestWaitingForMemoryEnds(t *testing.T) {
	c := bounded(t, 1)
	synctest.Test(t, func(t *testing.T) {
		first, second, third := c.bind(t, "first", "a"), c.bind(t, "second", "a"), c.bind(t, "third", "a")
		defer first.Close()
		defer second.Close()
		r, err := first.Current().Reader(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := second.Current().Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), plugin.MemorySetting) {
			t.Errorf("expected the deadline and %s, found %v", plugin.MemorySetting, err)
		}
		ended := make(chan error)
		go func() {
			_, err := third.Current().Acquire(t.Context())
			ended <- err
		}()
		synctest.Wait()
		third.Close()
		if err := <-ended; !errors.Is(err, plugin.ErrClosed) {
			t.Errorf("expected %v, found %v", plugin.ErrClosed, err)
		}
		r.Close()
		works(t, second.Current(), "1.0.0")
		time.Sleep(10 * time.Second)
	})
}

// Where there is room all are in side by side, and the room is what the instances of a plugin were seen to take.
func TestMemoryForSeveral(t *testing.T) {
	size := bounded(t, 0).Modules()[0].Metrics.MemoryBytes
	c := bounded(t, 10*size)
	synctest.Test(t, func(t *testing.T) {
		var inside, most atomic.Int64
		var all sync.WaitGroup
		for n := range 30 {
			all.Go(func() {
				b := c.bind(t, fmt.Sprint(n), "a")
				defer b.Close()
				for range 4 {
					err := b.Current().Do(t.Context(), func(*plugin.Instance) error {
						n := inside.Add(1)
						for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
						}
						time.Sleep(700 * time.Millisecond)
						inside.Add(-1)
						return nil
					})
					assert.NoError(t, err)
				}
			})
		}
		all.Wait()
		if most.Load() != 10 {
			t.Errorf("expected 10 to be in, found %d", most.Load())
		}
		time.Sleep(10 * time.Second)
	})
}

// working has a connector call its plugin within one page, with pauses as for a service's answers, from now on until
// ctx ends. in hears when it was let in.
func (c crowded) working(ctx context.Context, t *testing.T, connector string, pause time.Duration, in func()) {
	b := c.bind(t, connector, "a")
	defer b.Close()
	err := b.Current().Do(ctx, func(i *plugin.Instance) error {
		in()
		for ctx.Err() == nil {
			if _, err := i.Describe(t.Context()); err != nil {
				return err
			}
			time.Sleep(pause)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

// Far below the bound of memory a few connectors begin, and each second one more while others wait and the processors
// are busy, two where there are twice as many. When nobody has waited for a while it is a few again. Nothing is said of
// a lack of memory.
func TestConnectorsComeOneAfterAnother(t *testing.T) {
	c := bounded(t, 0)
	plugin.SideBySide(c.Manager, 3, false)
	synctest.Test(t, func(t *testing.T) {
		for round := range 2 {
			ctx, stop := context.WithCancel(t.Context())
			began := time.Now()
			var mu sync.Mutex
			var came []time.Duration
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					c.working(ctx, t, fmt.Sprint(n), 100*time.Millisecond, func() {
						mu.Lock()
						defer mu.Unlock()
						came = append(came, time.Since(began).Truncate(time.Second))
					})
				})
			}
			time.Sleep(10 * time.Second)
			stop()
			all.Wait()
			slices.Sort(came)
			const s = time.Second
			if want := []time.Duration{0, 0, 0, s, 2 * s, 3 * s, 4 * s, 4 * s}; !slices.Equal(came, want) {
				t.Errorf("round %d: expected them to come at %v, found %v", round, want, came)
			}
			time.Sleep(10 * time.Second)
		}
	})
	if strings.Contains(c.log.String(), plugin.MemorySetting) {
		t.Errorf("expected nothing about memory, found %s", c.log.String())
	}
}

// Connectors that have instances and wait for their services hold up nobody.
func TestStalledConnectorsHoldUpNobody(t *testing.T) {
	c := bounded(t, 0)
	plugin.SideBySide(c.Manager, 2, false)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for n := range 20 {
			b := c.bind(t, fmt.Sprint(n), "a")
			defer b.Close()
			r, err := b.Current().Reader(t.Context())
			require.NoError(t, err)
			defer r.Close()
		}
		// Two come at once, and two more a second after that at the latest, when the first ones are stalled.
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("expected at most nine pauses of a second, found %v", took)
		}
	})
}

// Where the processors have nothing to do, since the services take their time, many begin soon.
func TestManyWithSlowServicesBegin(t *testing.T) {
	c := bounded(t, 0)
	plugin.SideBySide(c.Manager, 8, true) // two processors
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var in atomic.Int64
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				c.working(ctx, t, fmt.Sprint(n), 500*time.Millisecond, func() { in.Add(1) })
			})
		}
		time.Sleep(50 * time.Millisecond)
		if n := in.Load(); n != 8 {
			t.Errorf("expected 8 at first, found %d", n)
		}
		time.Sleep(5 * time.Second)
		if n := in.Load(); n != 50 {
			t.Errorf("expected all 50 within 5 seconds, found %d", n)
		}
		stop()
		all.Wait()
		time.Sleep(10 * time.Second)
	})
}

// While connectors wait for their turn to begin, those that have begun keep what is idle, and come back at once when it
// was closed; what is asked once is answered, of those that wait, too. Who gives up learns what it waited for, and
// that one waits long is said once.
func TestBegunConnectorsAreNotHeldUp(t *testing.T) {
	c := bounded(t, 0)
	plugin.SideBySide(c.Manager, 2, false)
	synctest.Test(t, func(t *testing.T) {
		first := c.bind(t, "first", "a")
		defer first.Close()
		works(t, first.Current(), "1.0.0")
		time.Sleep(10 * time.Second) // it is idle, and has no instance any more
		if n := c.instances(); n != 0 {
			t.Fatalf("expected no instances, found %d", n)
		}
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		for n := range 20 { // more of them each second than may begin
			busy.Go(func() { c.working(ctx, t, fmt.Sprint("busy", n), 100*time.Millisecond, func() {}) })
		}
		synctest.Wait()
		at := func(what string, f func()) {
			t.Helper()
			began := time.Now()
			if f(); time.Since(began) > 0 {
				t.Errorf("%s: waited for %v", what, time.Since(began))
			}
		}
		at("one that has begun", func() { works(t, first.Current(), "1.0.0") })
		time.Sleep(950 * time.Millisecond) // the next one comes after a second
		had := c.instances()
		at("one that is idle", func() { works(t, first.Current(), "1.0.0") })
		if n := c.instances(); n != had {
			t.Errorf("expected the instance that was there, found %d of %d", n, had)
		}
		late := c.bind(t, "late", "a")
		defer late.Close()
		within, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := late.Current().Acquire(within)
		if err == nil || strings.Contains(err.Error(), plugin.MemorySetting) ||
			!strings.Contains(err.Error(), "turn to begin") {
			t.Errorf("expected that it was not its turn, found %v", err)
		}
		var waiting sync.WaitGroup
		waiting.Go(func() { works(t, late.Current(), "1.0.0") })
		synctest.Wait()
		at("a question", func() {
			err := late.Current().DoOnce(t.Context(), func(i *plugin.Instance) error {
				_, err := i.Describe(t.Context())
				return err
			})
			assert.NoError(t, err)
		})
		time.Sleep(10 * time.Second)
		stop()
		busy.Wait()
		waiting.Wait()
		time.Sleep(10 * time.Second)
	})
	if n := strings.Count(c.log.String(), "a connector waits for others"); n == 0 || n > 20 ||
		strings.Contains(c.log.String(), plugin.MemorySetting) {
		t.Errorf("expected that it is said once of each that some wait for long, and nothing of memory, found %s",
			c.log.String())
	}
}
