package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/cron"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Options are what a task works with. Fields without a default must be set.
type Options struct {
	// Connector and Task name the task in logs and headers.
	Connector string
	Task      int
	// Component is the class that the plugin opens, Settings are those of this task, without passwords.
	Component string
	Settings  []wit.Setting
	Versions  Versions
	Client    Client
	Registry  *record.Registry
	// StoredOffset is the stored offset of a partition; nil: none.
	StoredOffset func(ctx context.Context, partition []wit.OffsetEntry) ([]wit.OffsetEntry, error)
	// MismatchSetting is the setting that says what a stored offset of something else means. Default: there is none.
	MismatchSetting string
	// PrepareOffsets is called before offsets are read: with the number of feeds, and again when a feed is to start
	// over. With transactions it fences others and reads what they have committed. Default: nothing.
	PrepareOffsets func(ctx context.Context, feeds int) error
	// CheckLease holds a request back that has the service forget what it has sent (P1), by an error: the task may be
	// another worker's by now. It is asked when all before is stored, and again when the request is about to be sent,
	// then with a context that has ended: it answers at once, by what it knows. nil: the worker is alone.
	CheckLease func(ctx context.Context) error
	// ExactlyOnceRequired: a page that answers differently than before is a fault, since its rows would come twice.
	ExactlyOnceRequired bool
	// NewOutput opens an output; each feed has one. The task closes it.
	NewOutput func(feed string) (Output, error)
	// NewChain makes the transforms of one feed; nil: there are none.
	NewChain func(ctx context.Context) (Chain, error)
	// NewConverters makes the converters of one feed.
	NewConverters func() (key, value convert.Converter, err error)
	// NewHeaderConverter makes the converter of headers of one feed. Default: SimpleHeaderConverter.
	NewHeaderConverter func() (convert.Headers, error)
	// Listen has notifications for a feed taken: take is called with each, and returns when it is to be answered. The
	// address is what the plugin subscribes with. Default: nobody listens, and no feed is subscribed to.
	Listen func(feed string, take notify.Handler) (address string, close func(), err error)
	// EnsureTopic is called before the first record of a topic. Default: nothing, the broker creates it or not.
	EnsureTopic func(ctx context.Context, topic string) error
	// Tolerance is for rows.
	task.Tolerance
	// Retry is for transforms that fail and may do better the next time.
	Retry task.RetryPolicy
	// OnIdle is called when all feeds wait for their next poll, each for [MinIdleTime] or longer, and for no
	// notifications: what the plugin's instances hold is of no use to the task until then, the earliest of these polls,
	// zero where there is none. What it returns is called before the first feed goes on. nil: nothing is done.
	OnIdle func(until time.Time) (end func())
	// DeadLetters is where rows go that are left out; nil: nowhere.
	DeadLetters *DeadLetters
	// Once ends Run when every feed is caught up and acknowledged.
	Once bool
	// StopTimeout bounds what a stop may take to have everything acknowledged and stored. Default 5 s.
	StopTimeout time.Duration
	// MaxRecordBytes is the most that a record may have for a producer (`max.request.size`), with what it costs around
	// key, value and headers: a row that becomes more is that row's fault. Default 1 MiB.
	MaxRecordBytes int
	// Buffers is the memory for rows under way, of all tasks of a worker. Default: the task's own.
	Buffers *Buffers
	// ConcurrentPages is how many feeds read a page at the same time: those whose answer has not begun are not among
	// them. Default 4.
	ConcurrentPages int
	// Metrics is what is counted of the task. Default: the task's own.
	Metrics *task.Metrics
	// Observer has rows looked at before transforms. nil: nobody looks.
	Observer *task.Observer
	// Tracer makes spans of pages; nil: there are none. TraceHeaders has each record carry the trace context of the
	// page that it comes from.
	Tracer       *tracing.Tracer
	TraceHeaders bool
	// Logger. Default: discards.
	Logger *slog.Logger
}

// Task reads the feeds of one task. It owns the goroutines of its feeds while Run runs.
type Task struct {
	o      Options
	log    *slog.Logger
	pages  chan struct{} // tokens for pages being read
	count  counters
	skips  task.SkipLog
	plugin *task.Plugin[Reader, *openedVersion]

	mu    sync.Mutex
	feeds []*feed

	// restMu is held while [Options.OnIdle], or what it returned, is called; mu may be taken under it.
	restMu sync.Mutex
	// resting is how many feeds wait for their next poll. endRest is what Rest returned, nil while the task does not
	// rest.
	resting int
	endRest func()
}

// openedVersion is a plugin version that has been opened.
type openedVersion struct {
	code    Code
	context []byte
	feeds   []wit.Feed
}

// Progress is what a task has done since it started.
type Progress struct {
	// Read rows came from pages; Written records are acknowledged by Kafka; Bytes are those of pages' bodies.
	Read, Written, Bytes int64
	Pages                int64
	// Skipped rows could not be handled and were tolerated. Faults counts all faults of rows and pages, retried ones
	// included.
	Skipped, Errors int64
	// LastError is when the last of them came; zero: none has.
	LastError time.Time
	// Repeated pages were delivered again from their start; Resumed rows were read again and not delivered again.
	Repeated, Resumed int64
	// Notified notifications were taken, Duplicates had been taken before.
	Notified, Duplicates int64
	// Flow is where the time of the last minute went: fetch, decode, transform with the converters, produce.
	Flow task.Flow
	// CaughtUp: no feed has anything left to read at the moment.
	CaughtUp bool
	// LastCaughtUp is when the feed was caught up that was not for the longest time; zero where one never was.
	LastCaughtUp time.Time
	// LastNotified is when a notification came, or was to come from then on, for the feed for which that is longest
	// ago; zero where none subscribes.
	LastNotified time.Time
	// Feeds in the order of the plugin.
	Feeds []FeedProgress
	// Version of the plugin.
	Version string
}

// FeedProgress is how far a feed is, as REST shows it. Times are UTC; nil: not yet, or there is none.
type FeedProgress struct {
	Name     string `json:"name"`
	CaughtUp bool   `json:"caught_up"`
	// LastCaughtUp is when there was nothing more to read: so old is its delta token. AgeSeconds is how long ago that
	// was.
	LastCaughtUp *time.Time `json:"last_caught_up"`
	// Subscribed is since when notifications are to come, LastNotified when the last one came.
	Subscribed   *time.Time `json:"subscribed,omitempty"`
	LastNotified *time.Time `json:"last_notified,omitempty"`
	AgeSeconds   *float64   `json:"age_seconds"`
	// NextRun is when it is read again by the clock; nil: it is being read, or no clock says so.
	NextRun *time.Time `json:"next_run"`
	// Notifications of the service wait to be served, Snapshots to be read.
	Notifications int          `json:"waiting_notifications"`
	LastRequest   *FeedRequest `json:"last_request"`
	LastError     *FeedError   `json:"last_error"`
	Snapshots     int          `json:"waiting_snapshots"`
	// LastSnapshot is the last one that the plugin was asked for.
	LastSnapshot *FeedSnapshot `json:"last_snapshot"`
}

// FeedSnapshot is a feed that was read whole because somebody asked for it.
type FeedSnapshot struct {
	Snapshot string    `json:"snapshot"`
	At       time.Time `json:"at"`
	// Started: it was; else the plugin reads none of this feed.
	Started bool `json:"begun"`
}

// FeedRequest is a request for a page.
type FeedRequest struct {
	// Request is its method and target, without what may be a secret.
	Request string    `json:"request"`
	At      time.Time `json:"at"`
	// Status of the answer, and Milliseconds until it began; 0: there is none, or not yet.
	Status       int   `json:"status"`
	Milliseconds int64 `json:"ms"`
}

// FeedError is what went wrong with a page, in words of the service where it has said any: its code, and in the message
// what it calls the request by (of SAP systems the id of the transaction).
type FeedError struct {
	At      time.Time `json:"at"`
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message"`
}

type counters struct {
	read, pages, repeated, resumed, notified, duplicates atomic.Int64
	written, bytes                                       task.Meter
	faults                                               task.ErrorCounts
	fetch, decode, transform, convert, produce           task.BusyClock
	began                                                time.Time
}

// NewTask makes a task; nothing runs before [Task.Run].
func NewTask(o Options) *Task {
	if o.StopTimeout == 0 {
		o.StopTimeout = 5 * time.Second
	}
	if o.ConcurrentPages == 0 {
		o.ConcurrentPages = 4
	}
	if o.MaxRecordBytes == 0 {
		o.MaxRecordBytes = 1 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = &task.Metrics{}
	}
	if o.Buffers == nil {
		o.Buffers = NewBuffers()
	}
	if o.PrepareOffsets == nil {
		o.PrepareOffsets = func(context.Context, int) error { return nil }
	}
	if o.NewHeaderConverter == nil {
		o.NewHeaderConverter = func() (convert.Headers, error) {
			return convert.SimpleHeaders{Registry: o.Registry},
				nil
		}
	}
	t := &Task{o: o, log: o.Logger.With("connector", o.Connector, "task", o.Task),
		pages: make(chan struct{}, o.ConcurrentPages)}
	t.skips.Tolerance, t.skips.Message, t.count.began = o.Tolerance, rowSkipped, time.Now()
	t.plugin = task.NewPlugin(o.Versions, o.Client, t.log, task.Opener[Reader, *openedVersion]{
		New:       func(c Code) *openedVersion { return &openedVersion{code: c} },
		VersionOf: func(o *openedVersion) Code { return o.code }, CallOpen: t.call,
		CheckCompatible: t.compatible})
	return t
}

// Progress is safe to call at any time.
func (t *Task) Progress() Progress {
	c := &t.count
	p := Progress{Read: c.read.Load(), Written: c.written.Load(), Bytes: c.bytes.Load(), Pages: c.pages.Load(),
		Skipped: c.faults.Skipped.Load(),
		Errors:  c.faults.All.Load(), LastError: c.faults.Last(),
		Repeated: c.repeated.Load(), Resumed: c.resumed.Load(),
		Notified: c.notified.Load(), Duplicates: c.duplicates.Load(),
		Version: t.plugin.Version(),
		Flow: task.NewFlow(c.began, &c.written, &c.bytes, task.NewStage("fetch", &c.fetch),
			task.NewStage("decode", &c.decode), task.NewStage("transform", &c.transform, &c.convert),
			task.NewStage("produce", &c.produce))}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.CaughtUp = t.plugin.Opened() != nil
	for i, f := range t.feeds {
		one := f.progress()
		var up time.Time
		if one.LastCaughtUp != nil {
			up = *one.LastCaughtUp
		}
		if i == 0 || up.Before(p.LastCaughtUp) {
			p.LastCaughtUp = up
		}
		if one.Subscribed != nil {
			last := *one.Subscribed
			if one.LastNotified != nil && one.LastNotified.After(last) {
				last = *one.LastNotified
			}
			if p.LastNotified.IsZero() || last.Before(p.LastNotified) {
				p.LastNotified = last
			}
		}
		p.CaughtUp = p.CaughtUp && one.CaughtUp
		p.Feeds = append(p.Feeds, one)
	}
	return p
}

// Run reads until ctx ends, then has what was read acknowledged, stores offsets and returns nil. With Once it returns
// nil when every feed is caught up and acknowledged. An error is the task's fault: it names the feed and, where there
// is one, the request and the row. Offsets of what was acknowledged are stored then too.
func (t *Task) Run(ctx context.Context) error {
	if err := t.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	stopListening, err := t.listen(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer stopListening()
	defer t.plugin.Close()
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t.plugin.WatchVersions(running)
	var wg sync.WaitGroup
	var failure error
	var once sync.Once
	for i, f := range t.current() {
		wg.Go(func() {
			if err := guard.Do(t.log, "feed "+f.name, func() error { return t.runFeed(running, i) }); err != nil {
				once.Do(func() { failure = fmt.Errorf("feed %s: %w", f.name, err) })
				stop(errOther)
			}
		})
	}
	wg.Wait()
	t.skips.Close()
	if errors.As(failure, new(*rowError)) {
		t.o.Metrics.Errors.Add(1)
	}
	t.sum()
	return failure
}

// current are the feeds as they are now.
func (t *Task) current() []*feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.feeds
}

// refusals is how often a feed starts over in succession from the same offset because brokers refuse to commit what it
// reads: what they said may come of the transaction, and not of the next one. Outages are waited for.
const refusals = 5

// runFeed runs a feed, and again from its stored offset where what it read was not committed.
func (t *Task) runFeed(ctx context.Context, i int) error {
	var pace pace
	refused := 0
	for {
		f := t.current()[i]
		from, before := f.at, t.count.written.Load()
		err := f.run(ctx)
		var rewound *kafka.Rewound
		if !errors.As(err, &rewound) || ctx.Err() != nil {
			return err
		}
		t.count.repeated.Add(1)
		f.log.Warn("the feed starts over from its stored offset", "reason", rewound.Cause)
		if err := pause.For(ctx, pace.after(t.count.written.Load() > before)); err != nil {
			return err
		}
		if err := t.o.PrepareOffsets(ctx, len(t.current())); err != nil {
			return err
		}
		again, err := t.startOver(ctx, f)
		if err != nil {
			return err
		}
		if moved := again.at.row != from.row || !sameFields(again.at.fields, from.fields); moved || rewound.Committed {
			refused = 0
		}
		if rewound.Refused() {
			refused++
		}
		if refused == refusals {
			return fmt.Errorf("%d times in succession: %w", refused, rewound)
		}
		again.inherit(f)
		t.mu.Lock()
		t.feeds = slices.Clone(t.feeds) // others may be going over it
		t.feeds[i] = again
		t.mu.Unlock()
	}
}

// startOver makes a feed that goes on from what is stored of another one, with the version that the task has now: other
// feeds may have taken that meanwhile.
func (t *Task) startOver(ctx context.Context, old *feed) (*feed, error) {
	for {
		o, err := t.plugin.Upgrade(ctx)
		if err != nil {
			return nil, err
		}
		index, err := o.feedOf(old.partition)
		if err != nil {
			return nil, fmt.Errorf("version %s of the plugin: %w", o.code.Version(), err)
		}
		f, err := t.newFeed(ctx, o, index)
		if !t.plugin.Superseded(o, err) {
			return f, err
		}
	}
}

// sum says what the task did and how long each stage was at work, all feeds together.
func (t *Task) sum() {
	p, c := t.Progress(), &t.count
	t.log.Info("source task ended", "rows", p.Written, "pages", p.Pages, "bytes", p.Bytes, "skipped", p.Skipped,
		"repeated", p.Repeated, "resumed", p.Resumed,
		slog.Group("at_work", "fetch", c.fetch.Total(), "decode", c.decode.Total(), "transform", c.transform.Total(),
			"convert", c.convert.Total(), "produce", c.produce.Total()))
}

// errOther ends the other feeds of a task whose one feed failed.
var errOther = errors.New("another feed of the task has failed")

// start opens the plugin and finds where its feeds stand.
func (t *Task) start(ctx context.Context) error {
	o, err := t.plugin.Start(ctx)
	if err != nil {
		return err
	}
	if err := checkFeeds(o.feeds); err != nil {
		return err
	}
	if err := t.o.PrepareOffsets(ctx, len(o.feeds)); err != nil {
		return err
	}
	feeds := make([]*feed, len(o.feeds))
	for i := range o.feeds {
		if feeds[i], err = t.newFeed(ctx, o, uint32(i)); t.plugin.Superseded(o, err) {
			return t.start(ctx) // another task of the connector has taken another version
		} else if err != nil {
			return fmt.Errorf("feed %s: %w", o.feeds[i].Name, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plugin.Use(o)
	t.feeds = feeds
	return nil
}

// call makes one call of open.
func (t *Task) call(ctx context.Context, r Reader, o *openedVersion, state []byte,
	answers []wit.Response) (*wit.RequestBatch,
	error) {
	opening, err := r.OpenSource(ctx, t.o.Component, task.VisibleSettings(o.code, t.o.Settings), state, answers)
	if err == nil && opening.Ready != nil {
		o.context, o.feeds = opening.Ready.Context, opening.Ready.Feeds
	}
	return opening.Pending, err
}

// checkFeeds refuses feeds that would store their offsets in one place.
func checkFeeds(feeds []wit.Feed) error {
	partitions := make(map[string]int, len(feeds))
	for i := range feeds {
		if text := feeds[i].Cron; text != nil {
			if _, err := cron.Parse(*text); err != nil {
				return &wit.Error{Kind: wit.ErrorConfig, Message: "feed " + feeds[i].Name + ": its times: " +
					err.Error()}
			}
		}
		key := offset.Identity(feeds[i].Partition)
		if j, ok := partitions[key]; ok {
			return fmt.Errorf("feeds %s and %s have the same offset partition: expected each to have one of its own",
				feeds[j].Name, feeds[i].Name)
		}
		partitions[key] = i
	}
	return nil
}
