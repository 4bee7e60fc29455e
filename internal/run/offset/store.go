package offset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Config has a worker's settings of the offsets topic.
type Config struct {
	// Topic is offset.storage.topic. Default: connect-offsets.
	Topic string
	// Partitions is offset.storage.partitions. Default: 25; the embedded broker always has 1.
	Partitions int32
	// Replication is offset.storage.replication.factor. Zero means 3, or the default of a smaller cluster's broker.
	Replication int16
	// TopicConfigs are the other offset.storage.* settings, for the creation of the topic.
	TopicConfigs map[string]string
	// FlushInterval is offset.flush.interval.ms, between writes of acknowledged offsets. Default: 60 s.
	FlushInterval time.Duration
	// FlushTimeout is offset.flush.timeout.ms of one write, after which the next one retries. Default: 5 s.
	FlushTimeout time.Duration
}

// DefaultConfig returns Kafka Connect's defaults.
func DefaultConfig() Config {
	return Config{Topic: "connect-offsets", Partitions: 25, FlushInterval: time.Minute, FlushTimeout: 5 * time.Second}
}

// ParseConfig reads the offset settings from a worker's properties. Problems are sorted by name.
func ParseConfig(properties map[string]string) (c Config, problems setting.Problems) {
	c = DefaultConfig()
	for _, flush := range []struct {
		name  string
		value *time.Duration
	}{{"offset.flush.interval.ms", &c.FlushInterval}, {"offset.flush.timeout.ms", &c.FlushTimeout}} {
		value, ok := properties[flush.name]
		if !ok {
			continue
		}
		var err error
		if *flush.value, err = millis(strings.TrimSpace(value)); err != nil {
			problems = append(problems, setting.Problem{Setting: flush.name, Code: setting.CodeInvalid,
				Text: setting.Invalid(flush.name, strings.TrimSpace(value), err.Error())})
		}
	}
	topic, topicProblems := kafka.ParseInternalTopic(properties, "offset.storage.", kafka.InternalTopic{Name: c.Topic,
		Partitions: c.Partitions})
	delete(topic.Configs, "file.filename") // of Kafka Connect's standalone mode
	c.Topic = topic.Name
	c.Partitions = topic.Partitions
	c.Replication = topic.Replication
	c.TopicConfigs = topic.Configs
	return c, append(problems, topicProblems...)
}

func millis(value string) (time.Duration, error) {
	n, ok := setting.ParseInt(wit.KindLong, value)
	if !ok || n < 1 {
		return 0, errors.New("expected milliseconds, 1 or more")
	}
	return setting.Milliseconds(n), nil
}

// Entry is the offset of one source partition. A nil Offset means that there is none; writing that deletes.
type Entry struct {
	Partition []wit.OffsetEntry
	Offset    []wit.OffsetEntry
}

// Store reads and writes an offsets topic. It owns its clients until Close.
type Store struct {
	config Config
	kafka  kafka.Config
	log    *slog.Logger
	client *kgo.Client
	reader *kafka.Reader

	worker *Store // nil unless this is a connector's own store, see OpenForConnector

	readMutex guard.CtxMutex // one Refresh at a time

	mu        guard.Mutex
	positions kafka.Positions
	loaded    map[string]bool // connectors whose entries are kept
	entries   map[string]*storedEntry
}

type storedEntry struct {
	connector string
	partition []wit.OffsetEntry
	offset    []wit.OffsetEntry // nil means none
	err       error             // the offset cannot be read
	// key is the record's key as it is in the topic. Kafka Connect and compaction compare its bytes, so another field
	// order would create a second record.
	key            []byte
	timestamp      time.Time // of the record
	topicPartition int32
	topicOffset    int64
}

// Open creates a missing topic and reads it to its end. It keeps the offsets of connectors; when those of another
// connector are requested, it reads the topic again.
func Open(ctx context.Context, k kafka.Config, c Config, connectors []string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := ensureTopic(ctx, k, c); err != nil {
		return nil, err
	}
	// All replicas acknowledge offsets, whatever the worker's producers do, and they are sent without linger.
	k.Producer.Acks = -1
	k.Producer.Idempotent = true
	k.Producer.Linger = 0
	client, err := kgo.NewClient(k.ProducerOpts()...)
	if err != nil {
		return nil, fmt.Errorf("offsets: %w", err)
	}
	k.Consumer.ReadUncommitted = false
	reader, err := kafka.NewReader(k)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("offsets: %w", err)
	}
	s := &Store{
		config:    c,
		kafka:     k,
		log:       log,
		client:    client,
		reader:    reader,
		readMutex: guard.NewCtxMutex(),
		loaded:    map[string]bool{},
		entries:   map[string]*storedEntry{},
	}
	for _, name := range connectors {
		s.loaded[name] = true
	}
	if err := s.Refresh(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func ensureTopic(ctx context.Context, k kafka.Config, c Config) error {
	admin, err := kafka.NewAdmin(k)
	if err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	defer admin.Close()
	return admin.EnsureInternalTopic(ctx, kafka.InternalTopic{
		Name: c.Topic, Setting: "offset.storage.topic", Partitions: c.Partitions, Replication: c.Replication,
		Configs: c.TopicConfigs,
	})
}

// Close closes the clients. Close writers first.
func (s *Store) Close() {
	s.client.Close()
	s.reader.Close()
}

// Refresh reads new records of the topic, also records of other workers.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.readMutex.Lock(ctx); err != nil {
		return err
	}
	defer s.readMutex.Unlock()
	s.mu.Lock()
	positions := s.positions
	connectors := maps.Clone(s.loaded)
	s.mu.Unlock()
	return s.read(ctx, positions, connectors)
}

// Load reads the offsets of connectors that were not requested before, by one read of the topic for all.
func (s *Store) Load(ctx context.Context, connectors ...string) error {
	if len(s.notLoaded(connectors)) == 0 {
		return nil
	}
	if err := s.readMutex.Lock(ctx); err != nil {
		return err
	}
	defer s.readMutex.Unlock()
	newConnectors := s.notLoaded(connectors)
	if len(newConnectors) == 0 {
		return nil
	}
	s.mu.Lock()
	loaded := maps.Clone(s.loaded)
	s.mu.Unlock()
	for _, name := range newConnectors {
		loaded[name] = true
	}
	return s.read(ctx, nil, loaded)
}

func (s *Store) notLoaded(connectors []string) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range connectors {
		if !s.loaded[name] {
			names = append(names, name)
		}
	}
	return names
}

// read reads the entries of connectors from positions on. Only the last record of a key is parsed, because a topic that
// is not compacted has many. After an error nothing has changed.
func (s *Store) read(ctx context.Context, from kafka.Positions, connectors map[string]bool) error {
	latest := latestRecords{connectors: connectors, records: map[recordKey]*kgo.Record{}, log: s.log}
	end, err := s.reader.Read(ctx, s.config.Topic, kafka.ReadOptions{From: from, Resumed: true, Parallel: true,
		Expected: true}, latest.add)
	latest.logSkipped(s.config.Topic)
	if errors.Is(err, kafka.ErrTruncated) {
		// Restarting automatically would repeat all rows after the offsets that the topic has now.
		restart := "the worker"
		if s.worker != nil {
			restart = "the connector"
		}
		return fmt.Errorf("offsets: %w. `culvert offsets show` prints the offsets that it has now; "+
			"restart %s to continue from there", err, restart)
	}
	if err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range latest.records {
		e := parseRecord(r)
		id := identity(e.connector, e.partition)
		if current := s.entries[id]; current == nil || e.isNewerThan(current) {
			s.entries[id] = e
		}
	}
	s.positions = end
	s.loaded = connectors
	return nil
}

// latestRecords collects the last record of each key of some connectors.
type latestRecords struct {
	connectors map[string]bool
	records    map[recordKey]*kgo.Record
	skipped    int
	log        *slog.Logger
}

type recordKey struct {
	partition int32
	key       string
}

const loggedSkips = 10 // how many skipped records are logged one by one

func (l *latestRecords) add(r *kgo.Record) error {
	if !mayBelong(r.Key, l.connectors) {
		return nil
	}
	latest := l.records[recordKey{partition: r.Partition, key: string(r.Key)}]
	if latest == nil {
		connector, _, err := ParseKey(r.Key)
		if err != nil {
			l.skipped++
			if l.skipped <= loggedSkips {
				l.log.Warn("a record in the offsets topic is skipped", "topic", r.Topic, "partition", r.Partition,
					"offset", r.Offset, "error", err)
			}
			return nil
		}
		if !l.connectors[connector] {
			return nil
		}
		key := string(r.Key)
		latest = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: []byte(key)}
		l.records[recordKey{partition: r.Partition, key: key}] = latest
	}
	// Clone, because the bytes belong to a whole batch.
	latest.Offset = r.Offset
	latest.Timestamp = r.Timestamp
	latest.Value = bytes.Clone(r.Value)
	return nil
}

func (l *latestRecords) logSkipped(topic string) {
	if unlogged := l.skipped - loggedSkips; unlogged > 0 {
		l.log.Warn("further records in the offsets topic are skipped: it may be the wrong topic, see "+
			"offset.storage.topic and the connector's offsets.storage.topic", "topic", topic, "records", unlogged)
	}
}

// mayBelong reports, by the name alone, whether a key may be of one of the connectors. It is true for escaped names.
func mayBelong(key []byte, connectors map[string]bool) bool {
	name, ok := bytes.CutPrefix(key, []byte(`["`))
	if !ok {
		return true
	}
	end := bytes.IndexByte(name, '"')
	if end < 0 || bytes.IndexByte(name[:end], '\\') >= 0 || !utf8.Valid(name[:end]) {
		return true
	}
	return connectors[string(name[:end])]
}

func parseRecord(r *kgo.Record) *storedEntry {
	connector, partition, _ := ParseKey(r.Key)
	entry := &storedEntry{
		connector: connector, partition: partition, key: r.Key, timestamp: r.Timestamp,
		topicPartition: r.Partition, topicOffset: r.Offset,
	}
	if r.Value == nil {
		return entry
	}
	var err error
	if entry.offset, err = ParseJSON(r.Value); err != nil {
		entry.err = fmt.Errorf("offset of connector %s, partition %.300s (topic %s of offset.storage.topic or "+
			"offsets.storage.topic, partition %d, offset %d) cannot be read: %w; with the connector stopped, "+
			"`culvert offsets set` replaces it, and `culvert offsets reset` deletes it, so that everything is "+
			"read again", connector, AppendJSON(nil, partition), r.Topic, r.Partition, r.Offset, err)
	}
	return entry
}

// isNewerThan compares records of one source partition. Keys in different forms may be in different topic partitions;
// then time decides.
func (s *storedEntry) isNewerThan(other *storedEntry) bool {
	if s.topicPartition == other.topicPartition {
		return s.topicOffset > other.topicOffset
	}
	return !s.timestamp.Before(other.timestamp)
}

// Get returns the offset of a source partition. Unreadable offsets are errors: else everything would be read again.
func (s *Store) Get(ctx context.Context, connector string,
	partition []wit.OffsetEntry) (offset []wit.OffsetEntry, ok bool, err error) {
	if err := s.Load(ctx, connector); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	entry := s.entries[identity(connector, partition)]
	s.mu.Unlock()
	switch {
	case entry != nil && (entry.offset != nil || entry.err != nil):
		return entry.offset, entry.offset != nil, entry.err
	case s.worker != nil:
		return s.worker.Get(ctx, connector, partition)
	}
	return nil, false, nil
}

// All returns all offsets of a connector in any order. If some cannot be read, it returns the others with an error.
func (s *Store) All(ctx context.Context, connector string) (entries []Entry, err error) {
	if err := s.Load(ctx, connector); err != nil {
		return nil, err
	}
	hasOffset := map[string]bool{}
	s.mu.Lock()
	for id, e := range s.entries {
		if e.connector != connector {
			continue
		}
		hasOffset[id] = e.err != nil || e.offset != nil
		if e.err != nil {
			err = errors.Join(err, e.err)
		} else if e.offset != nil {
			entries = append(entries, Entry{Partition: e.partition, Offset: e.offset})
		}
	}
	s.mu.Unlock()
	if s.worker != nil {
		workerEntries, workerErr := s.worker.All(ctx, connector)
		for _, e := range workerEntries {
			if !hasOffset[identity(connector, e.Partition)] {
				entries = append(entries, e)
			}
		}
		err = errors.Join(err, workerErr)
	}
	return entries, err
}

// Set writes offsets and waits for acknowledgements. A nil Offset deletes. If ctx ends first, the offsets may have been
// written or not; they never overwrite those of a later Set.
func (s *Store) Set(ctx context.Context, connector string, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("offsets of connector %s: write to topic %s: %w", connector, s.config.Topic, err)
	}
	if err := s.Load(ctx, connector); err != nil {
		return err
	}
	// An old offset in the worker's store would count again: delete it first.
	if s.worker != nil {
		tombstones := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Offset != nil })
		if err := s.worker.Set(ctx, connector, tombstones...); err != nil {
			return err
		}
	}
	results := make(chan error, len(entries))
	for _, e := range entries {
		// Partition -1 means that the key determines it.
		r := &kgo.Record{Topic: s.config.Topic, Key: s.key(connector, e.Partition), Partition: -1}
		if e.Offset != nil {
			r.Value = AppendJSON(nil, e.Offset)
		}
		// The context of records does not end, because later records of the same partition must follow earlier ones.
		s.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
			if err == nil {
				s.remember(connector, e, r)
			}
			results <- err
		})
	}
	for range entries {
		select {
		case err := <-results:
			if err != nil {
				return fmt.Errorf("offsets of connector %s: write to topic %s: %w", connector, s.config.Topic,
					kafka.WithMissingRight(err, "WRITE", "Topic "+s.config.Topic))
			}
		case <-ctx.Done():
			return fmt.Errorf("offsets of connector %s: write to topic %s: %w", connector, s.config.Topic, ctx.Err())
		}
	}
	s.copyToWorker(ctx, connector, entries)
	return nil
}

// key returns the partition's existing key in the topic, or the one that a Connect worker looks up.
func (s *Store) key(connector string, partition []wit.OffsetEntry) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[identity(connector, partition)]; e != nil {
		return e.key
	}
	return appendKey(nil, connector, sortLikeHashMap(partition))
}

func (s *Store) remember(connector string, e Entry, r *kgo.Record) {
	id := identity(connector, e.Partition)
	written := &storedEntry{
		connector: connector, partition: e.Partition, offset: e.Offset, key: r.Key, timestamp: r.Timestamp,
		topicPartition: r.Partition, topicOffset: r.Offset,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if current := s.entries[id]; current == nil || written.isNewerThan(current) {
		s.entries[id] = written
	}
}

// OpenForConnector opens the topic of one connector (offsets.storage.topic) on the cluster of k. As in Kafka Connect,
// it falls back to the worker's store and copies all writes to it, so that the setting can be removed again. Close does
// not close the worker's store.
func OpenForConnector(ctx context.Context, k kafka.Config, c Config, connector string, worker *Store,
	log *slog.Logger) (*Store, error) {
	s, err := Open(ctx, k, c, []string{connector}, log)
	if err != nil {
		return nil, err
	}
	s.worker = worker
	return s, nil
}

// copyToWorker copies written offsets to the worker's store. Errors are only logged, because this store is read first.
func (s *Store) copyToWorker(ctx context.Context, connector string, entries []Entry) {
	if s.worker == nil {
		return
	}
	written := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Offset == nil })
	if err := s.worker.Set(ctx, connector, written...); err != nil {
		s.log.Warn("offsets could not be copied to the worker's offsets topic", "connector", connector,
			"topic", s.worker.config.Topic, "error", err)
	}
}
