package sampling

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/task"
)

const (
	lifetime             = 10 * time.Minute
	maxSamples           = 16
	defaultRows, maxRows = 20, 100
	// maxRowBytes bounds the rows of a sample, maxTextBytes their rendered text.
	maxRowBytes, maxTextBytes = 8 << 20, 4 << 20
	// computeTimeout bounds the transforms of all rows of a sample.
	computeTimeout = 20 * time.Second
)

const waiting, done = "waiting", "done"

// Sampler holds the samples of a worker. It is safe for concurrent use.
//
// Invariants: a connector's observer is set exactly while one of its samples waits for rows. Copied rows are immutable.
type Sampler struct {
	registry *record.Registry
	redact   func(string) string
	quota    *memory.Quota

	mu        sync.Mutex
	samples   []*sample // in the order of their start
	observers map[string]*task.Observer
}

type sample struct {
	rest.Sample // the request
	rows        []row
	bytes       int // of the copied rows
	textBytes   int // of the last results, reserved like bytes

	computeLock guard.CtxMutex
	shown       rest.Sample // with the last results of the connector's chain; guarded by computeLock
}

// New returns a sampler. redact removes secrets from a text. Rows and results of samples are kept within the quota.
func New(registry *record.Registry, redact func(string) string, quota *memory.Quota) *Sampler {
	return &Sampler{registry: registry.ForConnector("samples"), redact: redact, quota: quota,
		observers: map[string]*task.Observer{}}
}

// Observer returns the observer that the tasks of a connector call with their rows.
func (s *Sampler) Observer(connector string) *task.Observer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observers[connector] == nil {
		s.observers[connector] = &task.Observer{}
		s.updateObserver(connector)
	}
	return s.observers[connector]
}

// updateObserver sets or clears the observer of a connector. s.mu must be held.
func (s *Sampler) updateObserver(connector string) {
	observer := s.observers[connector]
	switch {
	case observer == nil: // no task of it has run here yet
	case slices.ContainsFunc(s.samples, func(s *sample) bool { return s.isWaitingFor(connector) }):
		observer.Set(func(task int, feed string, b *record.Batch) { s.observe(connector, task, feed, b) })
	default:
		observer.Set(nil)
	}
}

func (s *sample) isWaitingFor(connector string) bool {
	return s.Connector == connector && len(s.rows) < s.Wanted
}

func newSample(connector string, wanted int, show string) *sample {
	now := time.Now().UTC()
	return &sample{computeLock: guard.NewCtxMutex(), Sample: rest.Sample{
		Connector: connector,
		State:     waiting,
		Wanted:    wanted,
		Show:      show,
		Created:   now,
		Expires:   now.Add(lifetime),
		Steps:     []rest.SampleStep{},
		Rows:      []rest.SampledRow{},
	}}
}

// Start starts a sample of the next rows of a connector. The oldest of too many is removed. Errors are [rest.Refusal].
func (s *Sampler) Start(connector string, request rest.SampleRequest) (rest.Sample, error) {
	if request.Rows == 0 {
		request.Rows = defaultRows
	}
	if request.Rows < 1 || request.Rows > maxRows {
		return rest.Sample{}, &rest.Refusal{Status: http.StatusBadRequest,
			Message: fmt.Sprintf("rows: expected a number from 1 to %d, found %d", maxRows, request.Rows)}
	}
	sample := newSample(connector, request.Rows, request.Show)
	sample.ID = rand.Text()
	sample.shown = sample.Sample
	s.mu.Lock()
	if s.samples = append(s.samples, sample); len(s.samples) > maxSamples {
		s.remove(s.samples[0].ID)
	}
	s.updateObserver(connector)
	s.mu.Unlock()
	id := sample.ID // so that the timer does not keep a removed sample in memory
	time.AfterFunc(lifetime, func() {
		defer guard.Recover(nil, "forgetting a sample", nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(id)
	})
	return sample.Sample, nil
}

// List returns the samples of a connector, the newest first, without steps and rows.
func (s *Sampler) List(connector string) (list []rest.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sample := range slices.Backward(s.samples) {
		if sample.Connector != connector {
			continue
		}
		entry := sample.Sample
		if !sample.isWaitingFor(connector) {
			entry.State = done
		}
		list = append(list, entry)
	}
	return list
}

// remove removes a sample. s.mu must be held.
func (s *Sampler) remove(id string) {
	if i := slices.IndexFunc(s.samples, func(s *sample) bool { return s.ID == id }); i >= 0 {
		connector := s.samples[i].Connector
		s.quota.Release(s.samples[i].bytes + s.samples[i].textBytes)
		s.samples = slices.Delete(s.samples, i, i+1)
		s.updateObserver(connector)
	}
}

// find returns a sample of a connector and its rows so far. The error is a [rest.Refusal].
func (s *Sampler) find(connector, id string) (*sample, []row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sample := range s.samples {
		if sample.ID == id && sample.Connector == connector {
			return sample, sample.rows, nil
		}
	}
	return nil, nil, &rest.Refusal{Status: http.StatusNotFound,
		Message: fmt.Sprintf("There is no such sample of connector %s: the worker that took it keeps the last %d "+
			"samples for %v", connector, maxSamples, lifetime)}
}

// Read returns a sample with the results of the connector's chain, computed again for new rows or after a problem.
func (s *Sampler) Read(ctx context.Context, connector, id string, c chaintest.Chain) (rest.Sample, error) {
	sample, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	if err := sample.computeLock.Lock(ctx); err != nil {
		return rest.Sample{}, err
	}
	defer sample.computeLock.Unlock()
	if len(sample.shown.Rows) >= len(rows) && sample.shown.Problem == "" {
		return sample.shown, nil
	}
	shown, textBytes, err := s.compute(ctx, sample, rows, c)
	if err == nil && s.reserveText(sample, textBytes) {
		sample.shown = shown
	}
	return shown, err
}

// reserveText reserves memory for the results of a sample that still exists. Without it, results are computed again.
func (s *Sampler) reserveText(sample *sample, textBytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := slices.Contains(s.samples, sample) && s.quota.TryReserve(textBytes)
	if ok {
		s.quota.Release(sample.textBytes)
		sample.textBytes = textBytes
	}
	return ok
}

// ReadWithChain returns a sample with the results of another chain, which it does not keep.
func (s *Sampler) ReadWithChain(ctx context.Context, connector, id string, c chaintest.Chain) (rest.Sample, error) {
	sample, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	shown, _, err := s.compute(ctx, sample, rows, c)
	return shown, err
}

// compute runs a chain on rows. It also returns the size of the texts in the result. The error means that the time is
// over; a broken chain is a problem of the result.
func (s *Sampler) compute(ctx context.Context, sample *sample, rows []row,
	c chaintest.Chain) (shown rest.Sample, textBytes int, err error) {
	ctx, cancel := context.WithTimeout(ctx, computeTimeout)
	defer cancel()
	shown = sample.Sample
	if len(rows) == sample.Wanted {
		shown.State = done
	}
	for _, stage := range c.Stages {
		step := rest.SampleStep{Alias: stage.Alias, Class: stage.Class}
		if stage.Predicate != nil {
			step.Predicate = stage.Predicate.Alias
			step.Negate = stage.Negate
		}
		shown.Steps = append(shown.Steps, step)
	}
	chain, err := openPrefixes(ctx, c, sample.Connector)
	defer chain.close()
	if err != nil {
		shown.Problem = line(s.redact(err.Error()))
	}
	w := writer{ctx: ctx, registry: s.registry, redact: s.redact, shape: sample.Show == rest.RecordsShape,
		remaining: maxTextBytes}
	for i := range rows {
		r, err := w.row(&rows[i], chain)
		if err != nil {
			return rest.Sample{}, 0, err
		}
		shown.Rows = append(shown.Rows, r)
	}
	return shown, maxTextBytes - w.remaining, nil
}
