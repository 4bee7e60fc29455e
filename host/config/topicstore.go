package config

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/shown"
)

// RecordWriter is the topic of configurations as a [TopicStore] writes to it: what was written is handed to its Apply.
type RecordWriter interface {
	// Write appends records, as the leader all or none of them, and returns when Apply has had them: with the offset of
	// the last.
	Write(ctx context.Context, leading bool, records ...Record) (last int64, err error)
}

// ClusterState is what the topic of configurations keeps that is no connector's configuration.
type ClusterState interface {
	// SessionKey is the newest key; ok is false where there is none.
	SessionKey() (key SessionKey, ok bool)
	// Fencing is what producers a connector had when they were fenced last.
	Fencing(connector string) FencingCounts
	// Annotations are records of ours whose keys begin with a prefix, by the rest of their keys: JSON objects, which
	// are not to be changed.
	Annotations(prefix string) map[string]json.RawMessage
	// Write writes records and returns when this worker has read them, with the offset of the last. Where the leader
	// alone may write one of them ([Record.LeaderOnly]), all are written together or none.
	Write(ctx context.Context, records ...Record) (last int64, err error)
}

// TopicStore keeps connectors in the topic of configurations of a cluster, in the form of Kafka Connect's, and is the
// cluster's [ClusterState]. Secrets stand there as they were written. References come from REST as far as anybody
// knows: only providers that `config.providers` names resolve them. All methods may be called at any time.
type TopicStore struct {
	*State
	topic   string
	worker  *Worker
	log     *slog.Logger
	to      RecordWriter
	changed func(TopicChange)
	every   time.Duration // lookEvery
	kicks   guard.Bell

	mu     guard.Mutex
	made   map[string]made // connectors, by their names
	begun  bool
	asked  bool
	writes int // of what snapshots hold, see Stale
	// skipped are records that are damaged, unknown those of keys that nobody knows.
	skipped, unknown int
}

// made is a connector of the settings that stood at an offset.
type made struct {
	*Connector
	offset int64
}

// NewTopicStore makes a store of the topic of a name. It expects all records of the topic in their order by Apply, and
// CaughtUp once. changed is called with what each record after that changes or asks for; it runs in the goroutine of
// Apply, and must neither block nor write.
func NewTopicStore(topic string, w *Worker, changed func(TopicChange), log *slog.Logger) *TopicStore {
	return &TopicStore{topic: topic, worker: w, log: log, changed: changed, every: lookEvery,
		kicks: guard.NewBell(), State: NewState(), made: map[string]made{}}
}

// SetWriter gives the store what it writes to, before anything is written.
func (s *TopicStore) SetWriter(to RecordWriter) { s.to = to }

// shownSkips is how many damaged records are logged one by one.
const shownSkips = 10

// Apply takes the next record of the topic.
func (s *TopicStore) Apply(r Record) {
	change, begun := s.apply(r)
	if begun && change.Kind != KindUnknown && s.changed != nil { // what somebody asked for before is over
		s.changed(change)
	}
}

func (s *TopicStore) apply(r Record) (change TopicChange, begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change, err := s.State.Apply(r)
	if kind, _ := r.Kind(); kind == KindUnknown {
		s.unknown++
	}
	if err != nil {
		if s.skipped++; s.skipped <= shownSkips {
			s.log.Warn("a record in the topic of configurations is skipped", "topic", s.topic, "partition", 0, "offset",
				r.Offset, "key", shown.Within(r.Key, 300), "error", err)
		}
		return change, s.begun
	}
	switch change.Kind {
	case KindConnector, KindCommit, KindTarget:
		if s.writes++; s.begun {
			s.kicks.Ring()
		}
	}
	return change, s.begun
}

// CaughtUp says that all records were applied that the topic had when it was begun to be read.
func (s *TopicStore) CaughtUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return
	}
	s.begun = true
	if s.unknown > 0 || s.skipped > shownSkips {
		s.log.Warn("the topic of configurations has records that are damaged, or not Kafka Connect's, and are left "+
			"alone: is it the one that config.storage.topic is to name?", "topic", s.topic, "damaged", s.skipped,
			"others", s.unknown)
	}
	s.kicks.Ring()
}

// Watch implements [Store]. References that lead to nothing are resolved again from time to time.
func (s *TopicStore) Watch(ctx context.Context, changed func(Snapshot)) {
	again := time.NewTicker(s.every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kicks:
		case <-again.C:
			s.forget(func(c *Connector) bool { return c.Problems.Err() != nil })
		}
		if now, ok := s.snapshot(true); ok {
			changed(now)
		}
	}
}

// forget has connectors made again at the next snapshot.
func (s *TopicStore) forget(which func(*Connector) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.made, func(_ string, m made) bool { return which(m.Connector) })
}

// Refresh implements [Store].
func (s *TopicStore) Refresh() {
	s.forget(func(*Connector) bool { return true })
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
	s.kicks.Ring()
}

// Ready implements [Store].
func (s *TopicStore) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// Snapshot implements [Store].
func (s *TopicStore) Snapshot() (Snapshot, bool) { return s.snapshot(false) }

// snapshot is what is known now; handedOn: to whomever Look was called for. References are resolved without the lock: a
// drive that hangs keeps nobody from reading or writing the topic.
func (s *TopicStore) snapshot(handedOn bool) (now Snapshot, ok bool) {
	s.mu.Lock()
	now = s.State.Snapshot()
	known := maps.Clone(s.made)
	ok, now.writes = s.begun, s.writes
	if handedOn {
		now.Requested, s.asked = s.asked, false
	}
	s.mu.Unlock()
	fresh := map[string]made{}
	for _, name := range slices.Sorted(maps.Keys(now.stored)) {
		m, stored := known[name], now.stored[name]
		if m.Connector == nil || m.offset != stored.offset {
			m = made{s.connector(name, stored.settings), stored.offset}
			m.Version = fmt.Sprint(stored.offset)
			fresh[name] = m
		}
		now.Connectors = append(now.Connectors, m.copied())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.made, fresh)
	maps.DeleteFunc(s.made, func(name string, _ made) bool { return now.stored[name] == nil })
	return now, ok
}

// connector is a connector as its record has it. Its name is that in the record's key, as in Kafka Connect.
func (s *TopicStore) connector(name string, stored map[string]string) *Connector {
	settings := maps.Clone(stored)
	settings["name"] = name
	c := NewRESTConnector(s.topic+": "+string(KindConnector)+name, settings, nil, s.worker.Providers)
	c.Name = name
	return c
}

// CheckWritable implements [Store].
func (s *TopicStore) CheckWritable(_, _ string) error { return s.CheckGroup() }

// IsStale implements [Store].
func (s *TopicStore) IsStale(of Snapshot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return of.writes != s.writes
}

// Put implements [Store]. The target state is written before the connector, so that what is to be stopped never runs;
// with a connector both are the leader's to write, a target state alone is any worker's.
func (s *TopicStore) Put(ctx context.Context, name string, stored Stored) error {
	var records []Record
	if stored.Target != "" {
		records = append(records, TargetRecord(name, stored.Target))
	}
	if stored.Connector != nil {
		settings := stored.Connector.Raw()
		settings["name"] = name
		before, version := s.stored(name), ""
		if before.settings != nil {
			version = fmt.Sprint(before.offset)
		}
		if stored.IfMatch != nil && !stored.IfMatch(version) {
			return &ChangedError{name}
		}
		if !maps.Equal(settings, before.settings) { // else its tasks would be planned and made again
			records = append(records, ConnectorRecord(name, settings))
		}
		records = append(records, s.disowned(name)...)
	}
	_, err := s.Write(ctx, records...)
	return err
}

// Delete implements [Store]. The records of tasks stay, as Kafka Connect leaves them: without the connector they are
// nothing.
func (s *TopicStore) Delete(ctx context.Context, name string) error {
	_, err := s.Write(ctx, append(gone(name), s.disowned(name)...)...)
	return err
}

// disowned has a connector be REST's that a folder has made.
func (s *TopicStore) disowned(name string) (records []Record) {
	if s.Annotations(FolderAnnotation)[name] != nil {
		records = append(records, folderNote(name, ""))
	}
	return records
}

// Write implements [ClusterState]. A record that is too large is an [TooLargeError]. Where the topic is another
// group's, notes of groups alone are written, and all else is an [OtherGroupError].
func (s *TopicStore) Write(ctx context.Context, records ...Record) (last int64, err error) {
	if len(records) == 0 {
		return 0, nil
	}
	if err := s.CheckGroup(); err != nil && !strings.HasPrefix(records[0].Key, GroupAnnotation) {
		return 0, err
	}
	for _, r := range records {
		if len(r.Value) > maxTopicValue {
			return 0, &TooLargeError{fmt.Sprintf("expected at most %d bytes in the record %s of topic %s, found %d",
				maxTopicValue, r.Key, s.topic, len(r.Value))}
		}
	}
	return s.to.Write(ctx, slices.ContainsFunc(records, Record.LeaderOnly), records...)
}
