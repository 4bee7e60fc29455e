package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
)

// TaskSet are the tasks of a connector that count. It is not changed once it is made.
type TaskSet struct {
	// Version is the offset of the record that committed them: a later set of the connector has a greater one.
	Version int64
	// Settings are those of each task as they were written, references and all.
	Settings []map[string]string
}

// RestartRequest is what somebody asked for of a connector.
type RestartRequest struct {
	Connector string
	// IncludeTasks: its tasks too. OnlyFailed: of both only what has failed.
	IncludeTasks, OnlyFailed bool
}

// TopicChange is what a record has changed, or asks for: of which kind, and the name that follows the kind in its key.
// KindUnknown: nothing.
type TopicChange struct {
	Kind TopicKind
	Name string
	// Restart is what a record of KindRestart asks for, Level the level of one of KindLogger.
	Restart RestartRequest
	Level   string
}

// TopicState is what the records of a topic of configurations come to. Make it with [NewTopicState]; Apply is its only
// transition.
//
// Invariants: the tasks of a connector are those of one commit, all of them, or none. A connector has tasks only as
// long as it is there. What was read says the same whatever compaction took of it before, but that a connector
// may be without the tasks that it had.
type TopicState struct {
	connectors map[string]*topicConnector
	targets    map[string]string
	// pending are tasks that wait for their commit, by connector and number.
	pending map[string]map[int]map[string]string
	session SessionKey
	fencing map[string]FencingCounts
	notes   map[string]json.RawMessage
	next    int64 // the offset after the last record
	unknown int   // records of keys that nobody knows
}

// topicConnector is a connector, as its own record and its last commit have it. It is not changed once it is made.
type topicConnector struct {
	settings   map[string]string
	offset     int64
	tasks      *TaskSet
	incomplete bool // its last commit lacks tasks
}

// NewTopicState is that of an empty topic.
func NewTopicState() *TopicState {
	return &TopicState{connectors: map[string]*topicConnector{}, targets: map[string]string{},
		pending: map[string]map[int]map[string]string{}, fencing: map[string]FencingCounts{},
		notes: map[string]json.RawMessage{}}
}

// Apply takes the record that follows. The error is that of a record which is damaged: it is passed over, and all is as
// it was, as in Kafka Connect (KafkaConfigBackingStore.ConsumeCallback).
func (s *TopicState) Apply(r TopicRecord) (change TopicChange, err error) {
	s.next = r.Offset + 1
	change.Kind, change.Name = r.Kind()
	switch change.Kind {
	case KindTarget:
		err = s.target(change.Name, r)
	case KindConnector:
		err = s.connector(change.Name, r)
	case KindTask:
		change.Kind = KindUnknown // it changes nothing before its commit
		err = s.task(change.Name, r)
	case KindCommit:
		err = s.commit(change.Name, r)
	case KindRestart:
		change.Restart, err = restartOf(change.Name, r)
	case KindLogger:
		change.Level, err = levelOf(r)
	case KindFencing:
		err = s.fenced(change.Name, r)
	case KindSession:
		err = s.sessionKey(r)
	case KindOurs:
		err = s.note(r)
	case KindUnknown:
		s.unknown++
	}
	if err != nil {
		change = TopicChange{}
	}
	return change, err
}

func (s *TopicState) target(name string, r TopicRecord) error {
	members, err := r.document()
	if err != nil || members == nil {
		if err == nil {
			delete(s.targets, name)
		}
		return err
	}
	target, err := targetOf(members)
	if err == nil {
		s.targets[name] = target
	}
	return err
}

// connector takes a connector's settings. The tasks that it has stay until the next ones are committed.
func (s *TopicState) connector(name string, r TopicRecord) error {
	settings, err := r.settings()
	if err != nil {
		return err
	}
	if settings == nil { // its target state has a record of its own, which is deleted with it
		delete(s.connectors, name)
		delete(s.pending, name)
		return nil
	}
	c := &topicConnector{settings: settings, offset: r.Offset}
	if before := s.connectors[name]; before != nil {
		c.tasks, c.incomplete = before.tasks, before.incomplete
	}
	s.connectors[name] = c
	return nil
}

func (s *TopicState) task(rest string, r TopicRecord) error {
	name, number, err := taskOf(rest)
	if err != nil {
		return err
	}
	settings, err := r.settings()
	if err == nil && settings == nil {
		err = errNoValue
	}
	if err != nil {
		return err
	}
	if s.pending[name] == nil {
		s.pending[name] = map[int]map[string]string{}
	}
	s.pending[name][number] = settings
	return nil
}

// commit has the tasks count that wait for it. Where compaction took some of them, since later ones of theirs follow,
// none counts. A connector whose commit comes before it was deleted and made again in the meantime, and compaction took
// the record of the deletion: its tasks are those of another one (KAFKA-16838).
func (s *TopicState) commit(name string, r TopicRecord) error {
	members, err := r.required()
	if err != nil {
		return err
	}
	n, err := count(members, "tasks")
	if err != nil {
		return err
	}
	pending, before := s.pending[name], s.connectors[name]
	delete(s.pending, name)
	if before == nil {
		return nil
	}
	c := &topicConnector{settings: before.settings, offset: before.offset, incomplete: len(pending) < n}
	set := &TaskSet{Version: r.Offset}
	for number := 0; number < n && !c.incomplete; number++ {
		settings, there := pending[number]
		set.Settings = append(set.Settings, settings)
		c.incomplete = !there
	}
	if !c.incomplete {
		c.tasks = set
	}
	s.connectors[name] = c
	return nil
}

// restartOf is what a record asks for: what it does not say, or not with yes or no, is no, as in Kafka Connect
// (recordToRestartRequest).
func restartOf(connector string, r TopicRecord) (RestartRequest, error) {
	members, err := r.required()
	restart := RestartRequest{Connector: connector}
	restart.IncludeTasks, _ = member[bool](members, "include-tasks", "true or false")
	restart.OnlyFailed, _ = member[bool](members, "only-failed", "true or false")
	return restart, err
}

func levelOf(r TopicRecord) (string, error) {
	members, err := r.required()
	if err != nil {
		return "", err
	}
	return member[string](members, "level", "a text")
}

// fenced takes the counts of a connector. They outlive it, as its producers may.
func (s *TopicState) fenced(name string, r TopicRecord) error {
	members, err := r.required()
	if err != nil {
		return err
	}
	counts, err := fencingOf(members)
	if counts.At = r.Offset; err == nil {
		s.fencing[name] = counts
	}
	return err
}

func (s *TopicState) sessionKey(r TopicRecord) error {
	members, err := r.required()
	if err != nil {
		return err
	}
	key, err := sessionKeyOf(members)
	if err == nil {
		s.session = key
	}
	return err
}

// note takes a record of ours. Who wrote it reads it, too: but for counts of producers, only that it is an object is
// known.
func (s *TopicState) note(r TopicRecord) error {
	members, err := r.document()
	if err == nil && members != nil && strings.HasPrefix(r.Key, fencingOfOurs) {
		_, err = fencingOf(members)
	}
	switch {
	case err != nil:
	case members == nil:
		delete(s.notes, r.Key)
	default:
		s.notes[r.Key] = bytes.Clone(r.Value)
	}
	return err
}

// Fencing is what both records of a connector say, which two programs write: to fence more than there was harms
// nothing. Ours is never written alone, so that its offset says nothing more.
func (s *TopicState) Fencing(connector string) FencingCounts {
	counts := s.fencing[connector]
	if raw := s.notes[fencingOfOurs+connector]; raw != nil {
		members, _ := TopicRecord{Value: raw}.document()
		ours, _ := fencingOf(members) // which note has read
		counts = counts.With(ours)
	}
	return counts
}

// notesBelow are the records of ours whose keys begin with a prefix, by the rest of their keys.
func (s *TopicState) notesBelow(prefix string) map[string]json.RawMessage {
	found := map[string]json.RawMessage{}
	for key, value := range s.notes {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			found[rest] = value
		}
	}
	return found
}

// Snapshot is what is known of targets and tasks. Connectors are their store's to make.
func (s *TopicState) Snapshot() (now Snapshot) {
	now.Offset, now.Targets = s.next, maps.Clone(s.targets)
	now.Written, now.Tasks, now.Incomplete = map[string]int64{}, map[string]TaskSet{}, map[string]bool{}
	for name, c := range s.connectors {
		now.Written[name] = c.offset
		if c.tasks != nil {
			now.Tasks[name] = *c.tasks
		}
		if c.incomplete {
			now.Incomplete[name] = true
		}
	}
	return now
}
