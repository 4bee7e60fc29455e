package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

func openTestConsumer(t *testing.T, addr string, o ConsumerOptions) *Consumer {
	t.Helper()
	config := testConfig(addr)
	config.Consumer.HeartbeatInterval = 100 * time.Millisecond
	return openConsumer(t, config, o)
}

// pollValues polls until n records have arrived and marks them as settled.
func pollValues(t *testing.T, s *Consumer, n int, settled Offsets) []string {
	t.Helper()
	ctx := kafkatest.Context(t)
	var got []string
	for len(got) < n {
		records, err := s.Poll(ctx)
		require.NoError(t, err, "after", got)
		for _, r := range records {
			got = append(got, string(r.Value))
			mark(settled, r)
		}
	}
	slices.Sort(got)
	return got
}

// expectValues polls for records with these values, in any order.
func expectValues(t *testing.T, s *Consumer, settled Offsets, want ...string) {
	t.Helper()
	slices.Sort(want)
	got := pollValues(t, s, len(want), settled)
	require.True(t, len(want) != 0 && slices.Equal(got, want), "expected %q, found %q", want, got)
}

func TestConsumerResumesAtCommittedOffset(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3")
	o := ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}}

	s := openTestConsumer(t, b.Addr(), o)
	settled := Offsets{}
	expectValues(t, s, settled, "1", "2", "3")
	if !s.membership.owns("orders", 0) || s.membership.owns("orders", 1) || s.membership.owns("other", 0) {
		t.Errorf("expected to own partition 0 of orders only, found %v", ownedPartitions(s, "orders"))
	}
	settled["orders"][0] = kgo.EpochOffset{Epoch: -1, Offset: 2}
	require.NoError(t, s.Commit(kafkatest.Context(t), settled))
	s.Close()

	a := openTestAdmin(t, b.Addr())
	committed, err := a.Committed(kafkatest.Context(t), "connect-test")
	diff := cmp.Diff(map[string]Positions{"orders": {0: 2}}, committed)
	assert.True(t, diff == "" && err == nil, "committed: %v (-want +got):\n%s", err, diff)
	s = openTestConsumer(t, b.Addr(), o)
	expectValues(t, s, settled, "3")
	// A partition of another member is skipped without an error.
	assert.NoError(t, s.Commit(kafkatest.Context(t), Offsets{"other": {0: {Epoch: -1, Offset: 5}}}))
}

func TestConsumerRegexMatchesWholeNames(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders-1", "yes")
	kafkatest.Put(t, b.Addr(), "old-orders-1", "no")
	kafkatest.Put(t, b.Addr(), "orders-1x", "no")
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "g", Regex: `orders-\d|orders-two`})
	expectValues(t, s, Offsets{}, "yes")
	kafkatest.Put(t, b.Addr(), "orders-two", "yes, too")
	s.client.ForceMetadataRefresh()
	expectValues(t, s, Offsets{}, "yes, too")
	for _, o := range []ConsumerOptions{
		{Group: "g"},
		{Group: "g", Topics: []string{"a"}, Regex: "a"},
		{Group: "g", Regex: "("},
	} {
		if s, err := NewConsumer(testConfig(b.Addr()), o); err == nil {
			s.Close()
			t.Errorf("%+v: expected an error", o)
		}
	}
}

// Expressions that Go does not support, or interprets differently, are Java's, such as a lookahead and a possessive
// quantifier.
func TestConsumerRegexIsJava(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders-b", "yes")
	kafkatest.Put(t, b.Addr(), "orders-c", "no")
	kafkatest.Put(t, b.Addr(), "orders-old", "no")
	config := testConfig(b.Addr())
	config.Consumer.MetadataMaxAge = 100 * time.Millisecond
	s := openConsumer(t, config, ConsumerOptions{Group: "g", Regex: `orders-(?!old|c)[a-z]++`})
	expectValues(t, s, Offsets{}, "yes")
	kafkatest.Put(t, b.Addr(), "orders-later", "yes, too")
	expectValues(t, s, Offsets{}, "yes, too")
	for regex, isGoCompatible := range map[string]bool{
		`a.*|b\d`:    true,
		`[a-z]+`:     true,
		`x(y|z)?`:    true,
		`[a-z&&[b]]`: false,
		`(?i)a`:      false,
		`a{,3}`:      false,
		`a++`:        false,
		`[[a]]`:      false,
	} {
		assert.Equal(t, isGoCompatible, (ConsumerOptions{Regex: regex}).isGoCompatible(), regex)
	}
}

// When a second member joins, the first commits what it has settled of the revoked partitions, and the second starts
// exactly after that.
func TestConsumerCommitsRevokedPartitions(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	ctx := kafkatest.Context(t)
	makeTopics(t, b.Addr(), Topic{Name: "wide", Partitions: 4})
	client := kafkatest.Client(t, testConfig(b.Addr()).ProducerOpts()...)
	for i := range 40 {
		r := &kgo.Record{Topic: "wide", Partition: int32(i % 4), Value: fmt.Appendf(nil, "%02d", i)}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
	}

	var mu sync.Mutex
	settled := Offsets{}
	revoked := make(chan map[string][]int32, 1)
	o := ConsumerOptions{Group: "g", Topics: []string{"wide"}}
	o.Revoked = func(_ context.Context, partitions map[string][]int32) Offsets {
		mu.Lock()
		defer mu.Unlock()
		revoked <- partitions
		firstHalf := Offsets{"wide": {}} // 5 of 10 records
		for _, p := range partitions["wide"] {
			firstHalf["wide"][p] = kgo.EpochOffset{Epoch: -1, Offset: settled["wide"][p].Offset - 5}
		}
		return firstHalf
	}
	first := openTestConsumer(t, b.Addr(), o)
	mu.Lock()
	pollValues(t, first, 40, settled)
	mu.Unlock()

	o.Revoked = nil
	second := openTestConsumer(t, b.Addr(), o)
	go func() { // the first one keeps polling, as a sink does
		for ctx.Err() == nil {
			if _, err := first.Poll(ctx); err != nil {
				return
			}
		}
	}()
	got := pollValues(t, second, 10, Offsets{})
	moved := <-revoked
	require.True(t, len(moved["wide"]) == 2, "expected 2 of 4 partitions to be revoked, found %v", moved)
	var want []string
	for i := 20; i < 40; i++ {
		if slices.Contains(moved["wide"], int32(i%4)) {
			want = append(want, fmt.Sprintf("%02d", i))
		}
	}
	assert.Equal(t, want, got, "the second member")
	for _, p := range moved["wide"] {
		if first.membership.owns("wide", p) || !second.membership.owns("wide", p) {
			t.Errorf("partition %d: expected the second member to own it, found first %v, second %v", p,
				first.membership.owns("wide", p), second.membership.owns("wide", p))
		}
	}
}

// The client joins its group while the consumer is being created. Its callbacks wait until the consumer exists.
func TestAssignmentDuringConsumerCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := kgo.NewClient()
		require.NoError(t, err)
		s := &Consumer{config: testConfig("127.0.0.1:1"), options: ConsumerOptions{Group: "g"},
			memory: &fetchMemory{expansion: 1}, ready: make(chan struct{})}
		go s.onAssigned(t.Context(), client, map[string][]int32{"orders": {0}})
		synctest.Wait()
		assert.True(t, !s.membership.owns("orders", 0), "expected no assignment before the consumer exists")
		close(s.ready)
		synctest.Wait()
		if !s.membership.owns("orders", 0) {
			t.Errorf("expected the partition, found %v", ownedPartitions(s, "orders"))
		}
		client.Close()
	})
}

// A regex match that does not end fails Poll: the topic is neither read nor ignored.
func TestEndlessRegexFailsPoll(t *testing.T) {
	const regex = "(a|aa)+b" // tries every way to divide the letters before it fails
	p, err := pattern.Compile(regex)
	require.NoError(t, err)
	name := strings.Repeat("a", 60)
	s := &Consumer{options: ConsumerOptions{Regex: regex}}
	matched := map[string]bool{}
	metadata := &kmsg.MetadataResponse{Topics: []kmsg.MetadataResponseTopic{{Topic: &name}}}
	err = s.addMatching(p.WithTimeout(time.Millisecond), matched, metadata)
	assert.True(t, err != nil && strings.Contains(err.Error(), `against the topic "`+name+`" timed out`) &&
		len(matched) == 0, "expected an error that names the topic, found %v, %v", err, matched)
}

// After a restart a broker does not know its former members. The member joins again, as Kafka's own consumer does.
func TestUnknownMemberRejoins(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress,
		kerr.CoordinatorNotAvailable} {
		t.Run(code.Message, func(t *testing.T) {
			b := openTestBroker(t, t.TempDir())
			kafkatest.Put(t, b.Addr(), "orders", "one")
			requests := kafkatest.Reject(b.Cluster, kmsg.SyncGroup, 2, code)
			s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-orders", Topics: []string{"orders"}})
			pollValues(t, s, 1, Offsets{})
			assert.AtLeast(t, 3, requests.Load(), "SyncGroup to be rejected twice: requests")
		})
	}
}

// A member that the group removes while it joins again loses its partitions: a commit that waited for the join does not
// overwrite the offset of another member, and the consumer continues from that offset.
func TestMemberRemovedWhileItJoins(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: 1})
	kafkatest.Put(t, b.Addr(), "orders", "0", "1", "2", "3", "4")
	var calls []string // callbacks, in order
	committed := make(chan int64, 2)
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-orders", Topics: []string{"orders"},
		Rebalances: Rebalances{
			Assigned:  func(p map[string][]int32) { calls = append(calls, fmt.Sprint("assigned ", p)) },
			Lost:      func(p map[string][]int32) { calls = append(calls, fmt.Sprint("lost ", p)) },
			Committed: func(_ string, _ int32, next int64, _ CommitMetadata) { committed <- next }}})
	settled := Offsets{}
	pollValues(t, s, 5, settled)
	<-committed
	setAt(settled, "orders", 0, kgo.EpochOffset{Epoch: -1, Offset: 1})
	require.NoError(t, s.Commit(kafkatest.Context(t), settled))

	// A rejected heartbeat makes it join again. During the join the group removes it, and another member commits.
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
	admin := kadm.NewClient(client)
	joining := make(chan struct{})
	memberRemoved := make(chan struct{})
	isFirstJoin := true
	b.Cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		if isFirstJoin {
			isFirstJoin = false
			close(joining)
			b.Cluster.SleepControl(func() { <-memberRemoved })
		}
		return nil, nil, false
	})
	kafkatest.Reject(b.Cluster, kmsg.Heartbeat, 1, kerr.RebalanceInProgress)
	<-joining
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = "connect-orders"
	leave.Members = []kmsg.LeaveGroupRequestMember{kmsg.NewLeaveGroupRequestMember()}
	leave.Members[0].MemberID, _ = s.client.GroupMetadata()
	_, err := leave.RequestWith(kafkatest.Context(t), client)
	require.NoError(t, err)
	otherCommit := kadm.Offsets{}
	otherCommit.AddOffset("orders", 0, 4, -1)
	require.NoError(t, admin.CommitAllOffsets(kafkatest.Context(t), "connect-orders", otherCommit))
	ctx := &watchedContext{Context: kafkatest.Context(t), waitBegan: make(chan struct{})}
	commitResult := make(chan error)
	go func() { commitResult <- s.Commit(ctx, settled) }()
	<-ctx.waitBegan
	close(memberRemoved)

	<-commitResult // may be an error or not
	stored, err := admin.FetchOffsets(kafkatest.Context(t), "connect-orders")
	require.NoError(t, err)
	offset, _ := stored.Lookup("orders", 0)
	require.True(t, offset.At == 4, "expected the other member's offset 4 to stay, found %d", offset.At)
	expectValues(t, s, settled, "4")
	assert.Equal(t, 4, <-committed, "to continue after the other member's offset")
	partitions := "map[orders:[0]]"
	assert.Equal(t, []string{"assigned " + partitions, "lost " + partitions, "assigned " + partitions}, calls)
}

// A member whose group changes from a cooperative protocol to an eager one loses its partitions: it would keep them
// while it joins, and others would be assigned them before it could commit.
func TestGroupBecomesEager(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: 2})
	config := testConfig(b.Addr())
	config.Consumer.HeartbeatInterval = 100 * time.Millisecond
	config.Consumer.Assignors = []string{"cooperative-sticky", "range"}
	calls := make(chan string, 9)
	rebalances := Rebalances{
		Assigned: func(p map[string][]int32) { calls <- fmt.Sprint("assigned ", len(p["orders"])) },
		Lost:     func(p map[string][]int32) { calls <- fmt.Sprint("lost ", len(p["orders"])) },
		Revoked: func(_ context.Context, p map[string][]int32) Offsets {
			calls <- fmt.Sprint("revoked ", len(p["orders"]))
			return nil
		},
	}
	first := openConsumer(t, config, ConsumerOptions{Group: "connect-orders", Topics: []string{"orders"},
		Rebalances: rebalances})
	assert.Equal(t, "assigned 2", <-calls)
	config.Consumer.Assignors = []string{"range"}
	openConsumer(t, config, ConsumerOptions{Group: "connect-orders", Topics: []string{"orders"}})
	assert.Equal(t, "lost 2", <-calls)
	assert.Equal(t, "assigned 1", <-calls)
	assert.Equal(t, 1, len(ownedPartitions(first, "orders")))
}

// watchedContext is a context that reports when a caller starts to wait for its end.
type watchedContext struct {
	context.Context
	closing   sync.Once
	waitBegan chan struct{} // closed by the first call of Done
}

func (w *watchedContext) Done() <-chan struct{} {
	w.closing.Do(func() { close(w.waitBegan) })
	return w.Context.Done()
}
