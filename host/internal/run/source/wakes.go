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
	// maxWakes is how many different wakes, and notifications with idents of their own, may wait for a feed; a sender
	// of more is to send again.
	maxWakes = 10_000
	// rememberedIdents is how many notifications that were served are known again.
	rememberedIdents = 1_000
	// servedTogether is how many wakes are served before their rows are waited for.
	servedTogether = 100
	// maxLater is after how long at most a wake comes again that the plugin wants once more.
	maxLater = time.Minute
	// maxAgain is how many wakes may be waiting to come again, in addition to those that notifications asked for.
	maxAgain = 1_000
)

// subscribeAgain is how often a subscription is looked at: it has no end of its own, and an administrator may delete
// it.
const subscribeAgain = 10 * time.Minute

// wakes are the notifications that a feed has to serve (P9). The feed's lock guards all of it but came and
// subscriptionDigest.
type wakes struct {
	waiting wakeQueue
	// serving are those whose rows are being read, or sent, in the order in which they were taken.
	serving []*wake
	// pending are the notifications that wait or are served, by their idents; known are the last ones that were.
	pending map[string]*wake
	known   map[string]bool
	recent  []string
	// crowded: it was said that more than maxAgain were to come again.
	crowded bool
	// snapshots are those that were asked for.
	snapshots []string
	// came ends the feed's rest when one has come.
	came guard.Bell
	// subscriptionDigest is that of the subscriptions that were there before what was read last was asked for: whatever
	// happens later they tell. It is stored with the offset; where others are there at a start, the feed is read once
	// more, since nobody has said what happened in between. Reading changes it.
	subscriptionDigest string
	// arranged is the digest of the subscriptions that there are, "" where none was asked for.
	arranged string
}

// wake is what one or several notifications have asked for.
type wake struct {
	token  string
	idents []string
	// served is closed when it was served: senders wait for it.
	served chan struct{}
	// subscriptionDigest is the new value of that of the feed's wakes when it is read for, "" where that does not
	// change.
	subscriptionDigest string
	// again: it was served, and comes once more, not before notBefore. The answer then is the last one, whatever the
	// plugin makes of it: plugins have no memory from one page to the next, and would have it come for ever.
	again     bool
	notBefore time.Time
}

// due tells whether a wake may be served now.
func (w *wake) due() bool { return !w.again || !time.Now().Before(w.notBefore) }

// wakeQueue are wakes in the order in which they are served. The time that each call but addFirst takes does not grow
// with how many there are, but with how many of them come again.
type wakeQueue struct {
	list []*wake
	// byToken are those that a notification of the same joins: the one of list that came last with a token.
	byToken map[string]*wake
	// again is how many of list come again.
	again int
}

// add puts a wake after the others.
func (q *wakeQueue) add(w *wake) {
	q.list = append(q.list, w)
	q.note(w)
}

// addFirst puts a wake before the others.
func (q *wakeQueue) addFirst(w *wake) {
	q.list = slices.Insert(q.list, 0, w)
	if q.byToken[w.token] == nil {
		q.note(w)
	} else if w.again {
		q.again++
	}
}

func (q *wakeQueue) note(w *wake) {
	if q.byToken == nil {
		q.byToken = map[string]*wake{}
	}
	q.byToken[w.token] = w
	if w.again {
		q.again++
	}
}

// join is the wake of a token, which from now on comes as soon as one that is asked for; nil: there is none.
func (q *wakeQueue) join(token string) *wake {
	w := q.byToken[token]
	if w != nil && w.again {
		w.again = false
		q.again--
	}
	return w
}

// due tells whether a wake may be served now.
func (q *wakeQueue) due() bool { return slices.ContainsFunc(q.list, (*wake).due) }

// take takes the first one that may be served now out, nil: there is none.
func (q *wakeQueue) take() *wake {
	i := slices.IndexFunc(q.list, (*wake).due)
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
	if w.again {
		q.again--
	}
	return w
}

// wake notes that a notification came. served is closed when its rows are in Kafka; nil: they are, or it need not be
// waited for.
func (f *feed) wake(w *wit.Trigger) (served <-chan struct{}, err error) {
	f = f.living()
	defer f.mu.Unlock()
	q := f.wakes
	one := q.pending[w.Ident]
	switch {
	case w.Ident != "" && q.known[w.Ident]:
		f.task.count.duplicates.Add(1)
		return nil, nil
	case w.Ident != "" && one != nil:
		f.task.count.duplicates.Add(1)
	case len(q.pending) >= maxWakes:
		return nil, notify.ErrBusy
	case q.waiting.byToken[w.Token] != nil:
		one = q.waiting.join(w.Token)
	case len(q.waiting.list) >= maxWakes+q.waiting.again:
		return nil, notify.ErrBusy
	default:
		one = &wake{token: w.Token, served: make(chan struct{})}
		q.waiting.add(one)
	}
	if w.Ident != "" && q.pending[w.Ident] == nil {
		if q.pending == nil {
			q.pending = map[string]*wake{}
		}
		q.pending[w.Ident] = one
		one.idents = append(one.idents, w.Ident)
	}
	q.came.Ring()
	if !w.AnswerWhenStored {
		return nil, nil
	}
	return one.served, nil
}

// living locks the feed, or the one that has taken its place.
func (f *feed) living() *feed {
	f.mu.Lock()
	for f.successor != nil {
		heir := f.successor
		f.mu.Unlock()
		f = heir
		f.mu.Lock()
	}
	return f
}

// inherit takes over from a feed that ended what waits for it.
func (f *feed) inherit(old *feed) {
	old.mu.Lock()
	defer old.mu.Unlock()
	old.successor = f
	inherited := *old.wakes
	inherited.waiting, inherited.serving = wakeQueue{}, nil
	inherited.subscriptionDigest, inherited.arranged = f.wakes.subscriptionDigest, f.wakes.arranged
	f.wakes = &inherited
	for _, w := range append(old.wakes.serving, old.wakes.waiting.list...) {
		f.wakes.waiting.add(w)
	}
	f.shown.subscribed.Store(old.shown.subscribed.Load())
	f.shown.notified.Store(old.shown.notified.Load())
	if old.wakes.arranged != "" {
		f.resubscribed(old.wakes.arranged, false)
	}
}

// arrange notes which subscriptions a feed has. again: others notified, or nobody did, after what was read last was
// asked for. Then the feed is read once more; until that is stored a start finds it so again.
func (f *feed) arrange(subscriptions string, again bool) {
	f = f.living()
	defer f.mu.Unlock()
	f.wakes.arranged = subscriptions
	if !again {
		return
	}
	q := f.wakes
	if q.waiting.byToken[""] == nil {
		q.waiting.add(&wake{served: make(chan struct{})})
	}
	q.waiting.byToken[""].subscriptionDigest = f.wakes.arranged
	q.came.Ring()
}

// resubscribed is arrange for a feed that is about to be read from its stored offset.
func (f *feed) resubscribed(subscriptions string, made bool) (again bool) {
	begun := len(f.at.fields) > 0
	if again = begun && (made || f.wakes.subscriptionDigest != subscriptions); !begun {
		f.wakes.subscriptionDigest = subscriptions
	}
	f.arrange(subscriptions, again)
	return again
}

// nextWake is the one that is served next.
func (f *feed) nextWake() (token string, some bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.wakes
	one := q.waiting.take()
	if one == nil {
		return "", false
	}
	q.serving = append(q.serving, one)
	return one.token, true
}

// later has what the wake that was served now asks for read once more, after a while, unless that was the second time.
// Who sent it need not wait.
func (f *feed) later(wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.wakes
	served := q.serving[len(q.serving)-1]
	switch {
	case served.again, q.waiting.byToken[served.token] != nil:
		return
	case q.waiting.again < maxAgain:
	case q.crowded:
		return
	default:
		q.crowded = true
		f.log.Warn("more notifications than are kept for it have been answered in a way that the plugin wants to ask "+
			"again about: those beyond that are not read once more, and what came first stands", "kept", maxAgain)
		return
	}
	q.waiting.add(&wake{token: served.token, served: make(chan struct{}), again: true,
		notBefore: time.Now().Add(min(wait, maxLater))})
}

// serve marks the wake that was taken last as being read for. It is no part of take, since a snapshot may come between,
// whose pages are not what the wake asks for.
func (f *feed) serve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.wakes.serving) - 1; f.wakes.serving[last].subscriptionDigest != "" {
		f.wakes.subscriptionDigest = f.wakes.serving[last].subscriptionDigest
	}
}

// putBack has the wake that was to be served now served later.
func (f *feed) putBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.wakes
	last := len(q.serving) - 1
	q.waiting.addFirst(q.serving[last])
	q.serving = q.serving[:last]
}

func (f *feed) woken() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wakes.waiting.due()
}

// release counts wakes as served when Kafka has their rows and offsets: with transactions a commit may be refused long
// after the rows were sent, and the feed that starts over then serves them again. Where many are served, or none is
// waiting, it waits for Kafka at once, else it leaves that to the next call.
func (f *feed) release(ctx context.Context) error {
	f.mu.Lock()
	n := len(f.wakes.serving)
	later := f.wakes.waiting.due() && n < servedTogether
	f.mu.Unlock()
	if n == 0 || later {
		return nil
	}
	if err := f.durable(ctx); err != nil {
		return err
	}
	f.served()
	return nil
}

// served lets the senders of the notifications go that were served.
func (f *feed) served() {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.wakes
	for _, w := range q.serving {
		for _, ident := range w.idents {
			delete(q.pending, ident)
			q.know(ident)
		}
		close(w.served)
	}
	q.serving = nil
}

// know remembers a notification that was served.
func (q *wakes) know(ident string) {
	if q.known == nil {
		q.known = map[string]bool{}
	}
	if len(q.recent) == rememberedIdents {
		delete(q.known, q.recent[0])
		q.recent = slices.Delete(q.recent, 0, 1)
	}
	q.known[ident] = true
	q.recent = append(q.recent, ident)
}

// doze waits for a moment, no longer than until a notification comes.
func (f *feed) doze(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-f.wakes.came:
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
		if !f.wit().Subscribes {
			continue
		}
		address, leave, err := t.o.Listen(f.name, func(ctx context.Context, n wit.Notification) error {
			return t.notified(ctx, ended, n)
		})
		if err != nil {
			close()
			return nil, fmt.Errorf("feed %s: %w", f.name, err)
		}
		closers = append(closers, leave)
		done, made, err := t.subscribe(ctx, f.name, address)
		if err != nil {
			close()
			return nil, fmt.Errorf("feed %s: subscribe: %w", f.name, err)
		}
		f.shown.subscribed.Store(time.Now().UnixMilli())
		f.log.Info("subscribed", "address", address, "subscriptions", done)
		if f.resubscribed(digestOf(done), made) {
			f.log.Warn("the subscription is not the one that notified of changes since the stored offset: what "+
				"happened meanwhile is asked for",
				"subscriptions", done, "made_now", made)
		}
		go func() {
			defer guard.Recover(t.log, "the subscription of feed "+f.name, nil)
			t.renew(ended, f, address, done)
		}()
	}
	return close, nil
}

// subscribe sees to it that a feed is subscribed to under an address. made: it was not before, or not wholly, since the
// plugin has asked for more than what is there.
func (t *Task) subscribe(ctx context.Context, feed, address string) (done string, made bool, err error) {
	for retried := 0; ; retried++ {
		o := t.plugin.Opened()
		i := slices.IndexFunc(o.feeds, func(w wit.Feed) bool { return w.Name == feed })
		if i < 0 {
			return "", made, fmt.Errorf("the plugin has no feed %s any more", feed)
		}
		var changed bool
		done, changed, err = t.subscribeOnce(ctx, o, uint32(i), address)
		made = made || changed // also where its answer was lost
		if t.plugin.Superseded(o, err) {
			if _, err = t.plugin.Upgrade(ctx); err != nil {
				return "", made, err
			}
			continue
		}
		var fault *wit.Error
		lost := new(transport.NoAnswer) // the plugin looks what became of the request
		if again := errors.As(err, &lost) || errors.As(err, &fault) && fault.Kind == wit.ErrorTransient; !again ||
			retried >= t.o.Client.Retry().Times() {
			return done, made, err
		}
		task.LogRetry(t.log, t.o.Client, "to be subscribed again", "feed", feed, "retry", retried+1, "error", err)
		if err := t.o.Client.Retry().Wait(ctx, 0); err != nil {
			return "", made, err
		}
	}
}

func (t *Task) subscribeOnce(ctx context.Context, o *openedVersion, feed uint32, address string) (done string,
	made bool, err error) {
	err = transport.Ask(ctx, t.o.Client, func(state []byte, answers []wit.Response) (need *wit.RequestBatch,
		err error) {
		err = task.Do(ctx, o.code, func(r Reader) error {
			a, err := r.Subscribe(ctx, o.context, feed, address, state, answers)
			if need = a.Pending; a.Done != nil {
				done = *a.Done
			}
			return err
		})
		made = made || need != nil && slices.ContainsFunc(need.Requests, func(r wit.Request) bool {
			return r.Method != "GET" && r.Method != "HEAD"
		})
		return need, err
	})
	return done, made, err
}

// renew looks again and again whether a feed is still subscribed to. Where it was not, what happened meanwhile was not
// told, and is asked for.
func (t *Task) renew(ctx context.Context, f *feed, address, done string) {
	for pause.For(ctx, subscribeAgain) == nil {
		now, made, err := t.subscribe(ctx, f.name, address)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			task.LogRetry(f.log, t.o.Client, "whether the subscription is still there is not known", "error", err)
			continue
		}
		if made || now != done {
			f.log.Warn("the subscription was gone and was made again: what happened meanwhile is asked for",
				"subscriptions", now)
			f.arrange(digestOf(now), true)
			t.feed(f.name).shown.subscribed.Store(time.Now().UnixMilli())
		}
		done = now
	}
}

// notified takes a notification. It returns when it is to be answered.
func (t *Task) notified(ctx, ended context.Context, n wit.Notification) error {
	if ended.Err() != nil {
		return notify.ErrBusy
	}
	o := t.plugin.Opened()
	var came []wit.Trigger
	err := task.Do(ctx, o.code, func(r Reader) (err error) {
		came, err = r.HandleNotification(ctx, o.context, n)
		return err
	})
	if task.IsStale(err) || t.plugin.Superseded(o, err) {
		return notify.ErrBusy // another version is being opened
	}
	if err != nil {
		return err
	}
	var all []<-chan struct{}
	for i := range came {
		w := &came[i]
		if int(w.Feed) >= len(o.feeds) {
			return fmt.Errorf("the plugin wakes feed %d, and has %d", w.Feed, len(o.feeds))
		}
		f := t.feed(o.feeds[w.Feed].Name)
		if f == nil {
			return notify.ErrBusy
		}
		f.shown.notified.Store(time.Now().UnixMilli())
		served, err := f.wake(w)
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

func (t *Task) feed(name string) *feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.feeds {
		if f.name == name {
			return f
		}
	}
	return nil
}
