package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// statusWorker writes statuses with a worker ID.
type statusWorker struct {
	*StatusTopic
	id      string
	journal *logtest.Journal
}

func openStatusWorker(t *testing.T, n *clustertest.Network, id string, settings ...string) statusWorker {
	t.Helper()
	w := statusWorker{id: id, journal: &logtest.Journal{}}
	k := n.Config(id)
	k.Consumer.Reset = "latest" // as users may configure for their sinks
	properties := map[string]string{}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		properties[name] = value
	}
	topic, problems := ParseStatusTopic(properties)
	require.NoError(t, problems.Err())
	var err error
	w.StatusTopic, err = OpenStatusTopic(t.Context(), k, topic, w.journal.Logger(slog.LevelInfo))
	require.NoError(t, err)
	require.NoError(t, w.Await(t.Context()))
	return w
}

// close closes the topic and expects everything to be written.
func (w statusWorker) close(t *testing.T) {
	t.Helper()
	assert.NoError(t, w.Close(t.Context()))
}

// newStatus returns a status of a task of connector c.
func (w statusWorker) newStatus(task int, state connect.State, generation int32) Status {
	return Status{Connector: "c", Task: task, State: state, WorkerID: w.id, Generation: generation, Version: "1.0"}
}

// awaitStates waits until the worker knows these states of connector c and its tasks, with their workers.
func (w statusWorker) awaitStates(t *testing.T, want string) {
	t.Helper()
	states := func() string {
		var texts []string
		if s, ok := w.Connector("c"); ok {
			texts = append(texts, fmt.Sprintf("%s@%s", s.State, s.WorkerID))
		}
		for _, s := range w.Tasks("c") {
			texts = append(texts, fmt.Sprintf("%d %s@%s", s.Task, s.State, s.WorkerID))
		}
		return strings.Join(append(texts, w.Topics("c")...), ", ")
	}
	require.Until(t, func() bool { return states() == want },
		func() string { return "expected " + want + ", found " + states() + "\n" + w.journal.String() })
}

// awaitWritten waits until everything is written.
func (w statusWorker) awaitWritten(t *testing.T) {
	t.Helper()
	require.Until(t, func() bool { return w.pending() == 0 }, func() string { return w.journal.String() })
}

// All workers read the statuses and topics that each of them writes, overwrites and deletes.
func TestStatusTopicIsShared(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := openStatusWorker(t, n, "a:1")
		b := openStatusWorker(t, n, "b:1")
		defer a.close(t)
		defer b.close(t)
		a.Put(a.newStatus(-1, connect.Running, 3))
		b.Put(b.newStatus(10, connect.Running, 3))
		a.Put(a.newStatus(2, connect.Paused, 3))
		a.RecordTopic("c", "orders", 2)
		b.RecordTopic("c", "items", 10)
		failed := Status{Connector: "c-1", State: connect.Failed, Trace: "no", WorkerID: a.id, Generation: 3}
		a.Put(failed)
		const states = "RUNNING@a:1, 2 PAUSED@a:1, 10 RUNNING@b:1, items, orders"
		a.awaitStates(t, states)
		b.awaitStates(t, states)

		// A worker that joins later reads the same. Another worker writes the status of one that vanished.
		c := openStatusWorker(t, n, "c:1")
		defer c.close(t)
		c.awaitStates(t, states)
		assert.Equal(t, []string{"c", "c-1"}, c.Connectors())
		assert.Equal(t, []Status{failed}, c.Tasks("c-1"))
		c.PutSafe(c.newStatus(10, connect.Unassigned, 4))
		b.awaitStates(t, "RUNNING@a:1, 2 PAUSED@a:1, 10 UNASSIGNED@c:1, items, orders")
		b.PutSafe(b.newStatus(10, connect.Failed, 3))
		assert.Equal(t, 0, b.pending(), "a safe write that another has overtaken")
		b.Put(b.newStatus(10, connect.Running, 3))
		c.awaitStates(t, states)

		// Topics are recorded once, and again after any worker has reset them.
		a.RecordTopic("c", "orders", 0)
		assert.Equal(t, 0, a.pending(), "a topic that is known")
		b.ResetTopics("c")
		require.NoError(t, b.AwaitWritten(t.Context(), "c"))
		assert.Equal(t, 0, len(b.Topics("c")), "topics that were reset and read back")
		a.awaitStates(t, "RUNNING@a:1, 2 PAUSED@a:1, 10 RUNNING@b:1")
		a.RecordTopic("c", "orders", 2)
		b.awaitStates(t, "RUNNING@a:1, 2 PAUSED@a:1, 10 RUNNING@b:1, orders")
		b.ResetTopics("c")
		b.RecordTopic("c", "orders", 10)
		b.awaitWritten(t)
		a.RecordTopic("c", "last", 2)
		b.awaitStates(t, "RUNNING@a:1, 2 PAUSED@a:1, 10 RUNNING@b:1, last, orders")
		b.ResetTopics("c")
		b.awaitStates(t, "RUNNING@a:1, 2 PAUSED@a:1, 10 RUNNING@b:1")
		a.RecordTopic("c", "orders", 2)

		b.DeleteTasks("c", 3)
		a.awaitStates(t, "RUNNING@a:1, 2 PAUSED@a:1, orders")
		b.Put(b.newStatus(11, connect.Running, 4)) // no worker has read it yet
		b.Delete("c")
		b.awaitWritten(t)
		for _, w := range []statusWorker{a, b, c} {
			w.awaitStates(t, "")
			assert.Equal(t, []string{"c-1"}, w.Connectors())
			assert.Equal(t, "", w.journal.String())
		}
	})
}

// A call of AwaitWritten does not wait for records that were written before the topic was created again.
func TestStatusesOfADeletedTopicAreNotAwaited(t *testing.T) {
	topic := StatusTopic{log: slog.New(slog.DiscardHandler), outbox: newOutbox(),
		written: kafka.Positions{0: 90, 1: 5}, read: kafka.Positions{0: 100, 1: 4}}
	hasRead := func() bool {
		var written kafka.Positions
		return topic.hasRead("c", &written)
	}
	assert.Equal(t, false, hasRead(), "a record that was not read back")
	require.NoError(t, topic.applyRecord(&kgo.Record{Partition: 1, Offset: 4}))
	assert.Equal(t, true, hasRead(), "all were read back")
	require.NoError(t, topic.applyRecord(&kgo.Record{Partition: 0, Offset: 0}))
	assert.Equal(t, true, hasRead(), "the topic was created again")
	topic.written[0] = 3
	require.NoError(t, topic.applyRecord(&kgo.Record{Partition: 0, Offset: 1}))
	assert.Equal(t, false, hasRead(), "a record in the new topic")
}

// The records, and their partitions, are those that a worker of Apache Kafka writes.
func TestStatusRecords(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		w := openStatusWorker(t, n, "127.0.0.1:18483", "status.storage.partitions=2")
		defer w.close(t)
		want := map[int32][]string{}
		for _, r := range javaRecords(t) {
			if r.topic != "" || (r.value == nil && w.status(r.statusKey) == (Status{})) {
				continue // with the time of its discovery; deleted twice only by Java's workers
			}
			want[r.partition] = append(want[r.partition], fmt.Sprintf("%s %s", r.key, r.value))
			s := Status{}
			switch {
			case r.value == nil && r.task < 0:
				w.Delete(r.connector)
			case r.value == nil:
				w.DeleteTasks(r.connector, r.task)
			default:
				var err error
				s, err = decodeStatus(r.statusKey, r.value)
				require.NoError(t, err)
				w.Put(s)
			}
			w.awaitWritten(t)
			require.Until(t, func() bool { return w.status(r.statusKey) == s }, r.statusKey.String)
		}
		client := kafkatest.Client(t, n.Config("other").AdminOpts(kgo.ConsumeTopics("connect-status"))...)
		got := map[int32][]string{}
		for found := 0; found < len(want[0])+len(want[1]); {
			fetches := client.PollFetches(t.Context())
			require.NoError(t, fetches.Err())
			fetches.EachRecord(func(r *kgo.Record) {
				found++
				got[r.Partition] = append(got[r.Partition], fmt.Sprintf("%s %s", r.Key, r.Value))
			})
		}
		assert.Equal(t, want, got)
	})
}

// 4,000 tasks that start at once while the brokers are slow result in few writes: the first state and the last state of
// each.
func TestManyStatuses(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		const tasks = 4000
		var requests, records atomic.Int32
		respond := make(chan struct{})
		n.Cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
			n.Cluster.KeepControl()
			n.Cluster.SleepControl(func() { <-respond })
			requests.Add(1)
			for _, topic := range r.(*kmsg.ProduceRequest).Topics {
				for _, p := range topic.Partitions {
					var batch kmsg.RecordBatch
					if batch.ReadFrom(p.Records) == nil {
						records.Add(batch.NumRecords)
					}
				}
			}
			return nil, nil, false
		})
		w := openStatusWorker(t, n, "a:1")
		defer w.close(t)
		for _, state := range []connect.State{connect.Unassigned, connect.Restarting, connect.Paused, connect.Running} {
			for task := range tasks {
				w.Put(w.newStatus(task, state, 1))
			}
		}
		close(respond)
		running := func() (count int) {
			for _, s := range w.Tasks("c") {
				if s.State == connect.Running {
					count++
				}
			}
			return count
		}
		require.Until(t, func() bool { return running() == tasks },
			func() string { return fmt.Sprintf("%d tasks run", running()) })
		t.Logf("%d records in %d requests", records.Load(), requests.Load())
		assert.True(t, records.Load() <= 2*tasks && requests.Load() <= tasks/4,
			"expected at most two records a task, and a request for four of %d tasks, found %d and %d", tasks,
			records.Load(), requests.Load())
	})
}

// Brokers that are unreachable for minutes lose nothing: the newest status of each key is written when they are back.
// The outage and its end are logged once.
func TestStatusSurvivesBrokerOutage(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := openStatusWorker(t, n, "a:1")
		b := openStatusWorker(t, n, "b:1")
		defer a.close(t)
		defer b.close(t)
		a.Put(a.newStatus(0, connect.Running, 1))
		b.awaitStates(t, "0 RUNNING@a:1")
		n.Cut(a.id)
		for minute := range 5 {
			a.Put(a.newStatus(0, connect.Failed, 1))
			a.Put(a.newStatus(1+minute, connect.Restarting, 1))
			<-time.After(time.Minute)
			a.Put(a.newStatus(1+minute, connect.Running, 1))
			a.PutSafe(a.newStatus(0, connect.Paused, 1))
		}
		b.awaitStates(t, "0 RUNNING@a:1")
		n.Mend(a.id)
		b.awaitStates(t, "0 PAUSED@a:1, 1 RUNNING@a:1, 2 RUNNING@a:1, 3 RUNNING@a:1, 4 RUNNING@a:1, 5 RUNNING@a:1")
		a.awaitWritten(t)
		log := a.journal.String()
		for _, message := range []string{"statuses cannot be written", "statuses are written again"} {
			assert.Equal(t, 1, strings.Count(log, message), message, log)
		}
	})
}

// If the group was forgotten, generations start with 1 again: a worker's status is written, also by a retry.
func TestStatusOfForgottenGroupIsOverwritten(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		a := openStatusWorker(t, n, "a:1")
		b := openStatusWorker(t, n, "b:1")
		defer a.close(t)
		defer b.close(t)
		a.Put(a.newStatus(0, connect.Running, 195))
		b.awaitStates(t, "0 RUNNING@a:1")
		refused := kafkatest.Reject(n.Cluster, kmsg.Produce, 1, kerr.TopicAuthorizationFailed)
		b.Put(b.newStatus(0, connect.Paused, 1))
		a.awaitStates(t, "0 PAUSED@b:1")
		assert.Equal(t, int32(2), refused.Load())
	})
}

// Without permission to write, nothing is lost, a write is tried once a second, and the log names the permission.
func TestStatusWithoutPermission(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		w := openStatusWorker(t, n, "a:1")
		defer w.close(t)
		var granted atomic.Bool
		var requests atomic.Int32
		kafkatest.RejectIf(n.Cluster, kmsg.Produce, kerr.TopicAuthorizationFailed, func(kmsg.Request) bool {
			requests.Add(1)
			return !granted.Load()
		})
		w.Put(w.newStatus(0, connect.Running, 1))
		<-time.After(time.Minute)
		assert.Equal(t, 0, len(w.Tasks("c")))
		assert.Contains(t, w.journal.String(), "expected the right WRITE on the resource Topic connect-status")
		sent := requests.Load()
		assert.True(t, sent >= 20 && sent <= 70, "expected 20 to 70 requests in a minute, found %d", sent)
		granted.Store(true)
		w.awaitStates(t, "0 RUNNING@a:1")
	})
}

// A status that is too large for the topic is logged and blocks no other write.
func TestStatusTooLarge(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		w := openStatusWorker(t, n, "a:1")
		defer w.close(t)
		large := w.newStatus(0, connect.Failed, 1)
		large.Version = strings.Repeat("x", 2<<20)
		w.Put(large)
		w.Put(w.newStatus(1, connect.Running, 1))
		w.awaitStates(t, "1 RUNNING@a:1")
		w.awaitWritten(t)
		assert.Contains(t, w.journal.String(), "a status is not written", "status-task-c-0")
	})
}

// Records of other programs are skipped, and the first one is logged.
func TestStatusForeignRecords(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		w := openStatusWorker(t, n, "a:1")
		defer w.close(t)
		client := kafkatest.Client(t, n.Config("other").AdminOpts()...)
		for _, r := range [][2]string{{"status-connector-x", "damaged"}, {"", ""}, {"culvert-x", "{}"}} {
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "connect-status", Key: []byte(r[0]),
				Value: []byte(r[1])}).FirstErr())
		}
		w.Put(w.newStatus(0, connect.Running, 1))
		w.awaitStates(t, "0 RUNNING@a:1")
		late := openStatusWorker(t, n, "b:1")
		defer late.close(t)
		late.awaitStates(t, "0 RUNNING@a:1")
		for _, j := range []*logtest.Journal{w.journal, late.journal} {
			assert.Equal(t, 1, strings.Count(j.String(), "a record in the status topic is skipped"))
		}
		assert.Equal(t, 3, late.skipped)
	})
}

// A topic that is deleted and created again is read from its start.
func TestStatusTopicCreatedAgain(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		w := openStatusWorker(t, n, "a:1")
		defer w.close(t)
		for range 10 {
			w.Put(w.newStatus(0, connect.Running, 1))
			w.awaitWritten(t)
		}
		w.awaitStates(t, "0 RUNNING@a:1")
		_, err := kadm.NewClient(kafkatest.Client(t, n.Config("other").AdminOpts()...)).DeleteTopic(t.Context(),
			"connect-status")
		require.NoError(t, err)
		<-time.After(time.Minute)
		other := openStatusWorker(t, n, "b:1") // creates the topic again
		defer other.close(t)
		other.Put(other.newStatus(0, connect.Paused, 2))
		w.awaitStates(t, "0 PAUSED@b:1")
	})
}

// Close reports the number of statuses that could not be written.
func TestStatusTopicCloseCountsUnwritten(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		w := openStatusWorker(t, n, "a:1")
		w.PutSafe(w.newStatus(0, connect.Unassigned, 1))
		w.close(t)
		assert.Equal(t, "", w.journal.String())
		w = openStatusWorker(t, n, "a:1")
		w.awaitStates(t, "0 UNASSIGNED@a:1")
		n.Cut(w.id)
		w.Put(w.newStatus(0, connect.Running, 1))
		w.Put(w.newStatus(1, connect.Running, 1))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		assert.Error(t, w.Close(ctx), "topic connect-status of status.storage.topic: 2 statuses cannot be written")
		w.Put(w.newStatus(2, connect.Running, 1)) // has no effect
	})
}

// Settings that are no numbers, and a topic that is not compacted, are rejected.
func TestUnsuitableStatusTopicIsRejected(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		topic, problems := ParseStatusTopic(map[string]string{"status.storage.partitions": "0",
			"status.storage.topic": " my-states ", "status.storage.segment.bytes": "1000000",
			"status.storage.cleanup.policy": "delete", "status.storage.replication.factor": "x",
			"offset.storage.topic": "o"})
		assert.Equal(t, 2, len(problems))
		assert.Equal(t, kafka.InternalTopic{Name: "my-states", Setting: "status.storage.topic",
			Configs: map[string]string{"segment.bytes": "1000000"}}, topic)
		client := kafkatest.Client(t, n.Config("other").AdminOpts()...)
		_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "my-states")
		require.NoError(t, err)
		_, err = OpenStatusTopic(t.Context(), n.Config("a"), topic, slog.New(slog.DiscardHandler))
		assert.Error(t, err, "status.storage.topic: topic my-states must have cleanup.policy=compact")
	})
}
