package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/configtopic"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// The scenes play fixed scenarios in a simulated group.
func TestScenesOfAGroup(t *testing.T) {
	code := counterFolder(t)
	for name, scene := range map[string]func(*testing.T, string){
		"a write of a worker that is cut off":     sceneWriteEnds,
		"two groups on one config topic":          sceneTwoGroups,
		"a leader is cut off while it writes":     sceneCutLeader,
		"one group, two config topics":            sceneTwoTopics,
		"a worker does not read the config topic": sceneDeaf,
		"a new leader cannot read":                sceneUnread,
		"changes while a worker joins slowly":     sceneChangesWhileJoining,
		"changes one after the other":             sceneChanges,
		"a zombie stores an offset":               sceneZombieStores,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene(t, code)
		})
	}
}

// create creates or changes a connector at a worker, and waits until it runs.
func (si *simulation) create(w *simWorker, name, tasks string) {
	si.t.Helper()
	require.NoError(si.t, si.put(si.t.Context(), w, name, tasks))
	si.want[name] = tasks
	si.settle(name + " has " + tasks + " tasks")
}

// balanced checks that the numbers of connectors, and of tasks, of any two workers differ by at most one.
func (si *simulation) balanced(what string) {
	si.t.Helper()
	si.settle(what)
	counts := map[string]*[2]int{}
	for _, w := range si.up() {
		counts[w.name] = &[2]int{}
	}
	for unit, owner := range si.owners() {
		counts[owner][min(strings.Count(unit, "-"), 1)]++
	}
	for kind := range 2 {
		least := 1 << 30
		most := 0
		for _, n := range counts {
			least = min(least, n[kind])
			most = max(most, n[kind])
		}
		if most > least+1 {
			si.fail("%s: expected units to be balanced, found %v", what, si.owners())
		}
	}
}

// While the brokers do not respond, a write ends no later than its caller's deadline, also if its request is in flight.
func sceneWriteEnds(t *testing.T, code string) {
	inSimulation(t, code, 0, 1, func(r *simulation) {
		r.settle("one worker")
		r.create(r.running()[0], "a", "1")
		for range 2 { // the second waits in the producer behind the first
			r.running()[0].holdBroker(false, true)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			began := time.Now()
			_, err := r.running()[0].store.Write(ctx, configtopic.TargetRecord("a", config.TargetStarted))
			cancel()
			if err == nil || time.Since(began) > 30*time.Second {
				t.Errorf("expected the error of the context after 10 s, found %v after %v", err, time.Since(began))
			}
		}
		r.running()[0].holdBroker(false, false)
		r.settle("the brokers answer")
	})
}

// If two groups use one config topic, the first owns its contents, even without members, until it is released. Then the
// other group runs them.
func sceneTwoGroups(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.running()[0], "a", "2")
		barred := func(w *simWorker) {
			r.t.Helper()
			require.Until(r.t, func() bool {
				o, _ := w.worker.Overview()
				return strings.Contains(strings.Join(o.Problems, " "), "found that the topic belongs to group ")
			}, func() string { return "expected a group that runs nothing" })
		}
		first := r.running()
		r.group = "others"
		other := r.start(2)
		barred(other)
		r.sleep(time.Minute)
		assert.Equal(t, 0, len(other.herder.Owned()))
		_, err := other.store.Write(r.t.Context(), configtopic.TargetRecord("a", config.TargetPaused))
		assert.Equal(t, true, errors.As(err, new(*configtopic.OtherGroupError)))
		assert.Equal(t, 0, len(other.worker.MemberIDs()))
		assert.Equal(t, true, errors.As(other.worker.WhenStopped(r.t.Context(), "a", nil),
			new(*configtopic.OtherGroupError)))
		first[0].shutDown()
		first[1].kill()
		r.sleep(time.Minute)
		assert.Equal(t, 0, len(other.herder.Owned()))
		_, err = other.store.Write(r.t.Context(), configtopic.GroupRecord(testGroup, false))
		require.NoError(t, err)
		r.settle("the others run it")
		r.group = testGroup
		barred(r.start(0))
		r.sleep(time.Minute)
		assert.Equal(t, 0, len(r.running()[0].herder.Owned()))
		assert.Equal(t, 1, strings.Count(r.journal.String(), "found that the topic belongs to group workers"))
	})
}

// A worker that requested a write from a leader that is cut off waits no longer than the leader's session.
func sceneCutLeader(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		leader := r.leader()
		began := time.Now()
		leader.holdBroker(true, true)
		_, err := leader.store.Write(r.t.Context(), configtopic.CommitRecord("none", 0))
		if elapsed := time.Since(began); !errors.As(err, new(*WriteError)) || elapsed > simSession+2*time.Second {
			t.Errorf("expected an error once the session is over, found %v after %v", err, elapsed)
		}
		leader.holdBroker(false, false)
		r.settle("it is back")
		r.create(r.leader(), "a", "2")
	})
}

// problem waits until the leader's overview has a problem with this text.
func (si *simulation) problem(text string) {
	si.t.Helper()
	var all []string
	require.Until(si.t, func() bool {
		leader := si.leader()
		if leader == nil {
			return false
		}
		o, _ := leader.worker.Overview()
		all = o.Problems
		return strings.Contains(strings.Join(all, " "), text)
	}, func() string { return fmt.Sprintf("expected a problem with %q, found %q", text, all) })
}

// at waits until one worker has all units of a connector.
func (si *simulation) at(w *simWorker, connector string, units int) {
	si.t.Helper()
	require.Until(si.t, func() bool {
		found := 0
		for unit, owner := range si.owners() {
			if unit == connector || strings.HasPrefix(unit, connector+"-") {
				if owner != w.name {
					return false
				}
				found++
			}
		}
		return found == units
	}, func() string { return fmt.Sprintf("expected %s at %s, found %v", connector, w.name, si.owners()) })
}

// A worker with another config topic than the rest of its group is not admitted, and its error states what to set. If
// the coordinator shows it no members, the leader assigns it nothing and reports it. The others continue.
func sceneTwoTopics(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.running()[0], "a", "2")
		r.sleep(10 * time.Second)
		runs := r.service.begun()
		r.topic = "other"
		odd := r.start(2)
		r.sleep(time.Minute)
		if _, leads := r.leader().worker.Overview(); !leads || len(r.leader().worker.MemberIDs()) != 2 {
			t.Errorf("expected two members still, found %v", r.leader().worker.MemberIDs())
		}
		assert.Error(t, odd.worker.checkTopic(r.t.Context()), "group.id=workers: expected config.storage.topic="+
			testTopic+" as worker w")
		client := kafkatest.Client(r.t, r.network.Config("other").AdminOpts(kgo.DefaultProduceTopic("other"))...)
		defer client.Close()
		for n := range 100 { // beyond the offset of the others
			require.NoError(r.t, client.ProduceSync(r.t.Context(), kgo.KeyStringRecord(fmt.Sprint("x", n),
				"{}")).FirstErr())
		}
		kafkatest.RejectIf(r.network.Cluster, kmsg.DescribeGroups, kerr.GroupAuthorizationFailed,
			func(kmsg.Request) bool { return true })
		r.problem("expected config.storage.topic=" + testTopic + " at worker w2:8083")
		r.sleep(time.Minute)
		assert.Equal(t, runs, r.service.begun())
		assert.Equal(t, 0, len(odd.herder.Owned()))
		require.NoError(r.t, r.put(r.t.Context(), r.running()[0], "b", "2"))
		r.want["b"] = "2"
		require.Until(r.t, func() bool { return len(r.owners()) == 6 },
			func() string { return fmt.Sprintf("expected b to run, found %v", r.owners()) })
		assert.Equal(t, 0, len(odd.herder.Owned()))
		odd.shutDown()
		r.balanced("it has gone")
	})
}

// A worker that cannot read the config topic gives up its units, which the leader reports, until it can.
func sceneDeaf(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.running()[0], "a", "2")
		leader := r.leader()
		deaf := r.running()[1-leader.slot]
		deaf.mu.Lock()
		deaf.deaf = make(chan struct{})
		deaf.mu.Unlock()
		require.NoError(r.t, r.put(r.t.Context(), leader, "b", "2"))
		r.want["b"] = "2"
		r.at(leader, "a", 3)
		r.at(leader, "b", 3)
		r.problem("expected worker " + deaf.name + ":8083 to keep up with topic " + testTopic)
		r.sleep(time.Minute)
		r.at(leader, "a", 3)
		deaf.mu.Lock()
		close(deaf.deaf)
		deaf.deaf = nil
		deaf.mu.Unlock()
		require.Until(r.t, func() bool { return len(deaf.herder.Owned()) > 0 },
			func() string { return "expected it to be given something again" })
		r.balanced("it reads again")
		o, _ := r.leader().worker.Overview()
		assert.Equal(t, 0, len(o.Problems))
	})
}

// While a new leader cannot read the config topic, everything keeps running where it is.
func sceneUnread(t *testing.T, code string) {
	inSimulation(t, code, 0, 3, func(r *simulation) {
		r.settle("three workers")
		r.create(r.running()[0], "a", "6")
		r.sleep(10 * time.Second) // a task is RUNNING before its first request
		runs := r.service.begun()
		leader := r.leader()
		before := r.owners()
		assert.Equal(t, 6, runs)
		var away atomic.Bool
		away.Store(true)
		kafkatest.RejectIf(r.network.Cluster, kmsg.ListOffsets, kerr.LeaderNotAvailable, func(q kmsg.Request) bool {
			return away.Load() && q.(*kmsg.ListOffsetsRequest).Topics[0].Topic == testTopic
		})
		leader.kill()
		r.problem("expected to read topic " + testTopic + " before a new assignment")
		r.sleep(time.Minute)
		assert.Equal(t, runs, r.service.begun())
		for unit, owner := range before {
			if is := r.owners()[unit]; owner != leader.name && is != owner {
				t.Errorf("expected %s to stay at %s, found it at %q", unit, owner, is)
			}
		}
		away.Store(false)
		r.balanced("the topic is back")
		assert.Equal(t, runs+2, r.service.begun())
	})
}

// asks returns how often the leader triggers a rebalance during do.
func (si *simulation) asks(do func()) uint32 {
	count := &si.leader().worker.group.Load().rejoins.count
	before := count.Load()
	do()
	return count.Load() - before
}

// change writes a record that makes the leader plan again.
func (si *simulation) change(n int) {
	si.t.Helper()
	_, err := si.leader().store.Write(si.t.Context(), configtopic.TargetRecord(fmt.Sprint("none", n),
		config.TargetStarted))
	require.NoError(si.t, err)
}

// A change triggers one rebalance, however long the join takes.
func sceneChangesWhileJoining(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		leader := r.leader()
		other := r.running()[1-leader.slot]
		id := other.worker.MemberID()
		joins := make(chan struct{})
		r.network.Cluster.ControlKey(int16(kmsg.JoinGroup), func(q kmsg.Request) (kmsg.Response, error, bool) {
			r.network.Cluster.KeepControl()
			if q.(*kmsg.JoinGroupRequest).MemberID == id {
				r.network.Cluster.SleepControl(func() { <-joins })
			}
			return nil, nil, false
		})
		assert.Equal(t, 1, r.asks(func() {
			r.change(0)
			r.sleep(15 * time.Second)
		}))
		close(joins)
		r.settle("it has joined")
	})
}

// Changes within 100 ms are one rebalance. If they continue, the interval grows up to a second.
func sceneChanges(t *testing.T, code string) {
	inSimulation(t, code, 0, 1, func(r *simulation) {
		r.settle("one worker")
		r.sleep(5 * time.Second)
		assert.Equal(t, 1, r.asks(func() {
			for n := range 9 {
				r.change(n)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
		}))
		r.sleep(5 * time.Second)
		assert.Equal(t, 13, r.asks(func() { // after 0.1, 0.3, 0.7, 1.5, 2.5, 3.5 s and so on
			for began := time.Now(); time.Since(began) < 11*time.Second; {
				r.change(0)
				time.Sleep(10 * time.Millisecond)
			}
		}))
		r.settle("there are no more")
	})
}

// owner returns the worker that has a unit.
func (si *simulation) owner(unit string) *simWorker {
	si.t.Helper()
	name := si.owners()[unit]
	for _, w := range si.running() {
		if w.name == name {
			return w
		}
	}
	si.fail("expected a worker with %s, found %v", unit, si.owners())
	return nil
}

// row returns the last row of a partition that was requested, which acknowledges the rows before it.
func (si *simulation) row(partition string) int64 {
	si.service.mu.Lock()
	defer si.service.mu.Unlock()
	return si.service.acked[partition].row
}

// A paused worker stores its pending offsets when others have already taken over a task's partition under another task
// number. They do not count: if the others are killed next, nobody requests a row that the service has forgotten.
func sceneZombieStores(t *testing.T, code string) {
	inSimulation(t, code, 0, 3, func(r *simulation) {
		r.settle("three workers")
		r.create(r.running()[0], "queue2", "6")
		// assigned to task 2 of three
		zombie := r.owner("queue2-5")
		partition := "queue2-0"
		if zombie == r.leader() {
			zombie = r.owner("queue2-4")
			partition = "queue2-1"
		}
		r.sleep(9 * time.Second)
		zombie.isolate(true)
		r.create(r.leader(), "queue2", "3")                    // so that no worker takes over the task unchanged
		for at := r.row(partition); r.row(partition) < at+3; { // by then the offset before this row is stored
			r.sleep(250 * time.Millisecond)
		}
		others := r.up()
		r.network.Hold(zombie.way, false, false)
		r.sleep(3 * time.Second)
		for _, w := range others {
			w.kill()
		}
		zombie.isolate(false)
		r.settle("it has all")
		r.sleep(5 * time.Second)
	})
}
