package cluster

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Groups of Culvert's workers have the type of Kafka Connect's, so that tools list both. Their protocol differs, so
// that the coordinator rejects members of the other kind (INCONSISTENT_GROUP_PROTOCOL).
const (
	connectType     = "connect"
	culvertProtocol = "culvert-1"
)

// IsCulvertGroup reports whether the members of a group are workers of Culvert.
func IsCulvertGroup(g kafka.Group) bool {
	return g.Type == connectType && g.Protocol == culvertProtocol
}

// JoinedMember is a member as the leader sees it when a generation forms.
type JoinedMember struct {
	ID       string
	Metadata []byte // what the member's [GroupOptions.Metadata] returned
}

// GroupOptions configure a [Group]. All callbacks are required. Metadata, Assign and Assigned delay the next
// generation, so they must return soon. None may call [Group.Leave] or [Group.Close]. A panic outside Assign ends the
// process.
type GroupOptions struct {
	Kafka             kafka.Config
	Group             string        // group.id
	Topic             string        // an existing topic, which is not read: kgo joins no group without one
	InstanceID        string        // group.instance.id. Empty means a dynamic member.
	SessionTimeout    time.Duration // zero means 10 seconds
	RebalanceTimeout  time.Duration // zero means a minute
	HeartbeatInterval time.Duration // zero means 3 seconds

	Metadata func() []byte // Metadata returns what the leader must know of this member, for each join
	// Assign is called on the leader, self, and returns the assignments by member ID. Its error ends the leader's
	// membership, so bad metadata of another member should not be one. The leader's own assignment must name it: that
	// is how a member that wrongly believes to lead is detected.
	Assign func(self string, members []JoinedMember) (map[string][]byte, error)
	// Assigned is called once for each generation, the first time before [Join] returns. A static member that returns
	// gets its old assignment, and a new generation follows, because the leader knows neither its metadata nor its ID.
	Assigned func(generation int32, leader bool, assignment []byte)
	// Lost is called, never concurrently with Assigned, when another member may own the assignment. The member rejoins
	// by itself.
	Lost func(err error)
}

// Group is the membership of one worker in its cluster. It owns the goroutines of its client until Close. Methods may
// be called concurrently.
//
// Invariants: ownsAssignment is true from Assigned to Lost, and only while the coordinator has answered within the
// session, on both clocks. Only onGeneration and revoke change it, under mu.
type Group struct {
	options        GroupOptions
	client         *kgo.Client
	dialer         *security.Dialer
	session        *kafka.Session
	ready          chan struct{}   // closed when all fields are set
	ctx            context.Context // ends with Close
	cancel         context.CancelFunc
	joinResult     chan error
	watcher        sync.WaitGroup
	rejoins        rejoins
	ownsAssignment atomic.Bool
	timer          rebalanceTimer

	mu         sync.Mutex // held while Assigned and Lost run
	id         string     // the member ID at the last call of Assigned
	generation int32      // the generation at the last call of Assigned
	round      joinRound  // the join in progress
}

// rejoins counts the calls of [Group.Rejoin].
type rejoins struct {
	count      atomic.Uint32
	generation atomic.Int32 // the generation at the last call
}

// joinRound is what this member has sent and received while a generation forms.
type joinRound struct {
	leads      bool   // the coordinator has made this member the leader
	assigned   bool   // this member has assigned as the leader
	own        []byte // what it has assigned to itself
	assignment []byte // what it has received
	memberKey  Key    // of the member ID for which assignment was made; 0 means unknown
}

// isLeader is false for a member that leads by mistake: kfake, the embedded broker, makes every member a leader when
// the previous one has left.
func (r joinRound) isLeader() bool {
	return r.leads && (!r.assigned || bytes.Equal(r.own, r.assignment))
}

// Join joins the group and returns with the first assignment. It fails if the group is another program's or access is
// denied. It waits for an unavailable coordinator until the context ends; the membership outlives the context.
func Join(ctx context.Context, options GroupOptions) (*Group, error) {
	options.SessionTimeout = cmp.Or(options.SessionTimeout, 10*time.Second)
	options.RebalanceTimeout = cmp.Or(options.RebalanceTimeout, time.Minute)
	options.HeartbeatInterval = cmp.Or(options.HeartbeatInterval, 3*time.Second)
	g := &Group{options: options, session: kafka.NewSession(options.Group, options.InstanceID, options.SessionTimeout,
		options.RebalanceTimeout),
		ready: make(chan struct{}), joinResult: make(chan error, 1)}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	options.Kafka.Admin = kafka.ClientConfig{} // the worker's own settings count, not those with admin.
	opts := options.Kafka.AdminOpts(
		kgo.WithContext(g.ctx), kgo.ConsumerGroup(options.Group), kgo.GroupProtocol(connectType),
		kgo.Balancers(balancer{g}),
		kgo.ConsumeTopics(options.Topic), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(options.SessionTimeout), kgo.RebalanceTimeout(options.RebalanceTimeout),
		kgo.HeartbeatInterval(options.HeartbeatInterval),
		kgo.WithHooks(g.session, balancer{g}), kgo.OnPartitionsAssigned(g.onGeneration))
	if options.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(options.InstanceID))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		g.cancel()
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	g.dialer = security.DialerOf(opts)
	g.client = client
	g.dialer.OnDenied(g.reportJoin)
	close(g.ready)
	g.watcher.Go(func() {
		defer guard.Vital("the watch over the membership in group " + options.Group)
		g.watch()
	})
	select {
	case err = <-g.joinResult:
	case <-ctx.Done():
		err = fmt.Errorf("group.id=%s: expected to join the group, found no coordinator that accepts this worker, "+
			"or no topic %s: %w", options.Group, options.Topic, context.Cause(ctx))
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// Member returns the member ID and the generation, or "" and -1 before the member has joined.
func (g *Group) Member() (id string, generation int32) { return g.client.GroupMetadata() }

// Rejoin makes the group form a new generation. Calls share a generation if they can.
func (g *Group) Rejoin(reason string) {
	if g.options.Kafka.Logger != nil {
		g.options.Kafka.Logger.Debug("rejoining the cluster's group", "group", g.options.Group, "reason", reason)
	}
	_, generation := g.Member()
	g.rejoins.generation.Store(generation)
	g.rejoins.count.Add(1)
	g.client.ForceRebalance()
}

// RejoinNow joins the generation that another member has started after this one, without waiting for a heartbeat.
func (g *Group) RejoinNow(generation int32) {
	if _, current := g.Member(); current == generation && g.rejoins.generation.Load() != generation &&
		!g.timer.snapshot().InProgress {
		g.Rejoin("another member has started a new generation")
	}
}

// OwnsAssignment reports whether this member has an assignment, and no other member can have it.
func (g *Group) OwnsAssignment() bool { return g.ownsAssignment.Load() && g.session.IsValid() }

// Confirm asks the coordinator whether this member belongs to its generation. It may fail at the end of a rebalance.
func (g *Group) Confirm(ctx context.Context) error {
	err := g.session.Confirm(ctx, g.client, 0) // 0: no earlier response counts
	if err == nil && !g.ownsAssignment.Load() {
		err = fmt.Errorf("group %s: this worker has no assignment now", g.options.Group)
	}
	return g.explain(err)
}

// Leave leaves the group and closes; the other members form a new generation at once. A static member only closes,
// unless it leaves forever. Leave waits for a rebalance in progress until the context ends.
func (g *Group) Leave(ctx context.Context, forever bool) error {
	defer context.AfterFunc(ctx, g.cancel)() // a connecting client does not end its request
	err := g.client.LeaveGroupContext(ctx)
	if err == nil && forever && g.options.InstanceID != "" {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID, _ = g.client.GroupMetadata()
		member.InstanceID = &g.options.InstanceID
		request := kmsg.NewPtrLeaveGroupRequest()
		request.Group = g.options.Group
		request.Members = append(request.Members, member)
		var response *kmsg.LeaveGroupResponse
		if response, err = request.RequestWith(ctx, g.client); err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
			for _, m := range response.Members {
				err = cmp.Or(err, kerr.ErrorForCode(m.ErrorCode))
			}
		}
	}
	g.Close()
	return g.explain(err)
}

// Close ends the client without leaving the group, which waits for the member for a session. No callback follows.
func (g *Group) Close() {
	g.cancel()
	g.client.Close()
	g.watcher.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ownsAssignment.Store(false)
}

// onGeneration is called by the client when this member has received its assignment in a generation.
func (g *Group) onGeneration(_ context.Context, client *kgo.Client, _ map[string][]int32) {
	defer guard.Vital("a new generation of group " + g.options.Group)
	<-g.ready
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return
	}
	id, generation := client.GroupMetadata()
	g.session.Joined()
	g.timer.stop()
	if !g.ownsAssignment.Load() || g.generation != generation {
		g.id = id
		g.generation = generation
		g.ownsAssignment.Store(true)
		g.options.Assigned(generation, g.round.isLeader(), g.round.assignment)
	}
	g.reportJoin(nil)
	if (g.round.leads && !g.round.assigned) || (g.round.memberKey != 0 && g.round.memberKey != KeyOf(id)) {
		// A static member has returned under a new ID, and no new generation was formed (KIP-345). The leader has not
		// seen its metadata; a static leader has not seen those of the others (KIP-814).
		g.Rejoin("a static member has returned with its previous assignment")
	}
}

// onError is called by the client when it has lost the membership.
func (g *Group) onError(err error) {
	defer guard.Vital("the end of a membership in group " + g.options.Group)
	<-g.ready
	g.mu.Lock()
	defer g.mu.Unlock()
	switch err = g.explain(err); {
	case security.IsTransient(err) && g.session.IsValid():
		return // the coordinator still knows this member, which rejoins as the same one
	case !kafka.IsRejoinable(err):
		g.reportJoin(err)
	}
	g.revoke(err)
}

// revoke calls Lost with the cause if this member has an assignment. The caller holds mu.
func (g *Group) revoke(cause error) {
	if g.ctx.Err() == nil && g.ownsAssignment.CompareAndSwap(true, false) {
		g.session.Ended()
		g.options.Lost(cause)
	}
}

func (g *Group) reportJoin(err error) {
	select {
	case g.joinResult <- err:
	default:
	}
}

// watch ends the membership if the coordinator has not answered for a session. It also sends heartbeats during a
// rebalance, when the client sends none for up to rebalance.timeout.ms and kfake, the embedded broker, drops members.
func (g *Group) watch() {
	canceledCtx, cancel := context.WithCancel(g.ctx)
	cancel()
	for wait := g.options.HeartbeatInterval; pause.For(g.ctx, wait) == nil; {
		g.client.PollFetches(canceledCtx) // without waiting: this only removes errors that the client keeps for polls
		remaining := g.session.Remaining(g.options.SessionTimeout)
		switch hasAssignment := g.ownsAssignment.Load(); {
		case hasAssignment && remaining <= 0:
			g.expire()
			wait = g.options.HeartbeatInterval
		case g.OwnsAssignment() && remaining > g.options.SessionTimeout/2 &&
			g.session.IsStable(g.options.RebalanceTimeout/2): // the client's heartbeats are enough
			wait = remaining - g.options.SessionTimeout/2
		default:
			if !hasAssignment {
				remaining = g.options.HeartbeatInterval
			}
			id, _ := g.Member()
			ctx, cancel := context.WithTimeout(g.ctx, remaining)
			err := g.session.Confirm(ctx, g.client, 0) // the response extends the session
			cancel()
			if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.FencedInstanceID) {
				// The client does not notice while a JoinGroup hangs.
				g.mu.Lock()
				if id == g.id {
					g.revoke(g.explain(err))
				}
				g.mu.Unlock()
			}
			wait = min(g.options.HeartbeatInterval, remaining)
		}
	}
}

func (g *Group) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ownsAssignment.Load() || g.session.Remaining(g.options.SessionTimeout) > 0 {
		return
	}
	g.revoke(fmt.Errorf("group.id=%s: expected an answer of the group's coordinator within %v (session.timeout.ms), "+
		"found none", g.options.Group, g.options.SessionTimeout))
	g.Rejoin("the session has expired")
}

func (g *Group) explain(err error) error {
	switch {
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		return fmt.Errorf("group.id=%s: expected a group of Culvert's workers (type %s, protocol %s), found one of "+
			"other members: workers of Kafka Connect's (Java) or another program use this group.id. Stop them, or "+
			"give this cluster its own group.id: %w", g.options.Group, connectType, culvertProtocol, err)
	case errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("group.id=%s: expected to be the only worker with group.instance.id=%s, found another one "+
			"that has joined with it: give each worker its own: %w", g.options.Group, g.options.InstanceID, err)
	}
	return kafka.WithMissingRight(g.dialer.Explain(err), "READ", "Group "+g.options.Group)
}
