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
	// maxTriggers bounds the pending triggers of a feed, and its notifications with an ident. Further ones are rejected
	// with [notify.ErrBusy], so that the sender repeats them.
	maxTriggers      = 10_000
	rememberedIdents = 1_000 // of acknowledged notifications
	ackBatch         = 100   // triggers that are acknowledged together while more are due
	maxRepeatDelay   = time.Minute
	maxRepeats       = 1_000 // pending triggers that are read again
)

// notificationQueue holds the notifications of a feed until Kafka has the rows that they announce: a notification may
// be lost or sent twice (RATIONALE.md P9). The feed's lock guards all fields but signal and subscriptionDigest.
type notificationQueue struct {
	pending        triggerQueue
	processing     []*trigger          // triggers whose rows are being read or sent, in order
	byIdent        map[string]*trigger // the triggers in pending and processing by the idents of their notifications
	processed      map[string]bool     // the idents of the last acknowledged notifications
	recent         []string            // the idents in processed, the oldest first
	overflowLogged bool                // the warning about maxRepeats
	snapshots      []string            // requested snapshots
	signal         guard.Bell          // ends the feed's wait
	// subscriptionDigest identifies the subscriptions before the last request, which report everything after it. It is
	// stored with the offset: if the subscriptions differ at a start, the feed is read once more. Only reading changes
	// it.
	subscriptionDigest string
	currentDigest      string // identifies the current subscriptions; empty means none
}

// trigger is a reason to read the feed, from one or several notifications.
type trigger struct {
	token              string
	idents             []string
	done               chan struct{} // closed when it was processed; senders wait for it
	subscriptionDigest string        // replaces the queue's when the trigger is read, unless it is empty
	// repeated means that it was processed and is read again, not before notBefore. It is not repeated a second time:
	// plugins have no memory between pages and would request that for ever.
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

func (q *triggerQueue) add(trigger *trigger) {
	q.list = append(q.list, trigger)
	q.index(trigger)
}

func (q *triggerQueue) addFirst(trigger *trigger) {
	q.list = slices.Insert(q.list, 0, trigger)
	if q.byToken[trigger.token] == nil {
		q.index(trigger)
	} else if trigger.repeated {
		q.repeated++
	}
}

func (q *triggerQueue) index(t *trigger) {
	if q.byToken == nil {
		q.byToken = map[string]*trigger{}
	}
	q.byToken[t.token] = t
	if t.repeated {
		q.repeated++
	}
}

// join returns the pending trigger of a token, or nil. A repeated trigger becomes a usual one without a delay.
func (q *triggerQueue) join(token string) *trigger {
	trigger := q.byToken[token]
	if trigger != nil && trigger.repeated {
		trigger.repeated = false
		q.repeated--
	}
	return trigger
}

func (q *triggerQueue) hasDue() bool { return slices.ContainsFunc(q.list, (*trigger).due) }

// pop removes and returns the first trigger that is due, or returns nil.
func (q *triggerQueue) pop() *trigger {
	i := slices.IndexFunc(q.list, (*trigger).due)
	if i < 0 {
		return nil
	}
	trigger := q.list[i]
	if i == 0 {
		q.list[0] = nil
		q.list = q.list[1:]
	} else {
		q.list = slices.Delete(q.list, i, i+1)
	}
	if q.byToken[trigger.token] == trigger {
		delete(q.byToken, trigger.token)
	}
	if trigger.repeated {
		q.repeated--
	}
	return trigger
}

// enqueue adds a notification. processed is closed when its rows are in Kafka. It is nil if they are in Kafka already,
// or if the sender need not wait.
func (f *feed) enqueue(received *wit.Trigger) (processed <-chan struct{}, err error) {
	f = f.lockCurrent()
	defer f.mu.Unlock()
	queue := f.notifications
	queued := queue.byIdent[received.Ident]
	switch {
	case received.Ident != "" && queue.processed[received.Ident]:
		f.task.count.duplicates.Add(1)
		return nil, nil
	case received.Ident != "" && queued != nil:
		f.task.count.duplicates.Add(1)
	case len(queue.byIdent) >= maxTriggers:
		return nil, notify.ErrBusy
	case queue.pending.byToken[received.Token] != nil:
		queued = queue.pending.join(received.Token)
	case len(queue.pending.list) >= maxTriggers+queue.pending.repeated: // maxRepeats bounds the repeated ones
		return nil, notify.ErrBusy
	default:
		queued = &trigger{token: received.Token, done: make(chan struct{})}
		queue.pending.add(queued)
	}
	if received.Ident != "" && queue.byIdent[received.Ident] == nil {
		if queue.byIdent == nil {
			queue.byIdent = map[string]*trigger{}
		}
		queue.byIdent[received.Ident] = queued
		queued.idents = append(queued.idents, received.Ident)
	}
	queue.signal.Ring()
	if !received.AnswerWhenStored {
		return nil, nil
	}
	return queued.done, nil
}

// lockCurrent locks and returns the feed, or the one that has replaced it.
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

// moveStateFrom moves the notifications of a feed that started over to its replacement. Triggers whose rows were being
// read become pending again.
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
	for _, trigger := range append(old.notifications.processing, old.notifications.pending.list...) {
		f.notifications.pending.add(trigger)
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
	trigger := queue.pending.pop()
	if trigger == nil {
		return "", false
	}
	queue.processing = append(queue.processing, trigger)
	return trigger.token, true
}

// scheduleRepeat makes the feed read the current trigger once more after a wait. Its sender does not wait for that.
func (f *feed) scheduleRepeat(wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.notifications
	current := queue.processing[len(queue.processing)-1]
	switch {
	case current.repeated, queue.pending.byToken[current.token] != nil:
		return // it was repeated once, or another trigger reads the same again
	case queue.pending.repeated >= maxRepeats:
		if !queue.overflowLogged {
			queue.overflowLogged = true
			f.log.Warn("too many notifications wait to be read again: further ones are read only once",
				"kept", maxRepeats)
		}
		return
	}
	queue.pending.add(&trigger{token: current.token, done: make(chan struct{}), repeated: true,
		notBefore: time.Now().Add(min(wait, maxRepeatDelay))})
}

// markReading makes the subscriptionDigest of the last trigger in processing the queue's, when its pages begin.
func (f *feed) markReading() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.notifications.processing) - 1; f.notifications.processing[last].subscriptionDigest != "" {
		f.notifications.subscriptionDigest = f.notifications.processing[last].subscriptionDigest
	}
}

// requeue makes the last trigger in processing the first pending one.
func (f *feed) requeue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.notifications
	last := len(queue.processing) - 1
	queue.pending.addFirst(queue.processing[last])
	queue.processing = queue.processing[:last]
}

func (f *feed) hasDueTrigger() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notifications.pending.hasDue()
}

// ack lets the senders of the triggers in processing continue, and remembers their idents.
func (f *feed) ack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := f.notifications
	for _, trigger := range queue.processing {
		for _, ident := range trigger.idents {
			delete(queue.byIdent, ident)
			queue.remember(ident)
		}
		close(trigger.done)
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

// sleep waits for d, or less if a notification or a request for a snapshot arrives.
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
