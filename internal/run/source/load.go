package source

import (
	"context"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// progressInterval is the least time between two requests to the plugin for the progress of a load.
const progressInterval = time.Second

// observeLoad gets the progress of the current load from the plugin, and records and logs it. An error is only logged,
// because reading does not depend on it.
func (f *feed) observeLoad(ctx context.Context, r Reader) {
	f.progressAt = time.Now()
	offset := f.position.fields
	if f.keys.isComparing() {
		offset = f.keys.offset
	}
	progress, err := r.Progress(ctx, f.opened.context, f.index, offset)
	if err != nil {
		f.log.Warn("the plugin does not report the progress of the load", "error", err)
		return
	}
	f.setLoad(progress)
}

// setLoad records the progress of the current load; nil means that the plugin does not report it, or there is no load.
func (f *feed) setLoad(progress *wit.LoadProgress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.status
	status.load = nil
	switch {
	case progress == nil:
		status.complete = ""
	case progress.Complete != nil:
		status.complete = *progress.Complete
	default: // until this load ends, complete remains the proof of the previous one
		status.load = &FeedLoad{Read: progress.Read, Total: progress.Total}
		status.loadPace.observe(time.Now(), status.load)
		if status.loadPace.takeLogTurn(time.Now()) {
			args := []any{"rows", status.load.Read}
			if status.load.Total != nil {
				args = append(args, "of", *status.load.Total)
			}
			if status.load.SecondsLeft != nil {
				args = append(args, "seconds_left", *status.load.SecondsLeft)
			}
			f.log.Info("loading", args...)
		}
		return
	}
	status.loadPace = loadPace{}
}

// loadPace estimates the end of a load from its last minute. The zero value is ready for a new load.
type loadPace struct {
	samples  []loadSample // at most paceSamples, at least paceInterval apart, the oldest first
	loggedAt time.Time
}

type loadSample struct {
	at   time.Time
	read uint64
}

const (
	paceInterval    = 5 * time.Second
	paceSamples     = 13 // a minute, with a sample at each end
	minPaceTime     = 30 * time.Second
	loadLogInterval = time.Minute
)

// observe takes a sample of a load, if one is due, and sets the load's SecondsLeft once it can be estimated.
func (p *loadPace) observe(now time.Time, load *FeedLoad) {
	if n := len(p.samples); n > 0 && load.Read < p.samples[n-1].read { // this is another load
		*p = loadPace{}
	}
	if n := len(p.samples); n == 0 || now.Sub(p.samples[n-1].at) >= paceInterval {
		p.samples = append(p.samples, loadSample{now, load.Read})
	}
	if len(p.samples) > paceSamples {
		p.samples = p.samples[1:]
	}
	if p.loggedAt.IsZero() {
		p.loggedAt = now // a load is first logged after loadLogInterval
	}
	oldest := p.samples[0]
	elapsed := now.Sub(oldest.at)
	if load.Total == nil || elapsed < minPaceTime || load.Read <= oldest.read {
		return
	}
	var secondsLeft int64
	if *load.Total > load.Read {
		secondsLeft = int64(float64(*load.Total-load.Read) / float64(load.Read-oldest.read) * elapsed.Seconds())
	}
	load.SecondsLeft = &secondsLeft
}

// isCurrent reports whether the load was observed in the last minute.
func (p *loadPace) isCurrent(now time.Time) bool {
	n := len(p.samples)
	return n > 0 && now.Sub(p.samples[n-1].at) < time.Minute
}

// WithoutEstimate returns a copy without SecondsLeft.
func (l *FeedLoad) WithoutEstimate() *FeedLoad { return &FeedLoad{Read: l.Read, Total: l.Total} }

// takeLogTurn reports whether the progress is to be logged now, and then records that it is.
func (p *loadPace) takeLogTurn(now time.Time) bool {
	isDue := now.Sub(p.loggedAt) >= loadLogInterval
	if isDue {
		p.loggedAt = now
	}
	return isDue
}

// storeBeginning stores an offset before the records of its chunk are sent.
func (f *feed) storeBeginning(chunk *chunk) error {
	ctx := f.pipeline.ctx
	output := f.pipeline.output
	acknowledged := make(chan error, 1)
	output.Produce(ctx, output.NewBatch(), chunk.loadBeginning, func(_ int, err error) { acknowledged <- err })
	select {
	case err := <-acknowledged:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return output.Flush(ctx)
}
