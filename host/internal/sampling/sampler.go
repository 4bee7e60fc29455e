package sampling

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/transform"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/rest"
)

const (
	// lifetime is how long a sample is kept.
	lifetime = 10 * time.Minute
	// ofConnector and ofWorker are how many samples there are at a time.
	ofConnector, ofWorker = 4, 16
	// usualRows is how many rows are taken unless asked otherwise, maxRows the most.
	usualRows, maxRows = 20, 100
	// maxRowBytes is how many bytes of rows a sample keeps, maxTextBytes how many of texts about them.
	maxRowBytes, maxTextBytes = 8 << 20, 4 << 20
	// computeWithin is how long the rows of a sample may take in a chain, all together.
	computeWithin = 20 * time.Second
)

const (
	waiting = "waiting"
	done    = "done"
	// Shape is the way to show rows by types and sizes, Full by values.
	Shape, Full = "shape", "full"
)

// Sampler keeps the samples of a worker. Safe for use by several goroutines.
//
// Invariants: a connector's tap is looked at exactly while a sample of it wants rows that no batch was reserved for. A
// sample's rows are copied once and changed by nobody.
type Sampler struct {
	registry *record.Registry
	strike   func(string) string

	mu   sync.Mutex
	all  []*sample // in the order in which they were asked for
	taps map[string]*task.Tap
}

// sample is a sample with its rows.
type sample struct {
	rest.Sample // without Steps, Rows and State; Problem is what there is to say besides what computing says
	// reserved is how many rows are copied, or are being copied, bytes how many bytes of them. The sampler's lock is
	// held for these two and for rows.
	reserved, bytes int
	rows            []row

	// computing is held while texts are made, which are of the first rows.
	computing guard.Turn
	texts     texts
}

// texts are rows as they are shown.
type texts struct {
	steps []rest.SampleStep
	rows  []rest.SampledRow
	// broken is why the chain cannot be computed, "" where it can.
	broken string
	left   int // bytes of maxTextBytes
}

// New makes a sampler without samples. strike leaves out of a text what must not be shown.
func New(registry *record.Registry, strike func(string) string) *Sampler {
	return &Sampler{registry: registry.For("samples"), strike: strike, taps: map[string]*task.Tap{}}
}

// Tap is where the tasks of a connector have their rows looked at.
func (s *Sampler) Tap(connector string) *task.Tap {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taps[connector] == nil {
		s.taps[connector] = &task.Tap{}
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
		tap.Set(func(task int, feed string, b *record.Batch) task.Looked { return s.look(connector, task, feed, b) })
	default:
		tap.Set(nil)
	}
}

func (k *sample) wants(connector string) bool {
	return k.Connector == connector && k.reserved < k.Wanted
}

// Ask has the next rows of a connector kept; an error is a [rest.Refusal].
func (s *Sampler) Ask(connector string, asked rest.SampleAsked) (rest.Sample, error) {
	if asked.Rows == 0 {
		asked.Rows = usualRows
	}
	if asked.Rows < 1 || asked.Rows > maxRows {
		return rest.Sample{}, &rest.Refusal{Status: http.StatusBadRequest,
			Message: fmt.Sprintf("rows: expected a number from 1 to %d, found %d", maxRows, asked.Rows)}
	}
	k := newSample(connector, asked.Rows, asked.Show)
	if err := s.add(k); err != nil {
		return rest.Sample{}, err
	}
	k.State, k.Steps, k.Rows = waiting, []rest.SampleStep{}, []rest.SampledRow{}
	return k.Sample, nil
}

func newSample(connector string, wanted int, show string) *sample {
	now := time.Now().UTC()
	return &sample{Sample: rest.Sample{ID: rand.Text(), Connector: connector, Wanted: wanted, Show: show, Created: now,
		Expires: now.Add(lifetime)}, computing: guard.NewTurn(), texts: newTexts(nil)}
}

// add makes room for a sample and keeps it: the oldest one goes that has all of its rows.
func (s *Sampler) add(k *sample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bound := range []struct {
		most int
		of   func(*sample) bool
		what string
	}{{ofConnector, func(o *sample) bool { return o.Connector == k.Connector }, "the connector"},
		{ofWorker, func(*sample) bool { return true }, "the worker"}} {
		n, oldest := 0, -1
		for i, o := range s.all {
			if !bound.of(o) {
				continue
			}
			if n++; oldest < 0 && len(o.rows) == o.Wanted {
				oldest = i
			}
		}
		switch {
		case n < bound.most:
		case oldest < 0:
			return &rest.Refusal{Status: http.StatusConflict,
				Message: fmt.Sprintf("%d samples of %s wait for rows, which is the most at a time: they end %v "+
					"after they were asked for", n, bound.what, lifetime)}
		default:
			s.all = slices.Delete(s.all, oldest, oldest+1)
		}
	}
	s.all = append(s.all, k)
	s.aim(k.Connector)
	time.AfterFunc(lifetime, func() { s.forget(k) })
	return nil
}

func (s *Sampler) forget(k *sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o *sample) bool { return o == k })
	s.aim(k.Connector)
}

// find is a sample with the rows that it has by now.
func (s *Sampler) find(connector, id string) (*sample, []row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.all, func(k *sample) bool { return k.ID == id && k.Connector == connector })
	if i < 0 {
		return nil, nil, &rest.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no such sample of "+
			"connector %s: samples are kept for %v, by the worker that has taken them", connector, lifetime)}
	}
	return s.all[i], s.all[i].rows, nil
}

// Show is how the rows of a sample may be shown: [Full] or [Shape].
func (s *Sampler) Show(connector, id string) (string, error) {
	k, _, err := s.find(connector, id)
	if err != nil {
		return "", err
	}
	return k.Sample.Show, nil
}

// Get is a sample with what the connector's chain makes of the rows that it has by now. What was computed once is not
// computed again.
func (s *Sampler) Get(ctx context.Context, connector, id string, c Chain) (rest.Sample, error) {
	k, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	if err := k.computing.Lock(ctx); err != nil {
		return rest.Sample{}, err
	}
	defer k.computing.Unlock()
	if t := newTexts(c.Stages); len(k.texts.rows) < k.Wanted && !slices.Equal(t.steps, k.texts.steps) {
		k.texts = t // the connector has another chain than it had
	}
	if err := s.compute(ctx, k, &k.texts, rows, c); err != nil {
		return rest.Sample{}, err
	}
	return k.shown(&k.texts), nil
}

// Try is the rows of a sample with what another chain makes of them.
func (s *Sampler) Try(ctx context.Context, connector, id string, c Chain) (rest.Sample, error) {
	k, rows, err := s.find(connector, id)
	if err != nil {
		return rest.Sample{}, err
	}
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].made = nil // by the connector's own chain
	}
	t := newTexts(c.Stages)
	if err := s.compute(ctx, k, &t, rows, c); err != nil {
		return rest.Sample{}, err
	}
	return k.shown(&t), nil
}

// Keep makes a sample of rows that no task has read: documents in JSON, which have no schemas. note says what there is
// to know of them.
func (s *Sampler) Keep(ctx context.Context, connector, topic, show, note string, documents []json.RawMessage,
	c Chain) (rest.Sample, error) {
	k := newSample(connector, min(len(documents), maxRows), show)
	k.Problem = note
	for _, document := range documents[:k.Wanted] {
		r, err := s.without(ctx, topic, document)
		if err != nil {
			return rest.Sample{}, err
		}
		if k.bytes += len(r.batch.Data); k.bytes > maxRowBytes {
			k.Wanted = len(k.rows)
			break
		}
		k.rows = append(k.rows, r)
	}
	k.reserved = k.Wanted
	if err := s.add(k); err != nil {
		return rest.Sample{}, err
	}
	return s.Get(ctx, connector, k.ID, c)
}

// shown is a sample as REST has it.
func (k *sample) shown(t *texts) rest.Sample {
	shown := k.Sample
	shown.Steps, shown.Rows, shown.State = t.steps, slices.Clone(t.rows), waiting
	if len(t.rows) == k.Wanted {
		shown.State = done
	}
	if t.broken != "" && shown.Problem != "" {
		shown.Problem += "; "
	}
	shown.Problem += t.broken
	return shown
}

// Chain is a chain of transforms that rows are sent through. Broken is why there is none.
type Chain struct {
	Plugins *plugin.Manager
	Stages  []transform.Stage
	Broken  error
}

// compute makes texts of those rows that have none yet.
func (s *Sampler) compute(ctx context.Context, k *sample, t *texts, rows []row, c Chain) error {
	if t.broken != "" { // it may be whole by now
		*t = newTexts(c.Stages)
	}
	if len(t.rows) == len(rows) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, computeWithin)
	defer cancel()
	open, err := c.open(ctx, k.Connector)
	defer open.close()
	if err != nil {
		t.broken = s.said(err.Error())
	}
	for i := len(t.rows); i < len(rows); i++ {
		w := writer{ctx: ctx, registry: s.registry, strike: s.strike, shape: k.Sample.Show == Shape, left: &t.left}
		shown, err := w.row(&rows[i], open)
		if err != nil {
			return err
		}
		t.rows = append(t.rows, shown)
	}
	return nil
}

// said is a text of a plugin as it is shown.
func (s *Sampler) said(text string) string { return line(s.strike(text)) }

func newTexts(stages []transform.Stage) texts {
	t := texts{steps: []rest.SampleStep{}, rows: []rest.SampledRow{}, left: maxTextBytes}
	for _, stage := range stages {
		step := rest.SampleStep{Alias: stage.Alias, Class: stage.Class}
		if stage.Predicate != nil {
			step.Predicate, step.Negate = stage.Predicate.Alias, stage.Negate
		}
		t.steps = append(t.steps, step)
	}
	return t
}

// quiet is for chains: what becomes of their rows is nowhere but in the sample.
var quiet = slog.New(slog.DiscardHandler)
