package configtopic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
)

// planMember has the plan in a commit. Kafka Connect's workers ignore and omit it, so their tasks have no requirements.
const planMember = "culvert"

// RestartRequest is a request to restart a connector (KIP-745).
type RestartRequest struct {
	Connector    string
	IncludeTasks bool
	OnlyFailed   bool // restart only failed ones of the connector and, with IncludeTasks, its tasks
}

// Change is a change or request, with the name after the kind in the record's key. KindUnknown means no change.
type Change struct {
	Kind    Kind
	Name    string
	Restart RestartRequest // set for KindRestart
	Level   string         // set for KindLogger
}

// State is the result of all records of a config topic; Apply is its only transition. All methods may be called at any
// time.
//
// Invariants: the tasks of a connector come from one commit, or there are none. A connector has tasks only while it
// exists. Compaction of earlier records makes no difference, except that a connector may lose its tasks.
type State struct {
	mu          guard.Mutex
	connectors  map[string]*topicConnector
	targets     map[string]string
	pending     map[string]map[int]map[string]string // tasks without a commit, by connector and number
	session     SessionKey
	fencing     map[string]config.FencingCounts
	annotations map[string]json.RawMessage
	offsets     map[string]int64 // of annotations, by key
	next        int64            // the offset after the last record
}

type topicConnector struct {
	settings   map[string]string
	offset     int64 // of the record with the settings
	tasks      *config.TaskConfigs
	incomplete bool // its last commit lacks tasks
}

// NewState returns the state of an empty topic.
func NewState() *State {
	return &State{connectors: map[string]*topicConnector{}, targets: map[string]string{},
		pending: map[string]map[int]map[string]string{}, fencing: map[string]config.FencingCounts{},
		annotations: map[string]json.RawMessage{}, offsets: map[string]int64{}}
}

// Apply applies the next record. A damaged one is an error and changes nothing.
func (s *State) Apply(r Record) (change Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = r.Offset + 1
	change.Kind, change.Name = r.Kind()
	switch change.Kind {
	case KindConnector:
		err = s.applyConnector(change.Name, r)
	case KindTask:
		change.Kind = KindUnknown // tasks take effect with their commit
		err = s.applyTask(change.Name, r)
	case KindUnknown: // ignored, as in Kafka Connect
	default:
		err = s.applyDocument(&change, r)
	}
	if err != nil {
		change = Change{}
	}
	return change, err
}

func (s *State) applyDocument(change *Change, r Record) error {
	members, err := r.document()
	if err == nil && members == nil && change.Kind != KindTarget && change.Kind != KindAnnotation {
		err = errNoValue
	}
	if err != nil {
		return err
	}
	switch name := change.Name; change.Kind {
	case KindTarget:
		return s.applyTarget(name, members)
	case KindCommit:
		return s.applyCommit(name, members, r.Offset)
	case KindRestart:
		restart := RestartRequest{Connector: name}
		restart.IncludeTasks, _ = member[bool](members, "include-tasks", "true or false")
		restart.OnlyFailed, _ = member[bool](members, "only-failed", "true or false")
		change.Restart = restart
	case KindLogger:
		change.Level, err = member[string](members, "level", "a text")
	case KindFencing: // counts outlive the connector, as its producers may
		var counts config.FencingCounts
		if counts, err = decodeFencing(members); err == nil {
			counts.At = r.Offset
			s.fencing[name] = counts
		}
	case KindSession:
		var key SessionKey
		if key, err = decodeSessionKey(members); err == nil {
			s.session = key
		}
	case KindAnnotation:
		return s.applyAnnotation(r, members)
	}
	return err
}

func (s *State) applyTarget(name string, members map[string]json.RawMessage) error {
	if members == nil {
		delete(s.targets, name)
		return nil
	}
	target, err := member[string](members, "state.v2", "a text")
	if err != nil {
		target, err = member[string](members, "state", "a text")
	}
	if err == nil && !slices.Contains([]string{config.TargetStarted, config.TargetPaused, config.TargetStopped},
		target) {
		err = fmt.Errorf("state: expected %s, %s or %s, found something else", config.TargetStarted,
			config.TargetPaused, config.TargetStopped)
	}
	if err == nil {
		s.targets[name] = target
	}
	return err
}

func (s *State) applyConnector(name string, r Record) error {
	settings, err := r.settings()
	if err != nil {
		return err
	}
	if settings == nil { // its target state has its own record
		delete(s.connectors, name)
		delete(s.pending, name)
		return nil
	}
	c := &topicConnector{settings: settings, offset: r.Offset}
	if existing := s.connectors[name]; existing != nil {
		c.tasks = existing.tasks
		c.incomplete = existing.incomplete
	}
	s.connectors[name] = c
	return nil
}

func (s *State) applyTask(suffix string, r Record) error {
	name, number, err := parseTaskKey(suffix)
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

// applyCommit applies pending tasks, or none if compaction has deleted some. A commit before its connector belongs to a
// deleted one whose deletion was compacted (KAFKA-16838).
func (s *State) applyCommit(name string, members map[string]json.RawMessage, offset int64) error {
	n, err := decodeCount(members, "tasks")
	if err != nil {
		return err
	}
	pending := s.pending[name]
	existing := s.connectors[name]
	delete(s.pending, name)
	if existing == nil {
		return nil
	}
	updated := &topicConnector{settings: existing.settings, offset: existing.offset, incomplete: len(pending) < n}
	configs := &config.TaskConfigs{Version: offset}
	for number := 0; number < n && !updated.incomplete; number++ {
		settings, ok := pending[number]
		configs.Settings = append(configs.Settings, settings)
		updated.incomplete = !ok
	}
	var plan config.TaskPlan
	if json.Unmarshal(members[planMember], &plan) == nil && plan.Offset == updated.offset { // of the current settings
		configs.Requirements = plan.Requirements
		configs.HasRequirements = true
	}
	if !updated.incomplete {
		updated.tasks = configs
	}
	s.connectors[name] = updated
	return nil
}

func (s *State) applyAnnotation(r Record, members map[string]json.RawMessage) (err error) {
	if members != nil && strings.HasPrefix(r.Key, FencingAnnotation) {
		_, err = decodeFencing(members)
	}
	switch {
	case err != nil: // a damaged record changes nothing
	case members == nil:
		delete(s.annotations, r.Key)
		delete(s.offsets, r.Key)
	default:
		s.annotations[r.Key] = bytes.Clone(r.Value)
		s.offsets[r.Key] = r.Offset
	}
	return err
}

func (s *State) allConnectors() map[string]*topicConnector {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.connectors)
}

func (s *State) connectorOf(name string) (c topicConnector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stored := s.connectors[name]; stored != nil {
		c = *stored
	}
	return c
}

// Target returns the target state that was set for a connector, "" if none was.
func (s *State) Target(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.targets[name]
}

// ConfigOffset returns the offset of a connector's settings. ok is false if there is no such connector.
func (s *State) ConfigOffset(name string) (offset int64, ok bool) {
	c := s.connectorOf(name)
	return c.offset, c.settings != nil
}

// ConfigOffsetFor is ConfigOffset if the settings, with the connector's name, are these; else ok is false.
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

// TaskConfigs returns the task configs of a connector, nil if not planned or incomplete. They must not be changed.
func (s *State) TaskConfigs(name string) *config.TaskConfigs {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connectors[name]
	if c == nil || c.tasks == nil || c.incomplete || !c.tasks.Counts(c.offset, s.targets[name]) {
		return nil
	}
	return c.tasks
}

// RejoinGeneration returns the generation of the last [RejoinRecord]. ok is false if there is none.
func (s *State) RejoinGeneration() (generation int32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	members, _ := Record{Value: s.annotations[rejoinKey]}.document()
	generation, err := member[int32](members, "generation", "a number")
	return generation, err == nil
}

// SessionKey implements [ClusterState]. ok is false before the first key.
func (s *State) SessionKey() (key SessionKey, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.session.Key != nil
}

// Fencing implements [ClusterState]. It merges the record and the annotation: fencing too much harms nothing.
func (s *State) Fencing(connector string) config.FencingCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.fencing[connector]
	if raw := s.annotations[FencingAnnotation+connector]; raw != nil {
		members, _ := Record{Value: raw}.document()
		annotated, _ := decodeFencing(members) // applyAnnotation has checked it
		counts = counts.Max(annotated)
	}
	return counts
}

// Annotations implements [ClusterState].
func (s *State) Annotations(prefix string) map[string]json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	annotations := map[string]json.RawMessage{}
	for key, value := range s.annotations {
		if suffix, ok := strings.CutPrefix(key, prefix); ok {
			annotations[suffix] = value
		}
	}
	return annotations
}

// AnnotationOffset implements [ClusterState].
func (s *State) AnnotationOffset(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offsets[key]
}

// Snapshot returns a copy of the state without Connectors, which [Store.Snapshot] adds.
func (s *State) Snapshot() (snapshot config.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot.Offset = s.next
	snapshot.Targets = maps.Clone(s.targets)
	snapshot.ConfigOffsets = map[string]int64{}
	snapshot.Tasks = map[string]config.TaskConfigs{}
	snapshot.Incomplete = map[string]bool{}
	for name, c := range s.connectors {
		snapshot.ConfigOffsets[name] = c.offset
		if c.tasks != nil {
			snapshot.Tasks[name] = *c.tasks
		}
		if c.incomplete {
			snapshot.Incomplete[name] = true
		}
	}
	return snapshot
}
