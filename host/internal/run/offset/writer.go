package offset

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

// Writer writes the positions of one task: those that its caller reports as acknowledged, the newest of each partition,
// every offset.flush.interval.ms and at Close. It owns a goroutine until Close.
type Writer struct {
	store     *Store
	connector string
	wrote     func(began time.Time, err error)
	own       *transacting // nil: offsets go with the store's producer
	stop      context.CancelFunc
	stopped   chan struct{}

	flushing guard.Turn // one write at a time, so that an older one never overtakes

	mu      sync.Mutex
	pending map[string]Entry
	failed  []func(error) // of [NewWriter.OnFailure]
}

// NewWriter begins the writing for a task of a connector. wrote is called after each write; nil: nothing is.
func (s *Store) NewWriter(connector string, wrote func(began time.Time, err error)) *Writer {
	return s.writer(connector, wrote, nil)
}

func (s *Store) writer(connector string, wrote func(began time.Time, err error), own *transacting) *Writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{store: s, connector: connector, wrote: wrote, own: own, stop: stop, stopped: make(chan struct{}),
		flushing: guard.NewTurn(), pending: map[string]Entry{}}
	go w.run(ctx)
	return w
}

func (w *Writer) run(ctx context.Context) {
	defer close(w.stopped)
	defer guard.Vital("the writing of offsets of connector " + w.connector)
	for failing := false; pause.For(ctx, w.store.config.FlushInterval) == nil; {
		limited, cancel := context.WithTimeout(ctx, w.store.config.FlushTimeout)
		err := w.Flush(limited)
		cancel()
		switch {
		case ctx.Err() != nil:
		case err != nil && failing: // said once
		case err != nil:
			w.store.log.Error("offsets are not written; they go with the next flush", "connector", w.connector, "error",
				err)
		case failing:
			w.store.log.Info("offsets are written again", "connector", w.connector)
		}
		failing = err != nil
	}
}

// Acknowledged notes that everything up to a position is durably in Kafka: to be called only then, in the order of the
// positions, and for every batch, since only the newest is written. The fields belong to the writer from here on.
func (w *Writer) Acknowledged(partition, position []wit.OffsetEntry) {
	id := identity(w.connector, partition)
	w.mu.Lock()
	w.pending[id] = Entry{partition, position}
	w.mu.Unlock()
}

// Flush writes what is pending and waits until it is acknowledged: before a request that tells the service to forget
// what it has sent. What could not be written stays pending.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.flushing.Lock(ctx); err != nil {
		return err
	}
	defer w.flushing.Unlock()
	w.mu.Lock()
	taken := w.pending
	w.pending = map[string]Entry{}
	w.mu.Unlock()
	entries := slices.Collect(maps.Values(taken))
	began := time.Now()
	err := w.set(ctx, entries)
	if len(entries) > 0 && w.wrote != nil {
		w.wrote(began, err)
	}
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, e := range taken {
		if _, newer := w.pending[id]; !newer {
			w.pending[id] = e
		}
	}
	return err
}

func (w *Writer) set(ctx context.Context, entries []Entry) error {
	if w.own == nil {
		return w.store.Set(ctx, w.connector, entries...)
	}
	err := w.own.set(ctx, entries)
	if errors.As(err, new(*lost)) {
		w.mu.Lock()
		failed := slices.Clone(w.failed)
		w.mu.Unlock()
		for _, f := range failed {
			f(err)
		}
	}
	return err
}

// OnFailure adds a function that is called when the writer can write no more: its producer was fenced, or has lost its
// rights.
func (w *Writer) OnFailure(failed func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, failed)
}

// Close ends the goroutine and writes what is pending, for as long as ctx lasts.
func (w *Writer) Close(ctx context.Context) error {
	w.stop()
	<-w.stopped
	err := w.Flush(ctx)
	if w.own != nil {
		w.own.close()
	}
	return err
}
