package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"

	"github.com/culvert-project/culvert/host/guard"
)

// TaskSet are the tasks of a connector that count. It is not changed once it is made.
type TaskSet struct {
	// Version is the offset of the record that committed them: a later set of the connector has a greater one.
	Version int64
	// Settings are those of each task as they were written, references and all.
	Settings []map[string]string
	// Demand is what they need. It is Noted, but for tasks that a worker of Kafka Connect's has planned.
	Demand Demand
	Noted  bool
}

// Demand is what the tasks of a connector need that is not in their settings.
type Demand struct {
	// Claims are what no other connector may have at the same time.
	Claims []string `json:"claims,omitempty"`
	// Origin is what the tasks ask, Requests how many requests at a time all workers together may send it, PerSecond
	// how many in a second. Zero means no limit.
	Origin    string  `json:"origin,omitempty"`
	Requests  int     `json:"requests,omitempty"`
	PerSecond float64 `json:"per-second,omitempty"`
}

// Layout is how the work of a connector is shared out among tasks, by its settings that stand at an offset.
type Layout struct {
	Offset int64               `json:"offset"`
	Tasks  []map[string]string `json:"tasks,omitempty"`
	Of     map[string]string   `json:"-"` // the settings, as the user wrote them; Offset is theirs
	Demand
}

// commitNote is the member of a commit that has the layout of what it commits, without the tasks. Kafka Connect's
// workers read past it, and write none, so that it is never taken for that of tasks which they have planned.
const commitNote = "culvert"

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
// transition. All methods may be called at any time.
//
// Invariants: the tasks of a connector are those of one commit, all of them, or none. A connector has tasks only as
// long as it is there. What was read says the same whatever compaction took of it before, but that a connector
// may be without the tasks that it had.
type TopicState struct {
	mu         guard.Mutex
	connectors map[string]*topicConnector
	targets    map[string]string
	// pending are tasks that wait for their commit, by connector and number.
	pending map[string]map[int]map[string]string
	session SessionKey
	fencing map[string]FencingCounts
	notes   map[string]json.RawMessage
	groups  map[string]int64 // where the notes of groups stand, by their names
	next    int64            // the offset after the last record
}

// topicConnector is a connector, as its own record and its last commit have it. It is not changed once it is made.
type topicConnector struct {
	settings   map[string]string
	offset     int64
	tasks      *TaskSet
	incomplete bool // its last commit lacks tasks
}

// planned is [Snapshot.Planned] of a connector, nil for none, that has a target state.
func (c *topicConnector) planned(target string) *TaskSet {
	if c == nil || c.tasks == nil || c.incomplete || len(c.tasks.Settings) == 0 || c.tasks.Version < c.offset ||
		!c.tasks.Noted && target != TargetPaused {
		return nil
	}
	return c.tasks
}

// NewTopicState is that of an empty topic.
func NewTopicState() *TopicState {
	return &TopicState{connectors: map[string]*topicConnector{}, targets: map[string]string{},
		pending: map[string]map[int]map[string]string{}, fencing: map[string]FencingCounts{},
		notes: map[string]json.RawMessage{}, groups: map[string]int64{}}
}

// Apply takes the record that follows. The error is that of a record which is damaged: it is passed over, and all is as
// it was, as in Kafka Connect (KafkaConfigBackingStore.ConsumeCallback).
func (s *TopicState) Apply(r TopicRecord) (change TopicChange, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = r.Offset + 1
	switch change.Kind, change.Name = r.Kind(); change.Kind {
	case KindConnector:
		err = s.connector(change.Name, r)
	case KindTask:
		change.Kind = KindUnknown // it changes nothing before its commit
		err = s.task(change.Name, r)
	case KindUnknown:
	default:
		err = s.document(&change, r)
	}
	if err != nil {
		change = TopicChange{}
	}
	return change, err
}

// document takes a record whose value is any object. Two kinds are deleted by records without one.
func (s *TopicState) document(change *TopicChange, r TopicRecord) error {
	members, err := r.document()
	if err == nil && members == nil && change.Kind != KindTarget && change.Kind != KindOurs {
		err = errNoValue
	}
	if err != nil {
		return err
	}
	switch name := change.Name; change.Kind {
	case KindTarget:
		return s.target(name, members)
	case KindCommit:
		return s.commit(name, members, r.Offset)
	case KindRestart:
		change.Restart = restartOf(name, members)
	case KindLogger:
		change.Level, err = member[string](members, "level", "a text")
	case KindFencing: // counts outlive the connector, as its producers may
		var counts FencingCounts
		if counts, err = fencingOf(members); err == nil {
			counts.At = r.Offset
			s.fencing[name] = counts
		}
	case KindSession:
		var key SessionKey
		if key, err = sessionKeyOf(members); err == nil {
			s.session = key
		}
	case KindOurs:
		return s.note(r, members)
	}
	return err
}

func (s *TopicState) target(name string, members map[string]json.RawMessage) error {
	if members == nil {
		delete(s.targets, name)
		return nil
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
func (s *TopicState) commit(name string, members map[string]json.RawMessage, offset int64) error {
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
	set := &TaskSet{Version: offset}
	for number := 0; number < n && !c.incomplete; number++ {
		settings, there := pending[number]
		set.Settings = append(set.Settings, settings)
		c.incomplete = !there
	}
	var noted Layout
	if json.Unmarshal(members[commitNote], &noted) == nil && noted.Offset == c.offset {
		set.Demand, set.Noted = noted.Demand, true
	}
	if !c.incomplete {
		c.tasks = set
	}
	s.connectors[name] = c
	return nil
}

// restartOf is what a record asks for: what it does not say, or not with yes or no, is no, as in Kafka Connect
// (recordToRestartRequest).
func restartOf(connector string, members map[string]json.RawMessage) RestartRequest {
	restart := RestartRequest{Connector: connector}
	restart.IncludeTasks, _ = member[bool](members, "include-tasks", "true or false")
	restart.OnlyFailed, _ = member[bool](members, "only-failed", "true or false")
	return restart
}

// note takes a record of ours. Who wrote it reads it, too: but for counts of producers, only that it is an object is
// known.
func (s *TopicState) note(r TopicRecord, members map[string]json.RawMessage) (err error) {
	if members != nil && strings.HasPrefix(r.Key, FencingNote) {
		_, err = fencingOf(members)
	}
	group, groups := strings.CutPrefix(r.Key, GroupNote)
	groups = groups && group != "" // no group has an empty name: it could give the topic to nobody
	switch {
	case err != nil:
	case members == nil:
		delete(s.notes, r.Key)
		if groups {
			delete(s.groups, group)
		}
	default:
		s.notes[r.Key] = bytes.Clone(r.Value)
		if groups {
			s.groups[group] = r.Offset
		}
	}
	return err
}

// stored is a connector as it stands in the topic, without settings where there is none.
func (s *TopicState) stored(name string) (c topicConnector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.connectors[name]; found != nil {
		c = *found
	}
	return c
}

// Written is the offset at which the settings of a connector stand; ok is false where there is no such connector.
func (s *TopicState) Written(name string) (offset int64, ok bool) {
	c := s.stored(name)
	return c.offset, c.settings != nil
}

// WrittenAs is Written where these are the settings, with the connector's name in them; else ok is false.
func (s *TopicState) WrittenAs(name string, settings map[string]string) (offset int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connectors[name]
	if c == nil {
		return 0, false
	}
	stored := maps.Clone(c.settings)
	stored["name"] = name
	return c.offset, maps.Equal(stored, settings)
}

// Planned is what [Snapshot.Planned] is of a snapshot of now, without looking at other connectors.
func (s *TopicState) Planned(name string) *TaskSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connectors[name].planned(s.targets[name])
}

// Rejoining is the generation whose members were asked last to join their group again.
func (s *TopicState) Rejoining() (generation int32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	members, _ := TopicRecord{Value: s.notes[rejoinKey]}.document()
	generation, err := member[int32](members, "generation", "a number")
	return generation, err == nil
}

// SessionKey implements [Ledger].
func (s *TopicState) SessionKey() (key SessionKey, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.session.Key != nil
}

// Fencing implements [Ledger]: what both records of a connector say, which two programs write, since to fence more than
// there was harms nothing. Ours is never written alone, so that its offset says nothing more.
func (s *TopicState) Fencing(connector string) FencingCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.fencing[connector]
	if raw := s.notes[FencingNote+connector]; raw != nil {
		members, _ := TopicRecord{Value: raw}.document()
		ours, _ := fencingOf(members) // which note has read
		counts = counts.With(ours)
	}
	return counts
}

// Notes implements [Ledger].
func (s *TopicState) Notes(prefix string) map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	s.mu.Lock()
	defer s.mu.Unlock()
	now.Offset, now.Targets, now.stored = s.next, maps.Clone(s.targets), maps.Clone(s.connectors)
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
