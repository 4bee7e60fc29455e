package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/security"
)

// Groups of Culvert's workers have the type of Kafka Connect's, so that tools list them with those, and a protocol of
// their own, so that the coordinator lets nobody join a group of the other kind (INCONSISTENT_GROUP_PROTOCOL).
const (
	connectType     = "connect"
	culvertProtocol = "culvert-1"
)

// IsCulvertGroup tells whether the members of a group are workers of ours.
func IsCulvertGroup(g kafka.Group) bool {
	return g.Type == connectType && g.Protocol == culvertProtocol
}

// JoinedMember is what the leader knows of a member of its generation.
type JoinedMember struct {
	// ID is the coordinator's name of the member.
	ID string
	// Metadata is what the member's [GroupOptions.Metadata] returned.
	Metadata []byte
}

// GroupOptions say which group a worker joins, and what it does there. All callbacks are needed. Metadata, Place and
// Assigned hold up the member, and with it the group's next generation: they return soon. None of the callbacks may
// call [Group.Leave] or [Group.Close]. A panic in one of them but Place ends the process.
type GroupOptions struct {
	// Kafka is how the coordinator is reached: by the worker's properties without a prefix, as in Kafka Connect.
	Kafka kafka.Config
	// Group is group.id. Topic exists, and all members name the same: kgo joins no group without one. It is not read.
	Group, Topic string
	// InstanceID is group.instance.id; "": the member is not static.
	InstanceID string
	// SessionTimeout, Rebalance and Heartbeat are session.timeout.ms, rebalance.timeout.ms and heartbeat.interval.ms.
	// Defaults 10 s, 1 min and 3 s, which are Kafka Connect's.
	SessionTimeout, RebalanceTimeout, HeartbeatInterval time.Duration

	// Metadata is what the leader is to know of this member; it is asked for each join.
	Metadata func() []byte
	// Assign is called on the leader, self, with all members of a new generation, by instance and ID, and returns what
	// each is to get, by ID: nothing, where it leaves one out. Its error ends the leader's membership, see Lost, and it
	// is called again once the leader has joined again: what another member sent should not be one. What the leader
	// gives itself names it: two members that both take themselves for the leader are told apart by that.
	Assign func(self string, members []JoinedMember) (map[string][]byte, error)
	// Assigned is called with each generation that this member is of, once, the first time before [Join] returns. A
	// static member that came back is given what it had, and has the group form a new generation by itself: the leader
	// has not seen its metadata of now, and does not know its ID.
	Assigned func(generation int32, leader bool, assignment []byte)
	// Lost is called, never at the same time as Assigned, when this member may be out of its group: what it was
	// assigned may be another one's. It joins again by itself, and Assigned follows. Errors that pass only when
	// somebody changes something are logged with each further try.
	Lost func(err error)
}

// Group is the membership of one worker in its cluster: the group's coordinator says which workers there are, and takes
// bytes from each to the leader and from the leader to each. It owns the goroutines of its client until Close. Its
// methods may be called from several goroutines.
//
// Invariants: holds is true from Assigned to Lost. It is true only while the coordinator has answered within the
// session, on both clocks. Transitions are begins and drop, under mu.
type Group struct {
	o       GroupOptions
	client  *kgo.Client
	dialer  *security.Dialer
	session *kafka.Session
	// ready is closed when all of this is there. life ends with Close.
	ready chan struct{}
	life  context.Context
	end   context.CancelFunc
	// joined gets nil with the first generation, or why there is none, for Join.
	joined   chan error
	watching sync.WaitGroup
	rejoins  rejoins
	holds    atomic.Bool
	laps     laps

	mu sync.Mutex // held while Assigned and Lost run
	// id and generation are those of the last Assigned.
	id         string
	generation int32
	// round is what was heard since the client began to join.
	round round
}

// rejoins counts the calls of Rejoin.
type rejoins struct {
	count      atomic.Uint32
	generation atomic.Int32 // the generation at the last call
}

// round is one join: whether this member leads, whether Place was called, what it was given. The client's goroutine
// alone touches it.
type round struct {
	leads, placed bool
	// own is what this member, as leader, placed on itself, and assignment what it was given, made for the member of
	// that ID; 0: for none.
	own, assignment []byte
	of              Key
}

// leader tells whether assignments are this member's. kfake, the embedded broker, makes every member a leader where the
// one before has left, and takes the assignments of one of them.
func (r round) leader() bool { return r.leads && (!r.placed || bytes.Equal(r.own, r.assignment)) }

// Join makes this worker a member of its group, and returns when it has its first assignment. The error says what to do
// where the group is one of other programs, or the brokers do not let the user in; a coordinator that is away is waited
// for until the context ends, which the membership outlives.
func Join(ctx context.Context, o GroupOptions) (*Group, error) {
	o.SessionTimeout = cmp.Or(o.SessionTimeout, 10*time.Second)
	o.RebalanceTimeout = cmp.Or(o.RebalanceTimeout, time.Minute)
	o.HeartbeatInterval = cmp.Or(o.HeartbeatInterval, 3*time.Second)
	g := &Group{o: o, session: kafka.NewSession(o.Group, o.InstanceID, o.SessionTimeout, o.RebalanceTimeout),
		ready: make(chan struct{}), joined: make(chan error, 1)}
	g.life, g.end = context.WithCancel(context.WithoutCancel(ctx))
	o.Kafka.Admin = kafka.ClientConfig{}
	opts := o.Kafka.AdminOpts(
		kgo.WithContext(g.life), kgo.ConsumerGroup(o.Group), kgo.GroupProtocol(connectType), kgo.Balancers(balancer{g}),
		kgo.ConsumeTopics(o.Topic), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(o.SessionTimeout), kgo.RebalanceTimeout(o.RebalanceTimeout),
		kgo.HeartbeatInterval(o.HeartbeatInterval),
		kgo.WithHooks(g.session, balancer{g}), kgo.OnPartitionsAssigned(g.begins))
	if o.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(o.InstanceID))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		g.end()
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	g.client, g.dialer = client, security.DialerOf(opts)
	g.dialer.OnDenied(g.answer)
	close(g.ready)
	g.watching.Go(func() {
		defer guard.Vital("the watch over the membership in group " + o.Group)
		g.watch()
	})
	select {
	case err = <-g.joined:
	case <-ctx.Done():
		err = fmt.Errorf("group.id=%s: expected to join the group, found no coordinator that lets this worker, or no "+
			"topic %s: %w", o.Group, o.Topic, context.Cause(ctx))
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// Member is what the coordinator calls this member, and its generation; "" and -1: it has not joined.
func (g *Group) Member() (id string, generation int32) { return g.client.GroupMetadata() }

// Rejoin has the group form a new generation, since this member has news: [GroupOptions.Metadata] of all members and
// [GroupOptions.Assign] are asked after the call. Calls share a generation where they can.
func (g *Group) Rejoin(reason string) {
	if g.o.Kafka.Logger != nil {
		g.o.Kafka.Logger.Debug("the cluster's group is to form a new generation", "group", g.o.Group, "reason", reason)
	}
	_, generation := g.Member()
	g.rejoins.generation.Store(generation)
	g.rejoins.count.Add(1)
	g.client.ForceRebalance()
}

// RejoinNow has this member join the generation that another member has begun in the place of this one, where it has
// not heard of that yet: it would with its next heartbeat. A member that has called Rejoin in that generation joins
// anyway.
func (g *Group) RejoinNow(generation int32) {
	if _, now := g.Member(); now == generation && g.rejoins.generation.Load() != generation &&
		!g.laps.now().InProgress {
		g.Rejoin("another member has news")
	}
}

// OwnsAssignment tells whether this member has its assignment, and nobody else can have it by now, on both clocks.
func (g *Group) OwnsAssignment() bool { return g.holds.Load() && g.session.Lasts() }

// Confirm asks the coordinator whether this member is one in its generation. While the group forms a new one, it is;
// for a moment at its end the answer may be an error all the same, until Assigned or Lost is called.
func (g *Group) Confirm(ctx context.Context) error {
	err := g.session.Confirm(ctx, g.client, 0)
	if err == nil && !g.holds.Load() {
		err = fmt.Errorf("group %s: this worker has no assignment now", g.o.Group)
	}
	return g.explain(err)
}

// Leave says goodbye to the group and closes: the others form a new generation at once. A static member only closes,
// and what it was assigned waits for it for a session, unless it leaves forever. A new generation that is under way is
// waited for, until the context ends.
func (g *Group) Leave(ctx context.Context, forever bool) error {
	defer context.AfterFunc(ctx, g.end)() // the client gives no request up while it connects
	err := g.client.LeaveGroupContext(ctx)
	if err == nil && forever && g.o.InstanceID != "" {
		err = g.leaveForever(ctx)
	}
	g.Close()
	return g.explain(err)
}

// leaveForever says for a static member what the client does not say for one.
func (g *Group) leaveForever(ctx context.Context) error {
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID, _ = g.client.GroupMetadata()
	member.InstanceID = &g.o.InstanceID
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group, request.Members = g.o.Group, append(request.Members, member)
	answer, err := request.RequestWith(ctx, g.client)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(answer.ErrorCode)
	for _, m := range answer.Members {
		err = cmp.Or(err, kerr.ErrorForCode(m.ErrorCode))
	}
	return err
}

// Close ends the client and says nothing to the group, which waits for this member for a session. Neither Assigned nor
// Lost is called from then on.
func (g *Group) Close() {
	g.end()
	g.client.Close()
	g.watching.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds.Store(false)
}

// begins takes a new generation, or the same one once more where the coordinator saw no reason for a new one.
func (g *Group) begins(_ context.Context, client *kgo.Client, _ map[string][]int32) {
	defer guard.Vital("a new generation of group " + g.o.Group)
	<-g.ready
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.life.Err() != nil {
		return
	}
	id, generation := client.GroupMetadata()
	g.session.Joined()
	g.laps.ended()
	if !g.holds.Load() || g.generation != generation {
		g.id, g.generation = id, generation
		g.holds.Store(true)
		g.o.Assigned(generation, g.round.leader(), g.round.assignment)
	}
	g.answer(nil)
	if g.round.leads && !g.round.placed || g.round.of != 0 && g.round.of != KeyOf(id) {
		// KIP-345: the coordinator forms no generation for a static member that came back, whose ID is a new one. The
		// leader has not seen its metadata then, nor, where it is the leader itself (KIP-814), that of the others.
		g.Rejoin("a static member has come back, and was given its assignment of before")
	}
}

// ends takes why the client is no member any more.
func (g *Group) ends(err error) {
	defer guard.Vital("the end of a membership in group " + g.o.Group)
	<-g.ready
	g.mu.Lock()
	defer g.mu.Unlock()
	switch err = g.explain(err); {
	case security.Passes(err) && g.session.Lasts():
		return // nobody can have given this member up: it joins again as the same one
	case !kafka.JoinsAgain(err):
		g.answer(err)
	}
	g.drop(err)
}

// drop ends what this member holds; mu is held.
func (g *Group) drop(why error) {
	if g.life.Err() == nil && g.holds.CompareAndSwap(true, false) {
		g.session.Ended()
		g.o.Lost(why)
	}
}

// answer is for Join, which takes the first.
func (g *Group) answer(err error) {
	select {
	case g.joined <- err:
	default:
	}
}

// watch ends the membership where the coordinator has not answered for a session. The client itself sends no heartbeat
// while it waits for the others to join, for as long as rebalance.timeout.ms: watch does, with or without an
// assignment, since kfake, the embedded broker, gives up members that wait for a session.
func (g *Group) watch() {
	over, end := context.WithCancel(g.life)
	end()
	for wait := g.o.HeartbeatInterval; pause.For(g.life, wait) == nil; {
		g.client.PollFetches(over) // it does not wait: the client keeps each error for who polls, and nothing else
		left := g.session.Left(g.o.SessionTimeout)
		switch holds := g.holds.Load(); {
		case holds && left <= 0:
			g.expire()
			wait = g.o.HeartbeatInterval
		case g.OwnsAssignment() && left > g.o.SessionTimeout/2 && g.session.Stable(g.o.RebalanceTimeout/2):
			wait = left - g.o.SessionTimeout/2
		default:
			if !holds {
				left = g.o.HeartbeatInterval
			}
			id, _ := g.Member()
			ctx, cancel := context.WithTimeout(g.life, left)
			err := g.session.Confirm(ctx, g.client, 0) // what it says counts in the session
			cancel()
			g.forgotten(id, err)
			wait = min(g.o.HeartbeatInterval, left)
		}
	}
}

// expire ends the membership where the session is over still.
func (g *Group) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.holds.Load() || g.session.Left(g.o.SessionTimeout) > 0 {
		return
	}
	g.drop(fmt.Errorf("group.id=%s: expected an answer of the group's coordinator within %v (session.timeout.ms), "+
		"found none", g.o.Group, g.o.SessionTimeout))
	g.Rejoin("the session was over")
}

// forgotten ends the membership where the coordinator does not know the member of an ID any more: while a JoinGroup
// hangs the client does not hear of that.
func (g *Group) forgotten(id string, err error) {
	if !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.FencedInstanceID) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if id == g.id {
		g.drop(g.explain(err))
	}
}

// explain says what to do about an error of the group.
func (g *Group) explain(err error) error {
	switch {
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		return fmt.Errorf("group.id=%s: expected a group of Culvert's workers (type %s, protocol %s), found one of "+
			"other members: workers of Kafka Connect's (Java) or another program use this group.id. Stop them, or "+
			"give this cluster a group.id of its own: %w", g.o.Group, connectType, culvertProtocol, err)
	case errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("group.id=%s: expected to be the only worker with group.instance.id=%s, found another that "+
			"has joined with it: give each worker one of its own: %w", g.o.Group, g.o.InstanceID, err)
	}
	return kafka.Lacking(g.dialer.Explain(err), "READ", "Group "+g.o.Group)
}

// balancer is what the client asks when it joins. It also is its hook.
type balancer struct{ *Group }

// OnGroupManageError implements [kgo.HookGroupManageError].
func (b balancer) OnGroupManageError(err error) { b.ends(err) }

// ProtocolName implements [kgo.GroupBalancer].
func (balancer) ProtocolName() string { return culvertProtocol }

// IsCooperative implements [kgo.GroupBalancer]: what a member runs goes on while the group forms a new generation.
func (balancer) IsCooperative() bool { return true }

// JoinGroupMetadata is this member's metadata and, in four bytes, how often it was to join again: the coordinator forms
// no new generation for a member that joins with the same bytes (KIP-62), unless that leads.
func (b balancer) JoinGroupMetadata([]string, map[string][]int32, int32) []byte {
	defer guard.Vital("the metadata for group " + b.o.Group)
	<-b.ready
	b.mu.Lock()
	b.round = round{}
	if id, _ := b.client.GroupMetadata(); id != b.id { // the client joins without a word as another member
		b.drop(fmt.Errorf("group.id=%s: expected to be the member %s still, found that the coordinator has given it up",
			b.o.Group, b.id))
	}
	b.mu.Unlock()
	b.laps.begins()
	count := b.rejoins.count.Load()
	return binary.BigEndian.AppendUint32(slices.Clip(b.o.Metadata()), count)
}

// ParseSyncAssignment keeps what the leader has for this member: no partitions. Its last eight bytes are the key of the
// member's ID.
func (b balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	if at := len(assignment) - 8; at >= 0 {
		b.round.of, assignment = Key(binary.BigEndian.Uint64(assignment[at:])), assignment[:at]
	}
	b.round.assignment = assignment
	return nil, nil
}

// MemberBalancer implements [kgo.GroupBalancer].
func (b balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{},
	error) {
	return placing{b.Group, members}, nil, nil
}

// placing is the leader's part of a new generation.
type placing struct {
	g       *Group
	members []kmsg.JoinGroupResponseMember
}

// SetBalanceInfo implements [kgo.GroupMemberBalancerInfo]; the client asks the leader alone, and where assignments are
// to stay as they are, nothing more.
func (p placing) SetBalanceInfo(kgo.BalanceInfo) { p.g.round.leads = true }

// BalanceOrError implements [kgo.GroupMemberBalancerOrError].
func (p placing) BalanceOrError(map[string]int32) (kgo.IntoSyncAssignment, error) {
	members, known := make([]JoinedMember, len(p.members)), map[string]bool{}
	for i, m := range p.members {
		metadata := m.ProtocolMetadata[:max(0, len(m.ProtocolMetadata)-4)]
		members[i] = JoinedMember{ID: m.MemberID, Metadata: metadata}
		known[m.MemberID] = true
	}
	var placed map[string][]byte
	self, _ := p.g.client.GroupMetadata()
	err := guard.Do(p.g.o.Kafka.Logger, "placing tasks of group "+p.g.o.Group, func() (err error) {
		placed, err = p.g.o.Assign(self, members)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("group.id=%s: the leader cannot place what the members are to do: %w", p.g.o.Group, err)
	}
	var all assignments
	for _, id := range slices.Sorted(maps.Keys(placed)) {
		if !known[id] {
			return nil, fmt.Errorf("group.id=%s: expected assignments of members alone, found one of %q", p.g.o.Group,
				id)
		}
		one := kmsg.NewSyncGroupRequestGroupAssignment()
		one.MemberID = id
		one.MemberAssignment = binary.BigEndian.AppendUint64(slices.Clip(placed[id]), uint64(KeyOf(id)))
		all = append(all, one)
	}
	p.g.round.placed, p.g.round.own = true, placed[self]
	return all, nil
}

// Balance implements [kgo.GroupMemberBalancer]; BalanceOrError is asked in its place.
func (placing) Balance(map[string]int32) kgo.IntoSyncAssignment { panic("unreachable") }

// assignments implements [kgo.IntoSyncAssignment].
type assignments []kmsg.SyncGroupRequestGroupAssignment

func (a assignments) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return a }
