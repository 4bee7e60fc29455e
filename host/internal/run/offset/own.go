package offset

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// OpenOwn is [Open] for the topic of one connector (its offsets.storage.topic), on the cluster of k, as Kafka Connect
// has it: what it does not hold is read from the worker's, and what is written to it is written to the worker's, too,
// so that the connector can go back. The worker's store stays the caller's.
func OpenOwn(ctx context.Context, k kafka.Config, c Config, connector string, worker *Store,
	log *slog.Logger) (*Store, error) {
	s, err := Open(ctx, k, c, []string{connector}, log)
	if err != nil {
		return nil, err
	}
	s.worker = worker
	return s, nil
}

// fallBack is the worker's offset where this store has none.
func (s *Store) fallBack(ctx context.Context, connector string, partition []wit.Field) (offset []wit.Field, found bool,
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
	var kept []Entry
	for _, e := range entries {
		if e.Offset != nil {
			kept = append(kept, e)
		}
	}
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
	var gone []Entry
	for _, e := range entries {
		if e.Offset == nil {
			gone = append(gone, e)
		}
	}
	return s.worker.Set(ctx, connector, gone...)
}
