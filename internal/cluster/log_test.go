package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// logOptionsOf returns the options of a log of the group g on these brokers.
func logOptionsOf(addrs []string, log *slog.Logger) LogOptions {
	k := kafka.Defaults()
	k.Bootstrap = addrs
	k.Consumer.FetchMaxWait = 50 * time.Millisecond
	return LogOptions{Kafka: k, Topic: kafka.InternalTopic{Name: "configs", Setting: "config.storage.topic",
		Replication: 1}, Group: "g", Logger: log}
}

// follower is a worker's log with its store.
type follower struct {
	*Log
	store     *configtopic.Store
	journal   logtest.Journal
	applyLock sync.Mutex // a test that holds it delays what is read
	ended     chan error // receives the result of Read
	close     func()     // ends Read and closes the log
}

// putTasks writes the tasks of a connector and then the record that commits them, as a leader does.
func (f *follower) putTasks(ctx context.Context, name string, tasks []map[string]string) (version int64, err error) {
	var records []configtopic.Record
	for number, settings := range tasks {
		records = append(records, configtopic.TaskRecord(name, number, settings))
	}
	if _, err := f.store.Write(ctx, records...); err != nil {
		return 0, err
	}
	return f.store.Write(ctx, configtopic.CommitRecord(name, len(tasks)))
}

// twoFollowers returns two workers of one broker and the broker's addresses.
func twoFollowers(t *testing.T) (ctx context.Context, a, b *follower, addrs []string) {
	t.Helper()
	t.Parallel()
	addrs = kafkatest.Cluster(t, kfake.NumBrokers(1)).ListenAddrs()
	return kafkatest.Context(t), openFollower(t, addrs...), openFollower(t, addrs...), addrs
}

// oneLeader returns a broker and a worker that is the leader.
func oneLeader(t *testing.T) (ctx context.Context, cluster *kfake.Cluster, f *follower) {
	t.Helper()
	t.Parallel()
	cluster = kafkatest.Cluster(t, kfake.NumBrokers(1))
	ctx = kafkatest.Context(t)
	f = openFollower(t, cluster.ListenAddrs()...)
	require.NoError(t, f.Lead(ctx))
	return ctx, cluster, f
}

// openFollower opens a follower that has read the topic. The end of the test closes it unless it is closed already.
func openFollower(t testing.TB, addrs ...string) *follower {
	t.Helper()
	return openFollowerOf(t, func(*LogOptions) {}, addrs...)
}

// openFollowerOf is openFollower with changed options.
func openFollowerOf(t testing.TB, change func(*LogOptions), addrs ...string) *follower {
	t.Helper()
	f := &follower{ended: make(chan error, 1)}
	log := f.journal.Logger(slog.LevelInfo)
	o := logOptionsOf(addrs, log)
	change(&o)
	l, err := OpenLog(t.Context(), o)
	require.NoError(t, err)
	worker, _ := config.NewWorker("", []config.Entry{config.NewEntry("bootstrap.servers", "a:1", "", 0)}, nil, nil)
	f.Log = l
	f.store = configtopic.NewStore("configs", worker, nil, log)
	f.store.SetWriter(l)
	ctx, cancel := context.WithCancel(t.Context())
	caughtUp := make(chan struct{})
	go func() {
		f.ended <- l.Read(ctx, func(r configtopic.Record) {
			f.applyLock.Lock()
			defer f.applyLock.Unlock()
			f.store.Apply(r)
		}, func() {
			f.store.CaughtUp()
			close(caughtUp)
		})
	}()
	f.close = sync.OnceFunc(func() {
		cancel()
		err := <-f.ended
		assert.True(t, err == nil, "reading ended with %v", err)
		l.Close()
	})
	t.Cleanup(f.close)
	select {
	case <-caughtUp:
	case err := <-f.ended:
		t.Fatalf("reading ended with %v", err)
	}
	return f
}

// connectorOf returns a connector with a name and a value.
func connectorOf(name, value string) *config.Connector {
	return &config.Connector{Name: name, Entries: []config.Entry{config.NewEntry("x", value, "", 0)}}
}

// put writes a connector as the leader.
func (f *follower) put(ctx context.Context, name, value string) error {
	return f.store.Put(ctx, name, config.Stored{Connector: connectorOf(name, value)})
}

// values returns the values of a worker's connectors by name.
func (f *follower) values() map[string]string {
	snapshot, _ := f.store.Snapshot()
	values := map[string]string{}
	for _, c := range snapshot.Connectors {
		values[c.Name] = c.Text("x")
	}
	return values
}

// Both workers have read a write when it is reported as done. Only the leader writes connectors.
func TestLogWritesReachAllWorkers(t *testing.T) {
	ctx, a, b, addrs := twoFollowers(t)
	assert.ErrorIs(t, a.put(ctx, "c", "1"), ErrNotLeader, "an error because only a leader writes")
	require.NoError(t, a.Lead(ctx))
	require.NoError(t, a.put(ctx, "c", "1"))
	assert.Equal(t, map[string]string{"c": "1"}, a.values())
	version, err := a.putTasks(ctx, "c", []map[string]string{{"t": "0"}, {"t": "1"}})
	require.NoError(t, err)
	assert.Equal(t, version+1, a.Offset())
	require.NoError(t, b.Await(ctx, a.Offset()))
	snapshot, _ := b.store.Snapshot()
	assert.Equal(t, map[string]config.TaskConfigs{"c": {Version: version,
		Settings: []map[string]string{{"t": "0"}, {"t": "1"}}}}, snapshot.Tasks)
	require.NoError(t, b.store.Put(ctx, "c", config.Stored{Target: config.TargetStopped}))
	require.NoError(t, a.Refresh(ctx))
	snapshot, _ = a.store.Snapshot()
	assert.Equal(t, map[string]string{"c": config.TargetStopped}, snapshot.Targets)
	a.Resign()
	assert.ErrorIs(t, a.put(ctx, "c", "2"), ErrNotLeader, "an error because only a leader writes")
	require.NoError(t, b.Lead(ctx))
	require.NoError(t, b.store.Delete(ctx, "c"))
	require.NoError(t, a.Await(ctx, b.Offset()))
	assert.Equal(t, map[string]string{}, a.values())
	late := openFollower(t, addrs...)
	require.NoError(t, late.Refresh(ctx)) // only markers are at the end
	assert.Equal(t, a.Offset(), late.Offset())
}

// If two workers both believe that they lead, the one that claims later fences the other. The write of the fenced
// worker fails with Kafka Connect's message. By then it has read the other worker's records, and its next write
// succeeds.
func TestLogFenced(t *testing.T) {
	ctx, a, b, _ := twoFollowers(t)
	require.NoError(t, a.Lead(ctx))
	require.NoError(t, a.put(ctx, "c", "1"))
	require.NoError(t, b.Lead(ctx))
	assert.Equal(t, map[string]string{"c": "1"}, b.values()) // it has read the earlier records
	require.NoError(t, b.put(ctx, "c", "2"))
	var failed *WriteError
	err := a.put(ctx, "c", "3")
	assert.True(t, errors.As(err, &failed), "expected the write to fail, found %v", err)
	assert.Error(t, err, "Failed to write to config topic; this may be due to a transient error and the request can "+
		"be safely retried")
	assert.Equal(t, map[string]string{"c": "2"}, a.values())
	assert.Contains(t, a.journal.String(), "a write to the config topic has failed", "key=connector-c")
	require.NoError(t, a.put(ctx, "c", "4"))
	require.NoError(t, b.Refresh(ctx))
	assert.Equal(t, map[string]string{"c": "4"}, b.values())
	b.Resign()
	require.NoError(t, a.Lead(ctx)) // repeated, as in each generation of the group
	require.NoError(t, a.put(ctx, "c", "5"))
}

// A worker that stops leading before it has claimed the right to write fences nobody.
func TestLogAfterResign(t *testing.T) {
	ctx, a, b, _ := twoFollowers(t)
	l := NewWorker(WorkerOptions{Topics: Topics{Log: a.Log}, Logger: a.journal.Logger(slog.LevelInfo)}).leader
	l.setGeneration(3)
	l.setGeneration(0)
	require.NoError(t, b.Lead(ctx))
	l.claimWrites(ctx)
	assert.ErrorIs(t, a.put(ctx, "c", "1"), ErrNotLeader, "an error because only a leader writes")
	require.NoError(t, b.put(ctx, "c", "2"))
	l.setGeneration(4)
	require.NoError(t, a.put(ctx, "c", "3"))
}

// If a leader is killed between the tasks and their commit, or within a transaction, the previous tasks apply until the
// next leader has written its own.
func TestLogWriteIsCanceled(t *testing.T) {
	ctx, a, b, addrs := twoFollowers(t)
	require.NoError(t, a.Lead(ctx))
	require.NoError(t, a.put(ctx, "c", "1"))
	old := []map[string]string{{"t": "old 0"}, {"t": "old 1"}}
	version, err := a.putTasks(ctx, "c", old)
	require.NoError(t, err)
	_, err = a.store.Write(ctx, configtopic.TaskRecord("c", 0, map[string]string{"t": "lost 0"}),
		configtopic.TaskRecord("c", 1, map[string]string{"t": "lost 1"}), configtopic.TaskRecord("c", 2, nil))
	require.NoError(t, err)
	// A transaction that never ends.
	dying := kafkatest.Client(t, kgo.SeedBrokers(addrs...), kgo.TransactionalID("connect-cluster-g"))
	require.NoError(t, dying.BeginTransaction())
	open := configtopic.CommitRecord("c", 3)
	require.NoError(t, dying.ProduceSync(ctx, &kgo.Record{Topic: "configs", Key: []byte(open.Key),
		Value: open.Value}).FirstErr())
	require.NoError(t, b.Lead(ctx)) // aborts it
	for _, f := range []*follower{a, b} {
		require.NoError(t, f.Refresh(ctx))
		snapshot, _ := f.store.Snapshot()
		assert.Equal(t, map[string]config.TaskConfigs{"c": {Version: version, Settings: old}}, snapshot.Tasks)
	}
	fresh := []map[string]string{{"t": "new 0"}}
	version, err = b.putTasks(ctx, "c", fresh)
	require.NoError(t, err)
	require.NoError(t, a.Await(ctx, b.Offset()))
	snapshot, _ := a.store.Snapshot()
	assert.Equal(t, map[string]config.TaskConfigs{"c": {Version: version, Settings: fresh}}, snapshot.Tasks)
	late := openFollower(t, addrs...)
	snapshot, _ = late.store.Snapshot()
	assert.Equal(t, map[string]config.TaskConfigs{"c": {Version: version, Settings: fresh}}, snapshot.Tasks)
}

// A write returns when it was read back, not before, and not later than its caller's deadline.
func TestWriteIsReadBack(t *testing.T) {
	ctx, _, f := oneLeader(t)
	f.applyLock.Lock()
	written := make(chan error, 1)
	go func() { written <- f.put(ctx, "c", "2") }()
	shortCtx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	err := f.store.Put(shortCtx, "c", config.Stored{Target: config.TargetPaused})
	assert.Error(t, err, "expected to have read up to offset ")
	select {
	case err := <-written:
		t.Errorf("expected the leader's write to wait, found %v", err)
	default:
	}
	f.applyLock.Unlock()
	require.NoError(t, <-written)
	assert.Equal(t, map[string]string{"c": "2"}, f.values())
}

// A topic that cannot be a config topic is rejected, and a missing permission is reported, before anything else
// happens.
func TestLogRejectsUnsuitableTopic(t *testing.T) {
	t.Parallel()
	ctx := kafkatest.Context(t)
	open := func(t *testing.T, cluster *kfake.Cluster) error {
		t.Helper()
		l, err := OpenLog(ctx, logOptionsOf(cluster.ListenAddrs(), slog.New(slog.DiscardHandler)))
		if err == nil {
			l.Close()
		}
		return err
	}
	newCluster := func(t *testing.T, partitions int32, policy string) *kfake.Cluster {
		t.Helper()
		cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
		admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(cluster.ListenAddrs()...)))
		_, err := admin.CreateTopic(ctx, partitions, 1, map[string]*string{"cleanup.policy": &policy}, "configs")
		require.NoError(t, err)
		return cluster
	}
	assert.NoError(t, open(t, newCluster(t, 1, "compact")))
	assert.Error(t, open(t, newCluster(t, 2, "compact")),
		"Topic 'configs' supplied via the 'config.storage.topic' property is "+
			"required to have a single partition in order to guarantee consistency of connector configurations, but "+
			"found 2 partitions.")
	assert.Error(t, open(t, newCluster(t, 1, "delete")), "must have cleanup.policy=compact")

	cluster := newCluster(t, 1, "compact")
	kafkatest.Reject(cluster, kmsg.EndTxn, kafkatest.Unlimited, kerr.TransactionalIDAuthorizationFailed)
	assert.Error(t, open(t, cluster), "expected the right WRITE on the resource TransactionalId connect-cluster-g")

	cluster = newCluster(t, 1, "compact")
	cluster.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !r.(*kmsg.MetadataRequest).IncludeTopicAuthorizedOperations {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.MetadataResponse)
		topic := kmsg.NewMetadataResponseTopic()
		name := "configs"
		topic.Topic = &name
		topic.Partitions = append(topic.Partitions, kmsg.NewMetadataResponseTopicPartition())
		topic.AuthorizedOperations = 1<<kmsg.ACLOperationRead | 1<<kmsg.ACLOperationDescribe
		answer.Topics = append(answer.Topics, topic)
		return answer, nil, true
	})
	assert.Error(t, open(t, cluster), "expected the right WRITE on the resource Topic configs")

	cluster = newCluster(t, 1, "compact")
	kafkatest.Reject(cluster, kmsg.Fetch, kafkatest.Unlimited, kerr.TopicAuthorizationFailed)
	produceRecords(t, cluster, "configs", configtopic.CommitRecord("c", 0))
	l, err := OpenLog(ctx, logOptionsOf(cluster.ListenAddrs(), slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	defer l.Close()
	assert.Error(t, l.Read(ctx, func(configtopic.Record) {}, func() {}), "expected the right READ on the resource "+
		"Topic configs")
}

// produceRecords writes records as any client does.
func produceRecords(t testing.TB, cluster *kfake.Cluster, topic string, records ...configtopic.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	defer client.Close()
	var produced []*kgo.Record
	for _, r := range records {
		produced = append(produced, &kgo.Record{Topic: topic, Key: []byte(r.Key), Value: r.Value})
	}
	require.NoError(t, client.ProduceSync(context.Background(), produced...).FirstErr())
}

// Writes that wait at the same time share a transaction. A caller that stops waiting has written nothing. If one record
// is too large for the topic, all writes of its transaction fail with a retriable error; alone it is reported as too
// large. The leader continues.
func TestWritesShareATransaction(t *testing.T) {
	ctx, cluster, f := oneLeader(t)
	var ends atomic.Int32
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		ends.Add(1)
		return nil, nil, false
	})
	writeTogether := func(values ...string) (errs []error) {
		t.Helper()
		require.NoError(t, f.lock(ctx))
		canceledCtx, cancel := context.WithCancel(ctx)
		canceled := make(chan error)
		results := make([]chan error, len(values))
		go func() { canceled <- f.put(canceledCtx, "gone", "1") }()
		for i, value := range values {
			results[i] = make(chan error)
			go func() { results[i] <- f.put(ctx, fmt.Sprint("c", i), value) }()
		}
		require.Until(t, func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.queue) == len(values)+1
		}, func() string { return "all to wait for their turn" })
		cancel()
		assert.Error(t, <-canceled, "another write is in progress")
		f.unlock()
		for _, result := range results {
			errs = append(errs, <-result)
		}
		return errs
	}
	assert.Equal(t, []error{nil, nil, nil}, writeTogether("1", "2", "3"))
	assert.Equal(t, int32(1), ends.Load())
	assert.Equal(t, map[string]string{"c0": "1", "c1": "2", "c2": "3"}, f.values())
	for _, err := range writeTogether("4", strings.Repeat("x", 1_100_000)) {
		failed := (*WriteError)(nil)
		assert.True(t, errors.As(err, &failed), "expected an error that allows a retry, found %v", err)
	}
	assert.Error(t, f.put(ctx, "c0", strings.Repeat("x", 1_100_000)), "expected records that max.message.bytes allows")
	require.NoError(t, f.put(ctx, "c0", "4"))
	assert.Equal(t, map[string]string{"c0": "4", "c1": "2", "c2": "3"}, f.values())
}

// A topic that was deleted and created again stops the log.
func TestLogStopsWhenTopicIsCreatedAgain(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	ctx := kafkatest.Context(t)
	l, err := OpenLog(ctx, logOptionsOf(cluster.ListenAddrs(), slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	defer l.Close()
	produceRecords(t, cluster, "configs", configtopic.CommitRecord("c", 0), configtopic.CommitRecord("d", 0))
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(cluster.ListenAddrs()...)))
	read := make(chan error, 1)
	recreated := make(chan struct{})
	go func() {
		read <- l.Read(ctx, func(configtopic.Record) {}, func() {
			_, err := admin.DeleteTopic(ctx, "configs")
			assert.NoError(t, err)
			policy := "compact"
			_, err = admin.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": &policy}, "configs")
			assert.NoError(t, err)
			close(recreated)
		})
	}()
	<-recreated
	assert.ErrorIs(t, <-read, kafka.ErrTruncated, "an error about lost records")
}

// Failures to read the topic are retried, and logged, also one that is the same as before the last record.
func TestLogReadIsRetried(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	ctx := kafkatest.Context(t)
	f := openFollower(t, cluster.ListenAddrs()...)
	for n := range 2 {
		kafkatest.Reject(cluster, kmsg.Fetch, 1, kerr.TopicAuthorizationFailed)
		value := strconv.Itoa(n)
		produceRecords(t, cluster, "configs", configtopic.ConnectorRecord("c", map[string]string{"x": value}))
		require.NoError(t, f.Await(ctx, int64(n+1)))
		assert.Equal(t, map[string]string{"c": value}, f.values())
		assert.Equal(t, n+1, strings.Count(f.journal.String(), "the config topic cannot be read; retrying"))
	}
}
