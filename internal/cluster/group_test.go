package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

const (
	testGroup = "workers"
	testTopic = "workers-configs"
)

// worker is a member and records its events.
type worker struct {
	name string
	o    GroupOptions
	*Group

	mu sync.Mutex
	// metadataText is its metadata, metadataCalls counts how often it was requested.
	metadataText  string
	metadataCalls int
	// assignErr is the result of assign. assignCalls contains the metadata of the members at each call.
	assignErr   error
	assignCalls [][]string
	// assignDelay is the duration of Assigned.
	assignDelay time.Duration
	events      []string
	lostAt      time.Time
}

// newWorker returns a worker that, as leader, assigns each member the text "for METADATA by NAME".
func newWorker(name string, c kafka.Config) *worker {
	w := &worker{name: name, metadataText: name}
	w.o = GroupOptions{Kafka: c, Group: testGroup, Topic: testTopic, Metadata: w.metadata, Assign: w.assign,
		Assigned: func(generation int32, leader bool, assignment []byte) {
			role := ""
			if leader {
				role = ", leader"
			}
			w.mu.Lock()
			delay := w.assignDelay
			w.mu.Unlock()
			time.Sleep(delay)
			w.record(fmt.Sprintf("%d: %s%s", generation, assignment, role))
		},
		Lost: func(err error) {
			w.update(func() { w.lostAt = time.Now() })
			w.record("lost: " + err.Error())
		},
	}
	return w
}

func (w *worker) metadata() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metadataCalls++
	return []byte(w.metadataText)
}

func (w *worker) assign(_ string, members []JoinedMember) (map[string][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	assignments := map[string][]byte{}
	metadata := []string{}
	for _, m := range members {
		assignments[m.ID] = []byte("for " + string(m.Metadata) + " by " + w.name)
		metadata = append(metadata, string(m.Metadata))
	}
	slices.Sort(metadata)
	w.assignCalls = append(w.assignCalls, metadata)
	return assignments, w.assignErr
}

// lastMembers returns the metadata of the members at its last call as leader, nil if it never led.
func (w *worker) lastMembers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.assignCalls) == 0 {
		return nil
	}
	return w.assignCalls[len(w.assignCalls)-1]
}

func (w *worker) record(event string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event)
}

func (w *worker) update(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// eventList returns the events so far.
func (w *worker) eventList() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// lastEvent returns the last event, "" if there was no event.
func (w *worker) lastEvent() string {
	events := w.eventList()
	if len(events) == 0 {
		return ""
	}
	return events[len(events)-1]
}

func (w *worker) isLost() bool { return strings.HasPrefix(w.lastEvent(), "lost: ") }

// losses returns how often its membership was lost.
func (w *worker) losses() (n int) {
	for _, event := range w.eventList() {
		if strings.HasPrefix(event, "lost: ") {
			n++
		}
	}
	return n
}

// join joins the group and closes the member with the test.
func (w *worker) join(t *testing.T) *worker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	g, err := Join(ctx, w.o)
	require.NoError(t, err)
	w.Group = g
	t.Cleanup(g.Close)
	return w
}

// agree waits until exactly these workers are in one generation newer than after, each with its own assignment, and the
// leader has seen their current metadata.
func agree(t *testing.T, after int32, workers ...*worker) (generation int32) {
	t.Helper()
	var metadata []string
	for _, w := range workers {
		metadata = append(metadata, w.metadataText)
	}
	slices.Sort(metadata)
	hasAgreed := func() bool {
		generations := map[int32]bool{}
		leaders := 0
		leaderNames := map[string]bool{}
		for _, w := range workers {
			number, text, _ := strings.Cut(w.lastEvent(), ": ")
			text, isLeader := strings.CutSuffix(text, ", leader")
			assignment, leader, _ := strings.Cut(text, " by ")
			if n, err := fmt.Sscan(number, &generation); n != 1 || err != nil || assignment != "for "+w.metadataText {
				return false
			}
			generations[generation] = true
			leaderNames[leader] = true
			if isLeader && slices.Equal(metadata, w.lastMembers()) {
				leaders++
			}
		}
		return len(generations) == 1 && generation > after && leaders == 1 && len(leaderNames) == 1
	}
	require.Until(t, hasAgreed, func() string { return "expected one generation, found" + describeEvents(workers) })
	return generation
}

// describeEvents returns the events of each worker in a line.
func describeEvents(workers []*worker) (text string) {
	for _, w := range workers {
		text += fmt.Sprintf("\n%s: %q", w.name, w.eventList())
	}
	return text
}

// inNetwork runs a parallel test in a bubble with a network.
func inNetwork(t *testing.T, run func(t *testing.T, n *clustertest.Network)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { run(t, clustertest.New(t, testTopic)) })
}

// threeMembers returns three members of one generation.
func threeMembers(t *testing.T, n *clustertest.Network) (a, b, c *worker) {
	t.Helper()
	a = newWorker("a", n.Config("a"))
	b = newWorker("b", n.Config("b"))
	c = newWorker("c", n.Config("c"))
	for _, w := range []*worker{a, b, c} {
		w.join(t)
	}
	agree(t, 0, a, b, c)
	return a, b, c
}

// One member is a group, three are one, and they stay in their generation while nothing happens. New metadata of a
// member forms a new generation, with other bytes or the same. A departure is noticed with the next heartbeat, a killed
// member after its session.
func TestGroupLifecycle(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := newWorker("a", n.Config("a")).join(t)
		assert.Equal(t, []string{"1: for a by a, leader"}, a.eventList())
		assert.Equal(t, true, a.OwnsAssignment())
		b := newWorker("b", n.Config("b")).join(t)
		c := newWorker("c", n.Config("c")).join(t)
		d := newWorker("d", n.Config("d")).join(t)
		workers := []*worker{a, b, c, d}
		generation := agree(t, 0, workers...)
		ids := map[string]bool{}
		for _, w := range workers {
			id, ofMember := w.Member()
			ids[id] = true
			assert.Equal(t, generation, ofMember, "generation")
			assert.NoError(t, w.Confirm(t.Context()))
		}
		assert.Equal(t, 4, len(ids))
		time.Sleep(time.Hour)
		assert.Equal(t, generation, agree(t, 0, workers...), "after an hour in which nothing happens")
		for _, w := range workers {
			for range 5 {
				w.Rejoin("a test")
			}
			time.Sleep(30 * time.Second)
			next := agree(t, generation, workers...)
			assert.True(t, next <= generation+2,
				"%s: expected one generation or two for calls at once, found %d", w.name, next-generation)
			generation = next
		}
		b.update(func() { b.metadataText = "b again" })
		b.Rejoin("news")
		generation = agree(t, generation, workers...)
		for _, c := range []struct {
			leave     func()
			remaining []*worker
			minTime   time.Duration // until the others notice it
			maxTime   time.Duration
		}{
			{
				leave:     func() { require.NoError(t, a.Leave(t.Context(), false)) },
				remaining: []*worker{b, c, d},
				maxTime:   4 * time.Second,
			},
			{leave: b.Close, remaining: []*worker{c, d}, minTime: 6 * time.Second, maxTime: 14 * time.Second},
		} {
			start := time.Now()
			c.leave()
			generation = agree(t, generation, c.remaining...)
			if elapsed := time.Since(start); elapsed < c.minTime || elapsed > c.maxTime {
				t.Errorf("expected the others to notice after %v to %v, found %v", c.minTime, c.maxTime, elapsed)
			}
		}
		assert.Equal(t, false, a.OwnsAssignment())
		assert.Equal(t, 0, a.losses()+b.losses()+c.losses()+d.losses())
	})
}

// A call of RejoinNow does nothing if the member has called Rejoin in that generation.
func TestGroupRejoinNowAfterRejoin(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		generation := agree(t, 0, a, b, c)
		countBefore := b.rejoins.count.Load()
		b.Rejoin("news")
		b.RejoinNow(generation)
		assert.Equal(t, countBefore+1, b.rejoins.count.Load(), "calls, with RejoinNow in the same generation")
		a.RejoinNow(generation)
		generation = agree(t, generation, a, b, c)
		b.RejoinNow(generation)
		assert.Equal(t, countBefore+2, b.rejoins.count.Load(), "calls, with RejoinNow in the next generation")
		agree(t, generation, a, b, c)
	})
}

// Metadata that changes after it was collected, while the group forms a generation, is in the next generation.
func TestGroupRejoinsDuringAJoin(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		n.Hold("c", clustertest.Directions{ToBroker: true}) // no member is assigned anything until c has joined
		b.update(func() { b.metadataCalls = 0 })
		b.Rejoin("the first news")
		require.Until(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.metadataCalls > 0
		}, func() string { return "expected b to join" })
		time.Sleep(time.Second)
		b.update(func() { b.metadataText = "b again" })
		b.Rejoin("the second news")
		time.Sleep(time.Second)
		n.Hold("c", clustertest.Directions{})
		agree(t, 0, a, b, c)
		assert.Equal(t, 0, a.losses()+b.losses()+c.losses())
	})
}

// A static member that returns within its session receives its old assignment, and the leader sees it in a generation
// of its own. kfake, unlike Kafka, forms one by itself if the metadata has changed.
func TestGroupStaticMember(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		static := func(name string) *worker {
			w := newWorker(name, n.Config(name))
			w.o.InstanceID = "pod-" + name
			return w.join(t)
		}
		a := static("a")
		b := static("b")
		c := static("c")
		generation := agree(t, 0, a, b, c)
		c.Close()
		time.Sleep(5 * time.Second)
		c = static("c")
		assert.Equal(t, fmt.Sprintf("%d: for c by a", generation), c.eventList()[0])
		time.Sleep(time.Minute)
		assert.Equal(t, generation+1, agree(t, generation, a, b, c))

		a.Close() // the leader
		time.Sleep(5 * time.Second)
		a = static("a")
		assert.Equal(t, fmt.Sprintf("%d: for a by a, leader", generation+1), a.eventList()[0],
			"the leader keeps the assignments")
		assert.Equal(t, generation+2, agree(t, generation+1, a, b, c), "the generation with the metadata of all")

		start := time.Now()
		require.NoError(t, b.Leave(t.Context(), false))
		time.Sleep(5 * time.Second)
		b = static("b")
		assert.Equal(t, generation+3, agree(t, generation+2, a, b, c), "after it has left for a while")
		require.NoError(t, b.Leave(t.Context(), true))
		assert.Equal(t, generation+4, agree(t, generation+3, a, c))
		elapsed := time.Since(start)
		assert.AtMost(t, 5*time.Second+4*time.Second, elapsed, "the others to notice with their next heartbeat")
		assert.Equal(t, 0, a.losses()+b.losses()+c.losses())
	})
}

// If two workers use one group.instance.id, the first one is told, and becomes a member when the other one has left.
func TestGroupDuplicateInstanceID(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := newWorker("a", n.Config("a"))
		b := newWorker("b", n.Config("b"))
		a.o.InstanceID = "pod"
		b.o.InstanceID = "pod"
		a.join(t)
		b.join(t)
		require.Until(t, a.isLost, func() string { return "expected a loss, found" + describeEvents([]*worker{a}) })
		assert.Contains(t, a.lastEvent(), "group.id=workers", "group.instance.id=pod", "its own", "FENCED_INSTANCE_ID")
		assert.Error(t, a.Confirm(t.Context()), "FENCED_INSTANCE_ID")
		time.Sleep(time.Minute)
		assert.Equal(t, 1, a.losses())
		assert.Equal(t, 0, b.losses())
		require.NoError(t, b.Leave(t.Context(), true))
		agree(t, 0, a)
	})
}

// While the coordinator is unreachable, a member stays one until its session expires. It joins again when the
// coordinator is back.
func TestGroupCoordinatorUnreachable(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		workers := []*worker{a, b, c}
		for _, w := range workers {
			n.Hold(w.name, clustertest.Directions{ToWorker: true})
		}
		time.Sleep(5 * time.Second)
		for _, w := range workers {
			n.Hold(w.name, clustertest.Directions{})
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 0, a.losses()+b.losses()+c.losses(), "after five seconds")
		generation := agree(t, 0, a, b, c)
		start := time.Now()
		for _, w := range workers {
			n.Cut(w.name)
		}
		require.Until(t, func() bool { return a.isLost() && b.isLost() && c.isLost() },
			func() string { return "expected losses, found" + describeEvents(workers) })
		if elapsed := time.Since(start); elapsed < 6*time.Second || elapsed > 11*time.Second {
			t.Errorf("expected losses after a session, found %v", elapsed)
		}
		for _, w := range workers {
			assert.Equal(t, false, w.OwnsAssignment())
			assert.Contains(t, w.lastEvent(), "group.id=workers")
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 3, a.losses()+b.losses()+c.losses(), "each once")
		for _, w := range workers {
			n.Mend(w.name)
		}
		agree(t, generation, a, b, c)
	})
}

// After an outage longer than the session, a coordinator that has kept its members is asked for a new generation.
func TestGroupCoordinatorKeepsMembers(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := newWorker("a", n.Config("a")).join(t)
		var away atomic.Bool
		away.Store(true)
		for _, kind := range []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup} {
			kafkatest.RejectIf(n.Cluster, kind, kerr.CoordinatorLoadInProgress,
				func(kmsg.Request) bool { return away.Load() })
		}
		require.Until(t, a.isLost, func() string { return "expected a loss" })
		away.Store(false)
		agree(t, 0, a)
		assert.Equal(t, 1, a.losses())
	})
}

// Members that wait for a slow member stay members, even for longer than their session.
func TestGroupWaitsForASlowMember(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		c.update(func() { c.assignDelay = 40 * time.Second })
		a.Rejoin("c has a generation to dwell on")
		time.Sleep(5 * time.Second)
		a.Rejoin("c does not join this one for long")
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			time.Sleep(time.Second)
			for _, w := range []*worker{a, b, c} {
				if !w.OwnsAssignment() {
					t.Fatalf("expected %s to be a member, found%s", w.name, describeEvents([]*worker{w}))
				}
			}
		}
		c.update(func() { c.assignDelay = 0 })
		agree(t, 0, a, b, c)
		assert.Equal(t, 0, a.losses()+b.losses()+c.losses())
	})
}

// A failed placement by the leader is logged and retried. The others stay members.
func TestGroupRetriesFailedPlacement(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		a.update(func() { a.assignErr = errors.New("the metadata of b is damaged at byte 7") })
		a.Rejoin("it has to place")
		require.Until(t, a.isLost, func() string { return "expected a loss" })
		assert.Contains(t, a.lastEvent(), "group.id=workers", "the metadata of b is damaged at byte 7")
		time.Sleep(30 * time.Second)
		assert.Equal(t, 0, b.losses()+c.losses())
		assert.Equal(t, 1, a.losses())
		a.update(func() { a.assignErr = nil })
		agree(t, 0, a, b, c)

		a.o.Assign = nil
		d := newWorker("d", n.Config("d"))
		d.o.Group = "others"
		d.o.Assign = func(string, []JoinedMember) (map[string][]byte, error) { panic("a mistake") }
		_, err := Join(t.Context(), d.o)
		assert.Error(t, err, "a mistake")
		d.o.Assign = func(string, []JoinedMember) (map[string][]byte, error) {
			return map[string][]byte{"nobody": nil}, nil
		}
		_, err = Join(t.Context(), d.o)
		assert.Error(t, err, `"nobody"`)
	})
}

// The leader judges members whose metadata lacks what our members send.
func TestGroupForeignMetadata(t *testing.T) {
	for _, metadata := range []string{"", "x", "1234"} {
		t.Run(metadata, func(t *testing.T) {
			inNetwork(t, func(t *testing.T, n *clustertest.Network) {
				a := newWorker("a", n.Config("a")).join(t)
				c := n.Config("b")
				foreign := kafkatest.Client(t, c.AdminOpts(kgo.ConsumerGroup(testGroup), kgo.ConsumeTopics(testTopic),
					kgo.GroupProtocol(connectType), kgo.Balancers(foreignBalancer{culvertProtocol, metadata}))...)
				require.Until(t, func() bool { return len(a.eventList()) > 1 },
					func() string { return "expected a generation" })
				assert.Equal(t, []string{"", "a"}, a.lastMembers())
				_, generation := a.Member()
				foreign.Close()
				agree(t, generation, a)
			})
		})
	}
}

// foreignBalancer is the balancer of another program.
type foreignBalancer struct{ name, metadata string }

func (b foreignBalancer) ProtocolName() string { return b.name }
func (b foreignBalancer) IsCooperative() bool  { return true }
func (b foreignBalancer) JoinGroupMetadata([]string, map[string][]int32, int32) []byte {
	return []byte(b.metadata)
}
func (b foreignBalancer) ParseSyncAssignment([]byte) (map[string][]int32, error) { return nil, nil }
func (b foreignBalancer) MemberBalancer(
	[]kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	return b, nil, nil
}
func (b foreignBalancer) Balance(map[string]int32) kgo.IntoSyncAssignment { return assignments{} }

// refusals receives the reasons why a client could not join.
type refusals chan error

func (r refusals) OnGroupManageError(err error) {
	select {
	case r <- err:
	default:
	}
}

// Workers of Culvert and those of Kafka Connect or of other programs cannot share a group. The error states what to do.
func TestGroupRejectsForeignMembers(t *testing.T) {
	t.Run("Kafka Connect's", func(t *testing.T) { checkForeignGroup(t, "connect", "sessioned") })
	t.Run("a type of their own", func(t *testing.T) { checkForeignGroup(t, "x", culvertProtocol) })
}

// checkForeignGroup checks that workers and members of another type or protocol reject each other.
func checkForeignGroup(t *testing.T, kind, protocol string) {
	t.Helper()
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		refused := make(refusals, 1)
		c := n.Config("other")
		opts := c.AdminOpts(kgo.ConsumerGroup(testGroup), kgo.ConsumeTopics(testTopic), kgo.WithHooks(refused),
			kgo.GroupProtocol(kind), kgo.Balancers(foreignBalancer{protocol, "metadata"}))
		first := kafkatest.Client(t, opts...)
		require.Until(t, func() bool { _, generation := first.GroupMetadata(); return generation > 0 },
			func() string { return "expected the others to have a group" })
		a := newWorker("a", n.Config("a"))
		start := time.Now()
		_, err := Join(t.Context(), a.o)
		require.True(t, err != nil && time.Since(start) <= time.Second,
			"expected an immediate rejection, found %v after %v", err, time.Since(start))
		assert.Contains(t, err.Error(), "group.id=workers", "Kafka Connect's", "its own group.id",
			"INCONSISTENT_GROUP_PROTOCOL")
		first.Close()
		opts = append(opts, kgo.ConsumerGroup("ours"))
		a.o.Group = "ours" // a group without members keeps its type in kfake
		a.join(t)
		second := kafkatest.Client(t, opts...)
		assert.ErrorIs(t, <-refused, kerr.InconsistentGroupProtocol, "the others to be rejected")
		second.Close()

		n.Cut("a") // others take over the group while the member is cut off
		require.Until(t, a.isLost, func() string { return "expected a loss" })
		time.Sleep(20 * time.Second)
		kafkatest.Client(t, opts...)
		time.Sleep(time.Second)
		n.Mend("a")
		time.Sleep(time.Minute)
		assert.Equal(t, 1, a.losses())
	})
}

// Join returns the reason why a worker cannot join, at once if somebody has to change something.
func TestGroupJoinReturnsReason(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		denied := true
		kafkatest.RejectIf(n.Cluster, kmsg.JoinGroup, kerr.GroupAuthorizationFailed,
			func(kmsg.Request) bool { return denied })
		_, err := Join(t.Context(), newWorker("a", n.Config("a")).o)
		assert.Error(t, err, "expected the right READ on the resource Group workers")
		denied = false
		for name, breakJoin := range map[string]func(w *worker){
			"no such topic": func(w *worker) { w.o.Topic = "missing" },
			"no broker":     func(w *worker) { n.Cut("a") },
		} {
			w := newWorker("a", n.Config("a"))
			breakJoin(w)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err = Join(ctx, w.o)
			cancel()
			assert.Error(t, err, "group.id=workers", name)
			assert.ErrorIs(t, err, context.DeadlineExceeded, name, "the error of the context")
			n.Mend("a")
		}
	})
}

// A member that the coordinator removes while it joins becomes a new one without an error: its units were lost.
func TestGroupMemberRemovedWhileJoining(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		id, _ := b.Member()
		requests := 0
		kafkatest.RejectIf(n.Cluster, kmsg.JoinGroup, kerr.UnknownMemberID, func(r kmsg.Request) bool {
			if r.(*kmsg.JoinGroupRequest).MemberID == id {
				requests++
				return requests == 1
			}
			return false
		})
		b.Rejoin("a test")
		require.Until(t, func() bool { return b.losses() == 1 }, func() string { return "expected a loss" })
		assert.Contains(t, b.lastEvent(), id)
		time.Sleep(time.Minute) // the group waits for the former member
		agree(t, 0, a, b, c)
		assert.Equal(t, 0, a.losses()+c.losses())
	})
}

// A member whose JoinGroup hangs, while its heartbeats succeed, stays a member for as long as the coordinator waits for
// it. Its lease has expired, which it learns with its next heartbeat. Members that wait for it continue.
func TestGroupJoinHangs(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a, b, c := threeMembers(t, n)
		id, _ := b.Member()
		resume := make(chan struct{})
		n.Cluster.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
			n.Cluster.KeepControl()
			if r.(*kmsg.JoinGroupRequest).MemberID == id {
				n.Cluster.SleepControl(func() { <-resume })
			}
			return nil, nil, false
		})
		r := rounds{n: n, members: map[string]*worker{"a": a, "b": b, "c": c}}
		start := time.Now()
		a.Rejoin("news")
		for time.Since(start) < 2*time.Minute {
			time.Sleep(100 * time.Millisecond)
			r.check(t)
		}
		if elapsed := b.lostAt.Sub(start); elapsed < 55*time.Second || elapsed > 64*time.Second {
			t.Errorf("expected a loss after the minute that the coordinator waits, found %v", elapsed)
		}
		agree(t, 0, a, c)
		assert.Equal(t, 0, a.losses()+c.losses())
		close(resume)
		agree(t, 0, a, b, c)
		assert.Equal(t, 1, b.losses())
	})
}

// A caller returns when its context ends, even if the client waits for a connection.
func TestGroupConfirmInTime(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := newWorker("a", n.Config("a")).join(t)
		time.Sleep(time.Minute) // unused connections are closed in this time
		n.Cut("a")
		n.Hold("a", clustertest.BothWays)
		n.Mend("a")
		start := time.Now()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.ErrorIs(t, a.Confirm(ctx), context.DeadlineExceeded, "the error of the context")
			cancel()
		}
		assert.Equal(t, 3*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, a.Leave(ctx, true), context.DeadlineExceeded, "the error of the context")
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

// Concurrent callers share a response, and no response is used that the coordinator did not send.
func TestGroupConfirm(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := newWorker("a", n.Config("a")).join(t)
		time.Sleep(10 * time.Second)
		var responseErr *kerr.Error
		var mu sync.Mutex
		requests := 0
		n.Cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
			n.Cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			requests++
			return kafkatest.Response(r, responseErr), nil, true
		})
		n.Hold("a", clustertest.Directions{ToBroker: true})
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { assert.NoError(t, a.Confirm(t.Context())) })
		}
		time.Sleep(time.Second)
		n.Hold("a", clustertest.Directions{})
		calls.Wait()
		mu.Lock()
		assert.AtMost(t, 3, requests, "callers to share a response: requests")
		responseErr = kerr.RebalanceInProgress
		mu.Unlock()
		assert.NoError(t, a.Confirm(t.Context()))
		mu.Lock()
		responseErr = kerr.UnknownMemberID
		mu.Unlock()
		assert.Error(t, a.Confirm(t.Context()), "UNKNOWN_MEMBER_ID")
		require.Until(t, a.isLost, func() string { return "expected a loss" })
	})
}

// Whatever happens to members, the remaining ones end up in one generation. At no time does a member, by its own clock,
// have an assignment that the coordinator no longer has for it. A failing seed prints its steps.
func TestGroupRandomEvents(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inNetwork(t, func(t *testing.T, n *clustertest.Network) {
				r := rounds{n: n, random: rand.New(rand.NewPCG(seed, 26)), members: map[string]*worker{}}
				defer func() {
					if t.Failed() {
						t.Log(strings.Join(r.steps, "\n"))
					}
				}()
				for range 30 {
					r.step(t)
				}
				for _, name := range r.names() {
					n.Hold(name, clustertest.Directions{})
					n.Mend(name)
				}
				if len(r.members) > 0 {
					agree(t, 0, slices.Collect(maps.Values(r.members))...)
				}
			})
		})
	}
}

// rounds runs random steps.
type rounds struct {
	n       *clustertest.Network
	random  *rand.Rand
	members map[string]*worker
	created int // workers so far
	steps   []string
	client  *kgo.Client
}

// describer returns a client whose connections are never held.
func (r *rounds) describer(t *testing.T) *kgo.Client {
	t.Helper()
	if r.client == nil {
		r.client = kafkatest.Client(t, r.n.Config("describer").AdminOpts()...)
	}
	return r.client
}

func (r *rounds) names() []string { return slices.Sorted(maps.Keys(r.members)) }

func (r *rounds) step(t *testing.T) {
	t.Helper()
	event := r.random.IntN(8)
	names := r.names()
	var name string
	if len(names) > 0 {
		name = names[r.random.IntN(len(names))]
	}
	w := r.members[name]
	switch {
	case w == nil || (event == 0 && len(names) < 10):
		r.created++
		name = fmt.Sprintf("w%d", r.created)
		w = newWorker(name, r.n.Config(name))
		if r.created%3 == 0 {
			w.o.InstanceID = "pod-" + name
		}
		r.members[name] = w.join(t)
	case event == 1:
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_ = w.Leave(ctx, true)
		cancel()
		delete(r.members, name)
	case event == 2:
		w.Close()
		delete(r.members, name)
	case event == 3:
		r.n.Cut(name)
	case event == 4:
		held := clustertest.Directions{ToBroker: r.random.IntN(2) == 0, ToWorker: r.random.IntN(2) == 0}
		r.n.Hold(name, held)
	case event == 5:
		r.n.Mend(name)
		r.n.Hold(name, clustertest.Directions{})
	case event == 6:
		w.Rejoin("a round")
	case event == 7 && w.o.InstanceID != "":
		w.Close()
		r.members[name] = newWorker(name, r.n.Config(name))
		r.members[name].o.InstanceID = w.o.InstanceID
		r.n.Mend(name)
		r.n.Hold(name, clustertest.Directions{})
		r.members[name].join(t)
	}
	r.steps = append(r.steps, fmt.Sprintf("%v: %d %s of %v", time.Now().Format(time.TimeOnly), event, name, names))
	for range r.random.IntN(15) {
		time.Sleep(time.Second)
		r.check(t)
	}
}

// check queries the coordinator, in one request, about members whose sessions are valid by their own clocks.
func (r *rounds) check(t *testing.T) {
	t.Helper()
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{testGroup}
	response, err := request.RequestWith(t.Context(), r.describer(t))
	require.NoError(t, err)
	memberIDs := map[string]bool{}
	for _, m := range response.Groups[0].Members {
		memberIDs[m.MemberID] = true
	}
	for name, w := range r.members {
		if id, _ := w.Member(); w.OwnsAssignment() && !memberIDs[id] {
			t.Errorf("%s has an assignment that the coordinator does not have for %s: %q", name, id, w.eventList())
		}
	}
}
