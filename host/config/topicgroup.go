package config

import (
	"fmt"
	"math"
)

// GroupAnnotation is what the keys of notes begin with that say which groups run what the topic has; group.id follows.
const GroupAnnotation = string(KindAnnotation) + "group-"

// GroupRecord notes that a group runs what the topic has, or that it does no more.
func GroupRecord(group string, runs bool) Record {
	r := Record{Key: GroupAnnotation + group}
	if runs {
		r.Value = encoded(object{})
	}
	return r
}

// Group is the group that runs what the topic has, "" for none: of those with a note the one whose note stands first.
// A key for each group, written once, keeps its offset when the topic is compacted, so that all readers agree.
func (s *State) Group() (group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := int64(math.MaxInt64)
	for name, at := range s.groups {
		if at < first {
			group, first = name, at
		}
	}
	return group
}

// OtherGroupError says that another group runs what stands in a topic: nothing is written for this one.
type OtherGroupError struct{ Topic, Group, Other string }

func (e *OtherGroupError) Error() string {
	return fmt.Sprintf("config.storage.topic=%s: expected connectors of group.id=%s, found the topic to be that of "+
		"group %s, which runs them; give this group a topic of its own, or stop the workers of the other and release "+
		"the topic by `culvert cluster release` with the file of one of them", e.Topic, e.Group, e.Other)
}

// CheckGroup is an [OtherGroupError] where another group runs what stands in the topic.
func (s *TopicStore) CheckGroup() error {
	if own, other := s.worker.Text("group.id"), s.Group(); other != "" && other != own {
		return &OtherGroupError{s.topic, own, other}
	}
	return nil
}
