package configtopic

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/shown"
)

// RecordWriter writes to the config topic. Written records come back by [Store.Apply].
type RecordWriter interface {
	// Write returns the last offset once Apply was called with the records. Leading writes all records, or none.
	Write(ctx context.Context, leading bool, records ...Record) (last int64, err error)
}

// ClusterState is what the config topic has besides connectors.
type ClusterState interface {
	SessionKey() (key SessionKey, ok bool)
	Fencing(connector string) config.FencingCounts
	// Annotations returns annotations whose keys have a prefix, by the rest of the key: immutable JSON objects.
	Annotations(prefix string) map[string]json.RawMessage
	// AnnotationOffset returns the offset of the record with an annotation, 0 if there is none.
	AnnotationOffset(key string) int64
	// Write returns the last offset once this worker has read the records. With a [Record.LeaderOnly] it is atomic.
	Write(ctx context.Context, records ...Record) (last int64, err error)
}

// Store is the [config.Store] and the [ClusterState] of a group. A worker without a group has one for what REST created
// and for target states. Secrets are stored as written. References are resolved only by providers in
// `config.providers`, because any may come from REST. Methods may be called at any time.
type Store struct {
	*State
	topic    string // or the file of a FileLog
	worker   *config.Worker
	log      *slog.Logger
	writer   RecordWriter
	onChange func(Change)  // nil ignores changes
	interval time.Duration // of resolving references again: retryEvery, shorter in tests
	notify   guard.Bell

	mu               guard.Mutex
	cache            map[string]cachedConnector // connectors, by their names
	evictions        int                        // a snapshot that began before the last one caches nothing
	caughtUp         bool
	refreshRequested bool // the next snapshot for Watch was requested by Refresh
	writes           int  // changes of snapshots, see IsStale
	skipped          int  // number of damaged records
	unknown          int  // number of records with an unknown key
}

var _ config.Store = (*Store)(nil)

const retryEvery = 5 * time.Second

type cachedConnector struct {
	*config.Connector
	offset int64
}

// NewStore returns the store of a topic. It needs all records by Apply, and one call of CaughtUp. changed receives
// later changes in the goroutine of Apply; it must neither block nor write.
func NewStore(topic string, w *config.Worker, changed func(Change), log *slog.Logger) *Store {
	return &Store{topic: topic, worker: w, log: log, onChange: changed, interval: retryEvery,
		notify: guard.NewBell(), State: NewState(), cache: map[string]cachedConnector{}}
}

// SetWriter sets the writer. It must be called before the first write.
func (s *Store) SetWriter(writer RecordWriter) { s.writer = writer }

const loggedSkips = 10 // the number of damaged records that are logged

// Apply applies the next record, and after CaughtUp calls changed with what it has changed. A damaged record is logged
// and skipped. Records must be applied in order, from one goroutine.
func (s *Store) Apply(r Record) {
	change, caughtUp := s.apply(r)
	if caughtUp && change.Kind != KindUnknown && s.onChange != nil { // requests from before the start are obsolete
		s.onChange(change)
	}
}

func (s *Store) apply(r Record) (change Change, caughtUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change, err := s.State.Apply(r)
	if kind, _ := r.Kind(); kind == KindUnknown {
		s.unknown++
	}
	if err != nil {
		s.skipped++
		if s.skipped <= loggedSkips {
			s.log.Warn("a record of the stored connectors is skipped", "topic", s.topic, "partition", 0, "offset", r.Offset,
				"key", shown.LineUpTo(r.Key, 300), "error", err)
		}
		return change, s.caughtUp
	}
	switch change.Kind {
	case KindConnector, KindCommit, KindTarget:
		s.writes++
		if s.caughtUp {
			s.notify.Ring()
		}
	}
	return change, s.caughtUp
}

// CaughtUp records that all records that the topic had at the start were applied. From now on changes are reported.
func (s *Store) CaughtUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caughtUp {
		return
	}
	s.caughtUp = true
	if s.unknown > 0 || s.skipped > loggedSkips {
		s.log.Warn("the config topic has damaged or unknown records, which are ignored: does config.storage.topic "+
			"name the right topic?", "topic", s.topic, "damaged", s.skipped, "others", s.unknown)
	}
	s.notify.Ring()
}

// Watch implements [config.Store]: it calls changed with a snapshot after each change, and regularly, with the
// references of connectors with problems resolved again, until ctx ends. It must be called once.
func (s *Store) Watch(ctx context.Context, changed func(config.Snapshot)) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.notify:
		case <-ticker.C:
			s.evictCached(func(c *config.Connector) bool { return c.Problems.Err() != nil })
		}
		if snapshot, ok := s.snapshot(forWatch); ok {
			changed(snapshot)
		}
	}
}

func (s *Store) evictCached(isStale func(*config.Connector) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.cache, func(_ string, c cachedConnector) bool { return isStale(c.Connector) })
	s.evictions++
}

// Refresh implements [config.Store]: it makes Watch resolve all references again, without waiting for it.
func (s *Store) Refresh() {
	s.evictCached(func(*config.Connector) bool { return true })
	s.mu.Lock()
	s.refreshRequested = true
	s.mu.Unlock()
	s.notify.Ring()
}

// Ready implements [config.Store].
func (s *Store) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caughtUp
}

// Snapshot implements [config.Store]. It resolves references, which may block. ok is false before CaughtUp.
func (s *Store) Snapshot() (config.Snapshot, bool) { return s.snapshot(forQuery) }

// Values of snapshot's consumeRefresh: only the snapshot for Watch consumes the request of a refresh.
const (
	forWatch = true
	forQuery = false
)

// snapshot resolves references without the lock: a hanging drive must not block the topic.
func (s *Store) snapshot(consumeRefresh bool) (snapshot config.Snapshot, ok bool) {
	s.mu.Lock()
	snapshot = s.State.Snapshot()
	connectors := s.allConnectors()
	cache := maps.Clone(s.cache)
	evictions := s.evictions
	ok = s.caughtUp
	snapshot.Revision = s.writes
	if consumeRefresh {
		snapshot.Requested = s.refreshRequested
		s.refreshRequested = false
	}
	s.mu.Unlock()
	fresh := map[string]cachedConnector{}
	for _, name := range slices.Sorted(maps.Keys(connectors)) {
		cached := cache[name]
		stored := connectors[name]
		if cached.Connector == nil || cached.offset != stored.offset {
			cached = cachedConnector{s.connector(name, stored.settings), stored.offset}
			cached.Version = fmt.Sprint(stored.offset)
			fresh[name] = cached
		}
		snapshot.Connectors = append(snapshot.Connectors, cached.Clone())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.evictions == evictions {
		maps.Copy(s.cache, fresh)
	}
	maps.DeleteFunc(s.cache, func(name string, _ cachedConnector) bool { return connectors[name] == nil })
	return snapshot, ok
}

func (s *Store) connector(name string, stored map[string]string) *config.Connector {
	settings := maps.Clone(stored)
	settings["name"] = name
	c := config.NewRESTConnector(s.topic+": "+string(KindConnector)+name, settings, nil, s.worker.Providers)
	c.Name = name
	return c
}

// CheckWritable implements [config.Store] by [Store.CheckGroup].
func (s *Store) CheckWritable(_, _ string) error { return s.CheckGroup() }

// IsStale implements [config.Store]: it reports whether the topic has changed since the snapshot.
func (s *Store) IsStale(snapshot config.Snapshot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot.Revision != s.writes
}

// Put implements [config.Store]. The target state is written first, so that a connector to be stopped never runs.
func (s *Store) Put(ctx context.Context, name string, stored config.Stored) error {
	var records []Record
	if stored.Target != "" {
		records = append(records, TargetRecord(name, stored.Target))
	}
	if stored.Connector != nil {
		settings := stored.Connector.Raw()
		settings["name"] = name
		existing := s.connectorOf(name)
		version := ""
		if existing.settings != nil {
			version = fmt.Sprint(existing.offset)
		}
		if stored.IfMatch != nil && !stored.IfMatch(version) {
			return &config.ChangedError{Connector: name}
		}
		if !maps.Equal(settings, existing.settings) { // else its tasks would be planned and restarted
			records = append(records, ConnectorRecord(name, settings))
		}
		records = append(records, s.releaseFromFolder(name)...)
	}
	_, err := s.Write(ctx, records...)
	return err
}

// Delete implements [config.Store]. The records of tasks stay, as in Kafka Connect.
func (s *Store) Delete(ctx context.Context, name string) error {
	_, err := s.Write(ctx, append(DeleteRecords(name), s.releaseFromFolder(name)...)...)
	return err
}

// releaseFromFolder returns the record that ends the folder's claim to a connector, nil if it has no claim.
func (s *Store) releaseFromFolder(name string) (records []Record) {
	if s.Annotations(FolderAnnotation)[name] != nil {
		records = append(records, FolderRecord(name, ""))
	}
	return records
}

// Write implements [ClusterState]. It returns a [config.TooLargeError], or an [OtherGroupError] for all but annotations
// of groups if the topic is another group's.
func (s *Store) Write(ctx context.Context, records ...Record) (last int64, err error) {
	if len(records) == 0 {
		return 0, nil
	}
	if err := s.CheckGroup(); err != nil && !strings.HasPrefix(records[0].Key, GroupAnnotation) {
		return 0, err
	}
	for _, r := range records {
		if len(r.Value) > maxTopicValue {
			return 0, &config.TooLargeError{Text: fmt.Sprintf("expected at most %d bytes in the record %s of "+
				"%s, found %d", maxTopicValue, r.Key, s.topic, len(r.Value))}
		}
	}
	return s.writer.Write(ctx, slices.ContainsFunc(records, Record.LeaderOnly), records...)
}
