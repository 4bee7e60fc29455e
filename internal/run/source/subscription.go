package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// subscriptionInterval is how often a subscription is checked: it does not expire, but an administrator may delete it.
const subscriptionInterval = 10 * time.Minute

// listen opens the endpoints of the feeds that subscribe, and then subscribes: later changes are notified, earlier ones
// are read. close ends both.
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
			f.log.Warn("the subscription has changed since the stored offset: reading what it may not have notified",
				"subscriptions", done, "made_now", created)
		}
		go func() {
			defer guard.Recover(t.log, "the subscription of feed "+f.name, nil)
			t.keepSubscribed(ended, f, address, done)
		}()
	}
	return close, nil
}

// subscribe subscribes a feed under an address. created means that the plugin had to change something at the service.
func (t *Task) subscribe(ctx context.Context, feed, address string) (done string, created bool, err error) {
	for retried := 0; ; retried++ {
		o := t.plugin.Opened()
		i := slices.IndexFunc(o.feeds, func(w wit.Feed) bool { return w.Name == feed })
		if i < 0 {
			return "", created, fmt.Errorf("the plugin has no feed %s any more", feed)
		}
		var changed bool
		done, changed, err = t.subscribeOnce(ctx, o, uint32(i), address)
		created = created || changed // even without a response
		if t.plugin.Superseded(o, err) {
			if _, err = t.plugin.Upgrade(ctx); err != nil {
				return "", created, err
			}
			continue
		}
		var pluginErr *wit.Error
		noAnswer := new(transport.NoResponseError) // the plugin checks the outcome of the request
		if retriable := errors.As(err, &noAnswer) || errors.As(err, &pluginErr) &&
			pluginErr.Kind == wit.ErrorTransient; !retriable ||
			retried >= t.o.Client.Retry().Times() {
			return done, created, err
		}
		task.LogRetry(t.log, t.o.Client, "to be subscribed again", "feed", feed, "retry", retried+1, "error", err)
		if err := t.o.Client.Retry().Wait(ctx, 0); err != nil {
			return "", created, err
		}
	}
}

func (t *Task) subscribeOnce(ctx context.Context, o *openedVersion, feed uint32, address string) (done string,
	created bool, err error) {
	err = transport.CallWithFetch(ctx, t.o.Client, func(state []byte,
		answers []wit.Response) (need *wit.RequestBatch, err error) {
		err = task.Do(ctx, o.code, func(r Reader) error {
			a, err := r.Subscribe(ctx, o.context, feed, address, state, answers)
			if need = a.Pending; a.Done != nil {
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

// keepSubscribed checks the subscription periodically. If it had to be renewed, changes may have been missed, and the
// feed is read.
func (t *Task) keepSubscribed(ctx context.Context, f *feed, address, done string) {
	for pause.For(ctx, subscriptionInterval) == nil {
		now, created, err := t.subscribe(ctx, f.name, address)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			task.LogRetry(f.log, t.o.Client, "the subscription could not be checked", "error", err)
			continue
		}
		if created || now != done {
			f.log.Warn("the subscription was renewed: reading what it may not have notified", "subscriptions", now)
			f.onSubscribed(digestOf(now), true)
			t.findFeed(f.name).status.subscribed.Store(time.Now().UnixMilli())
		}
		done = now
	}
}

func (t *Task) handleNotification(ctx, ended context.Context, n wit.Notification) error {
	if ended.Err() != nil {
		return notify.ErrBusy
	}
	o := t.plugin.Opened()
	var triggers []wit.Trigger
	err := task.Do(ctx, o.code, func(r Reader) (err error) {
		triggers, err = r.HandleNotification(ctx, o.context, n)
		return err
	})
	if task.IsStale(err) || t.plugin.Superseded(o, err) {
		return notify.ErrBusy // another version is being opened
	}
	if err != nil {
		return err
	}
	var all []<-chan struct{}
	for i := range triggers {
		w := &triggers[i]
		if int(w.Feed) >= len(o.feeds) {
			return fmt.Errorf("the plugin triggered feed %d, and has %d feeds", w.Feed, len(o.feeds))
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

// onSubscribed records the subscriptions of a feed. With reread they did not cover the time since the last request: the
// feed is read once more, and until that is stored, a restart detects it again.
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

func (f *feed) onResubscribed(subscriptions string, created bool) (reread bool) {
	started := len(f.position.fields) > 0
	if reread = started && (created || f.notifications.subscriptionDigest != subscriptions); !started {
		f.notifications.subscriptionDigest = subscriptions
	}
	f.onSubscribed(subscriptions, reread)
	return reread
}
