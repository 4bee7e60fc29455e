package kafka

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// membership holds the partitions of a consumer. It is safe for concurrent use.
//
// Invariants: all owned partitions were assigned to the ID in member. When the client joins with another ID, or keeps
// partitions while the group becomes eager, nothing is owned until the client has dropped its assignment.
type membership struct {
	mu     sync.Mutex
	owned  map[string]map[int32]bool
	member string // the ID of the member that was assigned the partitions
	stale  bool   // the client still has an assignment that it must drop, see the invariants
}

func (m *membership) assign(member string, partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owned == nil {
		m.owned = map[string]map[int32]bool{}
	}
	m.member = member
	for topic, list := range partitions {
		for _, p := range list {
			setAt(m.owned, topic, p, true)
		}
	}
}

func (m *membership) drop(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, list := range partitions {
		for _, p := range list {
			delete(m.owned[topic], p)
		}
	}
}

func (m *membership) owns(topic string, partition int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned[topic][partition]
}

func (m *membership) list() map[string][]int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ownedLists()
}

func (m *membership) count() (partitions int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, byPartition := range m.owned {
		partitions += len(byPartition)
	}
	return partitions
}

// join is called with the member's ID before each join. If the ID has changed since assign, it marks the owned
// partitions as stale and returns them; the caller must drop them.
func (m *membership) join(member string) (lost map[string][]int32, stale bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if member != m.member {
		lost = m.expire()
	}
	return lost, m.stale
}

// downgrade is called for an eager protocol. It marks the owned partitions as stale, for the caller to drop.
func (m *membership) downgrade() (lost map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.expire()
}

// expire marks a nonempty assignment as stale and returns it. The caller holds mu.
func (m *membership) expire() map[string][]int32 {
	owned := m.ownedLists()
	m.stale = m.stale || len(owned) > 0
	return owned
}

// ownedLists returns the owned partitions by topic. The caller holds mu.
func (m *membership) ownedLists() map[string][]int32 {
	owned := map[string][]int32{}
	for topic, partitions := range m.owned {
		if len(partitions) > 0 {
			owned[topic] = slices.Collect(maps.Keys(partitions))
		}
	}
	return owned
}

// clearStale reports whether the client has a stale assignment, and forgets that: the client drops the assignment.
func (m *membership) clearStale() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	stale := m.stale
	m.stale = false
	return stale
}

// memberBalancer makes the client drop its assignment if the group removed the rejoining member, or became eager. kgo
// 1.22 keeps it until it has joined: a commit that waited for the join would reset offsets of other members.
type memberBalancer struct {
	kgo.GroupBalancer
	consumer *Consumer
}

// JoinGroupMetadata is called by the client only, before each JoinGroup and without a lock of the consumer.
//
// It blocks until NewConsumer has set all fields. If the coordinator has given the client another member ID, it hands
// the owned partitions over to the group first: it calls Rebalances.Lost, which may block, and drops the partitions and
// their records. It does not commit. It returns the metadata of a member that owns nothing and has no generation, until
// onLost or ParseSyncAssignment resets the stale assignment.
func (b memberBalancer) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	c := b.consumer
	<-c.ready
	member, _ := c.client.GroupMetadata()
	lost, stale := c.membership.join(member)
	c.loseOwned(c.client, lost)
	if stale {
		owned = nil
		generation = -1
	}
	return b.GroupBalancer.JoinGroupMetadata(topics, owned, generation)
}

// ParseSyncAssignment is called by the client only, with the response to SyncGroup. If the group has become eager, it
// first calls Rebalances.Lost, which may block, and drops all partitions. If the client has a stale assignment, it
// resets that mark and returns an error, so that the client drops the assignment, rejoins, and reads offsets again.
func (b memberBalancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	c := b.consumer
	if !b.IsCooperative() {
		c.loseOwned(c.client, c.membership.downgrade())
	}
	if c.membership.clearStale() {
		return nil, fmt.Errorf("other members may have owned the partitions while this one rejoined: %w",
			kerr.UnknownMemberID)
	}
	return b.GroupBalancer.ParseSyncAssignment(assignment)
}
