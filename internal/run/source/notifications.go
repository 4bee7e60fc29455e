package source

import (
	"context"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/wit"
)

const (
	// maxTriggers bounds the waiting triggers of a feed, and its waiting notifications with an ident: more are answered
	// with a retry.
	maxTriggers      = 10_000
	rememberedIdents = 1_000
	ackBatch         = 100
	maxRepeatDelay   = time.Minute
	maxRepeats       = 1_000
)

// notificationQueue holds the notifications of a feed until Kafka has the rows that they announce: a notification may
// be lost or sent twice (RATIONALE.md P9). The feed's lock guards all fields but signal and subscriptionDigest.
type notificationQueue struct {
	pending    triggerQueue
	processing []*trigger // those whose rows are being read or sent, in order
	// byIdent has the pending and processing notifications, processed the last acknowledged ones, in the order of
	// recent.
	byIdent        map[string]*trigger
	processed      map[string]bool
	recent         []string
	overflowLogged bool
	snapshots      []string
	signal         guard.Bell // ends the feed's wait
	// subscriptionDigest identifies the subscriptions before the last request, which report everything after it. It is
	// stored with the offset: if the subscriptions differ at a start, the feed is read once more. Only reading changes
	// it.
	subscriptionDigest string
	currentDigest      string // of the current subscriptions, empty without any
}

// trigger is a reason to read the feed, from one or several notifications.
type trigger struct {
	token              string
	idents             []string
	done               chan struct{} // closed when it was processed; senders wait for it
	subscriptionDigest string        // replaces the queue's when the trigger is read, unless it is empty
	// repeated means that it was processed and is read again, not before notBefore. The second response is final,
	// because plugins have no memory between pages and would repeat it for ever.
	repeated  bool
	notBefore time.Time
}

func (t *trigger) due() bool { return !t.repeated || !time.Now().Before(t.notBefore) }

// triggerQueue is a queue of triggers. The cost of its methods, except addFirst, grows only with the number of repeated
// triggers.
type triggerQueue struct {
	list     []*trigger
	byToken  map[string]*trigger // the last trigger of each token, which new notifications join
	repeated int
}

func (q *triggerQueue) add(w *trigger) {
	q.list = append(q.list, w)
	q.index(w)
}

func (q *triggerQueue) addFirst(trigger *trigger) {
	q.list = slices.Insert(q.list, 0, trigger)
	if q.byToken[trigger.token] == nil {
		q.index(trigger)
	} else if trigger.repeated {
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

// join returns the pending trigger of a token, nil for none, and ends its delay.
func (q *triggerQueue) join(token string) *trigger {
	w := q.byToken[token]
	if w != nil && w.repeated {
		w.repeated = false
		q.repeated--
	}
	return w
}

func (q *triggerQueue) hasDue() bool { return slices.ContainsFunc(q.list, (*trigger).due) }

// pop removes the first trigger that is due.
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

// enqueue adds a notification. processed is closed when its rows are in Kafka; nil if they are, or the sender need not
// wait.
func (f *feed) enqueue(w *wit.Trigger) (processed <-chan struct{}, err error) {
	f = f.lockCurrent()
	defer f.mu.Unlock()
	queue := f.notifications
	queued := queue.byIdent[w.Ident]
	switch {
	case w.Ident != "" && queue.processed[w.Ident]:
		f.task.count.duplicates.Add(1)
		return nil, nil
	case w.Ident != "" && queued != nil:
		f.task.count.duplicates.Add(1)
	case len(queue.byIdent) >= maxTriggers:
		return nil, notify.ErrBusy
	case queue.pending.byToken[w.Token] != nil:
		queued = queue.pending.join(w.Token)
	case len(queue.pending.list) >= maxTriggers+queue.pending.repeated:
		return nil, notify.ErrBusy
	default:
		queued = &trigger{token: w.Token, done: make(chan struct{})}
		queue.pending.add(queued)
	}
	if w.Ident != "" && queue.byIdent[w.Ident] == nil {
		if queue.byIdent == nil {
			queue.byIdent = map[string]*trigger{}
		}
		queue.byIdent[w.Ident] = queued
		queued.idents = append(queued.idents, w.Ident)
	}
	queue.signal.Ring()
	if !w.AnswerWhenStored {
		return nil, nil
	}
	return queued.done, nil
}

// lockCurrent locks the feed, or the one that has replaced it.
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

func (f *feed) moveStateFrom(old *feed) {
	old.mu.Lock()
	defer old.mu.Unlock()
	old.replacement = f
	inherited := *old.notifications
	inherited.pending = triggerQueue{}
	inherited.processing = nil
	inherited.subscriptionDigest = f.notifications.subscriptionDigest
	inherited.currentDigest = f.notifications.currentDigest
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

func (f *feed) nextTrigger() (token string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.notifications
	next := queue.pending.pop()
	if next == nil {
		return "", false
	}
	queue.processing = append(queue.processing, next)
	return next.token, true
}

// scheduleRepeat repeats the current trigger after a while, once. Its sender does not wait for that.
func (f *feed) scheduleRepeat(wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.notifications
	processed := queue.processing[len(queue.processing)-1]
	switch {
	case processed.repeated, queue.pending.byToken[processed.token] != nil:
		return
	case queue.pending.repeated < maxRepeats: // read again
	case queue.overflowLogged:
		return
	default:
		queue.overflowLogged = true
		f.log.Warn("too many notifications wait to be read again: further ones are read only once", "kept", maxRepeats)
		return
	}
	queue.pending.add(&trigger{token: processed.token, done: make(chan struct{}), repeated: true,
		notBefore: time.Now().Add(min(wait, maxRepeatDelay))})
}

// markReading is called when the pages of the last trigger are read: a snapshot may precede them.
func (f *feed) markReading() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.notifications.processing) - 1; f.notifications.processing[last].subscriptionDigest != "" {
		f.notifications.subscriptionDigest = f.notifications.processing[last].subscriptionDigest
	}
}

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

// ackProcessed acknowledges triggers when Kafka has their rows and offsets: a transaction may be rejected long after
// the rows were sent, and then the feed reads them again. While more triggers are pending, it waits for a batch.
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

func (f *feed) ack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.notifications
	for _, w := range queue.processing {
		for _, ident := range w.idents {
			delete(queue.byIdent, ident)
			queue.remember(ident)
		}
		close(w.done)
	}
	queue.processing = nil
}

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

// sleep ends early when a notification or snapshot arrives.
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
