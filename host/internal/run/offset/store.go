// Package offset keeps the offsets of source connectors where Kafka Connect keeps them and as it writes them: a topic
// (connect-offsets by default) with a record for each partition of a source, ["connector",{partition}] → {offset}, both
// JSON. Offsets that a Java worker wrote for a connector of the same name are read, and a Java worker reads ours.
//
// Entries are kept of the connectors that are asked for: a topic that has served for years holds mostly others.
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

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Config is what a worker's properties say about offsets.
type Config struct {
	// Topic is offset.storage.topic. Default connect-offsets.
	Topic string
	// Partitions is offset.storage.partitions. Default 25; the embedded broker has 1 whatever is set.
	Partitions int32
	// Replication is offset.storage.replication.factor. 0 (default): 3, or the broker's default where there are fewer
	// brokers.
	Replication int16
	// TopicConfigs are the other offset.storage.* settings, which go to the topic when it is created.
	TopicConfigs map[string]string
	// FlushInterval is offset.flush.interval.ms: how often acknowledged positions are written. Default 60 s.
	FlushInterval time.Duration
	// FlushTimeout is offset.flush.timeout.ms: how long one write may take; positions that are not written then are
	// written with the next. Default 5 s.
	FlushTimeout time.Duration
}

// DefaultConfig are those of Kafka Connect.
func DefaultConfig() Config {
	return Config{Topic: "connect-offsets", Partitions: 25, FlushInterval: time.Minute, FlushTimeout: 5 * time.Second}
}

// ParseConfig takes from a worker's properties those that are about offsets; the rest is not looked at. Problems are in
// the order of names.
func ParseConfig(properties map[string]string) (c Config, problems setting.Problems) {
	c = DefaultConfig()
	for _, flush := range []struct {
		name string
		to   *time.Duration
	}{{"offset.flush.interval.ms", &c.FlushInterval}, {"offset.flush.timeout.ms", &c.FlushTimeout}} {
		value, given := properties[flush.name]
		if !given {
			continue
		}
		var err error
		if *flush.to, err = millis(strings.TrimSpace(value)); err != nil {
			problems = append(problems, setting.Problem{Setting: flush.name, Code: setting.CodeInvalid,
				Text: setting.Invalid(flush.name, strings.TrimSpace(value), err.Error())})
		}
	}
	topic, more := kafka.ParseInternal(properties, "offset.storage.", kafka.Internal{Name: c.Topic,
		Partitions: c.Partitions})
	delete(topic.Configs, "file.filename") // belongs to Kafka Connect's standalone mode
	c.Topic, c.Partitions, c.Replication = topic.Name, topic.Partitions, topic.Replication
	c.TopicConfigs = topic.Configs
	return c, append(problems, more...)
}

func millis(value string) (time.Duration, error) {
	n, ok := setting.ParseInt(wit.KindLong, value)
	if !ok || n < 1 {
		return 0, errors.New("expected milliseconds, 1 or more")
	}
	return setting.Milliseconds(n), nil
}

// Entry is the offset of one partition of a source. An Offset of nil is none: stored, it deletes.
type Entry struct {
	Partition []wit.OffsetEntry
	Offset    []wit.OffsetEntry
}

// Store holds what the topic says of the connectors that are asked for, and writes to it. It owns the goroutines of its
// clients until Close.
type Store struct {
	config Config
	kafka  kafka.Config
	log    *slog.Logger
	client *kgo.Client
	reader *kafka.Reader

	// worker is the store that entries are looked for in that this one does not have; nil: none, see
	// [OpenForConnector].
	worker *Store

	reading guard.Turn // one Refresh at a time

	mu      guard.Mutex
	at      kafka.Positions
	known   map[string]bool // the connectors whose entries are kept
	entries map[string]*stored
}

// stored is what the topic says of one partition of a source.
type stored struct {
	connector string
	partition []wit.OffsetEntry
	offset    []wit.OffsetEntry // nil: none
	fault     error             // the offset cannot be read
	// key is the record's key as it stands in the topic. Kafka Connect tells partitions apart by these bytes, and so
	// does compaction: writing the fields in another order would leave two of them.
	key []byte
	// when and where the record stands in the topic.
	when             time.Time
	partitionOfTopic int32
	offsetInTopic    int64
}

// Open creates the topic where it is missing, reads it to its end, and is ready to write. The connectors are those that
// will be asked for: for others, the topic is read once more.
func Open(ctx context.Context, k kafka.Config, c Config, connectors []string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := ensureTopic(ctx, k, c); err != nil {
		return nil, err
	}
	// Offsets are acknowledged by all replicas whatever the worker's producers do, and are few: they do not wait for
	// company.
	k.Producer.Acks, k.Producer.Idempotent, k.Producer.Linger = -1, true, 0
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
	s := &Store{config: c, kafka: k, log: log, client: client, reader: reader, reading: guard.NewTurn(),
		known: map[string]bool{}, entries: map[string]*stored{}}
	for _, name := range connectors {
		s.known[name] = true
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
	return admin.EnsureInternal(ctx, kafka.Internal{
		Name: c.Topic, Setting: "offset.storage.topic", Partitions: c.Partitions, Replication: c.Replication,
		Configs: c.TopicConfigs,
	})
}

// Close ends the clients. Writers are to be closed before.
func (s *Store) Close() {
	s.client.Close()
	s.reader.Close()
}

// Refresh reads what was written to the topic since the last time, by whomever: before a task starts.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.reading.Lock(ctx); err != nil {
		return err
	}
	defer s.reading.Unlock()
	s.mu.Lock()
	from, known := s.at, maps.Clone(s.known)
	s.mu.Unlock()
	return s.read(ctx, from, known)
}

// learn reads the topic for a connector that was not asked for before.
func (s *Store) learn(ctx context.Context, connector string) error {
	if s.knows(connector) {
		return nil
	}
	if err := s.reading.Lock(ctx); err != nil {
		return err
	}
	defer s.reading.Unlock()
	s.mu.Lock()
	known := maps.Clone(s.known)
	s.mu.Unlock()
	if known[connector] {
		return nil
	}
	known[connector] = true
	return s.read(ctx, nil, known)
}

func (s *Store) knows(connector string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[connector]
}

// read takes what the topic has of the connectors, from some positions on; they are known then. Nothing is taken where
// it fails. Of the entries of a partition of a source, which a topic has many of where it is not compacted, only the
// last is looked into.
func (s *Store) read(ctx context.Context, from kafka.Positions, known map[string]bool) error {
	n := newest{known: known, records: map[recordPlace]*kgo.Record{}, log: s.log}
	at, err := s.reader.Read(ctx, s.config.Topic, kafka.ReadOptions{From: from, Resumed: true, SideBySide: true,
		Expected: true}, n.take)
	n.skippedMore(s.config.Topic)
	if errors.Is(err, kafka.ErrShrunk) {
		// Not by itself: sources would go back to what the topic has now, and read again what lies after it.
		again := "the worker"
		if s.worker != nil {
			again = "the connector"
		}
		return fmt.Errorf("offsets: %w. Look with `culvert offsets show` where sources stand by what it has now, and "+
			"restart %s to go on there", err, again)
	}
	if err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range n.records {
		e := entryOf(r)
		id := identity(e.connector, e.partition)
		if before := s.entries[id]; before == nil || e.follows(before) {
			s.entries[id] = e
		}
	}
	s.at, s.known = at, known
	return nil
}

// newest are the last records by key, of the connectors that are known.
type newest struct {
	known   map[string]bool
	records map[recordPlace]*kgo.Record
	skipped int
	log     *slog.Logger
}

type recordPlace struct {
	partition int32
	key       string
}

// shownSkips is how many of a read's records that are not Kafka Connect's are logged one by one.
const shownSkips = 10

// take notes a record. Those that are not Kafka Connect's are skipped and logged.
func (n *newest) take(r *kgo.Record) error {
	if !mayBe(r.Key, n.known) {
		return nil
	}
	kept := n.records[recordPlace{r.Partition, string(r.Key)}]
	if kept == nil {
		connector, _, err := ParseKey(r.Key)
		if err != nil {
			if n.skipped++; n.skipped <= shownSkips {
				n.log.Warn("a record in the topic of offsets is skipped", "topic", r.Topic, "partition", r.Partition,
					"offset",
					r.Offset, "error", err)
			}
			return nil
		}
		if !n.known[connector] {
			return nil
		}
		key := string(r.Key)
		kept = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: []byte(key)}
		n.records[recordPlace{r.Partition, key}] = kept
	}
	// The record's bytes are those of its whole batch.
	kept.Offset, kept.Timestamp, kept.Value = r.Offset, r.Timestamp, bytes.Clone(r.Value)
	return nil
}

func (n *newest) skippedMore(topic string) {
	if more := n.skipped - shownSkips; more > 0 {
		n.log.Warn("further records in the topic of offsets are skipped: it may not be the topic of offsets that "+
			"offset.storage.topic, or a connector's offsets.storage.topic, is to name", "topic", topic, "records", more)
	}
}

// mayBe tells whether a key can be one of the connectors, without reading more of it than the name: of a million
// entries, few are. A key that does not show its name plainly may be anyone's.
func mayBe(key []byte, known map[string]bool) bool {
	rest, ok := bytes.CutPrefix(key, []byte(`["`))
	if !ok {
		return true
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 || bytes.IndexByte(rest[:end], '\\') >= 0 || !utf8.Valid(rest[:end]) {
		return true
	}
	return known[string(rest[:end])]
}

// entryOf is what a record says whose key is Kafka Connect's.
func entryOf(r *kgo.Record) *stored {
	connector, partition, _ := ParseKey(r.Key)
	e := &stored{
		connector: connector, partition: partition, key: r.Key, when: r.Timestamp,
		partitionOfTopic: r.Partition, offsetInTopic: r.Offset,
	}
	if r.Value == nil {
		return e
	}
	var err error
	if e.offset, err = ParseJSON(r.Value); err != nil {
		e.fault = fmt.Errorf("offset of connector %s, partition %.300s (topic %s of offset.storage.topic or "+
			"offsets.storage.topic, partition %d, offset %d) cannot be read: %w; with the connector stopped, "+
			"`culvert offsets set` replaces it, and `culvert offsets reset` deletes it, so that all is read again",
			connector, AppendJSON(nil, partition), r.Topic, r.Partition, r.Offset, err)
	}
	return e
}

// follows tells whether a record is newer than another for the same partition of a source. Keys in different forms
// may lie in different partitions of the topic; then time decides.
func (e *stored) follows(known *stored) bool {
	if e.partitionOfTopic == known.partitionOfTopic {
		return e.offsetInTopic > known.offsetInTopic
	}
	return !e.when.Before(known.when)
}

// Get returns the offset of a partition; found is false where there is none. An offset that cannot be read is an error:
// taking it for none would load everything again without a word.
func (s *Store) Get(ctx context.Context, connector string, partition []wit.OffsetEntry) (offset []wit.OffsetEntry,
	found bool,
	err error) {
	if err := s.learn(ctx, connector); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	e := s.entries[identity(connector, partition)]
	s.mu.Unlock()
	if e == nil || e.offset == nil && e.fault == nil {
		return s.fallBack(ctx, connector, partition)
	}
	return e.offset, e.offset != nil, e.fault
}

// All returns every partition of a connector that has an offset, in no particular order; with an error, those that can
// be read.
func (s *Store) All(ctx context.Context, connector string) (entries []Entry, err error) {
	if err := s.learn(ctx, connector); err != nil {
		return nil, err
	}
	own := map[string]bool{}
	s.mu.Lock()
	for id, e := range s.entries {
		if e.connector != connector {
			continue
		}
		own[id] = e.fault != nil || e.offset != nil
		if e.fault != nil {
			err = errors.Join(err, e.fault)
		} else if e.offset != nil {
			entries = append(entries, Entry{e.partition, e.offset})
		}
	}
	s.mu.Unlock()
	if s.worker != nil {
		more, fault := s.worker.All(ctx, connector)
		for _, e := range more {
			if !own[identity(connector, e.Partition)] {
				entries = append(entries, e)
			}
		}
		err = errors.Join(err, fault)
	}
	return entries, err
}

// Set writes offsets of a connector and waits until they are acknowledged, or the context ends: then they may or may
// not have been written. Those written before for the same partitions are overtaken in any case.
func (s *Store) Set(ctx context.Context, connector string, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("offsets of connector %s: write to topic %s: %w", connector, s.config.Topic, err)
	}
	if err := s.learn(ctx, connector); err != nil {
		return err
	}
	if err := s.deleted(ctx, connector, entries); err != nil {
		return err
	}
	answers := make(chan error, len(entries))
	for _, e := range entries {
		r := &kgo.Record{Topic: s.config.Topic, Key: s.key(connector, e.Partition), Partition: -1}
		if e.Offset != nil {
			r.Value = AppendJSON(nil, e.Offset)
		}
		// The records' own context does not end: a later one for the same partition must stay after an earlier one.
		s.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
			if err == nil {
				s.written(connector, e, r)
			}
			answers <- err
		})
	}
	for range entries {
		select {
		case err := <-answers:
			if err != nil {
				return fmt.Errorf("offsets of connector %s: write to topic %s: %w", connector, s.config.Topic,
					kafka.Lacking(err, "WRITE", "Topic "+s.config.Topic))
			}
		case <-ctx.Done():
			return fmt.Errorf("offsets of connector %s: write to topic %s: %w", connector, s.config.Topic, ctx.Err())
		}
	}
	s.copied(ctx, connector, entries)
	return nil
}

// key is that under which the partition already stands in the topic, else the one that a Connect worker finds.
func (s *Store) key(connector string, partition []wit.OffsetEntry) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[identity(connector, partition)]; e != nil {
		return e.key
	}
	return appendKey(nil, connector, inOrderOfJava(partition))
}

func (s *Store) written(connector string, e Entry, r *kgo.Record) {
	id := identity(connector, e.Partition)
	now := &stored{
		connector: connector, partition: e.Partition, offset: e.Offset, key: r.Key, when: r.Timestamp,
		partitionOfTopic: r.Partition, offsetInTopic: r.Offset,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.entries[id]; known == nil || now.follows(known) {
		s.entries[id] = now
	}
}

// OpenForConnector is [Open] for the topic of one connector (its offsets.storage.topic), on the cluster of k, as Kafka
// Connect has it: what it does not hold is read from the worker's, and what is written to it is written to the
// worker's, too, so that the connector can go back. The worker's store stays the caller's.
func OpenForConnector(ctx context.Context, k kafka.Config, c Config, connector string, worker *Store,
	log *slog.Logger) (*Store, error) {
	s, err := Open(ctx, k, c, []string{connector}, log)
	if err != nil {
		return nil, err
	}
	s.worker = worker
	return s, nil
}

// fallBack is the worker's offset where this store has none.
func (s *Store) fallBack(ctx context.Context, connector string, partition []wit.OffsetEntry) (offset []wit.OffsetEntry,
	found bool,
	err error) {
	if s.worker == nil {
		return nil, false, nil
	}
	return s.worker.Get(ctx, connector, partition)
}

// copied writes to the worker's store what was written to this one. That it fails harms nothing: this one is read
// first.
func (s *Store) copied(ctx context.Context, connector string, entries []Entry) {
	if s.worker == nil {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Offset == nil })
	if err := s.worker.Set(ctx, connector, kept...); err != nil {
		s.log.Warn("the worker's topic of offsets does not get what the connector's own has got", "connector",
			connector, "topic", s.worker.config.Topic, "error", err)
	}
}

// deleted writes tombstones to the worker's store before this one gets them: an old offset there would count again.
func (s *Store) deleted(ctx context.Context, connector string, entries []Entry) error {
	if s.worker == nil {
		return nil
	}
	gone := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Offset != nil })
	return s.worker.Set(ctx, connector, gone...)
}
