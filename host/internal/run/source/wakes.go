package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/run/notify"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxTriggers is how many different wakes, and notifications with idents of their own, may wait for a feed; a sender
	// of more is to send again.
	maxTriggers = 10_000
	// rememberedIdents is how many notifications that were served are known again.
	rememberedIdents = 1_000
	// ackBatch is how many wakes are served before their rows are waited for.
	ackBatch = 100
	// maxRepeatDelay is after how long at most a wake comes again that the plugin wants once more.
	maxRepeatDelay = time.Minute
	// maxRepeats is how many wakes may be waiting to come again, in addition to those that notifications asked for.
	maxRepeats = 1_000
)

// subscriptionInterval is how often a subscription is looked at: it has no end of its own, and an administrator may delete
// it.
const subscriptionInterval = 10 * time.Minute

// notificationQueue are the notifications that a feed has to serve (P9). The feed's lock guards all of it but came and
// subscriptionDigest.
type notificationQueue struct {
	pending triggerQueue
	// processing are those whose rows are being read, or sent, in the order in which they were taken.
	processing []*trigger
	// byIdent are the notifications that wait or are served, by their idents; known are the last ones that were.
	byIdent   map[string]*trigger
	processed map[string]bool
	recent    []string
	// overflowLogged: it was said that more than maxAgain were to come again.
	overflowLogged bool
	// snapshots are those that were asked for.
	snapshots []string
	// came ends the feed's rest when one has come.
	signal guard.Bell
	// subscriptionDigest is that of the subscriptions that were there before what was read last was asked for: whatever
	// happens later they tell. It is stored with the offset; where others are there at a start, the feed is read once
	// more, since nobody has said what happened in between. Reading changes it.
	subscriptionDigest string
	// currentDigest is the digest of the subscriptions that there are, "" where none was asked for.
	currentDigest string
}

// wake is what one or several notifications have asked for.
type trigger struct {
	token  string
	idents []string
	// served is closed when it was served: senders wait for it.
	done chan struct{}
	// subscriptionDigest is the new value of that of the feed's wakes when it is read for, "" where that does not
	// change.
	subscriptionDigest string
	// again: it was served, and comes once more, not before notBefore. The answer then is the last one, whatever the
	// plugin makes of it: plugins have no memory from one page to the next, and would have it come for ever.
	repeated  bool
	notBefore time.Time
}

// due tells whether a wake may be served now.
func (w *trigger) due() bool { return !w.repeated || !time.Now().Before(w.notBefore) }

// triggerQueue are wakes in the order in which they are served. The time that each call but addFirst takes does not grow
// with how many there are, but with how many of them come again.
type triggerQueue struct {
	list []*trigger
	// byToken are those that a notification of the same joins: the one of list that came last with a token.
	byToken map[string]*trigger
	// again is how many of list come again.
	repeated int
}

// add puts a wake after the others.
func (q *triggerQueue) add(w *trigger) {
	q.list = append(q.list, w)
	q.index(w)
}

// addFirst puts a wake before the others.
func (q *triggerQueue) addFirst(w *trigger) {
	q.list = slices.Insert(q.list, 0, w)
	if q.byToken[w.token] == nil {
		q.index(w)
	} else if w.repeated {
		q.repeated++
	}
}

func (q *triggerQueue) index(w *trigger) {
	if q.byToken == nil {
		q.byToken = map[string]*trigger{}
	}
	q.byToken[w.token] = w
	if w.repeated {
		q.repeated++
	}
}

// join is the wake of a token, which from now on comes as soon as one that is asked for; nil: there is none.
func (q *triggerQueue) join(token string) *trigger {
	w := q.byToken[token]
	if w != nil && w.repeated {
		w.repeated = false
		q.repeated--
	}
	return w
}

// due tells whether a wake may be served now.
func (q *triggerQueue) hasDue() bool { return slices.ContainsFunc(q.list, (*trigger).due) }

// take takes the first one that may be served now out, nil: there is none.
func (q *triggerQueue) pop() *trigger {
	i := slices.IndexFunc(q.list, (*trigger).due)
	if i < 0 {
		return nil
	}
	w := q.list[i]
	if i == 0 {
		q.list[0] = nil
		q.list = q.list[1:]
	} else {
		q.list = slices.Delete(q.list, i, i+1)
	}
	if q.byToken[w.token] == w {
		delete(q.byToken, w.token)
	}
	if w.repeated {
		q.repeated--
	}
	return w
}

// enqueue notes that a notification came. served is closed when its rows are in Kafka; nil: they are, or it need not be
// waited for.
func (f *feed) enqueue(w *wit.Wake) (served <-chan struct{}, err error) {
	f = f.lockCurrent()
	defer f.mu.Unlock()
	q := f.notifications
	queued := q.byIdent[w.Ident]
	switch {
	case w.Ident != "" && q.processed[w.Ident]:
		f.task.count.duplicates.Add(1)
		return nil, nil
	case w.Ident != "" && queued != nil:
		f.task.count.duplicates.Add(1)
	case len(q.byIdent) >= maxTriggers:
		return nil, notify.ErrBusy
	case q.pending.byToken[w.Token] != nil:
		queued = q.pending.join(w.Token)
	case len(q.pending.list) >= maxTriggers+q.pending.repeated:
		return nil, notify.ErrBusy
	default:
		queued = &trigger{token: w.Token, done: make(chan struct{})}
		q.pending.add(queued)
	}
	if w.Ident != "" && q.byIdent[w.Ident] == nil {
		if q.byIdent == nil {
			q.byIdent = map[string]*trigger{}
		}
		q.byIdent[w.Ident] = queued
		queued.idents = append(queued.idents, w.Ident)
	}
	q.signal.Ring()
	if !w.Hold {
		return nil, nil
	}
	return queued.done, nil
}

// lockCurrent locks the feed, or the one that has taken its place.
func (f *feed) lockCurrent() *feed {
	f.mu.Lock()
	for f.replacement != nil {
		replacement := f.replacement
		f.mu.Unlock()
		f = replacement
		f.mu.Lock()
	}
	return f
}

// moveStateFrom takes over from a feed that ended what waits for it.
func (f *feed) moveStateFrom(old *feed) {
	old.mu.Lock()
	defer old.mu.Unlock()
	old.replacement = f
	inherited := *old.notifications
	inherited.pending, inherited.processing = triggerQueue{}, nil
	inherited.subscriptionDigest, inherited.currentDigest = f.notifications.subscriptionDigest, f.notifications.currentDigest
	f.notifications = &inherited
	for _, w := range append(old.notifications.processing, old.notifications.pending.list...) {
		f.notifications.pending.add(w)
	}
	f.status.subscribed.Store(old.status.subscribed.Load())
	f.status.notified.Store(old.status.notified.Load())
	if old.notifications.currentDigest != "" {
		f.onResubscribed(old.notifications.currentDigest, false)
	}
}

// onSubscribed notes which subscriptions a feed has. again: others notified, or nobody did, after what was read last was
// asked for. Then the feed is read once more; until that is stored a start finds it so again.
func (f *feed) onSubscribed(subscriptions string, reread bool) {
	f = f.lockCurrent()
	defer f.mu.Unlock()
	f.notifications.currentDigest = subscriptions
	if !reread {
		return
	}
	q := f.notifications
	if q.pending.byToken[""] == nil {
		q.pending.add(&trigger{done: make(chan struct{})})
	}
	q.pending.byToken[""].subscriptionDigest = f.notifications.currentDigest
	q.signal.Ring()
}

// onResubscribed is arrange for a feed that is about to be read from its stored offset.
func (f *feed) onResubscribed(subscriptions string, created bool) (reread bool) {
	started := len(f.position.fields) > 0
	if reread = started && (created || f.notifications.subscriptionDigest != subscriptions); !started {
		f.notifications.subscriptionDigest = subscriptions
	}
	f.onSubscribed(subscriptions, reread)
	return reread
}

// nextTrigger is the one that is served next.
func (f *feed) nextTrigger() (token string, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.notifications
	next := q.pending.pop()
	if next == nil {
		return "", false
	}
	q.processing = append(q.processing, next)
	return next.token, true
}

// later has what the wake that was served now asks for read once more, after a while, unless that was the second time.
// Who sent it need not wait.
func (f *feed) scheduleRepeat(wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.notifications
	served := q.processing[len(q.processing)-1]
	switch {
	case served.repeated, q.pending.byToken[served.token] != nil:
		return
	case q.pending.repeated < maxRepeats:
	case q.overflowLogged:
		return
	default:
		q.overflowLogged = true
		f.log.Warn("more notifications than are kept for it have been answered in a way that the plugin wants to ask "+
			"again about: those beyond that are not read once more, and what came first stands", "kept", maxRepeats)
		return
	}
	q.pending.add(&trigger{token: served.token, done: make(chan struct{}), repeated: true,
		notBefore: time.Now().Add(min(wait, maxRepeatDelay))})
}

// markReading marks the wake that was taken last as being read for. It is no part of take, since a snapshot may come between,
// whose pages are not what the wake asks for.
func (f *feed) markReading() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.notifications.processing) - 1; f.notifications.processing[last].subscriptionDigest != "" {
		f.notifications.subscriptionDigest = f.notifications.processing[last].subscriptionDigest
	}
}

// requeue has the wake that was to be served now served later.
func (f *feed) requeue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.notifications
	last := len(q.processing) - 1
	q.pending.addFirst(q.processing[last])
	q.processing = q.processing[:last]
}

func (f *feed) hasDueTrigger() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notifications.pending.hasDue()
}

// ackProcessed counts wakes as served when Kafka has their rows and offsets: with transactions a commit may be refused long
// after the rows were sent, and the feed that starts over then serves them again. Where many are served, or none is
// waiting, it waits for Kafka at once, else it leaves that to the next call.
func (f *feed) ackProcessed(ctx context.Context) error {
	f.mu.Lock()
	n := len(f.notifications.processing)
	deferred := f.notifications.pending.hasDue() && n < ackBatch
	f.mu.Unlock()
	if n == 0 || deferred {
		return nil
	}
	if err := f.awaitDurable(ctx); err != nil {
		return err
	}
	f.ack()
	return nil
}

// ack lets the senders of the notifications go that were served.
func (f *feed) ack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.notifications
	for _, w := range q.processing {
		for _, ident := range w.idents {
			delete(q.byIdent, ident)
			q.remember(ident)
		}
		close(w.done)
	}
	q.processing = nil
}

// remember remembers a notification that was served.
func (q *notificationQueue) remember(ident string) {
	if q.processed == nil {
		q.processed = map[string]bool{}
	}
	if len(q.recent) == rememberedIdents {
		delete(q.processed, q.recent[0])
		q.recent = slices.Delete(q.recent, 0, 1)
	}
	q.processed[ident] = true
	q.recent = append(q.recent, ident)
}

// sleep waits for a moment, no longer than until a notification comes.
func (f *feed) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-f.notifications.signal:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// listen has notifications for the feeds that subscribe taken, and then subscribes: what changes from here on is told,
// what was changed before is read. close ends both.
func (t *Task) listen(ctx context.Context) (close func(), err error) {
	var closers []func()
	close = func() {
		for _, c := range closers {
			c()
		}
	}
	if t.o.Listen == nil || t.o.Once {
		return close, nil
	}
	ended, end := context.WithCancel(ctx)
	closers = append(closers, end)
	for _, f := range t.feeds {
		if !f.spec().Subscribes {
			continue
		}
		address, unlisten, err := t.o.Listen(f.name, func(ctx context.Context, n wit.Notification) error {
			return t.handleNotification(ctx, ended, n)
		})
		if err != nil {
			close()
			return nil, fmt.Errorf("feed %s: %w", f.name, err)
		}
		closers = append(closers, unlisten)
		done, created, err := t.subscribe(ctx, f.name, address)
		if err != nil {
			close()
			return nil, fmt.Errorf("feed %s: subscribe: %w", f.name, err)
		}
		f.status.subscribed.Store(time.Now().UnixMilli())
		f.log.Info("subscribed", "address", address, "subscriptions", done)
		if f.onResubscribed(digestOf(done), created) {
			f.log.Warn("the subscription is not the one that notified of changes since the stored offset: what "+
				"happened meanwhile is asked for",
				"subscriptions", done, "made_now", created)
		}
		go func() {
			defer guard.Recover(t.log, "the subscription of feed "+f.name, nil)
			t.keepSubscribed(ended, f, address, done)
		}()
	}
	return close, nil
}

// subscribe sees to it that a feed is subscribed to under an address. made: it was not before, or not wholly, since the
// plugin has asked for more than what is there.
func (t *Task) subscribe(ctx context.Context, feed, address string) (done string, created bool, err error) {
	for retried := 0; ; retried++ {
		o := t.plugin.Opened()
		i := slices.IndexFunc(o.feeds, func(w wit.Feed) bool { return w.Name == feed })
		if i < 0 {
			return "", created, fmt.Errorf("the plugin has no feed %s any more", feed)
		}
		var changed bool
		done, changed, err = t.subscribeOnce(ctx, o, uint32(i), address)
		created = created || changed // also where its answer was lost
		if t.plugin.Superseded(o, err) {
			if _, err = t.plugin.Adopt(ctx); err != nil {
				return "", created, err
			}
			continue
		}
		var pluginErr *wit.Fault
		noAnswer := new(transport.NoAnswer) // the plugin looks what became of the request
		if retriable := errors.As(err, &noAnswer) || errors.As(err, &pluginErr) && pluginErr.Kind == wit.FaultTransient; !retriable ||
			retried >= t.o.Client.Retry().Times() {
			return done, created, err
		}
		task.TriedAgain(t.log, t.o.Client, "to be subscribed again", "feed", feed, "retry", retried+1, "error", err)
		if err := t.o.Client.Retry().Wait(ctx, 0); err != nil {
			return "", created, err
		}
	}
}

func (t *Task) subscribeOnce(ctx context.Context, o *openedVersion, feed uint32, address string) (done string,
	created bool, err error) {
	err = transport.Ask(ctx, t.o.Client, func(state []byte, answers []wit.Response) (need *wit.Need, err error) {
		err = task.Do(ctx, o.code, func(r Reader) error {
			a, err := r.Subscribe(ctx, o.context, feed, address, state, answers)
			if need = a.Ask; a.Done != nil {
				done = *a.Done
			}
			return err
		})
		created = created || need != nil && slices.ContainsFunc(need.Requests, func(r wit.Request) bool {
			return r.Method != "GET" && r.Method != "HEAD"
		})
		return need, err
	})
	return done, created, err
}

// keepSubscribed looks again and again whether a feed is still subscribed to. Where it was not, what happened meanwhile was not
// told, and is asked for.
func (t *Task) keepSubscribed(ctx context.Context, f *feed, address, done string) {
	for pause.For(ctx, subscriptionInterval) == nil {
		now, created, err := t.subscribe(ctx, f.name, address)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			task.TriedAgain(f.log, t.o.Client, "whether the subscription is still there is not known", "error", err)
			continue
		}
		if created || now != done {
			f.log.Warn("the subscription was gone and was made again: what happened meanwhile is asked for",
				"subscriptions", now)
			f.onSubscribed(digestOf(now), true)
			t.findFeed(f.name).status.subscribed.Store(time.Now().UnixMilli())
		}
		done = now
	}
}

// handleNotification takes a notification. It returns when it is to be answered.
func (t *Task) handleNotification(ctx, ended context.Context, n wit.Notification) error {
	if ended.Err() != nil {
		return notify.ErrBusy
	}
	o := t.plugin.Opened()
	var triggers []wit.Wake
	err := task.Do(ctx, o.code, func(r Reader) (err error) {
		triggers, err = r.Notified(ctx, o.context, n)
		return err
	})
	if task.Stale(err) || t.plugin.Superseded(o, err) {
		return notify.ErrBusy // another version is being opened
	}
	if err != nil {
		return err
	}
	var all []<-chan struct{}
	for i := range triggers {
		w := &triggers[i]
		if int(w.Feed) >= len(o.feeds) {
			return fmt.Errorf("the plugin wakes feed %d, and has %d", w.Feed, len(o.feeds))
		}
		f := t.findFeed(o.feeds[w.Feed].Name)
		if f == nil {
			return notify.ErrBusy
		}
		f.status.notified.Store(time.Now().UnixMilli())
		served, err := f.enqueue(w)
		if err != nil {
			return err
		}
		if served != nil {
			all = append(all, served)
		}
	}
	t.count.notified.Add(1)
	for _, served := range all {
		select {
		case <-served:
		case <-ctx.Done():
			return notify.ErrBusy
		case <-ended.Done():
			return notify.ErrBusy
		}
	}
	return nil
}

func (t *Task) findFeed(name string) *feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.feeds {
		if f.name == name {
			return f
		}
	}
	return nil
}
