package cluster

import (
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// A worker is drained when other workers were assigned its units. A join that was in flight when the worker released
// them still listed them, and the generation after that join assigns them to nobody.
func TestDrainEndsAfterReassignment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, err := kgo.NewClient()
		require.NoError(t, err)
		defer client.Close()
		w := leaderOfStopped(t, nil)
		w.options.SetQuotas = func(map[Key]limits.Division) {}
		w.options.Logger = slog.New(slog.DiscardHandler)
		w.options.Log = &Log{term: t.Context()}
		w.group.Store(&Group{client: client, ctx: t.Context(), cancel: func() {}})
		join := func(owned ...ResourceSet) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lastJoined = owned
		}
		startGeneration := func(generation int32, target ...ResourceSet) {
			b, err := Assignment{Target: target, LastMember: generation == 5}.Encode()
			require.NoError(t, err)
			w.onAssigned(generation, true, b)
		}
		c := ResourceSet{Connector: KeyOf("c"), Resources: ResourceIndexes{1}}
		startGeneration(1, c)
		drained := make(chan error, 1)
		go func() { drained <- w.Drain(t.Context()) }()
		time.Sleep(time.Second)
		join(c)
		startGeneration(2)
		join(c) // it still owns c
		time.Sleep(time.Second)
		startGeneration(3)
		time.Sleep(time.Second)
		assert.Equal(t, 0, len(drained), "the others wait")
		join()
		time.Sleep(time.Second)
		assert.Equal(t, 0, len(drained), "they join")
		startGeneration(4)
		require.NoError(t, <-drained)

		// A worker that leaves for good while it drains does not return, even if it is alone by then.
		go func() { drained <- w.Drain(t.Context()) }()
		time.Sleep(time.Second)
		_ = w.Leave(t.Context())
		startGeneration(5)
		require.NoError(t, <-drained)
	})
}

// Rebalances are measured from the time at which a member's metadata is sent, including retries.
func TestRebalancesAreMeasured(t *testing.T) {
	t.Parallel()
	var worker *Worker // nil has seen no rebalance
	r := worker.Rebalances()
	assert.True(t, r.Completed == 0 && !r.InProgress && r.Duration.Avg != r.Duration.Avg && r.SinceLast >= 1e300,
		"expected no rebalance, found %+v", r)
	var l rebalanceTimer
	l.stop() // nothing of it has started
	l.start()
	l.start()
	assert.Equal(t, true, l.snapshot().InProgress)
	l.stop()
	r = l.snapshot()
	assert.True(t, r.Completed == 1 && !r.InProgress && r.Duration.Max >= 0 && r.Duration.Max < 60_000 &&
		r.SinceLast <= 60_000, "expected one rebalance, found %+v", r)
}

// openStates opens a status topic and reads it to its end.
func openStates(t *testing.T, broker, name string, log *slog.Logger) *StatusTopic {
	t.Helper()
	topic, problems := ParseStatusTopic(map[string]string{"status.storage.topic": name})
	require.NoError(t, problems.Err())
	status, err := OpenStatusTopic(t.Context(), logOptionsOf([]string{broker}, nil).Kafka, topic, log)
	require.NoError(t, err)
	require.NoError(t, status.Await(t.Context()))
	return status
}

// A static leader that returns and has not seen the members does not report units as unassigned: other workers run
// them. Once it has assigned everything, it reports units that no worker runs.
func TestReturningStaticLeaderReportsNothing(t *testing.T) {
	ctx, cluster, f := oneLeader(t)
	broker := cluster.ListenAddrs()[0]
	log := slog.New(slog.DiscardHandler)
	require.NoError(t, f.put(ctx, "c", "1"))
	status := openStates(t, broker, "states", log)
	w := NewWorker(WorkerOptions{Topics: Topics{Store: f.store, Status: status}})
	state := func() connect.State {
		s, _ := status.Connector("c")
		return s.State
	}
	awaitState := func(want connect.State) {
		t.Helper()
		require.Until(t, func() bool { return state() == want },
			func() string { return fmt.Sprint(status.Connector("c")) })
	}
	status.Put(Status{Connector: "c", Task: -1, State: connect.Running, WorkerID: "a:1", Generation: 3})
	awaitState(connect.Running)
	w.leader.generation = 3
	w.leader.cleanStatuses()
	require.NoError(t, status.Close(ctx)) // everything is written
	assert.Equal(t, connect.Running, state())

	status = openStates(t, broker, "states", log)
	w.options.Status = status
	w.leader.members = []Member{{ID: "m", Metadata: Metadata{URL: "http://b:1"}}}
	w.leader.cleanStatuses()
	awaitState(connect.Unassigned)

	// The reason why a unit does not run is written for a unit that another worker had in a newer generation, and
	// for a connector without a status. It is written again when it changes.
	require.NoError(t, f.put(ctx, "d", "1"))
	status.Put(Status{Connector: "c", Task: -1, State: connect.Running, WorkerID: "java:1", Generation: 195})
	awaitState(connect.Running)
	for _, reason := range []string{"no class", "no version"} {
		w.leader.unplaced = map[string]string{"c": reason, "d": reason, "gone": reason}
		w.leader.cleanStatuses()
		require.Until(t, func() bool {
			c, _ := status.Connector("c")
			d, _ := status.Connector("d")
			return c == Status{Connector: "c", Task: -1, State: connect.Unassigned, Trace: reason, WorkerID: "java:1",
				Generation: 195} && d.State == connect.Unassigned && d.Trace == reason
		}, func() string { return fmt.Sprint(status.Connector("c")) })
	}
	// A record may be read back before the client reports that it was written.
	require.Until(t, func() bool { return status.pending() == 0 }, func() string {
		return fmt.Sprint(status.pending())
	})
	w.leader.cleanStatuses()
	assert.Equal(t, 0, status.pending())

	// The new owner writes its status again, whatever generation the record has.
	w.published["c"] = map[int]Status{-1: {Connector: "c", Task: -1, State: connect.Running, WorkerID: "b:1",
		Generation: 5}}
	w.republish()
	awaitState(connect.Running)

	// A former leader that does not know the new one yet takes a newly joined worker for lost and writes that its
	// connector is unassigned. The worker then writes its own status again.
	unassigned := w.published["c"][-1]
	unassigned.State = connect.Unassigned
	status.PutSafe(unassigned)
	awaitState(connect.Unassigned)
	w.republish()
	awaitState(connect.Running)
	assert.Equal(t, []string{"c", "d"}, status.Connectors())
	require.NoError(t, status.Close(ctx))
}

// The leader deletes the statuses of tasks that a connector no longer has, and writes no other ones in their place,
// whichever numbers are missing between them.
func TestStatusesOfRemovedTasksAreDeleted(t *testing.T) {
	ctx, cluster, f := oneLeader(t)
	status := openStates(t, cluster.ListenAddrs()[0], "states", slog.New(slog.DiscardHandler))
	w := NewWorker(WorkerOptions{Topics: Topics{Store: f.store, Status: status}})
	w.leader.members = []Member{{ID: "m", Metadata: Metadata{URL: "http://a:1"}}}
	stored := map[string][]int{"c": {0, 2, 3}, "d": {0, 2}, "e": {0, 1}}
	states := func() map[string]string {
		byConnector := map[string]string{}
		for _, name := range status.Connectors() {
			for _, s := range status.Tasks(name) {
				byConnector[name] += fmt.Sprint(s.Task, " ", s.State, " ")
			}
		}
		return byConnector
	}
	for name, tasks := range stored {
		require.NoError(t, f.put(ctx, name, "1"))
		_, err := f.putTasks(ctx, name, []map[string]string{{"t": "0"}, {"t": "1"}})
		require.NoError(t, err)
		for _, task := range tasks {
			status.Put(Status{Connector: name, Task: task, State: connect.Running, WorkerID: "lost:1", Generation: 3})
		}
	}
	await := func(want map[string]string) {
		t.Helper()
		require.Until(t, func() bool { return status.pending() == 0 && maps.Equal(states(), want) },
			func() string { return fmt.Sprint("expected ", want, ", found ", states()) })
	}
	await(map[string]string{"c": "0 RUNNING 2 RUNNING 3 RUNNING ", "d": "0 RUNNING 2 RUNNING ",
		"e": "0 RUNNING 1 RUNNING "})
	w.leader.cleanStatuses()
	await(map[string]string{"c": "0 UNASSIGNED ", "d": "0 UNASSIGNED ", "e": "0 UNASSIGNED 1 UNASSIGNED "})
	require.NoError(t, status.Close(ctx))
}
