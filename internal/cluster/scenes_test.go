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
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// The scenes play fixed scenarios in a simulated group.
func TestScenesOfAGroup(t *testing.T) {
	folder := counterFolder(t)
	for name, scene := range map[string]func(*testing.T, string){
		"a write of a worker that is cut off":     sceneWriteEnds,
		"two groups on one config topic":          sceneTwoGroups,
		"a leader is cut off while it writes":     sceneCutLeader,
		"one group, two config topics":            sceneTwoTopics,
		"a worker does not read the config topic": sceneStalledReader,
		"a new leader cannot read":                sceneUnreadableTopic,
		"changes while a worker joins slowly":     sceneChangesWhileJoining,
		"changes one after the other":             sceneChanges,
		"a zombie stores an offset":               sceneZombieStores,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene(t, folder)
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

// settleBalanced waits like settle, and checks that the numbers of connectors, and of tasks, of any two workers differ
// by at most one.
func (si *simulation) settleBalanced(what string) {
	si.t.Helper()
	si.settle(what)
	counts := map[string]*[2]int{}
	for _, w := range si.reachable() {
		counts[w.name] = &[2]int{}
	}
	for unit, owner := range si.owners() {
		counts[owner][min(strings.Count(unit, "-"), 1)]++
	}
	for kind := range 2 {
		lowest := 1 << 30
		highest := 0
		for _, n := range counts {
			lowest = min(lowest, n[kind])
			highest = max(highest, n[kind])
		}
		if highest > lowest+1 {
			si.fail("%s: expected units to be balanced, found %v", what, si.owners())
		}
	}
}

// While the brokers do not respond, a write ends no later than its caller's deadline, also if its request is in flight.
func sceneWriteEnds(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 1, func(si *simulation) {
		si.settle("one worker")
		si.create(si.running()[0], "a", "1")
		for range 2 { // the second write waits in the producer for the first one
			si.running()[0].holdBroker(clustertest.Directions{ToWorker: true})
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			start := time.Now()
			_, err := si.running()[0].store.Write(ctx, configtopic.TargetRecord("a", config.TargetStarted))
			cancel()
			assert.True(t, err != nil && time.Since(start) <= 30*time.Second,
				"expected the error of the context after 10 s, found %v after %v", err, time.Since(start))
		}
		si.running()[0].holdBroker(clustertest.Directions{})
		si.settle("the brokers answer")
	})
}

// If two groups use one config topic, the first owns its contents, even without members, until it is released. Then the
// other group runs them.
func sceneTwoGroups(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 2, func(si *simulation) {
		si.settle("two workers")
		si.create(si.running()[0], "a", "2")
		awaitRejected := func(w *simWorker) {
			si.t.Helper()
			require.Until(si.t, func() bool {
				o, _ := w.worker.Overview()
				return strings.Contains(strings.Join(o.Problems, " "), "found that the topic belongs to group ")
			}, func() string { return "expected a group that runs nothing" })
		}
		first := si.running()
		si.group = "others"
		other := si.start(2)
		awaitRejected(other)
		si.sleep(time.Minute)
		assert.Equal(t, 0, len(other.herder.Owned()))
		_, err := other.store.Write(si.t.Context(), configtopic.TargetRecord("a", config.TargetPaused))
		assert.Equal(t, true, errors.As(err, new(*configtopic.OtherGroupError)))
		assert.Equal(t, 0, len(other.worker.MemberIDs()))
		assert.Equal(t, true, errors.As(other.worker.WhenStopped(si.t.Context(), "a", nil),
			new(*configtopic.OtherGroupError)))
		first[0].shutDown()
		first[1].kill()
		si.sleep(time.Minute)
		assert.Equal(t, 0, len(other.herder.Owned()))
		_, err = other.store.Write(si.t.Context(), configtopic.GroupRecord(testGroup, false))
		require.NoError(t, err)
		si.settle("the others run it")
		si.group = testGroup
		awaitRejected(si.start(0))
		si.sleep(time.Minute)
		assert.Equal(t, 0, len(si.running()[0].herder.Owned()))
		assert.Equal(t, 1, strings.Count(si.journal.String(), "found that the topic belongs to group workers"))
	})
}

// A worker that requested a write from a leader that is cut off waits no longer than the leader's session.
func sceneCutLeader(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 2, func(si *simulation) {
		si.settle("two workers")
		leader := si.leader()
		start := time.Now()
		leader.holdBroker(clustertest.BothWays)
		_, err := leader.store.Write(si.t.Context(), configtopic.CommitRecord("none", 0))
		if elapsed := time.Since(start); !errors.As(err, new(*WriteError)) || elapsed > simSession+2*time.Second {
			t.Errorf("expected an error once the session is over, found %v after %v", err, elapsed)
		}
		leader.holdBroker(clustertest.Directions{})
		si.settle("it is back")
		si.create(si.leader(), "a", "2")
	})
}

// awaitProblem waits until the leader's overview has a problem with this text.
func (si *simulation) awaitProblem(text string) {
	si.t.Helper()
	var problems []string
	require.Until(si.t, func() bool {
		leader := si.leader()
		if leader == nil {
			return false
		}
		o, _ := leader.worker.Overview()
		problems = o.Problems
		return strings.Contains(strings.Join(problems, " "), text)
	}, func() string { return fmt.Sprintf("expected a problem with %q, found %q", text, problems) })
}

// awaitUnits waits until one worker has all units of a connector.
func (si *simulation) awaitUnits(w *simWorker, connector string, units int) {
	si.t.Helper()
	require.Until(si.t, func() bool {
		count := 0
		for unit, owner := range si.owners() {
			if unit == connector || strings.HasPrefix(unit, connector+"-") {
				if owner != w.name {
					return false
				}
				count++
			}
		}
		return count == units
	}, func() string { return fmt.Sprintf("expected %s at %s, found %v", connector, w.name, si.owners()) })
}

// A worker with another config topic than the rest of its group is not admitted, and its error states what to set. If
// the coordinator shows it no members, the leader assigns it nothing and reports it. The others continue.
func sceneTwoTopics(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 2, func(si *simulation) {
		si.settle("two workers")
		si.create(si.running()[0], "a", "2")
		si.sleep(10 * time.Second)
		runs := si.service.runCount()
		si.topic = "other"
		misconfigured := si.start(2)
		si.sleep(time.Minute)
		if _, isLeader := si.leader().worker.Overview(); !isLeader || len(si.leader().worker.MemberIDs()) != 2 {
			t.Errorf("expected two members still, found %v", si.leader().worker.MemberIDs())
		}
		assert.Error(t, misconfigured.worker.checkTopic(si.t.Context()),
			"group.id=workers: expected config.storage.topic="+
				testTopic+" as worker w")
		client := kafkatest.Client(si.t, si.network.Config("other").AdminOpts(kgo.DefaultProduceTopic("other"))...)
		defer client.Close()
		for n := range 100 { // more records than the topic of the other workers has
			require.NoError(si.t, client.ProduceSync(si.t.Context(), kgo.KeyStringRecord(fmt.Sprint("x", n),
				"{}")).FirstErr())
		}
		kafkatest.RejectIf(si.network.Cluster, kmsg.DescribeGroups, kerr.GroupAuthorizationFailed,
			func(kmsg.Request) bool { return true })
		si.awaitProblem("expected config.storage.topic=" + testTopic + " at worker w2:8083")
		si.sleep(time.Minute)
		assert.Equal(t, runs, si.service.runCount())
		assert.Equal(t, 0, len(misconfigured.herder.Owned()))
		require.NoError(si.t, si.put(si.t.Context(), si.running()[0], "b", "2"))
		si.want["b"] = "2"
		require.Until(si.t, func() bool { return len(si.owners()) == 6 },
			func() string { return fmt.Sprintf("expected b to run, found %v", si.owners()) })
		assert.Equal(t, 0, len(misconfigured.herder.Owned()))
		misconfigured.shutDown()
		si.settleBalanced("it has gone")
	})
}

// A worker that cannot read the config topic gives up its units, which the leader reports, until it can.
func sceneStalledReader(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 2, func(si *simulation) {
		si.settle("two workers")
		si.create(si.running()[0], "a", "2")
		leader := si.leader()
		stalled := si.running()[1-leader.slot]
		stalled.setReadsPaused(true)
		require.NoError(si.t, si.put(si.t.Context(), leader, "b", "2"))
		si.want["b"] = "2"
		si.awaitUnits(leader, "a", 3)
		si.awaitUnits(leader, "b", 3)
		si.awaitProblem("expected worker " + stalled.name + ":8083 to keep up with topic " + testTopic)
		si.sleep(time.Minute)
		si.awaitUnits(leader, "a", 3)
		stalled.setReadsPaused(false)
		require.Until(si.t, func() bool { return len(stalled.herder.Owned()) > 0 },
			func() string { return "expected it to own something again" })
		si.settleBalanced("it reads again")
		o, _ := si.leader().worker.Overview()
		assert.Equal(t, 0, len(o.Problems))
	})
}

// While a new leader cannot read the config topic, everything keeps running where it is.
func sceneUnreadableTopic(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 3, func(si *simulation) {
		si.settle("three workers")
		si.create(si.running()[0], "a", "6")
		si.sleep(10 * time.Second) // a task is RUNNING before its first request
		runs := si.service.runCount()
		leader := si.leader()
		oldOwners := si.owners()
		assert.Equal(t, 6, runs)
		var isUnreadable atomic.Bool
		isUnreadable.Store(true)
		kafkatest.RejectIf(si.network.Cluster, kmsg.ListOffsets, kerr.LeaderNotAvailable, func(q kmsg.Request) bool {
			return isUnreadable.Load() && q.(*kmsg.ListOffsetsRequest).Topics[0].Topic == testTopic
		})
		leader.kill()
		si.awaitProblem("expected to read topic " + testTopic + " before a new assignment")
		si.sleep(time.Minute)
		assert.Equal(t, runs, si.service.runCount())
		for unit, owner := range oldOwners {
			if newOwner := si.owners()[unit]; owner != leader.name && newOwner != owner {
				t.Errorf("expected %s to stay at %s, found it at %q", unit, owner, newOwner)
			}
		}
		isUnreadable.Store(false)
		si.settleBalanced("the topic is back")
		si.sleep(10 * time.Second) // as above
		assert.Equal(t, runs+2, si.service.runCount())
	})
}

// rebalancesDuring returns how often the leader triggers a rebalance during do.
func (si *simulation) rebalancesDuring(do func()) uint32 {
	count := &si.leader().worker.group.Load().rejoins.count
	oldCount := count.Load()
	do()
	return count.Load() - oldCount
}

// triggerPlan writes a record that makes the leader plan again. Its key has the number n.
func (si *simulation) triggerPlan(n int) {
	si.t.Helper()
	_, err := si.leader().store.Write(si.t.Context(), configtopic.TargetRecord(fmt.Sprint("none", n),
		config.TargetStarted))
	require.NoError(si.t, err)
}

// A change triggers one rebalance, however long the join takes.
func sceneChangesWhileJoining(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 2, func(si *simulation) {
		si.settle("two workers")
		leader := si.leader()
		other := si.running()[1-leader.slot]
		id := other.worker.MemberID()
		resume := make(chan struct{})
		si.network.Cluster.ControlKey(int16(kmsg.JoinGroup), func(q kmsg.Request) (kmsg.Response, error, bool) {
			si.network.Cluster.KeepControl()
			if q.(*kmsg.JoinGroupRequest).MemberID == id {
				si.network.Cluster.SleepControl(func() { <-resume })
			}
			return nil, nil, false
		})
		assert.Equal(t, 1, si.rebalancesDuring(func() {
			si.triggerPlan(0)
			si.sleep(15 * time.Second)
		}))
		close(resume)
		si.settle("it has joined")
	})
}

// Changes within 100 ms are one rebalance. If they continue, the interval grows up to a second.
func sceneChanges(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 1, func(si *simulation) {
		si.settle("one worker")
		si.sleep(5 * time.Second)
		assert.Equal(t, 1, si.rebalancesDuring(func() {
			for n := range 9 {
				si.triggerPlan(n)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
		}))
		si.sleep(5 * time.Second)
		assert.Equal(t, 13, si.rebalancesDuring(func() { // after 0.1, 0.3, 0.7, 1.5, 2.5, 3.5 s and so on
			for start := time.Now(); time.Since(start) < 11*time.Second; {
				si.triggerPlan(0)
				time.Sleep(10 * time.Millisecond)
			}
		}))
		si.settle("there are no more")
	})
}

// workerWith returns the worker that has a unit.
func (si *simulation) workerWith(unit string) *simWorker {
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

// lastRow returns the last row of a partition that was requested, which acknowledges the rows before it.
func (si *simulation) lastRow(partition string) int64 {
	si.service.mu.Lock()
	defer si.service.mu.Unlock()
	return si.service.acknowledged[partition].row
}

// A paused worker stores its pending offsets when others have already taken over a task's partition under another task
// number. They do not count: if the others are killed next, nobody requests a row that the service has forgotten.
func sceneZombieStores(t *testing.T, folder string) {
	inSimulation(t, folder, 0, 3, func(si *simulation) {
		si.settle("three workers")
		si.create(si.running()[0], "queue2", "6")
		// partition belongs to task 2 of three
		zombie := si.workerWith("queue2-5")
		partition := "queue2-0"
		if zombie == si.leader() {
			zombie = si.workerWith("queue2-4")
			partition = "queue2-1"
		}
		si.sleep(9 * time.Second)
		zombie.isolate()
		si.create(si.leader(), "queue2", "3") // so that no worker takes over the task unchanged
		const storedAfter = 3                 // rows after which the offset before the first of them is stored
		for row := si.lastRow(partition); si.lastRow(partition) < row+storedAfter; {
			si.sleep(250 * time.Millisecond)
		}
		others := si.reachable()
		si.network.Hold(zombie.clientName, clustertest.Directions{})
		si.sleep(3 * time.Second)
		for _, w := range others {
			w.kill()
		}
		zombie.reconnect()
		si.settle("it has all")
		si.sleep(5 * time.Second)
	})
}
