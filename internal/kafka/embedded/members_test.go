package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// Timeouts of members in tests: the shortest session that the broker accepts, and a sink's default rebalance timeout.
const (
	testSession   = 6 * time.Second
	testRebalance = 5 * time.Minute
)

// member is a member of a group that takes one step at a time, over its own connections.
type member struct {
	client     *kgo.Client
	addr       string
	group      string
	id         string
	instance   *string
	generation int32
}

func newMember(t *testing.T, addr, group string) *member {
	t.Helper()
	m := &member{addr: addr, group: group}
	m.connect(t)
	return m
}

func (m *member) connect(t *testing.T) {
	t.Helper()
	m.client = kafkatest.Client(t, kgo.SeedBrokers(m.addr), kgo.RequestRetries(0))
}

// kill closes the member's connections without leaving the group.
func (m *member) kill() { m.client.Close() }

// join sends a JoinGroup request and waits for the response. A new member receives its ID first.
func (m *member) join(t *testing.T) error {
	t.Helper()
	for {
		request := kmsg.NewPtrJoinGroupRequest()
		request.Group = m.group
		request.MemberID = m.id
		request.InstanceID = m.instance
		request.SessionTimeoutMillis = int32(testSession.Milliseconds())
		request.RebalanceTimeoutMillis = int32(testRebalance.Milliseconds())
		request.ProtocolType = "consumer"
		subscription := kmsg.NewConsumerMemberMetadata()
		subscription.Topics = []string{m.group}
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name = kgo.RangeBalancer().ProtocolName()
		protocol.Metadata = subscription.AppendTo(nil)
		request.Protocols = append(request.Protocols, protocol)
		response, err := request.RequestWith(kafkatest.Context(t), m.client)
		if err != nil {
			return err
		}
		if m.id == "" {
			m.id = response.MemberID
		}
		if err := kerr.ErrorForCode(response.ErrorCode); err != kerr.MemberIDRequired {
			m.generation = response.Generation
			return err
		}
	}
}

// startJoin starts a join and returns when the broker has received it. The channel receives its result.
func (m *member) startJoin(t *testing.T, b *Broker) <-chan error {
	t.Helper()
	membersBefore := len(b.Cluster.GroupInfo(m.group).Members)
	isMember := m.id != ""
	result := make(chan error, 1)
	go func() { result <- m.join(t) }()
	_, err := b.Cluster.WaitGroupInfo(kafkatest.Context(t), m.group, func(g *kfake.GroupInfo) bool {
		return g.State == "PreparingRebalance" && (isMember || len(g.Members) > membersBefore)
	})
	require.NoError(t, err)
	return result
}

func (m *member) sync(t *testing.T) error {
	t.Helper()
	request := kmsg.NewPtrSyncGroupRequest()
	request.Group = m.group
	request.MemberID = m.id
	request.InstanceID = m.instance
	request.Generation = m.generation
	response, err := request.RequestWith(kafkatest.Context(t), m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

func (m *member) heartbeat(t *testing.T) error {
	t.Helper()
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group = m.group
	request.MemberID = m.id
	request.InstanceID = m.instance
	request.Generation = m.generation
	response, err := request.RequestWith(kafkatest.Context(t), m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

// join joins the last member of a group, which completes the joins that wait for it, and expects their success.
func join(t *testing.T, last *member, waiting ...<-chan error) {
	t.Helper()
	require.NoError(t, last.join(t))
	for _, result := range waiting {
		select {
		case err := <-result:
			require.NoError(t, err)
		case <-time.After(testSession):
			t.Fatal("expected the waiting join to end when the last member had joined")
		}
	}
}

// syncAll makes a group stable: its leader distributes the assignment, then the others request it.
func syncAll(t *testing.T, leader *member, others ...*member) {
	t.Helper()
	for _, m := range append([]*member{leader}, others...) {
		require.NoError(t, m.sync(t))
	}
}

// Killed members leave the group within their session timeout, including those that waited in a join. Such a member
// used to block the next one for its rebalance timeout.
func TestKilledMembersLeave(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	const partitions = 16
	tests := map[string]struct {
		joining int // number of members killed one after the other while they wait in a join
		static  bool
	}{
		"one that had joined":    {},
		"one during its join":    {joining: 1},
		"ten during their joins": {joining: 10},
		"ten of fixed instances": {joining: 10, static: true},
	}
	for group, test := range tests {
		require.NoError(t, b.Cluster.CreateTopic(group, partitions, nil))
		first := newMember(t, b.Addr(), group)
		join(t, first)
		syncAll(t, first)
		first.kill()
		for i := range test.joining {
			m := newMember(t, b.Addr(), group)
			instance := fmt.Sprint(i)
			if test.static {
				m.instance = &instance
			}
			m.startJoin(t, b)
			m.kill()
		}
	}

	// It takes two sessions: first that of the joined member, for which the joins wait, then theirs, as with
	// Kafka's own broker. A loaded machine may take longer, and a failure takes testRebalance.
	ctx, cancel := context.WithTimeout(kafkatest.Context(t), testRebalance/3)
	defer cancel()
	start := time.Now()
	for group := range tests {
		kafkatest.Client(t, kgo.WithContext(ctx), kgo.SeedBrokers(b.Addr()), kgo.ConsumerGroup(group),
			kgo.ConsumeTopics(group), kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(testSession),
			kgo.RebalanceTimeout(testRebalance), kgo.HeartbeatInterval(200*time.Millisecond))
	}
	for group := range tests {
		g, err := b.Cluster.WaitGroupInfo(ctx, group, func(g *kfake.GroupInfo) bool {
			return g.State == "Stable" && len(g.Members) == 1 && g.NumAssigned() == partitions
		})
		if err != nil {
			t.Errorf("%s: the next member has %d of %d partitions after %s, the group is %s with %d members", group,
				g.NumAssigned(), partitions, time.Since(start).Round(time.Second), g.State, len(g.Members))
		}
	}
	cancel() // also ends the clients' waits
}

// If the leader of a group is killed before it has distributed an assignment, the members that wait for it receive
// REBALANCE_IN_PROGRESS within its session timeout. kfake alone removes some of them without a response.
func TestLeaderIsKilledBeforeItSyncs(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	leader := newMember(t, b.Addr(), "group")
	join(t, leader)
	syncAll(t, leader)
	var joins, syncs []<-chan error
	var others []*member
	for range 8 {
		m := newMember(t, b.Addr(), "group")
		others = append(others, m)
		joins = append(joins, m.startJoin(t, b))
	}
	join(t, leader, joins...)
	leader.kill()
	for _, m := range others {
		result := make(chan error, 1)
		go func() { result <- m.sync(t) }()
		syncs = append(syncs, result)
	}
	late := time.After(testRebalance / 3)
	for i, result := range syncs {
		select {
		case err := <-result:
			assert.True(t, err == kerr.RebalanceInProgress,
				"member %d: expected %v, found %v", i, kerr.RebalanceInProgress, err)
		case <-late:
			t.Fatalf("expected member %d of %d not to wait for the assignment of the killed leader", i, len(others))
		}
	}
}

// A slow member is alive as long as its connections are: neither a member that heartbeats and joins late is removed,
// nor one that waits for it longer than its session timeout.
func TestSlowMembersStay(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	type pair struct {
		slow       *member
		other      *member
		joinResult <-chan error
	}
	pairs := map[string]*pair{}
	for group, test := range map[string]struct{ rejoins, reconnects bool }{
		"a new member waits":                          {},
		"a member waits that was in the group":        {rejoins: true},
		"a member waits over another connection":      {reconnects: true},
		"a member that was there, another connection": {rejoins: true, reconnects: true},
	} {
		slow := newMember(t, b.Addr(), group)
		other := newMember(t, b.Addr(), group)
		if test.rejoins {
			join(t, other)
			syncAll(t, other)
			join(t, other, slow.startJoin(t, b))
			syncAll(t, other, slow)
		} else {
			join(t, slow)
			syncAll(t, slow)
		}

		joinResult := other.startJoin(t, b)
		if test.reconnects {
			other.kill()
			require.True(t, <-joinResult != nil, "expected no response on a closed connection")
			other.connect(t)
			joinResult = other.startJoin(t, b)
		}
		pairs[group] = &pair{slow: slow, other: other, joinResult: joinResult}
	}

	late := time.After(2 * testSession)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			for group, p := range pairs {
				err := p.slow.heartbeat(t)
				require.True(t, err == kerr.RebalanceInProgress,
					"%s: a heartbeat of the slow member: expected %v, found %v", group, kerr.RebalanceInProgress, err)
			}
		case <-late:
			waiting = false
		}
	}
	for group, p := range pairs {
		if len(p.joinResult) > 0 {
			t.Errorf("%s: expected the join to wait, found %v", group, <-p.joinResult)
			continue
		}
		if n := len(b.Cluster.GroupInfo(group).Members); n != 2 {
			t.Errorf("%s: expected the slow and the waiting member to stay, found %d members", group, n)
			continue
		}
		join(t, p.slow, p.joinResult)
		assert.True(t, p.slow.generation == p.other.generation,
			"%s: expected one generation, found %d and %d", group, p.slow.generation, p.other.generation)
	}
}

// Requests of every version are recognized, in whatever pieces their bytes arrive, until their response is written.
func TestPendingRequestsAreRecognized(t *testing.T) {
	instance := "instance"
	join := kmsg.JoinGroupRequest{Group: "group", MemberID: "id", InstanceID: &instance}
	sync := kmsg.SyncGroupRequest{Group: "group", MemberID: "id", InstanceID: &instance}
	// firstVersion is the first one with the instance ID.
	for request, firstVersion := range map[kmsg.Request]int16{&join: 5, &sync: 3} {
		for version := range request.MaxVersion() + 1 {
			for _, pieceBytes := range []int{1, 3, 5, 1000} {
				request.SetVersion(version)
				other := kmsg.NewPtrMetadataRequest()
				format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("client"))
				first := format.AppendRequest(nil, other, 6)
				stream := append(slices.Clone(first), format.AppendRequest(nil, request, 7)...)
				waiting := &waitingMembers{byConn: map[*memberConn]*waitingMember{}}
				conn := &memberConn{Conn: &pieceConn{unread: stream, pieceBytes: pieceBytes}, waiting: waiting}
				_, err := io.ReadFull(conn, make([]byte, len(first)))
				require.NoError(t, err)
				require.True(t, len(waiting.snapshot()) == 0, "expected no waiting member before its request was read")
				remaining, err := io.ReadAll(conn)
				require.NoError(t, err)
				assert.Equal(t, stream[len(first):], remaining)
				m := waiting.snapshot()[conn]
				hasInstance := m.instance != nil && *m.instance == instance
				wantInstance := version >= firstVersion
				if m.group != "group" || m.id != "id" || m.correlation != 7 || hasInstance != wantInstance {
					t.Errorf("%T of version %d in pieces of %d bytes: expected a waiting member with ID, group, "+
						"correlation 7 and instance %v, found %+v", request, version, pieceBytes, wantInstance, m)
				}
				respond := func(correlation uint32) {
					conn.Write(binary.BigEndian.AppendUint32(make([]byte, 4), correlation))
				}
				for correlation := range uint32(7) {
					respond(correlation)
				}
				assert.Equal(t, 1, len(waiting.snapshot()), "waiting members after the responses to other requests")
				respond(7)
				assert.Equal(t, 0, len(waiting.snapshot()), "waiting members after their response")
			}
		}
	}
}

// pieceConn returns at most pieceBytes per read and discards writes.
type pieceConn struct {
	net.Conn
	unread     []byte
	pieceBytes int
}

func (c *pieceConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.pieceBytes)], c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (*pieceConn) Write(p []byte) (int, error) { return len(p), nil }
