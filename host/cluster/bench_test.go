package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/plugin"
)

// large is a group of members with 1,000 connectors of 4 tasks and names of 100 characters.
func large(members int) *group {
	g := newGroup()
	for i := range 1000 {
		c := connector(fmt.Sprintf("%0100d", i), int64(1_000_000+i*10), 4)
		c.Origin, c.Requests = fmt.Sprint("https://sap.example.com:44300/", i%300), 8
		g.in.Connectors = append(g.in.Connectors, c)
	}
	for i := range members {
		id := fmt.Sprintf("culvert-worker-%d-0bd2a4a5-7a4e-4a6e-8b6c-1f6a5f0e7c11", i)
		g.join(id)
		m := g.member(id)
		m.URL, m.Name = fmt.Sprintf("https://worker-%d.culvert.example.com:8083", i), fmt.Sprintf("worker-%d", i)
		m.Plugins = []plugin.Offer{{Name: "odata-source", Version: "1.2.0", Hash: "9f86d081"},
			{Name: "odata-sink", Version: "1.2.0", Hash: "60303ae2"},
			{Name: "smt", Version: "1.2.0", Hash: "fd61a03a"}}
		m.Digest, m.Offset = "e3b0c442", 2_000_000
	}
	return g
}

// bytes is how long metadata and assignments of all members are together, and the longest metadata.
func (g *group) bytes(t testing.TB) (total, longest int) {
	t.Helper()
	for _, m := range g.in.Members {
		metadata, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		assignment, err := Assignment{Leader: m.ID, LeaderURL: m.URL, Offset: m.Offset, Target: g.out.Targets[m.ID],
			Workers: g.out.Workers[m.ID]}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		total += len(metadata) + len(assignment)
		longest = max(longest, len(metadata))
	}
	return total, longest
}

// Metadata and assignments of all members are one record of __consumer_offsets, of 1 MB at most; half of it is spare.
func TestBytesOfALargeGroup(t *testing.T) {
	t.Parallel()
	for _, members := range []int{10, 100} {
		g := large(members)
		for range 5 {
			g.rebalance()
		}
		total, longest := g.bytes(t)
		t.Logf("%d members: %d bytes together, longest metadata %d; %s", members, total, longest, g.counts()[:60])
		if total > 500_000 {
			t.Errorf("%d members: expected at most 500,000 bytes of metadata and assignments, found %d", members, total)
		}
	}
}

// timed does something again and again, and reports the processor time of this process, which other programs' work does
// not lengthen.
func timed(b *testing.B, do func()) {
	b.Helper()
	used := func() time.Duration {
		var u unix.Rusage
		require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// atOnce is a herder whose tasks run as soon as they are assigned: they cost nothing.
type atOnce struct {
	mu     sync.Mutex
	shares map[string]connect.Share
}

func (h *atOnce) Assign(name string, share connect.Share) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shares[name] = share; !share.Plans && len(share.Tasks) == 0 {
		delete(h.shares, name)
	}
	return nil
}

func (h *atOnce) Holds() (all []connect.Holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.shares {
		holds := connect.Holding{Connector: name, Plans: s.Plans, Tasks: s.Tasks}
		if s.Planned != nil {
			holds.Version = s.Planned.Version
		}
		all = append(all, holds)
	}
	return all
}

func (h *atOnce) Status(name string) (connect.Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	status := connect.Status{Name: name, Connector: connect.ConnectorStatus{State: connect.Running}}
	for _, task := range h.shares[name].Tasks {
		status.Tasks = append(status.Tasks, connect.TaskStatus{ID: task, State: connect.Running})
	}
	return status, nil
}

// BenchmarkColdStart has ten members start at a config topic with 1,000 connectors of four tasks, until the status
// topic says of all tasks that they run. The members are in one process, with their broker; each has all connectors, as
// a worker does, but tasks begin at once.
func BenchmarkColdStart(b *testing.B) {
	connectors := 1000
	if testing.Short() {
		connectors = 100
	}
	s := newSimulated(b, newCounted(b), counterFolder(b))
	s.herds = func() Herder { return &atOnce{shares: map[string]connect.Share{}} }
	defer func() {
		for _, w := range s.there() {
			w.leave()
		}
		s.ending.Wait()
		_ = s.plugins.Close()
	}()
	f := openFollowerOf(b, func(o *LogOptions) {
		o.Kafka, o.Topic.Name, o.Group = s.network.Config("before"), testTopic, s.group
	})
	require.NoError(b, f.Lead(b.Context()))
	settings := simSettings("", "4")
	var written []config.TopicRecord
	for n := range connectors {
		written = append(written, config.ConnectorRecord(fmt.Sprintf("%0100d", n), settings))
	}
	at, err := f.store.Write(b.Context(), written...)
	require.NoError(b, err)
	require.NoError(b, f.Await(b.Context(), at+1))
	known, _ := f.store.Snapshot()
	written = nil
	for name, offset := range known.Written {
		tasks := config.Layout{Offset: offset, Tasks: []map[string]string{settings, settings, settings, settings}}
		written = append(written, tasks.Records(name)...)
	}
	_, err = f.store.Write(b.Context(), written...)
	require.NoError(b, err)
	f.end()
	last := int32(0) // the newest generation in which tasks were said to run
	start := func() (all []*simWorker) {
		for slot := range simWorkers {
			all = append(all, s.start(slot))
		}
		before, run := last, 0
		require.Until(b, func() bool {
			time.Sleep(20 * time.Millisecond) // so that looking takes little of the time
			run = 0
			for _, name := range all[0].status.Connectors() {
				for _, task := range all[0].status.Tasks(name) {
					if task.State == connect.Running && task.Generation > before {
						run, last = run+1, max(last, task.Generation)
					}
				}
			}
			return run == 4*connectors
		}, func() string { return fmt.Sprintf("%d tasks run of generations after %d", run, before) })
		return all
	}
	timed(b, func() {
		all := start()
		b.StopTimer()
		for _, w := range all {
			w.goodbye()
		}
		b.StartTimer()
	})
}

func BenchmarkPlace(b *testing.B) {
	for _, members := range []int{10, 100} {
		first := large(members)
		alone := large(1)
		alone.rebalance()
		alone.in.Members = append(alone.in.Members, large(members).in.Members[1:]...)
		settled := large(members)
		for range 5 {
			settled.rebalance()
		}
		together, _ := settled.bytes(b)
		joined := *settled
		joined.in.Members = append(joined.in.Members[:members:members], Member{ID: strings.Repeat("x", 36)})
		died := *settled
		died.in.Members, died.in.Delay = died.in.Members[1:], time.Duration(0)
		for _, c := range []struct {
			name string
			in   Input
		}{{"first", first.in}, {"one had all", alone.in}, {"settled", settled.in}, {"one joins", joined.in},
			{"one died", died.in}} {
			b.Run(fmt.Sprintf("%s of %d", c.name, members), func(b *testing.B) {
				timed(b, func() { Place(c.in) })
				if c.name == "settled" {
					b.ReportMetric(float64(together), "group-bytes")
				}
			})
		}
	}
}
