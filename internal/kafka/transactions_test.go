package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// offsetRecords stores offsets as one number in a topic.
type offsetRecords struct {
	mu        sync.Mutex
	committed []int64
}

func (*offsetRecords) Record(o Offset) *kgo.Record {
	return &kgo.Record{Topic: "offsets", Value: fmt.Append(nil, *o.Position[0].Value.Integer), Partition: -1}
}

func (r *offsetRecords) Committed(o Offset, _ *kgo.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.committed = append(r.committed, *o.Position[0].Value.Integer)
}

func offsetAt(n int64) Offset {
	return Offset{Partition: []wit.OffsetEntry{wit.StringEntry("feed", "a")},
		Position: []wit.OffsetEntry{wit.IntegerEntry("at", n)}}
}

// openTestTransactions opens a producer for each ID.
func openTestTransactions(t *testing.T, c Config, ids ...string) *Transactions {
	t.Helper()
	transactions, err := OpenTransactions(t.Context(), c, "test", ids, &offsetRecords{})
	require.NoError(t, err)
	t.Cleanup(transactions.Close)
	return transactions
}

// sendPage begins a page and sends one record with its offset. It returns the result of the record.
func sendPage(t *testing.T, o *TransactionalOutput, value string, n int64) error {
	t.Helper()
	require.NoError(t, o.Begin(t.Context()))
	done := make(chan error, 1)
	produceRow(t, o, "rows", value, offsetAt(n), done)
	return <-done
}

// produceRow sends a batch of one record, whose result it sends to done.
func produceRow(t *testing.T, o *TransactionalOutput, topic, value string, upTo Offset, done chan<- error) {
	t.Helper()
	b := o.NewBatch()
	r := b.Add()
	r.Topic = topic
	r.Value = []byte(value)
	o.Produce(t.Context(), b, upTo, func(_ int, err error) { done <- err })
}

// committedValues returns the values of a topic that a consumer with read_committed sees.
func committedValues(t *testing.T, c Config, topic string) string {
	t.Helper()
	r, err := NewReader(c)
	require.NoError(t, err)
	defer r.Close()
	var values []string
	_, err = r.Read(t.Context(), topic, ReadOptions{}, func(r *kgo.Record) error {
		values = append(values, string(r.Value))
		return nil
	})
	require.NoError(t, err)
	return strings.Join(values, " ")
}

// expectCommitted expects these values of the topics rows and offsets.
func expectCommitted(t *testing.T, c Config, rows, offsets string) {
	t.Helper()
	got := committedValues(t, c, "rows") + "; " + committedValues(t, c, "offsets")
	assert.Equal(t, rows+"; "+offsets, got, rows, offsets)
}

// expectRowsCommitted expects these values of the topic rows.
func expectRowsCommitted(t *testing.T, c Config, want string) {
	t.Helper()
	assert.Equal(t, want, committedValues(t, c, "rows"))
}

// transactionsBroker starts a broker with the topics rows and offsets.
func transactionsBroker(t *testing.T) (Config, *embedded.Broker) {
	t.Helper()
	b := openTestBroker(t, t.TempDir())
	c := testConfig(b.Addr())
	makeTopics(t, b.Addr(), Topic{Name: "rows", Partitions: 1}, Topic{Name: "offsets", Partitions: 1})
	return c, b
}

// A page and its offset become visible together or not at all.
func TestPagesAreCommittedWithTheirOffsets(t *testing.T) {
	c, _ := transactionsBroker(t)
	o := openTestTransactions(t, c, "g-c-0").Output()
	for n, value := range []string{"a", "broken", "b", "left"} {
		require.NoError(t, sendPage(t, o, value, int64(n)))
		end := o.Commit
		switch value {
		case "broken":
			end = o.Abort
		case "left":
			end = o.Close // in the middle of a page
		}
		require.NoError(t, end(t.Context()))
	}
	expectCommitted(t, c, "a b", "0 2")
}

// The ID of each task's first producer is that of Kafka Connect.
func TestTransactionalIDs(t *testing.T) {
	assert.Equal(t, []string{"g-orders-0", "g-orders-0-1", "g-orders-1", "g-orders-1-1"},
		TransactionalIDs("g", "orders", 2, 2))
	assert.Equal(t, []string{"g-orders-0"}, TransactionalIDs("g", "orders", 1, 0))
}

// A producer that was fenced while a page was open commits nothing of it, and its fault names the ID.
func TestFencedProducersCommitNothing(t *testing.T) {
	for _, action := range []string{"fence", "open"} {
		t.Run(action, func(t *testing.T) {
			c, _ := transactionsBroker(t)
			o := openTestTransactions(t, c, "g-c-0").Output()
			require.NoError(t, sendPage(t, o, "zombie", 1))
			if action == "fence" {
				require.NoError(t, Fence(t.Context(), c, []string{"g-c-0", "g-c-1"}))
			} else {
				owner := openTestTransactions(t, c, "g-c-0").Output()
				require.NoError(t, sendPage(t, owner, "owner", 2))
				require.NoError(t, owner.Commit(t.Context()))
			}
			err := o.Commit(t.Context())
			expectFault(t, action, err, wit.ErrorConfig, "g-c-0", "group.id")
			assert.Equal(t, "g-c-0", FencedTransactionalID(err), "the error to contain the transactional ID")
			assert.NotContains(t, committedValues(t, c, "rows"), "zombie", "record of the fenced producer")
		})
	}
}

// However many IDs there are, only one without a response from the coordinator ends the fencing.
func TestFenceManyIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &kfake.VirtualNetwork{}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(network.Listen), kfake.Ports(9092))
		require.NoError(t, err)
		defer cluster.Close()
		cluster.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			cluster.SleepControl(func() { time.Sleep(time.Second) })
			return nil, nil, false
		})
		c := Defaults()
		c.Bootstrap = cluster.ListenAddrs()
		c.Extra = []kgo.Opt{kgo.Dialer(network.DialContext)}
		began := time.Now()
		require.NoError(t, Fence(t.Context(), c, TransactionalIDs("g", "c", 10, 10)))
		assert.AtLeast(t, 100*time.Second, time.Since(began), "a second for each of 100 IDs")
	})
}

// A page that exceeds the transaction timeout is a fault that names the setting.
func TestPageTimeoutNamesSetting(t *testing.T) {
	c, _ := transactionsBroker(t)
	c.Producer.TransactionTimeout = 100 * time.Millisecond
	o := openTestTransactions(t, c, "g-c-0").Output()
	// On a busy machine the record alone may exceed it.
	err := sendPage(t, o, "slow", 1)
	for !o.isOverdue(o.startedAt) {
		<-time.After(time.Millisecond)
	}
	if err == nil {
		err = o.Commit(t.Context())
	}
	assert.Error(t, err, "page.size")
	assert.Error(t, err, "transaction.timeout.ms")
	expectRowsCommitted(t, c, "")
}

var transactionTimeoutCases = []struct {
	name     string
	before   time.Duration // from the start of the transaction to the outage; negative if the outage began first
	outage   time.Duration
	after    time.Duration // from the end of the outage to the error; zero if the outage lasts
	kind     wit.ErrorKind
	want     string
	unwanted string
}{
	{
		name:     "no outage",
		before:   70 * time.Second,
		kind:     wit.ErrorConfig,
		want:     "set a smaller page.size",
		unwanted: "b1",
	}, {
		name:     "long outage",
		before:   time.Second,
		outage:   time.Minute,
		after:    time.Second,
		kind:     wit.ErrorTransient,
		want:     "broker b1:9092 was unreachable for 1m0s of it",
		unwanted: "page.size",
	}, {
		name:     "long outage that lasts",
		before:   time.Second,
		outage:   time.Minute,
		kind:     wit.ErrorTransient,
		want:     "broker b1:9092 was unreachable for 1m0s of it",
		unwanted: "page.size",
	}, {
		name:   "short outage",
		before: 50 * time.Second,
		outage: 5 * time.Second,
		after:  10 * time.Second,
		kind:   wit.ErrorTransient,
		want: "b1:9092 was unreachable for 5s of it; if this happens again without an outage, set a smaller " +
			"page.size",
		unwanted: "?",
	}, {
		name:     "outage before the transaction",
		before:   -time.Hour,
		outage:   50 * time.Minute,
		after:    70 * time.Second,
		kind:     wit.ErrorConfig,
		want:     "set a smaller page.size",
		unwanted: "b1",
	}, {
		name:     "outage that began before the transaction and lasts",
		before:   -time.Hour,
		outage:   time.Hour + 70*time.Second,
		kind:     wit.ErrorTransient,
		want:     "unreachable for 1m10s of it",
		unwanted: "page.size",
	},
}

// A transaction that times out because a broker is unreachable fails with a transient error that names the broker. A
// short outage leaves the page in doubt.
func TestTransactionTimeoutDuringOutage(t *testing.T) {
	broker := kgo.BrokerMetadata{NodeID: 1, Host: "b1", Port: 9092}
	for _, c := range transactionTimeoutCases {
		synctest.Test(t, func(t *testing.T) {
			client := security.NewDialer(nil, nil, nil)
			defer client.OnClientClosed(nil)
			producer := &transactionalProducer{id: "g-c-0", outageSince: client.Outages().Since}
			o := &TransactionalOutput{transactions: &Transactions{config: Defaults()}}
			began := time.Now().Add(max(0, -c.before))
			time.Sleep(max(0, c.before))
			if c.outage > 0 {
				client.OnBrokerConnect(broker, 0, nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
				time.Sleep(c.outage)
				if c.after > 0 {
					client.OnBrokerRead(broker, int16(kmsg.Metadata), 100, 0, 0, nil)
				}
			}
			time.Sleep(time.Until(began.Add(time.Minute)) + c.after) // not before the transaction timeout
			err := o.explain(producer, began, kerr.InvalidProducerEpoch)
			expectFault(t, c.name, err, c.kind, c.want)
			assert.True(t, !strings.Contains(fmt.Sprint(err), c.unwanted),
				"%s: expected an error without %q, found %v", c.name, c.unwanted, err)
		})
	}
}

// Faults name what is missing.
func TestTransactionFaults(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{kerr.TransactionalIDAuthorizationFailed, "DESCRIBE and WRITE on the resource TransactionalId"},
		{kerr.ClusterAuthorizationFailed, "IDEMPOTENT_WRITE"},
		{kerr.InvalidTransactionTimeout, "producer.override.transaction.timeout.ms"},
		{kerr.UnsupportedVersion, "exactly.once.source.support=disabled"},
		{errNoTransactions, "exactly.once.source.support=disabled"},
		{kerr.CoordinatorNotAvailable, "transaction.state.log.replication.factor"},
		{kerr.ProducerFenced, "another producer uses it"},
		{kerr.NotLeaderForPartition, "transactional id g-c-0: NOT_LEADER"},
	} {
		err := transactionError(Defaults(), "g-c-0", c.err)
		assert.True(t, strings.Contains(err.Error(), c.want), "%v: expected %q, found %v", c.err, c.want, err)
	}
}

// A producer whose commit brokers reject for good is not used again, and its feed is not told to start over: the
// transaction is still open, and the next user of the ID aborts it at once.
func TestRejectedCommitEndsProducer(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "rows", "before")
	kafkatest.Put(t, b.Addr(), "offsets", "0")
	c := testConfig(b.Addr())
	o := openTestTransactions(t, c, "g-c-0").Output()
	require.NoError(t, sendPage(t, o, "refused", 1))
	kafkatest.Reject(b.Cluster, kmsg.EndTxn, 1, kerr.InvalidTxnState)
	err := o.Commit(t.Context())
	assert.True(t, errors.Is(err, kerr.InvalidTxnState) && !errors.As(err, new(*TransactionAbortedError)),
		"expected the error of the brokers, found %v", err)
	next := openTestTransactions(t, c, "g-c-0").Output()
	require.NoError(t, errors.Join(sendPage(t, next, "again", 1), next.Commit(t.Context())))
	expectRowsCommitted(t, c, "before again")
}

// holdNewTopics makes a client of c hold the partitions of a topic that is new to it after it has sent the topic's
// first records, until release is called: kgo chooses the partition of a record "last", which no broker receives, in
// between. held is closed when the client has sent the records.
func holdNewTopics(c *Config) (held <-chan struct{}, release func()) {
	reached := make(chan struct{})
	released := make(chan struct{})
	partitionOf := func(r *kgo.Record, _ int) int {
		if string(r.Value) != "last" {
			return 0
		}
		close(reached)
		<-released
		return -1
	}
	partitioner := func(string) func(*kgo.Record, int) int { return partitionOf }
	c.Extra = append(c.Extra, kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(partitioner)))
	return reached, sync.OnceFunc(func() { close(released) })
}

// A transaction does not end before the client knows its partitions. Otherwise the client would abort it and report a
// commit, without a request to older brokers. Aborted records do not appear in the next transaction.
func TestTransactionEndWaitsForPartitions(t *testing.T) {
	for _, brokers := range []struct {
		name     string
		versions *kversion.Versions
	}{
		{"Kafka 4.3", kversion.V4_3_0()},
		{"Kafka 3.9", kversion.V3_9_0()},
	} {
		for name, end := range map[string]func(*TransactionalOutput, context.Context) error{
			"commit": (*TransactionalOutput).Commit,
			"abort":  (*TransactionalOutput).Abort,
		} {
			t.Run(brokers.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				cluster := kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "rows"),
					kfake.MaxVersions(brokers.versions))
				readerConfig := testConfig(strings.Join(cluster.ListenAddrs(), ","))
				c := readerConfig
				held, release := holdNewTopics(&c)
				defer release()
				o := openTestTransactions(t, c, "g-c-0").Output()
				require.NoError(t, o.Begin(t.Context()))
				areBuffered := make(chan struct{}) // both records are in the client before it knows the topic
				cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
					<-areBuffered
					return nil, nil, false
				})
				results := make(chan error, 1)
				produceRow(t, o, "rows", "first", Offset{}, results)
				o.current.Produce(t.Context(), &kgo.Record{Topic: "rows", Value: []byte("last")}, nil)
				close(areBuffered)
				require.NoError(t, <-results)
				<-held
				endResult := make(chan error, 1)
				go func() { endResult <- end(o, kafkatest.Context(t)) }()
				shortCtx, cancel := shortContext(t)
				defer cancel()
				select {
				case err := <-endResult:
					t.Errorf("expected the transaction not to end, found %v", err)
					release()
				case <-shortCtx.Done():
					release()
					require.NoError(t, <-endResult)
				}
				want := "second"
				if name == "commit" {
					expectRowsCommitted(t, readerConfig, "first")
					want = "first second"
				}
				require.NoError(t, o.Begin(t.Context()))
				produceRow(t, o, "rows", "second", Offset{}, results)
				require.NoError(t, errors.Join(<-results, o.Commit(t.Context())))
				expectRowsCommitted(t, readerConfig, want)
			})
		}
	}
}

// A transaction starts again if the client loses a part of it because the producer's epoch changes in the middle.
func TestTransactionRestartsOnNewEpoch(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "rows", "others"))
	c := testConfig(strings.Join(cluster.ListenAddrs(), ","))
	o := openTestTransactions(t, c, "g-c-0").Output()
	transact := func(interrupt func()) error {
		t.Helper()
		require.NoError(t, o.Begin(t.Context()))
		results := make(chan error, 2)
		produceRow(t, o, "others", "a", Offset{}, results)
		require.NoError(t, <-results)
		interrupt()
		produceRow(t, o, "rows", "a", Offset{}, results)
		require.NoError(t, <-results)
		return o.Commit(t.Context())
	}
	require.NoError(t, transact(func() {}))
	err := transact(func() {
		cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
			response := kafkatest.Response(r, kerr.InvalidProducerEpoch).(*kmsg.ProduceResponse)
			response.Topics[0].Partitions[0].LogStartOffset = 1000
			return response, nil, true
		})
	})
	assert.Error(t, err, "expected all records of the transaction by producer")
	assert.True(t, errors.As(err, new(*TransactionAbortedError)), "expected the feed to start over, found %v", err)
	require.NoError(t, transact(func() {}))
	assert.Equal(t, "a a; a a", committedValues(t, c, "rows")+"; "+committedValues(t, c, "others"))
}

// Brokers without transactions are a fault that names the setting.
func TestBrokersWithoutTransactions(t *testing.T) {
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	kafkatest.Reject(cluster, kmsg.InitProducerID, kafkatest.Unlimited, kerr.UnsupportedVersion)
	c := testConfig(strings.Join(cluster.ListenAddrs(), ","))
	_, err := OpenTransactions(t.Context(), c, "test", []string{"g-c-0"}, &offsetRecords{})
	expectFault(t, "open", err, wit.ErrorConfig, "exactly.once.source.support=disabled")
	err = Fence(t.Context(), c, []string{"g-c-0"})
	expectFault(t, "fence", err, wit.ErrorConfig, "exactly.once.source.support=disabled")
}
