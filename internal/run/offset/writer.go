package offset

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/wit"
)

// Writer writes the acknowledged offsets of one task, the newest of each partition, every offset.flush.interval.ms,
// after [Writer.FlushSoon], and at Close. It owns a goroutine until Close.
type Writer struct {
	store     *Store
	connector string
	onWrite   func(start time.Time, err error)
	producer  *transactionalProducer // nil means the store's producer
	requested guard.Bell             // see FlushSoon
	cancel    context.CancelFunc
	done      chan struct{}

	flushMutex guard.CtxMutex // one write at a time, so that older offsets never overtake newer ones

	mu        sync.Mutex
	pending   map[string]Entry
	onFailure []func(error) // see OnFailure
}

// NewWriter starts a writer for a task of a connector. onWrite, if not nil, is called after each write.
func (s *Store) NewWriter(connector string, onWrite func(start time.Time, err error)) *Writer {
	return s.writer(connector, onWrite, nil)
}

func (s *Store) writer(connector string, onWrite func(start time.Time, err error),
	producer *transactionalProducer) *Writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{
		store:      s,
		connector:  connector,
		onWrite:    onWrite,
		producer:   producer,
		requested:  guard.NewBell(),
		cancel:     stop,
		done:       make(chan struct{}),
		flushMutex: guard.NewCtxMutex(),
		pending:    map[string]Entry{},
	}
	go w.run(ctx)
	return w
}

func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	defer guard.Vital("the writing of offsets of connector " + w.connector)
	var last time.Time
	for hasFailed := false; w.awaitFlush(ctx, last) == nil; {
		last = time.Now()
		flushCtx, cancel := context.WithTimeout(ctx, w.store.config.FlushTimeout)
		err := w.Flush(flushCtx)
		cancel()
		switch {
		case ctx.Err() != nil: // Close writes the rest
		case err != nil && hasFailed: // only the first failure is logged
		case err != nil:
			w.store.log.Warn("offsets could not be written; the next flush retries", "connector", w.connector,
				"error", err)
		case hasFailed:
			w.store.log.Info("offsets are written again", "connector", w.connector)
		}
		hasFailed = err != nil
	}
}

// minFlushInterval is the least time between two writes that [Writer.FlushSoon] requests.
const minFlushInterval = time.Second

// awaitFlush waits until the next write is due: offset.flush.interval.ms after the last one, or earlier on request.
func (w *Writer) awaitFlush(ctx context.Context, last time.Time) error {
	interval := time.NewTimer(w.store.config.FlushInterval)
	defer interval.Stop()
	select {
	case <-interval.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.requested:
	}
	select {
	case <-interval.C:
	case <-ctx.Done():
	case <-time.After(time.Until(last.Add(minFlushInterval))):
	}
	select {
	case <-w.requested: // this write is also for the requests since
	default:
	}
	return context.Cause(ctx)
}

// FlushSoon requests a write of the acknowledged offsets before the interval has passed: at once, if the last write was
// minFlushInterval ago or longer. It does not block.
func (w *Writer) FlushSoon() { w.requested.Ring() }

// Acknowledged records that all rows up to a position are in Kafka. Call it for every batch, in the order of positions.
// The writer owns the fields.
func (w *Writer) Acknowledged(partition, position []wit.OffsetEntry) {
	id := identity(w.connector, partition)
	w.mu.Lock()
	w.pending[id] = Entry{Partition: partition, Offset: position}
	w.mu.Unlock()
}

// Flush writes pending offsets and waits for their acknowledgement, for example before the service forgets acknowledged
// rows. Offsets that could not be written remain pending.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.flushMutex.Lock(ctx); err != nil {
		return err
	}
	defer w.flushMutex.Unlock()
	w.mu.Lock()
	entriesByID := w.pending
	w.pending = map[string]Entry{}
	w.mu.Unlock()
	entries := slices.Collect(maps.Values(entriesByID))
	start := time.Now()
	err := w.set(ctx, entries)
	if len(entries) > 0 && w.onWrite != nil {
		w.onWrite(start, err)
	}
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, e := range entriesByID {
		if _, ok := w.pending[id]; !ok {
			w.pending[id] = e
		}
	}
	return err
}

func (w *Writer) set(ctx context.Context, entries []Entry) error {
	if w.producer == nil {
		return w.store.Set(ctx, w.connector, entries...)
	}
	err := w.producer.set(ctx, entries)
	if errors.As(err, new(*lostError)) {
		w.mu.Lock()
		callbacks := slices.Clone(w.onFailure)
		w.mu.Unlock()
		for _, onFailure := range callbacks {
			onFailure(err)
		}
	}
	return err
}

// OnFailure adds a function to call when the writer can never write again: it was fenced or lost its permissions.
func (w *Writer) OnFailure(onFailure func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onFailure = append(w.onFailure, onFailure)
}

// Close ends the goroutine and writes pending offsets.
func (w *Writer) Close(ctx context.Context) error {
	w.cancel()
	<-w.done
	err := w.Flush(ctx)
	if w.producer != nil {
		w.producer.close()
	}
	return err
}
