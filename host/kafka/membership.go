package kafka

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// membership holds the partitions of a consumer. The zero value owns none. Its methods may be called by several
// goroutines.
//
// Invariants: partitions are owned by the member that was assigned them. A member with another ID owns nothing until
// the client has forgotten the assignment of the first one.
type membership struct {
	mu     sync.Mutex
	owned  map[string]map[int32]bool
	member string // the ID of the member that was assigned the partitions
	// givenUp is true from the time when the client joins as another member until it forgets the assignment.
	givenUp bool
}

// assign adds partitions that a member was assigned.
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

// drop removes partitions.
func (m *membership) drop(partitions map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, list := range partitions {
		for _, p := range list {
			delete(m.owned[topic], p)
		}
	}
}

// owns reports whether a partition is owned now.
func (m *membership) owns(topic string, partition int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned[topic][partition]
}

// count returns how many partitions are owned.
func (m *membership) count() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, partitions := range m.owned {
		n += len(partitions)
	}
	return n
}

// joins records that the client joins as a member. lost are the partitions that another one was assigned; givenUp
// reports whether the client still keeps an assignment of another one.
func (m *membership) joins(member string) (lost map[string][]int32, givenUp bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost = map[string][]int32{}
	for topic, partitions := range m.owned {
		if member != m.member && len(partitions) > 0 {
			lost[topic] = slices.Collect(maps.Keys(partitions))
		}
	}
	m.givenUp = m.givenUp || len(lost) > 0
	return lost, m.givenUp
}

// forgets records that the client has forgotten its assignment, or is about to. It reports whether the client had to.
func (m *membership) forgets() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	givenUp := m.givenUp
	m.givenUp = false
	return givenUp
}

// memberBalancer is an assignor of one consumer. It ends the assignment of a member that the group has given up while
// the client was joining again. By itself the client (kgo 1.22) joins as another member then and keeps the partitions:
// others may have had them since, and a commit that waited for the join would set their offsets back.
type memberBalancer struct {
	kgo.GroupBalancer
	consumer *Consumer
}

// JoinGroupMetadata implements [kgo.GroupBalancer]. A new member owns nothing yet.
func (b memberBalancer) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	s := b.consumer
	<-s.ready
	member, _ := s.client.GroupMetadata()
	lost, givenUp := s.membership.joins(member)
	s.lost(s.client, lost)
	if givenUp {
		owned, generation = nil, -1
	}
	return b.GroupBalancer.JoinGroupMetadata(topics, owned, generation)
}

// ParseSyncAssignment implements [kgo.GroupBalancer]. The error makes the client forget its assignment and join once
// more: all partitions of the next assignment are new to it, so it reads their committed offsets.
func (b memberBalancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	if b.consumer.membership.forgets() {
		return nil, fmt.Errorf("the group had given the member up: %w", kerr.UnknownMemberID)
	}
	return b.GroupBalancer.ParseSyncAssignment(assignment)
}
