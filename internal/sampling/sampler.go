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
	// usualRows is how many rows are taken unless asked otherwise, maxRows the most.
	usualRows, maxRows = 20, 100
	// maxRowBytes is how many bytes of rows a sample keeps, maxTextBytes how many of texts about them.
	maxRowBytes, maxTextBytes = 8 << 20, 4 << 20
	// computeWithin is how long the rows of a sample may take in a chain, all together.
	computeWithin = 20 * time.Second
)

// States of a sample.
const waiting, done = "waiting", "done"

// Sampler keeps the samples of a worker. Safe for use by several goroutines.
//
// Invariants: a connector's tap is set exactly while a sample of it waits for rows. A sample's rows are copied once and
// changed by nobody.
type Sampler struct {
	registry *record.Registry
	strike   func(string) string

	mu   sync.Mutex
	all  []*sample // in the order in which they were asked for
	taps map[string]*task.Observer
}

// sample is a sample with its rows.
type sample struct {
	rest.Sample // as it was asked for
	// rows, and the bytes that they have, are guarded by the sampler's lock.
	rows  []row
	bytes int

	// computing is held for what is shown, which is of the first rows.
	computing guard.CtxMutex
	shown     rest.Sample
}

// New makes a sampler without samples. strike leaves out of a text what must not be shown.
func New(registry *record.Registry, strike func(string) string) *Sampler {
	return &Sampler{registry: registry.ForConnector("samples"), strike: strike, taps: map[string]*task.Observer{}}
}

// Tap is where the tasks of a connector have their rows looked at.
func (s *Sampler) Tap(connector string) *task.Observer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taps[connector] == nil {
		s.taps[connector] = &task.Observer{}
		s.aim(connector)
	}
	return s.taps[connector]
}

// aim has the tap of a connector looked at where a sample wants rows; s.mu is held.
func (s *Sampler) aim(connector string) {
	tap := s.taps[connector]
	switch {
	case tap == nil: // no task of it has run here yet
	case slices.ContainsFunc(s.all, func(k *sample) bool { return k.wants(connector) }):
		tap.Set(func(task int, feed string, b *record.Batch) { s.look(connector, task, feed, b) })
	default:
		tap.Set(nil)
	}
}

func (k *sample) wants(connector string) bool {
	return k.Connector == connector && len(k.rows) < k.Wanted
}

func newSample(connector string, wanted int, show string) *sample {
	now := time.Now().UTC()
	return &sample{computing: guard.NewCtxMutex(), Sample: rest.Sample{Connector: connector, State: waiting,
		Wanted: wanted,
		Show:   show, Created: now, Expires: now.Add(lifetime), Steps: []rest.SampleStep{}, Rows: []rest.SampledRow{}}}
}

// Ask has the next rows of a connector kept, in the place of the oldest sample where there are too many; an error is a
// [rest.Refusal].
func (s *Sampler) Ask(connector string, asked rest.SampleRequest) (rest.Sample, error) {
	if asked.Rows == 0 {
		asked.Rows = usualRows
	}
	if asked.Rows < 1 || asked.Rows > maxRows {
		return rest.Sample{}, &rest.Refusal{Status: http.StatusBadRequest,
			Message: fmt.Sprintf("rows: expected a number from 1 to %d, found %d", maxRows, asked.Rows)}
	}
	k := newSample(connector, asked.Rows, asked.Show)
	k.ID = rand.Text()
	k.shown = k.Sample
	s.mu.Lock()
	if s.all = append(s.all, k); len(s.all) > maxSamples {
		s.forget(s.all[0].ID)
	}
	s.aim(connector)
	s.mu.Unlock()
	id := k.ID // the timer holds no sample that had to go before
	time.AfterFunc(lifetime, func() {
		defer guard.Recover(nil, "forgetting a sample", nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(id)
	})
	return k.Sample, nil
}

// forget lets go of a sample; s.mu is held.
func (s *Sampler) forget(id string) {
	if i := slices.IndexFunc(s.all, func(k *sample) bool { return k.ID == id }); i >= 0 {
		connector := s.all[i].Connector
		s.all = slices.Delete(s.all, i, i+1)
		s.aim(connector)
	}
}

// find is a sample with the rows that it has by now.
func (s *Sampler) find(connector, id string) (*sample, []row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.ID == id && k.Connector == connector {
			return k, k.rows, nil
		}
	}
	return nil, nil, &rest.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no such sample of "+
		"connector %s: the last %d are kept, for %v, by the worker that has taken them", connector, maxSamples,
		lifetime)}
}

// Get is a sample with what the connector's chain makes of the rows that it has by now. While no more come it is not
// computed again.
func (s *Sampler) Get(ctx context.Context, connector, id string, c chaintest.Chain) (rest.Sample, error) {
	k, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	if err := k.computing.Lock(ctx); err != nil {
		return rest.Sample{}, err
	}
	defer k.computing.Unlock()
	if len(k.shown.Rows) >= len(rows) && k.shown.Problem == "" { // a chain that was broken may be whole by now
		return k.shown, nil
	}
	shown, err := s.compute(ctx, k, rows, c)
	if err == nil {
		k.shown = shown
	}
	return shown, err
}

// Try is the rows of a sample with what another chain makes of them.
func (s *Sampler) Try(ctx context.Context, connector, id string, c chaintest.Chain) (rest.Sample, error) {
	k, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	return s.compute(ctx, k, rows, c)
}

// compute is a sample with what a chain makes of rows of it.
func (s *Sampler) compute(ctx context.Context, k *sample, rows []row, c chaintest.Chain) (rest.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, computeWithin)
	defer cancel()
	shown := k.Sample
	if len(rows) == k.Wanted {
		shown.State = done
	}
	for _, stage := range c.Stages {
		step := rest.SampleStep{Alias: stage.Alias, Class: stage.Class}
		if stage.Predicate != nil {
			step.Predicate, step.Negate = stage.Predicate.Alias, stage.Negate
		}
		shown.Steps = append(shown.Steps, step)
	}
	chain, err := open(ctx, c, k.Connector)
	defer chain.close()
	if err != nil {
		shown.Problem = line(s.strike(err.Error()))
	}
	w := writer{ctx: ctx, registry: s.registry, strike: s.strike, shape: k.Show == rest.RecordsShape,
		left: maxTextBytes}
	for i := range rows {
		r, err := w.row(&rows[i], chain)
		if err != nil {
			return rest.Sample{}, err
		}
		shown.Rows = append(shown.Rows, r)
	}
	return shown, nil
}
