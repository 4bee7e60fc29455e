package cluster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/guard"
)

// balancer passes the leader's assignments through the client, which knows only partitions of topics: its protocol is
// Culvert's, and the partitions are always none.
type balancer struct{ *Group }

// OnGroupManageError implements [kgo.HookGroupManageError].
func (b balancer) OnGroupManageError(err error) { b.onError(err) }

// ProtocolName implements [kgo.GroupBalancer].
func (balancer) ProtocolName() string { return culvertProtocol }

// IsCooperative implements [kgo.GroupBalancer]: members keep running while the group forms a new generation.
func (balancer) IsCooperative() bool { return true }

// JoinGroupMetadata returns the metadata and, in four bytes, the count of rejoins: the coordinator forms no new
// generation for a follower that joins with the same bytes (KIP-62).
func (b balancer) JoinGroupMetadata([]string, map[string][]int32, int32) []byte {
	defer guard.Vital("the metadata for group " + b.options.Group)
	<-b.ready
	b.mu.Lock()
	b.round = joinRound{}
	if id, _ := b.client.GroupMetadata(); id != b.id { // the client has rejoined as another member
		b.revoke(fmt.Errorf("group.id=%s: expected to still be member %s, found that the coordinator has removed it",
			b.options.Group, b.id))
	}
	b.mu.Unlock()
	b.timer.start()
	count := b.rejoins.count.Load()
	return binary.BigEndian.AppendUint32(slices.Clip(b.options.Metadata()), count)
}

// ParseSyncAssignment keeps the leader's assignment, which has no partitions. Its last eight bytes are the key of the
// member ID.
func (b balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	if split := len(assignment) - 8; split >= 0 {
		b.round.memberKey = Key(binary.BigEndian.Uint64(assignment[split:]))
		assignment = assignment[:split]
	}
	b.round.assignment = assignment
	return nil, nil
}

// MemberBalancer implements [kgo.GroupBalancer].
func (b balancer) MemberBalancer(
	members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	return groupAssignor{b.Group, members}, nil, nil
}

// groupAssignor computes the assignments on the leader.
type groupAssignor struct {
	g       *Group
	members []kmsg.JoinGroupResponseMember
}

// SetBalanceInfo implements [kgo.GroupMemberBalancerInfo]. The client calls it on the leader only, and nothing else if
// the assignments must not change.
func (a groupAssignor) SetBalanceInfo(kgo.BalanceInfo) { a.g.round.leads = true }

// BalanceOrError implements [kgo.GroupMemberBalancerOrError]. An error ends the leader's membership.
func (a groupAssignor) BalanceOrError(map[string]int32) (kgo.IntoSyncAssignment, error) {
	members := make([]JoinedMember, len(a.members))
	isMember := map[string]bool{}
	for i, m := range a.members {
		metadata := m.ProtocolMetadata[:max(0, len(m.ProtocolMetadata)-4)] // without the count of rejoins
		members[i] = JoinedMember{ID: m.MemberID, Metadata: metadata}
		isMember[m.MemberID] = true
	}
	var assigned map[string][]byte
	self, _ := a.g.client.GroupMetadata()
	err := guard.Do(a.g.options.Kafka.Logger, "assigning connectors and tasks of group "+a.g.options.Group,
		func() (err error) {
			assigned, err = a.g.options.Assign(self, members)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("group.id=%s: the leader cannot assign connectors and tasks: %w", a.g.options.Group, err)
	}
	var encoded assignments
	for _, id := range slices.Sorted(maps.Keys(assigned)) {
		if !isMember[id] {
			return nil, fmt.Errorf("group.id=%s: expected assignments of members only, found one of %q",
				a.g.options.Group, id)
		}
		assignment := kmsg.NewSyncGroupRequestGroupAssignment()
		assignment.MemberID = id
		assignment.MemberAssignment = binary.BigEndian.AppendUint64(slices.Clip(assigned[id]), uint64(KeyOf(id)))
		encoded = append(encoded, assignment)
	}
	a.g.round.assigned = true
	a.g.round.own = assigned[self]
	return encoded, nil
}

// Balance implements [kgo.GroupMemberBalancer]; the client calls BalanceOrError instead.
func (groupAssignor) Balance(map[string]int32) kgo.IntoSyncAssignment { panic("unreachable") }

type assignments []kmsg.SyncGroupRequestGroupAssignment

// IntoSyncAssignment implements [kgo.IntoSyncAssignment].
func (a assignments) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return a }
