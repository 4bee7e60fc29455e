package source

import (
	"context"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// progressInterval is the least time between two questions for the progress of a load that is under way.
const progressInterval = time.Second

// observeLoad asks the plugin for the progress of the load that the feed's position belongs to. An error is only
// logged, because reading does not depend on it.
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
	default: // the proof of the load before counts until this one has ended
		status.load = &FeedLoad{Read: progress.Read, Total: progress.Total}
		status.loadPace.observe(time.Now(), status.load)
		if status.loadPace.isLogDue(time.Now()) {
			f.logLoad(status.load)
		}
		return
	}
	status.loadPace = loadPace{}
}

func (f *feed) logLoad(load *FeedLoad) {
	attrs := []any{"rows", load.Read}
	if load.Total != nil {
		attrs = append(attrs, "of", *load.Total)
	}
	if load.SecondsLeft != nil {
		attrs = append(attrs, "seconds_left", *load.SecondsLeft)
	}
	f.log.Info("loading", attrs...)
}

// loadPace estimates the end of a load from its last minute. The zero value is before the load.
type loadPace struct {
	marks  []loadMark // at most paceMarks, at least paceInterval apart, the oldest first
	logged time.Time
}

type loadMark struct {
	at   time.Time
	read uint64
}

const (
	paceInterval = 5 * time.Second
	paceMarks    = 13 // a minute and the mark before
	minPaceTime  = 30 * time.Second
	loadLogEvery = time.Minute
)

// observe sets SecondsLeft.
func (p *loadPace) observe(now time.Time, load *FeedLoad) {
	if n := len(p.marks); n > 0 && load.Read < p.marks[n-1].read { // another load
		*p = loadPace{}
	}
	if n := len(p.marks); n == 0 || now.Sub(p.marks[n-1].at) >= paceInterval {
		p.marks = append(p.marks, loadMark{now, load.Read})
	}
	if len(p.marks) > paceMarks {
		p.marks = p.marks[1:]
	}
	if p.logged.IsZero() {
		p.logged = now
	}
	from := p.marks[0]
	elapsed := now.Sub(from.at)
	if load.Total == nil || elapsed < minPaceTime || load.Read <= from.read {
		return
	}
	var left int64
	if *load.Total > load.Read {
		left = int64(float64(*load.Total-load.Read) / float64(load.Read-from.read) * elapsed.Seconds())
	}
	load.SecondsLeft = &left
}

// isCurrent reports whether the load was observed in the last minute.
func (p *loadPace) isCurrent(now time.Time) bool {
	n := len(p.marks)
	return n > 0 && now.Sub(p.marks[n-1].at) < time.Minute
}

// WithoutEstimate returns a copy without SecondsLeft.
func (l *FeedLoad) WithoutEstimate() *FeedLoad { return &FeedLoad{Read: l.Read, Total: l.Total} }

func (p *loadPace) isLogDue(now time.Time) bool {
	isDue := now.Sub(p.logged) >= loadLogEvery
	if isDue {
		p.logged = now
	}
	return isDue
}

// warnIfRepeated warns if a page is the beginning of the first load, which an earlier run had begun, too.
func (f *feed) warnIfRepeated(p *page) {
	if p.fetch.Position == nil {
		return
	}
	if f.position.beginning == digestOf(p.origin.request) {
		f.log.Warn("the first load was interrupted and begins again: rows that it had delivered may be of entities "+
			"that were deleted since, which nothing reports; a snapshot mends that",
			"command", "culvert connectors snapshot "+f.task.o.Connector+" "+f.name)
	}
	f.position.beginning = ""
}

// markBeginning has the position of the first rows stored before them: otherwise nobody would know after a crash that
// they were delivered. A transaction contains both.
func (p *page) markBeginning(chunk *chunk) {
	feed := p.feed
	hasRows := len(chunk.batch.Rows)+len(chunk.deadLetters) > 0
	if !feed.atBeginning || !hasRows || p.fetch.Position == nil {
		return
	}
	feed.atBeginning = false
	if feed.pipeline.output.AtLeastOnce() {
		chunk.beginning = feed.offsetAt(position{fields: *p.fetch.Position, topic: feed.spec().Topic,
			beginning: digestOf(p.origin.request)})
	}
}

// storeBeginning stores an offset before the records of its chunk are sent.
func (f *feed) storeBeginning(chunk *chunk) error {
	ctx := f.pipeline.ctx
	output := f.pipeline.output
	acknowledged := make(chan error, 1)
	output.Produce(ctx, output.NewBatch(), chunk.beginning, func(_ int, err error) { acknowledged <- err })
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
