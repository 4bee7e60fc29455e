package configtopic

import (
	"fmt"
	"math"
)

// GroupAnnotation begins the keys of annotations of groups that run the topic's connectors; group.id follows.
const GroupAnnotation = string(KindAnnotation) + "group-"

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
	for name, at := range s.groups {
		if at < first {
			group = name
			first = at
		}
	}
	return group
}

type OtherGroupError struct{ Topic, Group, Other string }

func (e *OtherGroupError) Error() string {
	return fmt.Sprintf("config.storage.topic=%s: expected connectors of group.id=%s, found that the topic belongs "+
		"to group %s; give this group its own topic, or stop the workers of the other group and release the topic "+
		"by `culvert cluster release` with the file of one of them", e.Topic, e.Group, e.Other)
}

func (s *Store) CheckGroup() error {
	if own, other := s.worker.Text("group.id"), s.Group(); other != "" && other != own {
		return &OtherGroupError{s.topic, own, other}
	}
	return nil
}
