package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
)

// Scenes of a simulated group.
func TestScenesOfAGroup(t *testing.T) {
	code := counterFolder(t)
	for name, scene := range map[string]func(*testing.T, string){
		"odd records in the config topic":         sceneOddRecords,
		"the coordinator is away for a minute":    sceneCoordinatorAway,
		"a plugin that one worker has":            scenePluginOfOne,
		"a write of a worker that is cut off":     sceneWriteEnds,
		"a leader that nobody reaches":            sceneUnreachableLeader,
		"two groups on one config topic":          sceneTwoGroups,
		"a leader is cut off while it writes":     sceneCutLeader,
		"one group, two config topics":            sceneTwoTopics,
		"a worker does not read the config topic": sceneDeaf,
		"a new leader cannot read":                sceneUnread,
		"changes while a worker joins slowly":     sceneChangesWhileJoining,
		"changes one after the other":             sceneChanges,
		"a zombie asks for rows":                  sceneZombieAsks,
		"a zombie stores an offset":               sceneZombieStores,
		"two workers of one URL":                  sceneOneURL,
		"members in any order":                    sceneOrderOfMembers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene(t, code)
		})
	}
}

// create makes or changes a connector at a worker, and waits until it runs.
func (r *simulation) create(w *simWorker, name, tasks string) {
	r.t.Helper()
	require.NoError(r.t, r.put(r.t.Context(), w, name, tasks))
	r.want[name] = tasks
	r.settle(name + " has " + tasks + " tasks")
}

// balanced looks whether no worker has more connectors, or tasks, than another, but for one.
func (r *simulation) balanced(what string) {
	r.t.Helper()
	r.settle(what)
	counts := map[string]*[2]int{}
	for _, w := range r.up() {
		counts[w.name] = &[2]int{}
	}
	for unit, owner := range r.owners() {
		counts[owner][min(strings.Count(unit, "-"), 1)]++
	}
	for kind := range 2 {
		least, most := 1<<30, 0
		for _, n := range counts {
			least, most = min(least, n[kind]), max(most, n[kind])
		}
		if most > least+1 {
			r.fail("%s: expected units to be balanced, found %v", what, r.owners())
		}
	}
}

// Records of the config topic that are none of a cluster's, or damaged, large, or aborted, change nothing of what runs.
func sceneOddRecords(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.there()[0], "a", "2")
		r.sleep(10 * time.Second) // a task is said to run before it has asked the service
		lives := r.service.begun()
		assert.Equal(t, 2, lives)
		k := r.network.Config("other")
		topic := kgo.DefaultProduceTopic(testTopic)
		client := kafkatest.Client(r.t, k.AdminOpts(topic, kgo.TransactionalID("somebody"))...)
		defer client.Close()
		ctx := context.Background()
		require.NoError(r.t, client.BeginTransaction())
		for key, value := range map[string]string{"connector-a": `{"properties":{"tasks.max":"1"}}`,
			"task-a-0": `{"properties":{}}`, "commit-a": `{"tasks":1}`, "target-state-a": `{"state":"STOPPED"}`} {
			require.NoError(r.t, client.ProduceSync(ctx, kgo.KeyStringRecord(key, value)).FirstErr())
		}
		require.NoError(r.t, client.EndTransaction(ctx, kgo.TryAbort))
		plain := kafkatest.Client(r.t, k.AdminOpts(topic, kgo.ProducerBatchMaxBytes(4<<20))...)
		defer plain.Close()
		for key, value := range map[string]string{"": "x", "\xff\xfe": "\x00", "hello": "world", "connector-": "{}",
			"connector-b": "{", "connector-c": `{"properties":7}`, "task-a-x": "{}", "task-a-99999999999": "{}",
			"commit-a": `{"tasks":"many"}`, "target-state-a": `{"state":"DANCING"}`, "culvert-nobody": "[",
			"commit-b": `{"tasks":0,"culvert":[]}`, "session-key": `{"key":1}`, "logger-cluster-": "{}",
			"restart-connector-": "{}"} {
			require.NoError(r.t, plain.ProduceSync(ctx, kgo.KeySliceRecord([]byte(key), []byte(value))).FirstErr())
		}
		most := "4194304"
		_, err := kadm.NewClient(plain).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "max.message.bytes",
			Value: &most}}, testTopic)
		require.NoError(r.t, err)
		large := kgo.KeySliceRecord([]byte("connector-d"), bytes.Repeat([]byte("x"), 2<<20))
		require.NoError(r.t, plain.ProduceSync(ctx, large).FirstErr())
		r.settle("odd records")
		r.sleep(10 * time.Second)
		assert.Equal(t, lives, r.service.begun())
		r.create(r.there()[1], "a", "3")
	})
}

// While the coordinator is away for a minute, nobody acknowledges after its lease; then all goes on.
func sceneCoordinatorAway(t *testing.T, code string) {
	inSimulation(t, code, 0, 3, func(r *simulation) {
		r.settle("three workers")
		r.create(r.there()[0], "queue2", "3")
		for _, w := range r.there() {
			w.cut(true)
		}
		r.sleep(simSession + time.Second)
		for _, w := range r.there() {
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
			assert.Equal(t, true, w.worker.Lease(ctx) != nil, w.name)
			cancel()
		}
		before := r.service.acked["queue2-0"].row
		r.sleep(time.Minute)
		assert.Equal(t, before, r.service.acked["queue2-0"].row)
		for _, w := range r.there() {
			w.cut(false)
		}
		r.balanced("the coordinator is back")
		r.sleep(10 * time.Second)
		if now := r.service.acked["queue2-0"].row; now == before {
			t.Errorf("expected rows after %d, found none", before)
		}
	})
}

// What one worker alone has the plugin of runs there, is unassigned while that is away, and says why.
func scenePluginOfOne(t *testing.T, code string) {
	inSimulation(t, code, 0, 0, func(r *simulation) {
		r.lacking = 1
		for range 3 {
			r.join()
		}
		r.settle("three workers")
		r.create(r.there()[1], "a", "2")
		for unit, owner := range r.owners() {
			assert.Equal(t, "w0", owner, unit)
		}
		r.there()[0].kill()
		var s Status
		require.Until(r.t, func() bool {
			s, _ = r.there()[0].status.Connector("a")
			return s.State == connect.Unassigned && s.Trace != ""
		}, func() string { return fmt.Sprintf("expected it to be unassigned, found %+v", s) })
		assert.Contains(t, s.Trace, "expected a worker that has what class test.CounterSource needs (counter 1.0.0 "+
			"with the hash ")
		assert.Contains(t, s.Trace, ", which the group runs: culvert plugins swap chooses another), found none among 2")
		r.start(0)
		r.settle("it is back")
	})
}

// What any worker may write takes no longer than its caller waits, and a request that is under way may, while the
// brokers do not answer.
func sceneWriteEnds(t *testing.T, code string) {
	inSimulation(t, code, 0, 1, func(r *simulation) {
		r.settle("one worker")
		r.create(r.there()[0], "a", "1")
		for range 2 { // the second finds the first in the producer
			r.there()[0].part(false, true)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			began := time.Now()
			_, err := r.there()[0].store.Write(ctx, config.TargetRecord("a", config.TargetStarted))
			cancel()
			if err == nil || time.Since(began) > 30*time.Second {
				t.Errorf("expected the end of the context of 10 s, found %v after %v", err, time.Since(began))
			}
		}
		r.there()[0].part(false, false)
		r.settle("the brokers answer")
	})
}

// While others do not reach the leader by the URL that it advertises, they say what they cannot hand to it, and hand it
// over when they do.
func sceneUnreachableLeader(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		leader := r.leader()
		r.create(leader, "a", "2")
		r.mu.Lock()
		r.nowhere = leader.url
		r.mu.Unlock()
		for _, name := range []string{"c", "e"} { // one of them for each worker
			require.NoError(r.t, r.put(r.t.Context(), leader, name, "1"))
			r.want[name] = "1"
		}
		require.Until(r.t, func() bool {
			return strings.Contains(r.journal.String(), "has not done yet what this worker asks it for")
		}, func() string { return "expected a line that says so" })
		r.mu.Lock()
		r.nowhere = ""
		r.mu.Unlock()
		r.balanced("the leader is reached")
	})
}

// Of two groups on one config topic the first has what stands there, also when it has no members, until it is released;
// then the other runs it.
func sceneTwoGroups(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.there()[0], "a", "2")
		barred := func(w *simWorker) {
			r.t.Helper()
			require.Until(r.t, func() bool {
				o, _ := w.worker.Overview()
				return strings.Contains(strings.Join(o.Problems, " "), "found the topic to be that of group ")
			}, func() string { return "expected a group that runs nothing" })
		}
		first := r.there()
		r.group = "others"
		other := r.start(2)
		barred(other)
		r.sleep(time.Minute)
		assert.Equal(t, 0, len(other.herder.Holds()))
		_, err := other.store.Write(r.t.Context(), config.TargetRecord("a", config.TargetPaused))
		assert.Equal(t, true, errors.As(err, new(*config.OtherGroupError)))
		assert.Equal(t, 0, len(other.worker.Members()))
		assert.Equal(t, true, errors.As(other.worker.Still(r.t.Context(), "a", nil), new(*config.OtherGroupError)))
		first[0].goodbye()
		first[1].kill()
		r.sleep(time.Minute)
		assert.Equal(t, 0, len(other.herder.Holds()))
		_, err = other.store.Write(r.t.Context(), config.GroupRecord(testGroup, false))
		require.NoError(t, err)
		r.settle("the others run it")
		r.group = testGroup
		barred(r.start(0))
		r.sleep(time.Minute)
		assert.Equal(t, 0, len(r.there()[0].herder.Holds()))
		assert.Equal(t, 1, strings.Count(r.journal.String(), "found the topic to be that of group workers"))
	})
}

// Who has asked a leader that is cut off for a write waits no longer than its session.
func sceneCutLeader(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		leader, began := r.leader(), time.Now()
		leader.part(true, true)
		_, err := leader.store.Write(r.t.Context(), config.CommitRecord("none", 0))
		if took := time.Since(began); !errors.As(err, new(*WriteError)) || took > simSession+2*time.Second {
			t.Errorf("expected an error once the session is over, found %v after %v", err, took)
		}
		leader.part(false, false)
		r.settle("it is back")
		r.create(r.leader(), "a", "2")
	})
}

// problem waits until the leader's overview has one with a text.
func (r *simulation) problem(text string) {
	r.t.Helper()
	var all []string
	require.Until(r.t, func() bool {
		leader := r.leader()
		if leader == nil {
			return false
		}
		o, _ := leader.worker.Overview()
		all = o.Problems
		return strings.Contains(strings.Join(all, " "), text)
	}, func() string { return fmt.Sprintf("expected a problem with %q, found %q", text, all) })
}

// at waits until all units of a connector are at one worker.
func (r *simulation) at(w *simWorker, connector string, units int) {
	r.t.Helper()
	require.Until(r.t, func() bool {
		found := 0
		for unit, owner := range r.owners() {
			if unit == connector || strings.HasPrefix(unit, connector+"-") {
				if owner != w.name {
					return false
				}
				found++
			}
		}
		return found == units
	}, func() string { return fmt.Sprintf("expected %s at %s, found %v", connector, w.name, r.owners()) })
}

// A worker that names another config topic than the others of its group is not let in, and says what to set. Where the
// coordinator lets it see nobody, the leader gives it nothing, and shows it; the others go on.
func sceneTwoTopics(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.there()[0], "a", "2")
		r.sleep(10 * time.Second)
		lives := r.service.begun()
		r.topic = "other"
		odd := r.start(2)
		r.sleep(time.Minute)
		if _, leads := r.leader().worker.Overview(); !leads || len(r.leader().worker.Members()) != 2 {
			t.Errorf("expected two members still, found %v", r.leader().worker.Members())
		}
		assert.Error(t, odd.worker.sameTopic(r.t.Context()), "group.id=workers: expected config.storage.topic="+
			testTopic+" as worker w")
		client := kafkatest.Client(r.t, r.network.Config("other").AdminOpts(kgo.DefaultProduceTopic("other"))...)
		defer client.Close()
		for n := range 100 { // it has read further than the others
			require.NoError(r.t, client.ProduceSync(r.t.Context(), kgo.KeyStringRecord(fmt.Sprint("x", n),
				"{}")).FirstErr())
		}
		kafkatest.RefuseWhere(r.network.Cluster, kmsg.DescribeGroups, kerr.GroupAuthorizationFailed,
			func(kmsg.Request) bool { return true })
		r.problem("expected config.storage.topic=" + testTopic + " at worker w2:8083")
		r.sleep(time.Minute)
		assert.Equal(t, lives, r.service.begun())
		assert.Equal(t, 0, len(odd.herder.Holds()))
		require.NoError(r.t, r.put(r.t.Context(), r.there()[0], "b", "2"))
		r.want["b"] = "2"
		require.Until(r.t, func() bool { return len(r.owners()) == 6 },
			func() string { return fmt.Sprintf("expected b to run, found %v", r.owners()) })
		assert.Equal(t, 0, len(odd.herder.Holds()))
		odd.goodbye()
		r.balanced("it has gone")
	})
}

// A worker that does not read the config topic gives up what it has, which the leader shows, until it does.
func sceneDeaf(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.there()[0], "a", "2")
		leader := r.leader()
		deaf := r.there()[1-leader.slot]
		deaf.mu.Lock()
		deaf.deaf = make(chan struct{})
		deaf.mu.Unlock()
		require.NoError(r.t, r.put(r.t.Context(), leader, "b", "2"))
		r.want["b"] = "2"
		r.at(leader, "a", 3)
		r.at(leader, "b", 3)
		r.problem("expected worker " + deaf.name + ":8083 to read topic " + testTopic)
		r.sleep(time.Minute)
		r.at(leader, "a", 3)
		deaf.mu.Lock()
		close(deaf.deaf)
		deaf.deaf = nil
		deaf.mu.Unlock()
		require.Until(r.t, func() bool { return len(deaf.herder.Holds()) > 0 },
			func() string { return "expected it to be given something again" })
		r.balanced("it reads again")
		o, _ := r.leader().worker.Overview()
		assert.Equal(t, 0, len(o.Problems))
	})
}

// While a new leader cannot read the config topic, all goes on where it is, and nobody stops anything.
func sceneUnread(t *testing.T, code string) {
	inSimulation(t, code, 0, 3, func(r *simulation) {
		r.settle("three workers")
		r.create(r.there()[0], "a", "6")
		r.sleep(10 * time.Second) // a task is said to run before it has asked the service
		lives, leader, before := r.service.begun(), r.leader(), r.owners()
		assert.Equal(t, 6, lives)
		var away atomic.Bool
		away.Store(true)
		kafkatest.RefuseWhere(r.network.Cluster, kmsg.ListOffsets, kerr.LeaderNotAvailable, func(q kmsg.Request) bool {
			return away.Load() && q.(*kmsg.ListOffsetsRequest).Topics[0].Topic == testTopic
		})
		leader.kill()
		r.problem("expected to read topic " + testTopic + " before anything moves")
		r.sleep(time.Minute)
		assert.Equal(t, lives, r.service.begun())
		for unit, owner := range before {
			if is := r.owners()[unit]; owner != leader.name && is != owner {
				t.Errorf("expected %s at %s still, found it at %q", unit, owner, is)
			}
		}
		away.Store(false)
		r.balanced("the topic is back")
		assert.Equal(t, lives+2, r.service.begun())
	})
}

// asks is how often the leader has the group join again while something is done.
func (r *simulation) asks(do func()) uint32 {
	turn := &r.leader().worker.group.Load().turn
	before := turn.Load()
	do()
	return turn.Load() - before
}

// change writes a record by which the leader has to plan once more.
func (r *simulation) change(n int) {
	r.t.Helper()
	_, err := r.leader().store.Write(r.t.Context(), config.TargetRecord(fmt.Sprint("none", n), config.TargetStarted))
	require.NoError(r.t, err)
}

// A change has the group join once, however long that takes.
func sceneChangesWhileJoining(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		leader := r.leader()
		other := r.there()[1-leader.slot]
		id := other.worker.Member()
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

// Changes within 100 ms are one rebalance; where they go on, those within ever longer, up to a second.
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

// owner is the worker that has a unit.
func (r *simulation) owner(unit string) *simWorker {
	r.t.Helper()
	name := r.owners()[unit]
	for _, w := range r.there() {
		if w.name == name {
			return w
		}
	}
	r.fail("expected a worker with %s, found %v", unit, r.owners())
	return nil
}

// row is the last that was asked for, and so acknowledges those before it, of a partition.
func (r *simulation) row(partition string) int64 {
	r.service.mu.Lock()
	defer r.service.mu.Unlock()
	return r.service.acked[partition].row
}

// The tasks of a worker that is none of its group's any more, and does not know it, go on. Each of them has stored its
// offset when it is to ask for the next row, so that no fence stops it: no row is acknowledged, for want of the lease.
// Then it is a member again.
func sceneZombieAsks(t *testing.T, code string) {
	inSimulation(t, code, 0, 0, func(r *simulation) {
		r.flush = time.Second
		for range 2 {
			r.join()
		}
		r.settle("two workers")
		r.create(r.there()[0], "queue2", "4")
		for now := r.row("queue2-0"); r.row("queue2-0") == now; {
			r.sleep(250 * time.Millisecond)
		}
		r.sleep(1500 * time.Millisecond)
		r.create(r.there()[0], "queue4", "4") // whose tasks ask for rows when those of the other do not
		zombie := r.owner("queue2-0")
		r.sleep(5 * time.Second)
		zombie.zombie()
		r.settle("the other has all")
		before := r.row("queue2-3")
		r.sleep(10 * time.Second) // the service says who acknowledges what is another one's
		if held := zombie.herder.Holds(); len(held) == 0 || len(held[0].Tasks) == 0 || r.row("queue2-3") == before {
			t.Errorf("expected a zombie with tasks, and rows after %d at the other, found %+v, %d", before, held,
				r.row("queue2-3"))
		}
		zombie.quiet(false)
		r.balanced("it is a member again")
	})
}

// What a worker was to store before it was paused it stores when others have a task's partition, as a task of another
// number, before it hears that. It does not count: where the others are killed next, nobody asks for a row that the
// service has forgotten.
func sceneZombieStores(t *testing.T, code string) {
	inSimulation(t, code, 0, 3, func(r *simulation) {
		r.settle("three workers")
		r.create(r.there()[0], "queue2", "6")
		zombie, partition := r.owner("queue2-5"), "queue2-0" // which is task 2's of three
		if zombie == r.leader() {
			zombie, partition = r.owner("queue2-4"), "queue2-1"
		}
		r.sleep(9 * time.Second)
		zombie.quiet(true)
		r.create(r.leader(), "queue2", "3")                    // so that nobody takes the task over as it was
		for at := r.row(partition); r.row(partition) < at+3; { // the offset before this row is stored now
			r.sleep(250 * time.Millisecond)
		}
		others := r.up()
		r.network.Hold(zombie.way, false, false)
		r.sleep(3 * time.Second)
		for _, w := range others {
			w.kill()
		}
		zombie.quiet(false)
		r.settle("it has all")
		r.sleep(5 * time.Second)
	})
}

// While two workers advertise one URL no offsets are changed, since what one is asked may reach the other, and the
// leader says so.
func sceneOneURL(t *testing.T, code string) {
	inSimulation(t, code, 0, 2, func(r *simulation) {
		r.settle("two workers")
		r.create(r.there()[0], "a", "2")
		r.named = r.there()[0].url
		twice := r.join()
		r.settle("three workers of two URLs")
		leader, ctx := r.leader(), r.t.Context()
		problems := func() string {
			o, _ := leader.worker.Overview()
			return strings.Join(o.Problems, " ")
		}
		assert.Contains(t, problems(), "found two at "+r.named)
		_, err := leader.store.Write(ctx, config.TargetRecord("a", config.TargetStopped),
			config.CommitRecord("a", 0))
		require.NoError(r.t, err)
		r.settle("it is stopped")
		err = leader.worker.Still(ctx, "a", func() error {
			t.Error("expected that no offsets are changed")
			return nil
		})
		assert.Contains(t, fmt.Sprint(err), "two workers of the group advertise "+r.named)
		twice.goodbye()
		r.settle("one worker of each URL")
		assert.Equal(t, "", problems())
	})
}

// In which order the coordinator names the members changes nothing of what the leader places on them.
func sceneOrderOfMembers(t *testing.T, code string) {
	inSimulation(t, code, 0, 1, func(r *simulation) {
		r.limit = 5
		r.settle("one worker")
		w := r.there()[0]
		for _, name := range []string{"c1", "c4", "c5"} {
			r.create(w, name, "4")
		}
		var members []Joined
		for n := range 5 {
			m, err := Metadata{URL: fmt.Sprint("http://", n), Classes: []Key{KeyOf("test.CounterSource")}}.Encode()
			require.NoError(r.t, err)
			members = append(members, Joined{ID: fmt.Sprint("m", n), Metadata: m})
		}
		var first map[string][]byte
		for range 5 {
			l := w.worker.leader
			l.mu.Lock()
			l.memory = Memory{}
			l.mu.Unlock()
			placed, err := l.place("m0", members)
			require.NoError(r.t, err)
			if first == nil {
				first = placed
			}
			assert.Equal(t, first, placed)
			r.random.Shuffle(len(members), func(a, b int) { members[a], members[b] = members[b], members[a] })
		}
	})
}
