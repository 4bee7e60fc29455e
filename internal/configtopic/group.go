package configtopic

import (
	"fmt"
	"math"
	"strings"
)

// GroupAnnotation begins the keys of annotations of groups that run the topic's connectors; group.id follows.
const GroupAnnotation = string(KindAnnotation) + "group-"

// GroupRecord claims the topic for a group, or deletes the group's claim if runs is false.
func GroupRecord(group string, runs bool) Record {
	r := Record{Key: GroupAnnotation + group}
	if runs {
		r.Value = encodeJSON(object{})
	}
	return r
}

// Group returns the group that owns the topic, or "": the one with the first annotation. It is written once, so it
// keeps its offset when the topic is compacted, and all readers agree.
func (s *State) Group() (group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := int64(math.MaxInt64)
	for key, offset := range s.offsets {
		name, isGroup := strings.CutPrefix(key, GroupAnnotation)
		if isGroup && name != "" && offset < first { // an empty name could not be released
			group = name
			first = offset
		}
	}
	return group
}

// OtherGroupError means that the topic belongs to the group Other, so Group must not run its connectors.
type OtherGroupError struct {
	Topic string
	Group string
	Other string
}

func (e *OtherGroupError) Error() string {
	return fmt.Sprintf("config.storage.topic=%s: expected connectors of group.id=%s, found that the topic belongs "+
		"to group %s; give this group its own topic, or stop the workers of the other group and release the topic "+
		"by `culvert cluster release` with the file of one of them", e.Topic, e.Group, e.Other)
}

// CheckGroup returns an [OtherGroupError] if the topic belongs to another group.
func (s *Store) CheckGroup() error {
	group := s.worker.Text("group.id")
	if other := s.Group(); other != "" && other != group {
		return &OtherGroupError{s.topic, group, other}
	}
	return nil
}
