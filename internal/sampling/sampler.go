package sampling

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/chaintest"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/task"
)

const (
	// lifetime is how long a sample is kept.
	lifetime = 10 * time.Minute
	// maxSamples is how many samples are kept at a time.
	maxSamples = 16
	// defaultRows is how many rows are taken unless asked otherwise, maxRows the most.
	defaultRows, maxRows = 20, 100
	// maxRowBytes is how many bytes of rows a sample keeps, maxTextBytes how many of texts about them.
	maxRowBytes, maxTextBytes = 8 << 20, 4 << 20
	// computeTimeout is how long the rows of a sample may take in a chain, all together.
	computeTimeout = 20 * time.Second
)

// States of a sample.
const waiting, done = "waiting", "done"

// Sampler keeps the samples of a worker. Safe for use by several goroutines.
//
// Invariants: a connector's tap is set exactly while a sample of it waits for rows. A sample's rows are copied once and
// changed by nobody.
type Sampler struct {
	registry *record.Registry
	redact   func(string) string

	mu        sync.Mutex
	samples   []*sample // in the order in which they were asked for
	observers map[string]*task.Observer
}

// sample is a sample with its rows.
type sample struct {
	rest.Sample // as it was asked for
	// rows, and the bytes that they have, are guarded by the sampler's lock.
	rows  []row
	bytes int

	// computeLock is held for what is shown, which is of the first rows.
	computeLock guard.CtxMutex
	shown       rest.Sample
}

// New makes a sampler without samples. strike leaves out of a text what must not be shown.
func New(registry *record.Registry, strike func(string) string) *Sampler {
	return &Sampler{registry: registry.For("samples"), redact: strike, observers: map[string]*task.Observer{}}
}

// Observer is where the tasks of a connector have their rows looked at.
func (s *Sampler) Observer(connector string) *task.Observer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observers[connector] == nil {
		s.observers[connector] = &task.Observer{}
		s.updateObserver(connector)
	}
	return s.observers[connector]
}

// updateObserver has the tap of a connector looked at where a sample wants rows; s.mu is held.
func (s *Sampler) updateObserver(connector string) {
	observer := s.observers[connector]
	switch {
	case observer == nil: // no task of it has run here yet
	case slices.ContainsFunc(s.samples, func(k *sample) bool { return k.isWaitingFor(connector) }):
		observer.Set(func(task int, feed string, b *record.Batch) { s.observe(connector, task, feed, b) })
	default:
		observer.Set(nil)
	}
}

func (k *sample) isWaitingFor(connector string) bool {
	return k.Connector == connector && len(k.rows) < k.Wanted
}

func newSample(connector string, wanted int, show string) *sample {
	now := time.Now().UTC()
	return &sample{computeLock: guard.NewCtxMutex(), Sample: rest.Sample{Connector: connector, State: waiting,
		Wanted: wanted,
		Show:   show, Created: now, Expires: now.Add(lifetime), Steps: []rest.SampleStep{}, Rows: []rest.SampledRow{}}}
}

// Start has the next rows of a connector kept, in the place of the oldest sample where there are too many; an error is
// a [rest.Refusal].
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
	id := sample.ID // the timer holds no sample that had to go before
	time.AfterFunc(lifetime, func() {
		defer guard.Recover(nil, "forgetting a sample", nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(id)
	})
	return sample.Sample, nil
}

// remove lets go of a sample; s.mu is held.
func (s *Sampler) remove(id string) {
	if i := slices.IndexFunc(s.samples, func(k *sample) bool { return k.ID == id }); i >= 0 {
		connector := s.samples[i].Connector
		s.samples = slices.Delete(s.samples, i, i+1)
		s.updateObserver(connector)
	}
}

// find is a sample with the rows that it has by now.
func (s *Sampler) find(connector, id string) (*sample, []row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sample := range s.samples {
		if sample.ID == id && sample.Connector == connector {
			return sample, sample.rows, nil
		}
	}
	return nil, nil, &rest.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no such sample of "+
		"connector %s: the last %d are kept, for %v, by the worker that has taken them", connector, maxSamples,
		lifetime)}
}

// Read is a sample with what the connector's chain makes of the rows that it has by now. While no more come it is not
// computed again.
func (s *Sampler) Read(ctx context.Context, connector, id string, c chaintest.Chain) (rest.Sample, error) {
	sample, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	if err := sample.computeLock.Lock(ctx); err != nil {
		return rest.Sample{}, err
	}
	defer sample.computeLock.Unlock()
	// a chain that was broken may be whole by now
	if len(sample.shown.Rows) >= len(rows) && sample.shown.Problem == "" {
		return sample.shown, nil
	}
	shown, err := s.compute(ctx, sample, rows, c)
	if err == nil {
		sample.shown = shown
	}
	return shown, err
}

// ReadWithChain is the rows of a sample with what another chain makes of them.
func (s *Sampler) ReadWithChain(ctx context.Context, connector, id string, c chaintest.Chain) (rest.Sample, error) {
	sample, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	return s.compute(ctx, sample, rows, c)
}

// compute is a sample with what a chain makes of rows of it.
func (s *Sampler) compute(ctx context.Context, sample *sample, rows []row, c chaintest.Chain) (rest.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, computeTimeout)
	defer cancel()
	shown := sample.Sample
	if len(rows) == sample.Wanted {
		shown.State = done
	}
	for _, stage := range c.Stages {
		step := rest.SampleStep{Alias: stage.Alias, Class: stage.Class}
		if stage.Predicate != nil {
			step.Predicate, step.Negate = stage.Predicate.Alias, stage.Negate
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
			return rest.Sample{}, err
		}
		shown.Rows = append(shown.Rows, r)
	}
	return shown, nil
}
