package source

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/notify"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// endpoint is a listener of one path, for feeds of a task.
type endpoint struct {
	take   notify.Handler
	closed bool
}

func (e *endpoint) listen(_ string, take notify.Handler) (string, func(), error) {
	e.take = take
	return "/c/feed0", func() { e.closed = true }, nil
}

// send passes a notification to the feed, which must accept it.
func (e *endpoint) send(t *testing.T, target, ident string) {
	t.Helper()
	require.NoError(t, e.take(t.Context(), wit.Notification{Target: target, Body: []byte(ident)}))
}

// mustWake passes a trigger to a feed, which must accept it.
func mustWake(t *testing.T, f *feed, token string) {
	t.Helper()
	_, err := f.enqueue(&wit.Trigger{Token: token})
	require.NoError(t, err)
}

// notified runs a task that is subscribed and has read its first load, and calls do with it. prepare, if not nil, is
// called before the start.
func notified(t *testing.T, r *reader, prepare func(*world), do func(t *testing.T, w *world, e *endpoint)) {
	synctest.Test(t, func(t *testing.T) {
		r.subscribes = true
		w := newWorld(r, rows("a", 3))
		w.o.Once = false
		e := &endpoint{}
		w.o.Listen = e.listen
		if prepare != nil {
			prepare(w)
		}
		w.task = NewTask(w.o)
		stop := runtest.Start(t, w.task.Run)
		runtest.Pass(10 * time.Second) // the load has ended
		if _, subscribed := r.seen(); !slices.Equal(subscribed, []string{"/c/feed0"}) || e.take == nil {
			t.Fatalf("subscribed with %q", subscribed)
		}
		do(t, w, e)
		require.NoError(t, stop())
		if !e.closed {
			t.Error("the path was not released")
		}
	})
}

// Waiting notifications with the same token become one trigger, also while a trigger with that token is served: its
// response may have been sent before the row changed.
func TestNotificationsOfOneTokenBecomeOneTrigger(t *testing.T) {
	f := emptyFeed(&Task{}, nil)
	for range 2 {
		for range 1000 {
			mustWake(t, f, "x")
		}
		if token, found := f.nextTrigger(); token != "x" || !found || f.hasDueTrigger() {
			t.Errorf("expected one trigger x, found %q (%t), and another one waiting: %t", token, found,
				f.hasDueTrigger())
		}
	}
}

// Each notification is served before anything that is scheduled. A served one is accepted again later, and garbage is
// the sender's fault.
func TestNotifications(t *testing.T) {
	r := &reader{exact: true}
	notified(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		r.causes = nil
		p := w.task.Progress()
		if f := p.Feeds[0]; f.Subscribed == nil || f.LastNotified != nil || !p.LastNotified.Equal(*f.Subscribed) {
			t.Errorf("no notification; subscribed at %s, last notification at %s and at %s of all feeds", f.Subscribed,
				f.LastNotified,
				p.LastNotified)
		}
		e.send(t, "x", "")
		synctest.Wait()
		assert.Equal(t, []string{"wake x"}, r.causes)
		p = w.task.Progress()
		if at := p.Feeds[0].LastNotified; at == nil || !at.Equal(time.UnixMilli(time.Now().UnixMilli())) ||
			!p.LastNotified.Equal(*at) {
			t.Errorf("last notification at %s and at %s of all feeds, now %s", at, p.LastNotified, time.Now())
		}
		time.Sleep(time.Second) // the offset is stored, too
		r.causes = nil
		for range 3 {
			e.send(t, "y", "1")
			runtest.Pass(time.Second)
		}
		assert.Equal(t, []string{"wake y"}, r.causes, "a notification that comes three times")
		var pluginErr *wit.Error
		if err := e.take(t.Context(), wit.Notification{}); !errors.As(err, &pluginErr) ||
			pluginErr.Kind != wit.ErrorData {
			t.Errorf("expected a data error, found %v", err)
		}
	})
}

// A sender that waits gets its response when the rows are in Kafka, and one that arrives during the stop is told to
// send again.
func TestWaitingSenders(t *testing.T) {
	r := &reader{exact: true, holds: true}
	notified(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		before := len(w.broker.records())
		for i := range 5 {
			e.send(t, "page/0", strconv.Itoa(i))
			if found := len(w.broker.records()); found != before+3*(i+1) {
				t.Fatalf("the sender got its response with %d records in Kafka, expected %d", found, before+3*(i+1))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := e.take(ctx, wit.Notification{Target: "page/0", Body: []byte("9")})
		if !errors.Is(err, notify.ErrBusy) && !errors.Is(err, context.Canceled) {
			t.Errorf("expected an error for a sender whose rows are not in Kafka, found %v", err)
		}
	})
}

// The subscription is checked periodically; if it was recreated, the changes since then are requested.
func TestSubscriptionsAreRenewed(t *testing.T) {
	r := &reader{exact: true, subscription: "1"}
	notified(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		r.forget("1")
		runtest.Pass(subscriptionInterval + time.Second)
		if causes, subscribed := r.seen(); len(subscribed) != 2 || len(causes) > 0 {
			t.Errorf("subscribed %d times, triggered by %q", len(subscribed), causes)
		}
		r.forget("2")
		runtest.Pass(subscriptionInterval)
		if causes, subscribed := r.seen(); len(subscribed) != 3 || !slices.Equal(causes, []string{"wake "}) {
			t.Errorf("subscribed %d times, triggered by %q", len(subscribed), causes)
		}
	})
}

// subscribedRun runs a task that listens until its feed is idle, or its offset cannot be stored, and returns the causes
// for which the feed was read.
func subscribedRun(t *testing.T, w *world, r *reader, subscription string, makes bool) (causes []string, err error) {
	t.Helper()
	e := &endpoint{}
	w.o.Once = false
	w.o.Listen = e.listen
	r.causes = nil
	r.subscribed = nil
	r.makes = makes
	r.subscription = subscription
	w.task = NewTask(w.o)
	stop := runtest.Start(t, w.task.Run)
	runtest.Pass(10 * time.Second)
	causes, subscribed := r.seen()
	assert.Equal(t, 1, len(subscribed), "subscribed")
	return causes, stop()
}

// If a subscription was deleted while the connector was down, or is missing in the stored offset, the changes since
// then are requested at the next start; if it exists, or is created at the first start, they are not.
func TestSubscriptionsDeletedBeforeTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		ranBefore bool // the stored offset is from an earlier run
		stored    bool // the stored offset has the subscription
		creates   bool // the second run creates the subscription
		requested bool // the second run requests the changes since the first one
	}{
		"created at the first start":        {creates: true},
		"exists":                            {ranBefore: true, stored: true},
		"deleted":                           {ranBefore: true, stored: true, creates: true, requested: true},
		"exists, missing in the offset":     {ranBefore: true, requested: true},
		"exists already at the first start": {},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &reader{exact: true, subscribes: true}
			w := newWorld(r, rows("a", 3))
			if c.ranBefore && c.stored {
				if _, err := subscribedRun(t, w, r, "1", false); err != nil {
					t.Fatal(err)
				}
			} else if c.ranBefore {
				w.ok(t)
			}
			causes, err := subscribedRun(t, w, r, "1", c.creates)
			if slices.Contains(causes, "wake ") != c.requested || err != nil {
				t.Errorf("the feed was read for the causes %q: %v", causes, err)
			}
		})
	}
}

// Changes during the time without a subscription are requested until they were read: a worker after a kill finds the
// subscription that it has created itself.
func TestLostSubscriptionAndAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{exact: true, subscribes: true}
		w := newWorld(r, rows("a", 3))
		for i, c := range []struct {
			subscription string
			makes        bool
			kill         bool
			asked        bool
		}{
			{subscription: "1", makes: true},
			{subscription: "1"},
			{subscription: "2", makes: true, kill: true, asked: true},
			{subscription: "2", asked: true},
			{subscription: "2"},
		} {
			w.broker.kill = 0
			if c.kill {
				w.broker.kill = w.broker.events + 1
			}
			causes, err := subscribedRun(t, w, r, c.subscription, c.makes)
			if slices.Contains(causes, "wake ") != c.asked || (err != nil) != c.kill {
				t.Errorf("start %d: the feed was read for the causes %q: %v", i, causes, err)
			}
		}
	})
}

// A feed that restarts from its stored offset serves the waiting notifications, and still receives the renewal of its
// subscription.
func TestRestartedFeedServesWaitingNotifications(t *testing.T) {
	old := emptyFeed(&Task{}, nil)
	old.notifications.subscriptionDigest = "1"
	old.notifications.currentDigest = "2"
	served, err := old.enqueue(&wit.Trigger{Token: "x", Ident: "1", AnswerWhenStored: true})
	if token, _ := old.nextTrigger(); token != "x" || err != nil {
		t.Fatal(token, err)
	}
	mustWake(t, old, "y")
	again := emptyFeed(&Task{}, nil)
	again.notifications.subscriptionDigest = "1"
	again.position = position{fields: []wit.OffsetEntry{wit.IntegerEntry("page", 1)}}
	again.moveStateFrom(old)
	mustWake(t, old, "z") // from a sender that found the old feed just before
	var tokens []string
	for again.hasDueTrigger() {
		token, _ := again.nextTrigger()
		again.markReading()
		tokens = append(tokens, token)
	}
	if want := []string{"x", "y", "", "z"}; !slices.Equal(tokens, want) ||
		again.notifications.subscriptionDigest != "2" {
		t.Errorf("served %q with the subscription %q, expected %q", tokens, again.notifications.subscriptionDigest,
			want)
	}
	select {
	case <-served:
		t.Error("the sender of x got a response without a read")
	default:
	}
}

// A snapshot of several pages is read between a trigger and its turn: the trigger is still served, because a snapshot
// does not report deleted entities.
func TestSnapshotDoesNotReplaceTrigger(t *testing.T) {
	r := &reader{exact: true, snapshotsLast: true}
	interrupted := func(w *world) {
		w.service.bodies = map[string][]string{"/x": {"x=1"}, "/y": {"y=1"}, "/snapshot": {"s=1", "END 0 true"}}
		w.service.onRequest = func(q *wit.Request) {
			if q.Target != "/x" {
				return
			}
			assert.NoError(t, w.task.Snapshot("feed0", "now"))
			if _, err := w.task.findFeed("feed0").enqueue(&wit.Trigger{Token: "y"}); err != nil {
				t.Error(err)
			}
		}
	}
	notified(t, r, interrupted, func(t *testing.T, _ *world, e *endpoint) {
		e.send(t, "x", "")
		runtest.Pass(10 * time.Second)
		assert.Equal(t, []string{"start", "wake x", "snapshot now", "more", "wake y"}, r.causes)
	})
}

// A snapshot that is requested before the first page of a start is read after the plugin's reads of the start, because
// a snapshot does not report deleted entities.
func TestSnapshotDoesNotReplaceStart(t *testing.T) {
	for name, snapshot := range map[string][]string{"of one page": {"s=1"}, "of several": {"s=1", "END 1 true"}} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &reader{exact: true, snapshotsLast: true}
			w := newWorld(r, rows("a", 3))
			w.service.bodies = map[string][]string{"/store": {"gone="}, "/snapshot": snapshot}
			w.ok(t)
			r.stores = true
			r.causes = nil
			before := len(w.broker.records())
			task := NewTask(w.o)
			output := w.o.NewOutput
			task.o.NewOutput = func(feed string) (Output, error) {
				assert.NoError(t, task.Snapshot(feed, "now"))
				return output(feed)
			}
			require.NoError(t, task.Run(t.Context()))
			causes, _ := r.seen()
			if len(causes) < 2 || causes[0] != "store" || causes[1] != "snapshot now" {
				t.Errorf("the feed was read for the causes %q", causes)
			}
			assert.Equal(t, []string{"topic0/gone=", "topic0/s=1"}, w.broker.records()[before:])
			snapshotEnded(t, task, true)
		})
	}
}

// A snapshot before the changes that a subscription missed does not replace them: its pages are stored with the earlier
// subscriptions, so that a worker after a kill requests the changes.
func TestSnapshotBeforeDeferredReads(t *testing.T) {
	for name, snapshot := range map[string][]string{"of one page": {"s=1"}, "of several": {"s=1", "END 0 true"}} {
		t.Run(name, func(t *testing.T) {
			skipped := digestOf("2")
			covers := map[string]bool{} // by request
			interrupted := func(w *world) {
				w.service.bodies = map[string][]string{"/x": {"x=1"}, "/": {"y=1"}, "/snapshot": snapshot}
				w.service.onRequest = func(q *wit.Request) {
					f := w.task.findFeed("feed0")
					if f == nil {
						return // being opened
					}
					if covers[q.Target] = f.notifications.subscriptionDigest == skipped; q.Target != "/x" {
						return
					}
					assert.NoError(t, w.task.Snapshot("feed0", "now"))
					f.onSubscribed(skipped, true)
				}
			}
			r := &reader{exact: true, snapshotsLast: true}
			notified(t, r, interrupted, func(t *testing.T, _ *world, e *endpoint) {
				e.send(t, "x", "")
				runtest.Pass(10 * time.Second)
				if _, ok := covers["/snapshot"]; !ok || covers["/snapshot"] || covers["/page/0"] || !covers["/"] {
					t.Errorf("the missed changes count as read with %v", covers)
				}
			})
		})
	}
}

// The number of waiting notifications is limited, by their tokens and by their idents.
func TestWaitingNotificationsAreBounded(t *testing.T) {
	for name, one := range map[string]func(i int) *wit.Trigger{
		"tokens": func(i int) *wit.Trigger { return &wit.Trigger{Token: strconv.Itoa(i)} },
		"idents": func(i int) *wit.Trigger { return &wit.Trigger{Token: "delta", Ident: strconv.Itoa(i)} },
	} {
		f := emptyFeed(&Task{}, nil)
		for i := range maxTriggers {
			if _, err := f.enqueue(one(i)); err != nil {
				t.Fatalf("%s: number %d: %v", name, i, err)
			}
		}
		if _, err := f.enqueue(one(maxTriggers)); !errors.Is(err, notify.ErrBusy) {
			t.Errorf("%s: expected the next sender to be told to send again, found %v", name, err)
		}
		if _, err := f.enqueue(one(0)); err != nil {
			t.Errorf("%s: a waiting notification was sent again: %v", name, err)
		}
	}
}

// A trigger that the plugin wants to repeat is repeated after that time, or with the next notification with the same
// token; its sender does not wait for it.
func TestRepeatedTriggers(t *testing.T) {
	r := &reader{exact: true, holds: true}
	notified(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		before := len(w.broker.records())
		triggers := func(after time.Duration, causes ...string) {
			t.Helper()
			runtest.Pass(after)
			found, _ := r.seen()
			if written := len(w.broker.records()) - before; !slices.Equal(found, causes) || written != len(causes) {
				t.Errorf("expected %q and a record of each, found %q and %d", causes, found, written)
			}
		}
		r.forget("")
		w.service.later("gone", "LATER 10000")
		e.send(t, "late", "1")
		triggers(9*time.Second, "wake late")
		w.service.later("there")
		triggers(3*time.Second, "wake late", "wake late")
		triggers(time.Hour, "wake late", "wake late")
		w.service.later("gone", "LATER 36000000") // reduced to a minute
		e.send(t, "late", "2")
		w.service.later("there")
		triggers(maxRepeatDelay+2*time.Second, slices.Repeat([]string{"wake late"}, 4)...)
		w.service.later("gone", "LATER 30000")
		e.send(t, "late", "3")
		w.service.later("there")
		e.send(t, "late", "4") // served at once, and not repeated
		triggers(time.Second, slices.Repeat([]string{"wake late"}, 6)...)
		triggers(time.Hour, slices.Repeat([]string{"wake late"}, 6)...)
		w.service.later("gone", "LATER 10000") // whatever the plugin returns the second time
		e.send(t, "late", "5")
		triggers(time.Hour, slices.Repeat([]string{"wake late"}, 8)...)
		e.send(t, "late", "6")
		triggers(5*time.Second, slices.Repeat([]string{"wake late"}, 9)...)
		e.send(t, "late", "7") // replaces the postponed trigger, and is postponed again
		triggers(time.Second, slices.Repeat([]string{"wake late"}, 10)...)
		triggers(time.Hour, slices.Repeat([]string{"wake late"}, 11)...)
	})
}

// postponing is an output whose pages are committed together, a minute after the first one or on request.
type postponing struct {
	transactions
	// refuses, if not nil, makes the next commit that contains this record fail.
	refuses *atomic.Pointer[string]
	due     *time.Timer
}

func (p *postponing) Commit(ctx context.Context) error {
	if p.open = false; p.due == nil {
		p.due = time.AfterFunc(time.Minute, func() {
			if err := p.end(ctx); err != nil {
				p.failed(err)
			}
		})
	}
	return nil
}

func (p *postponing) Flush(ctx context.Context) error { return p.end(ctx) }

func (p *postponing) end(ctx context.Context) error {
	if p.due == nil {
		return nil
	}
	p.due.Stop()
	p.due = nil
	p.open = true
	if text := p.refuses.Load(); text != nil && strings.Contains(strings.Join(p.lines, " "), *text) {
		p.refuses.Store(nil)
		_ = p.transactions.Abort(ctx)
		return &kafka.TransactionAbortedError{Cause: kerr.InvalidTxnState}
	}
	return p.transactions.Commit(ctx)
}

// With exactly-once, the second response about an entity is also read again when its commit fails.
func TestSecondResponseIsReadAgainAfterFailedCommit(t *testing.T) {
	r := &reader{exact: true, holds: true}
	var refuses atomic.Pointer[string]
	postponed := func(w *world) {
		w.o.NewOutput = func(string) (Output, error) {
			return &postponing{transactions: transactions{t: t, b: w.broker}, refuses: &refuses}, nil
		}
	}
	notified(t, r, postponed, func(t *testing.T, w *world, e *endpoint) {
		w.service.later("late=gone", "LATER 10000")
		e.send(t, "late", "1")
		w.service.later("late=there")
		refuses.Store(new("there"))
		runtest.Pass(10 * time.Minute)
		var found []string
		for _, line := range w.broker.records() {
			if strings.Contains(line, "late") {
				found = append(found, line)
			}
		}
		if want := []string{"topic0/late=gone", "topic0/late=there"}; refuses.Load() != nil ||
			!slices.Equal(found, want) {
			t.Errorf("expected a failed commit, and %q in Kafka, found %q", want, found)
		}
	})
}

// The number of repeated triggers is limited, and they take no space from notifications.
func TestRepeatedTriggersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := emptyFeed(&Task{}, nil)
		f.log = slog.New(slog.NewTextHandler(&log, nil))
		serve := func(token string) {
			t.Helper()
			mustWake(t, f, token)
			for f.hasDueTrigger() {
				f.nextTrigger()
				f.scheduleRepeat(10 * time.Second)
			}
			f.ack()
		}
		for i := range maxRepeats + 2 {
			serve("again " + strconv.Itoa(i))
		}
		assert.Equal(t, maxRepeats, len(f.notifications.pending.list), "triggers to repeat")
		assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), "log lines about more triggers to repeat")
		for i := range maxTriggers {
			mustWake(t, f, strconv.Itoa(i))
		}
		if _, err := f.enqueue(&wit.Trigger{Token: "one more"}); !errors.Is(err, notify.ErrBusy) {
			t.Errorf("expected the next sender to be told to send again, found %v", err)
		}
	})
}

// Whatever happens to triggers, each waiting one is found by its token, repeated ones are counted, and the first that
// is due is served.
func TestPendingTriggersAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		f := emptyFeed(&Task{}, nil)
		f.log = slog.New(slog.DiscardHandler)
		served := 0
		for step := range 20_000 {
			q := &f.notifications.pending
			switch random.IntN(6) {
			case 0, 1, 2:
				mustWake(t, f, strconv.Itoa(random.IntN(50)))
			case 3, 4:
				first := slices.IndexFunc(q.list, (*trigger).due)
				var expected *trigger
				if first >= 0 {
					expected = q.list[first]
				}
				if _, found := f.nextTrigger(); found != (expected != nil) ||
					(found && f.notifications.processing[len(f.notifications.processing)-1] != expected) {
					t.Fatalf("step %d: expected %v to be served", step, expected)
				} else if found {
					served++
					if random.IntN(2) == 0 {
						f.scheduleRepeat(time.Minute)
					} else if random.IntN(4) == 0 {
						f.requeue()
					}
				}
			default:
				f.ack()
				time.Sleep(time.Duration(random.IntN(20)) * time.Second)
			}
			again := 0
			last := map[string]*trigger{}
			for _, w := range q.list {
				if last[w.token] = w; w.repeated {
					again++
				}
			}
			if again != q.repeated || !maps.Equal(last, q.byToken) {
				t.Fatalf("step %d: expected %d repeated triggers and %v, found %d and %v", step, again, last,
					q.repeated,
					q.byToken)
			}
		}
		if served < 1000 {
			t.Errorf("served only %d", served)
		}
	})
}
