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

// listen opens the notification endpoint of each feed that subscribes, and then subscribes it, so that later changes
// are notified and earlier ones are read. close ends both; the subscriptions remain at the service.
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
	listenCtx, cancel := context.WithCancel(ctx)
	closers = append(closers, cancel)
	for _, feed := range t.feeds {
		if !feed.spec().Subscribes {
			continue
		}
		address, unlisten, err := t.o.Listen(feed.name, func(ctx context.Context, n wit.Notification) error {
			return t.handleNotification(ctx, listenCtx, n)
		})
		if err != nil {
			close()
			return nil, fmt.Errorf("feed %s: %w", feed.name, err)
		}
		closers = append(closers, unlisten)
		subscriptions, created, err := t.subscribe(ctx, feed.name, address)
		if err != nil {
			close()
			return nil, fmt.Errorf("feed %s: subscribe: %w", feed.name, err)
		}
		feed.status.subscribed.Store(time.Now().UnixMilli())
		feed.log.Info("subscribed", "address", address, "subscriptions", subscriptions)
		if feed.onResubscribed(digestOf(subscriptions), created) {
			feed.log.Warn("the subscription has changed since the stored offset: reading what it may not have notified",
				"subscriptions", subscriptions, "made_now", created)
		}
		go func() {
			defer guard.Recover(t.log, "the subscription of feed "+feed.name, nil)
			t.watchSubscription(listenCtx, feed, address, subscriptions)
		}()
	}
	return close, nil
}

// subscribe subscribes a feed under an address. created means that the plugin has changed something at the service.
func (t *Task) subscribe(ctx context.Context, feed, address string) (subscriptions string, created bool, err error) {
	for retries := 0; ; retries++ {
		opened := t.plugin.Opened()
		i := slices.IndexFunc(opened.feeds, func(w wit.Feed) bool { return w.Name == feed })
		if i < 0 {
			return "", created, fmt.Errorf("the plugin has no feed %s any more", feed)
		}
		var changed bool
		subscriptions, changed, err = t.subscribeOnce(ctx, opened, uint32(i), address)
		created = created || changed // also of a failed attempt
		if t.plugin.Superseded(opened, err) {
			if _, err = t.plugin.Upgrade(ctx); err != nil {
				return "", created, err
			}
			continue
		}
		var pluginErr *wit.Error
		isTransient := errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorTransient
		noAnswer := new(transport.NoResponseError) // the plugin checks the outcome of the request
		isRetriable := isTransient || errors.As(err, &noAnswer)
		if !isRetriable || retries >= t.o.Client.Retry().Times() {
			return subscriptions, created, err
		}
		task.LogRetry(t.log, t.o.Client, "the feed is subscribed again", "feed", feed, "retry", retries+1, "error", err)
		if err := t.o.Client.Retry().Wait(ctx, 0); err != nil {
			return "", created, err
		}
	}
}

// subscribeOnce is subscribe without retries. created is also set if the request failed.
func (t *Task) subscribeOnce(ctx context.Context, opened *openedVersion, feed uint32,
	address string) (subscriptions string, created bool, err error) {
	err = transport.CallWithFetch(ctx, t.o.Client, func(state []byte,
		answers []wit.Response) (need *wit.RequestBatch, err error) {
		err = task.Do(ctx, opened.code, func(r Reader) error {
			result, err := r.Subscribe(ctx, opened.context, feed, address, state, answers)
			need = result.Pending
			if result.Done != nil {
				subscriptions = *result.Done
			}
			return err
		})
		created = created || (need != nil && slices.ContainsFunc(need.Requests, func(r wit.Request) bool {
			return r.Method != "GET" && r.Method != "HEAD"
		}))
		return need, err
	})
	return subscriptions, created, err
}

// watchSubscription checks the subscription periodically. If it had to be renewed, changes may have been missed, and
// the feed is read.
func (t *Task) watchSubscription(ctx context.Context, feed *feed, address, subscriptions string) {
	for pause.For(ctx, subscriptionInterval) == nil {
		renewed, created, err := t.subscribe(ctx, feed.name, address)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			task.LogRetry(feed.log, t.o.Client, "the subscription could not be checked", "error", err)
			continue
		}
		if created || renewed != subscriptions {
			feed.log.Warn("the subscription was renewed: reading what it may not have notified",
				"subscriptions", renewed)
			feed.onSubscribed(digestOf(renewed), true)
			t.findFeed(feed.name).status.subscribed.Store(time.Now().UnixMilli())
		}
		subscriptions = renewed
	}
}

// handleNotification lets the plugin interpret a notification, and waits until Kafka has its rows if the plugin
// requests that. It returns ErrBusy when listenCtx ends.
func (t *Task) handleNotification(ctx, listenCtx context.Context, n wit.Notification) error {
	if listenCtx.Err() != nil {
		return notify.ErrBusy
	}
	opened := t.plugin.Opened()
	var triggers []wit.Trigger
	err := task.Do(ctx, opened.code, func(r Reader) (err error) {
		triggers, err = r.HandleNotification(ctx, opened.context, n)
		return err
	})
	if task.IsStale(err) || t.plugin.Superseded(opened, err) {
		return notify.ErrBusy // another version is being opened
	}
	if err != nil {
		return err
	}
	var waits []<-chan struct{}
	for i := range triggers {
		trigger := &triggers[i]
		if int(trigger.Feed) >= len(opened.feeds) {
			return fmt.Errorf("the plugin triggered feed %d, and has %d feeds", trigger.Feed, len(opened.feeds))
		}
		feed := t.findFeed(opened.feeds[trigger.Feed].Name)
		if feed == nil {
			return notify.ErrBusy
		}
		feed.status.notified.Store(time.Now().UnixMilli())
		processed, err := feed.enqueue(trigger)
		if err != nil {
			return err
		}
		if processed != nil {
			waits = append(waits, processed)
		}
	}
	t.count.notified.Add(1)
	for _, processed := range waits { // the rows are in Kafka when all are closed
		select {
		case <-processed:
		case <-ctx.Done():
			return notify.ErrBusy
		case <-listenCtx.Done():
			return notify.ErrBusy
		}
	}
	return nil
}

// onSubscribed records the digest of the subscriptions of a feed. needsRead means that they may have missed changes:
// the feed is read once more, and until that is stored, a restart detects it again.
func (f *feed) onSubscribed(subscriptions string, needsRead bool) {
	f = f.lockCurrent()
	defer f.mu.Unlock()
	f.notifications.currentDigest = subscriptions
	if !needsRead {
		return
	}
	queue := f.notifications
	if queue.pending.byToken[""] == nil {
		queue.pending.add(&trigger{done: make(chan struct{})})
	}
	queue.pending.byToken[""].subscriptionDigest = f.notifications.currentDigest
	queue.signal.Ring()
}

// onResubscribed is onSubscribed at a start. The feed is read once more if its stored offset has other subscriptions.
func (f *feed) onResubscribed(subscriptions string, created bool) (needsRead bool) {
	hasOffset := len(f.position.fields) > 0
	needsRead = hasOffset && (created || f.notifications.subscriptionDigest != subscriptions)
	if !hasOffset {
		f.notifications.subscriptionDigest = subscriptions
	}
	f.onSubscribed(subscriptions, needsRead)
	return needsRead
}
