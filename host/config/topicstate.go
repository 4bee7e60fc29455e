package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"

	"github.com/culvert-project/culvert/host/guard"
)

// TaskConfigs are the tasks of a connector that count. It is not changed once it is made.
type TaskConfigs struct {
	// Version is the offset of the record that committed them: a later set of the connector has a greater one.
	Version int64
	// Settings are those of each task as they were written, references and all.
	Settings []map[string]string
	// Requirements is what they need. It is Noted, but for tasks that a worker of Kafka Connect's has planned.
	Requirements    Requirements
	HasRequirements bool
}

// Requirements is what the tasks of a connector need that is not in their settings.
type Requirements struct {
	// Claims are what no other connector may have at the same time.
	Claims []string `json:"claims,omitempty"`
	// Origin is what the tasks ask, Requests how many requests at a time all workers together may send it, PerSecond
	// how many in a second. Zero means no limit.
	Origin    string  `json:"origin,omitempty"`
	Requests  int     `json:"requests,omitempty"`
	PerSecond float64 `json:"per-second,omitempty"`
}

// TaskPlan is how the work of a connector is shared out among tasks, by its settings that stand at an offset.
type TaskPlan struct {
	Offset int64               `json:"offset"`
	Tasks  []map[string]string `json:"tasks,omitempty"`
	Config map[string]string   `json:"-"` // the settings, as the user wrote them; Offset is theirs
	Requirements
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
	Kind Kind
	Name string
	// Restart is what a record of KindRestart asks for, Level the level of one of KindLogger.
	Restart RestartRequest
	Level   string
}

// State is what the records of a topic of configurations come to. Make it with [NewState]; Apply is its only
// transition. All methods may be called at any time.
//
// Invariants: the tasks of a connector are those of one commit, all of them, or none. A connector has tasks only as
// long as it is there. What was read says the same whatever compaction took of it before, but that a connector
// may be without the tasks that it had.
type State struct {
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
	tasks      *TaskConfigs
	incomplete bool // its last commit lacks tasks
}

// planned is [Snapshot.PlannedSettings] of a connector, nil for none, that has a target state.
func (c *topicConnector) planned(target string) *TaskConfigs {
	if c == nil || c.tasks == nil || c.incomplete || len(c.tasks.Settings) == 0 || c.tasks.Version < c.offset ||
		!c.tasks.HasRequirements && target != TargetPaused {
		return nil
	}
	return c.tasks
}

// NewState is that of an empty topic.
func NewState() *State {
	return &State{connectors: map[string]*topicConnector{}, targets: map[string]string{},
		pending: map[string]map[int]map[string]string{}, fencing: map[string]FencingCounts{},
		notes: map[string]json.RawMessage{}, groups: map[string]int64{}}
}

// Apply takes the record that follows. The error is that of a record which is damaged: it is passed over, and all is as
// it was, as in Kafka Connect (KafkaConfigBackingStore.ConsumeCallback).
func (s *State) Apply(r Record) (change TopicChange, err error) {
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
func (s *State) document(change *TopicChange, r Record) error {
	members, err := r.document()
	if err == nil && members == nil && change.Kind != KindTarget && change.Kind != KindAnnotation {
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
	case KindAnnotation:
		return s.note(r, members)
	}
	return err
}

func (s *State) target(name string, members map[string]json.RawMessage) error {
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
func (s *State) connector(name string, r Record) error {
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

func (s *State) task(rest string, r Record) error {
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
func (s *State) commit(name string, members map[string]json.RawMessage, offset int64) error {
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
	set := &TaskConfigs{Version: offset}
	for number := 0; number < n && !c.incomplete; number++ {
		settings, there := pending[number]
		set.Settings = append(set.Settings, settings)
		c.incomplete = !there
	}
	var noted TaskPlan
	if json.Unmarshal(members[commitNote], &noted) == nil && noted.Offset == c.offset {
		set.Requirements, set.HasRequirements = noted.Requirements, true
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
func (s *State) note(r Record, members map[string]json.RawMessage) (err error) {
	if members != nil && strings.HasPrefix(r.Key, FencingAnnotation) {
		_, err = fencingOf(members)
	}
	group, groups := strings.CutPrefix(r.Key, GroupAnnotation)
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
func (s *State) stored(name string) (c topicConnector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.connectors[name]; found != nil {
		c = *found
	}
	return c
}

// ConfigOffset is the offset at which the settings of a connector stand; ok is false where there is no such connector.
func (s *State) ConfigOffset(name string) (offset int64, ok bool) {
	c := s.stored(name)
	return c.offset, c.settings != nil
}

// ConfigOffsetFor is Written where these are the settings, with the connector's name in them; else ok is false.
func (s *State) ConfigOffsetFor(name string, settings map[string]string) (offset int64, ok bool) {
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

// TaskConfigs is what [Snapshot.PlannedSettings] is of a snapshot of now, without looking at other connectors.
func (s *State) TaskConfigs(name string) *TaskConfigs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connectors[name].planned(s.targets[name])
}

// RejoinGeneration is the generation whose members were asked last to join their group again.
func (s *State) RejoinGeneration() (generation int32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	members, _ := Record{Value: s.notes[rejoinKey]}.document()
	generation, err := member[int32](members, "generation", "a number")
	return generation, err == nil
}

// SessionKey implements [ClusterState].
func (s *State) SessionKey() (key SessionKey, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.session.Key != nil
}

// Fencing implements [ClusterState]: what both records of a connector say, which two programs write, since to fence
// more than there was harms nothing. Ours is never written alone, so that its offset says nothing more.
func (s *State) Fencing(connector string) FencingCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.fencing[connector]
	if raw := s.notes[FencingAnnotation+connector]; raw != nil {
		members, _ := Record{Value: raw}.document()
		ours, _ := fencingOf(members) // which note has read
		counts = counts.Max(ours)
	}
	return counts
}

// Annotations implements [ClusterState].
func (s *State) Annotations(prefix string) map[string]json.RawMessage {
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
func (s *State) Snapshot() (now Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now.Offset, now.Targets, now.stored = s.next, maps.Clone(s.targets), maps.Clone(s.connectors)
	now.ConfigOffsets, now.Tasks, now.Incomplete = map[string]int64{}, map[string]TaskConfigs{}, map[string]bool{}
	for name, c := range s.connectors {
		now.ConfigOffsets[name] = c.offset
		if c.tasks != nil {
			now.Tasks[name] = *c.tasks
		}
		if c.incomplete {
			now.Incomplete[name] = true
		}
	}
	return now
}
