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

// endpoint is a fake listener with one path.
type endpoint struct {
	handle   notify.Handler
	isClosed bool
}

func (e *endpoint) listen(_ string, handle notify.Handler) (string, func(), error) {
	e.handle = handle
	return "/c/feed0", func() { e.isClosed = true }, nil
}

// send passes a notification to the feed, which must accept it.
func (e *endpoint) send(t *testing.T, target, ident string) {
	t.Helper()
	require.NoError(t, e.handle(t.Context(), wit.Notification{Target: target, Body: []byte(ident)}))
}

// mustEnqueue passes a trigger to a feed, which must accept it.
func mustEnqueue(t *testing.T, f *feed, token string) {
	t.Helper()
	_, err := f.enqueue(&wit.Trigger{Token: token})
	require.NoError(t, err)
}

// runSubscribed runs a task that is subscribed, and calls test after its first load. prepare, if not nil, is called
// before the start.
func runSubscribed(t *testing.T, r *reader, prepare func(*world), test func(t *testing.T, w *world, e *endpoint)) {
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
		if _, subscribed := r.recorded(); !slices.Equal(subscribed, []string{"/c/feed0"}) || e.handle == nil {
			t.Fatalf("expected one subscription with the address of the listener, found %q", subscribed)
		}
		test(t, w, e)
		require.NoError(t, stop())
		assert.True(t, e.isClosed, "expected the path to be released")
	})
}

// Waiting notifications with the same token become one trigger, also while a trigger with that token is served: its
// response may have been sent before the row changed.
func TestNotificationsOfOneTokenBecomeOneTrigger(t *testing.T) {
	f := emptyFeed(&Task{}, nil)
	for range 2 {
		for range 1000 {
			mustEnqueue(t, f, "x")
		}
		if token, ok := f.nextTrigger(); token != "x" || !ok || f.hasDueTrigger() {
			t.Errorf("expected one trigger x, found %q (%t), and another one waiting: %t", token, ok, f.hasDueTrigger())
		}
	}
}

// Each notification is served before anything that is scheduled. A served one is accepted again later, and garbage is
// the sender's fault.
func TestNotifications(t *testing.T) {
	r := &reader{repeatsExactly: true}
	runSubscribed(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		r.causes = nil
		p := w.task.Progress()
		if f := p.Feeds[0]; f.Subscribed == nil || f.LastNotified != nil || !p.LastNotified.Equal(*f.Subscribed) {
			t.Errorf("expected a subscription without notifications, found %s, notified at %s, all feeds at %s",
				f.Subscribed, f.LastNotified, p.LastNotified)
		}
		e.send(t, "x", "")
		synctest.Wait()
		assert.Equal(t, []string{"wake x"}, r.causes)
		p = w.task.Progress()
		if last := p.Feeds[0].LastNotified; last == nil || !last.Equal(time.UnixMilli(time.Now().UnixMilli())) ||
			!p.LastNotified.Equal(*last) {
			t.Errorf("expected a notification at %s, found %s, all feeds at %s", time.Now(), last, p.LastNotified)
		}
		time.Sleep(time.Second) // the offset is stored, too
		r.causes = nil
		for range 3 {
			e.send(t, "y", "1")
			runtest.Pass(time.Second)
		}
		assert.Equal(t, []string{"wake y"}, r.causes, "a notification that is received three times")
		var pluginErr *wit.Error
		err := e.handle(t.Context(), wit.Notification{})
		assert.True(t, errors.As(err, &pluginErr) && pluginErr.Kind == wit.ErrorData,
			"expected a data error, found %v", err)
	})
}

// A waiting sender gets its response when the rows are in Kafka; during a stop it gets an error, so that it sends
// again.
func TestWaitingSenders(t *testing.T) {
	r := &reader{repeatsExactly: true, answerWhenStored: true}
	runSubscribed(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		loaded := len(w.broker.records())
		for i := range 5 {
			e.send(t, "page/0", strconv.Itoa(i))
			require.Equal(t, loaded+3*(i+1), len(w.broker.records()), "records in Kafka at the sender's response")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := e.handle(ctx, wit.Notification{Target: "page/0", Body: []byte("9")})
		assert.True(t, errors.Is(err, notify.ErrBusy) || errors.Is(err, context.Canceled),
			"expected an error for a sender whose rows are not in Kafka, found %v", err)
	})
}

// The subscription is checked periodically; if it was recreated, the changes since then are requested.
func TestSubscriptionsAreRenewed(t *testing.T) {
	r := &reader{repeatsExactly: true, subscription: "1"}
	runSubscribed(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		r.reset("1")
		runtest.Pass(subscriptionInterval + time.Second)
		if causes, subscribed := r.recorded(); len(subscribed) != 2 || len(causes) > 0 {
			t.Errorf("expected a second subscription and no read, found %d and %q", len(subscribed), causes)
		}
		r.reset("2")
		runtest.Pass(subscriptionInterval)
		if causes, subscribed := r.recorded(); len(subscribed) != 3 || !slices.Equal(causes, []string{"wake "}) {
			t.Errorf("expected a third subscription and one read, found %d and %q", len(subscribed), causes)
		}
	})
}

// runUntilIdle runs a task that listens until its feed is idle, or its offset cannot be stored, and returns the causes
// for which the feed was read. The task finds the subscription in the service, or creates it if isMissing.
func runUntilIdle(t *testing.T, w *world, r *reader, subscription string, isMissing bool) (causes []string, err error) {
	t.Helper()
	e := &endpoint{}
	w.o.Once = false
	w.o.Listen = e.listen
	r.causes = nil
	r.subscribed = nil
	r.subscriptionMissing = isMissing
	r.subscription = subscription
	w.task = NewTask(w.o)
	stop := runtest.Start(t, w.task.Run)
	runtest.Pass(10 * time.Second)
	causes, subscribed := r.recorded()
	assert.Equal(t, 1, len(subscribed), "subscribed")
	return causes, stop()
}

// If a subscription was deleted while the connector was down, or is missing in the stored offset, the changes since
// then are requested at the next start; if it exists, or is created at the first start, they are not.
func TestSubscriptionsDeletedBeforeTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		hasOffset    bool // an earlier run has stored an offset
		isStored     bool // the stored offset has the subscription
		isMissing    bool // the last run must create the subscription
		readsChanges bool // the last run requests the changes since the earlier one
	}{
		"created at the first start":        {isMissing: true},
		"exists":                            {hasOffset: true, isStored: true},
		"deleted":                           {hasOffset: true, isStored: true, isMissing: true, readsChanges: true},
		"exists, missing in the offset":     {hasOffset: true, readsChanges: true},
		"exists already at the first start": {},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			r := &reader{repeatsExactly: true, subscribes: true}
			w := newWorld(r, rows("a", 3))
			if c.hasOffset && c.isStored {
				_, err := runUntilIdle(t, w, r, "1", false)
				require.NoError(t, err)
			} else if c.hasOffset {
				w.mustRun(t)
			}
			causes, err := runUntilIdle(t, w, r, "1", c.isMissing)
			assert.True(t, slices.Contains(causes, "wake ") == c.readsChanges && err == nil,
				"expected a read of the changes: %t, found the causes %q and the error %v", c.readsChanges, causes, err)
		})
	}
}

// Changes during the time without a subscription are requested until they were read: a worker after a kill finds the
// subscription that it has created itself.
func TestLostSubscriptionAndAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{repeatsExactly: true, subscribes: true}
		w := newWorld(r, rows("a", 3))
		for i, c := range []struct {
			subscription string
			isMissing    bool
			kill         bool
			readsChanges bool
		}{
			{subscription: "1", isMissing: true},
			{subscription: "1"},
			{subscription: "2", isMissing: true, kill: true, readsChanges: true},
			{subscription: "2", readsChanges: true},
			{subscription: "2"},
		} {
			w.broker.killAt = 0
			if c.kill {
				w.broker.killAt = w.broker.eventCount + 1
			}
			causes, err := runUntilIdle(t, w, r, c.subscription, c.isMissing)
			assert.True(t, slices.Contains(causes, "wake ") == c.readsChanges && (err != nil) == c.kill,
				"start %d: expected a read of the changes: %t, found the causes %q and the error %v", i, c.readsChanges,
				causes, err)
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
	token, _ := old.nextTrigger()
	require.True(t, token == "x" && err == nil, "%v %v", token, err)
	mustEnqueue(t, old, "y")
	restarted := emptyFeed(&Task{}, nil)
	restarted.notifications.subscriptionDigest = "1"
	restarted.position = position{fields: []wit.OffsetEntry{wit.IntegerEntry("page", 1)}}
	restarted.moveStateFrom(old)
	mustEnqueue(t, old, "z") // from a sender that found the old feed just before
	var tokens []string
	for restarted.hasDueTrigger() {
		token, _ := restarted.nextTrigger()
		restarted.markReading()
		tokens = append(tokens, token)
	}
	want := []string{"x", "y", "", "z"}
	assert.True(t, slices.Equal(tokens, want) && restarted.notifications.subscriptionDigest == "2",
		"served %q with the subscription %q, expected %q", tokens, restarted.notifications.subscriptionDigest, want)
	select {
	case <-served:
		t.Error("expected no response for the sender of x before its read")
	default: // the sender still waits
	}
}

// A snapshot of several pages is read between a trigger and its turn: the trigger is still served, because a snapshot
// does not report deleted entities.
func TestSnapshotDoesNotReplaceTrigger(t *testing.T) {
	r := &reader{repeatsExactly: true, snapshotsLast: true}
	prepare := func(w *world) {
		w.service.bodies = map[string][]string{"/x": {"x=1"}, "/y": {"y=1"}, "/snapshot": {"s=1", "END 0 true"}}
		w.service.onRequest = func(q *wit.Request) {
			if q.Target != "/x" {
				return
			}
			assert.NoError(t, w.task.Snapshot("feed0", "now"))
			_, err := w.task.findFeed("feed0").enqueue(&wit.Trigger{Token: "y"})
			assert.NoError(t, err)
		}
	}
	runSubscribed(t, r, prepare, func(t *testing.T, _ *world, e *endpoint) {
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
			r := &reader{repeatsExactly: true, snapshotsLast: true}
			w := newWorld(r, rows("a", 3))
			w.service.bodies = map[string][]string{"/store": {"gone="}, "/snapshot": snapshot}
			w.mustRun(t)
			r.hasStartPage = true
			r.causes = nil
			loaded := len(w.broker.records())
			task := NewTask(w.o)
			output := w.o.NewOutput
			task.o.NewOutput = func(feed string) (Output, error) {
				assert.NoError(t, task.Snapshot(feed, "now"))
				return output(feed)
			}
			require.NoError(t, task.Run(t.Context()))
			causes, _ := r.recorded()
			assert.True(t, len(causes) >= 2 && causes[0] == "store" && causes[1] == "snapshot now",
				"expected a read of the start page, then of the snapshot, found the causes %q", causes)
			assert.Equal(t, []string{"topic0/gone=", "topic0/s=1"}, w.broker.records()[loaded:])
			checkSnapshotEnded(t, task, true)
		})
	}
}

// A snapshot before the changes that a subscription missed does not replace them: its pages are stored with the earlier
// subscriptions, so that a worker after a kill requests the changes.
func TestSnapshotBeforeDeferredReads(t *testing.T) {
	for name, snapshot := range map[string][]string{"of one page": {"s=1"}, "of several": {"s=1", "END 0 true"}} {
		t.Run(name, func(t *testing.T) {
			newDigest := digestOf("2")
			isCovered := map[string]bool{} // whether the subscription is the new one, by request
			prepare := func(w *world) {
				w.service.bodies = map[string][]string{"/x": {"x=1"}, "/": {"y=1"}, "/snapshot": snapshot}
				w.service.onRequest = func(q *wit.Request) {
					f := w.task.findFeed("feed0")
					if f == nil {
						return // being opened
					}
					isCovered[q.Target] = f.notifications.subscriptionDigest == newDigest
					if q.Target != "/x" {
						return
					}
					assert.NoError(t, w.task.Snapshot("feed0", "now"))
					f.onSubscribed(newDigest, true)
				}
			}
			r := &reader{repeatsExactly: true, snapshotsLast: true}
			runSubscribed(t, r, prepare, func(t *testing.T, _ *world, e *endpoint) {
				e.send(t, "x", "")
				runtest.Pass(10 * time.Second)
				_, ok := isCovered["/snapshot"]
				assert.True(t, ok && !isCovered["/snapshot"] && !isCovered["/page/0"] && isCovered["/"],
					"expected only the read of the changes to cover them, found %v", isCovered)
			})
		})
	}
}

// The number of waiting notifications is limited, by their tokens and by their idents.
func TestWaitingNotificationsAreBounded(t *testing.T) {
	for name, newTrigger := range map[string]func(i int) *wit.Trigger{
		"tokens": func(i int) *wit.Trigger { return &wit.Trigger{Token: strconv.Itoa(i)} },
		"idents": func(i int) *wit.Trigger { return &wit.Trigger{Token: "delta", Ident: strconv.Itoa(i)} },
	} {
		f := emptyFeed(&Task{}, nil)
		for i := range maxTriggers {
			_, err := f.enqueue(newTrigger(i))
			require.NoError(t, err, name, "number", i)
		}
		_, err := f.enqueue(newTrigger(maxTriggers))
		assert.ErrorIs(t, err, notify.ErrBusy, name, "the next sender to be told to send again")
		_, err = f.enqueue(newTrigger(0))
		assert.NoError(t, err, name, "a waiting notification to be accepted again")
	}
}

// A trigger is repeated after the time that the plugin returns, or with the next notification with the same token; its
// sender does not wait for it.
func TestRepeatedTriggers(t *testing.T) {
	r := &reader{repeatsExactly: true, answerWhenStored: true}
	runSubscribed(t, r, nil, func(t *testing.T, w *world, e *endpoint) {
		loaded := len(w.broker.records())
		checkAfter := func(pause time.Duration, want ...string) {
			t.Helper()
			runtest.Pass(pause)
			causes, _ := r.recorded()
			if written := len(w.broker.records()) - loaded; !slices.Equal(causes, want) || written != len(want) {
				t.Errorf("expected %q and a record of each, found %q and %d", want, causes, written)
			}
		}
		r.reset("")
		w.service.setLate("gone", "LATER 10000")
		e.send(t, "late", "1")
		checkAfter(9*time.Second, "wake late")
		w.service.setLate("there")
		checkAfter(3*time.Second, "wake late", "wake late")
		checkAfter(time.Hour, "wake late", "wake late")
		w.service.setLate("gone", "LATER 36000000") // reduced to a minute
		e.send(t, "late", "2")
		w.service.setLate("there")
		checkAfter(maxRepeatDelay+2*time.Second, slices.Repeat([]string{"wake late"}, 4)...)
		w.service.setLate("gone", "LATER 30000")
		e.send(t, "late", "3")
		w.service.setLate("there")
		e.send(t, "late", "4") // served at once, and not repeated
		checkAfter(time.Second, slices.Repeat([]string{"wake late"}, 6)...)
		checkAfter(time.Hour, slices.Repeat([]string{"wake late"}, 6)...)
		w.service.setLate("gone", "LATER 10000") // whatever the plugin returns the second time
		e.send(t, "late", "5")
		checkAfter(time.Hour, slices.Repeat([]string{"wake late"}, 8)...)
		e.send(t, "late", "6")
		checkAfter(5*time.Second, slices.Repeat([]string{"wake late"}, 9)...)
		e.send(t, "late", "7") // replaces the postponed trigger, and is postponed again
		checkAfter(time.Second, slices.Repeat([]string{"wake late"}, 10)...)
		checkAfter(time.Hour, slices.Repeat([]string{"wake late"}, 11)...)
	})
}

// delayedCommitOutput is an output whose pages are committed together, a minute after the first one or on request.
type delayedCommitOutput struct {
	transactionalOutput
	rejected *atomic.Pointer[string] // not nil: the next commit that contains this text fails
	timer    *time.Timer             // not nil while a commit is due
}

func (d *delayedCommitOutput) Commit(ctx context.Context) error {
	d.isOpen = false
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Minute, func() {
			if err := d.end(ctx); err != nil {
				d.onFailure(err)
			}
		})
	}
	return nil
}

func (d *delayedCommitOutput) Flush(ctx context.Context) error { return d.end(ctx) }

func (d *delayedCommitOutput) end(ctx context.Context) error {
	if d.timer == nil {
		return nil
	}
	d.timer.Stop()
	d.timer = nil
	d.isOpen = true
	if text := d.rejected.Load(); text != nil && strings.Contains(strings.Join(d.lines, " "), *text) {
		d.rejected.Store(nil)
		_ = d.transactionalOutput.Abort(ctx)
		return &kafka.TransactionAbortedError{Cause: kerr.InvalidTxnState}
	}
	return d.transactionalOutput.Commit(ctx)
}

// With exactly-once, the second response about an entity is also read again when its commit fails.
func TestSecondResponseIsReadAgainAfterFailedCommit(t *testing.T) {
	r := &reader{repeatsExactly: true, answerWhenStored: true}
	var rejected atomic.Pointer[string]
	prepare := func(w *world) {
		w.o.NewOutput = func(string) (Output, error) {
			return &delayedCommitOutput{transactionalOutput: transactionalOutput{t: t, broker: w.broker},
				rejected: &rejected}, nil
		}
	}
	runSubscribed(t, r, prepare, func(t *testing.T, w *world, e *endpoint) {
		w.service.setLate("late=gone", "LATER 10000")
		e.send(t, "late", "1")
		w.service.setLate("late=there")
		rejected.Store(new("there"))
		runtest.Pass(10 * time.Minute)
		var lines []string
		for _, line := range w.broker.records() {
			if strings.Contains(line, "late") {
				lines = append(lines, line)
			}
		}
		want := []string{"topic0/late=gone", "topic0/late=there"}
		assert.True(t, rejected.Load() == nil && slices.Equal(lines, want),
			"expected a failed commit, and %q in Kafka, found %q", want, lines)
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
			mustEnqueue(t, f, token)
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
			mustEnqueue(t, f, strconv.Itoa(i))
		}
		_, err := f.enqueue(&wit.Trigger{Token: "one more"})
		assert.ErrorIs(t, err, notify.ErrBusy, "the next sender to be told to send again")
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
				mustEnqueue(t, f, strconv.Itoa(random.IntN(50)))
			case 3, 4:
				first := slices.IndexFunc(q.list, (*trigger).due)
				var expected *trigger
				if first >= 0 {
					expected = q.list[first]
				}
				if _, ok := f.nextTrigger(); ok != (expected != nil) ||
					(ok && f.notifications.processing[len(f.notifications.processing)-1] != expected) {
					t.Fatalf("step %d: expected %v to be served", step, expected)
				} else if ok {
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
			repeated := 0
			last := map[string]*trigger{}
			for _, waiting := range q.list {
				last[waiting.token] = waiting
				if waiting.repeated {
					repeated++
				}
			}
			require.True(t, repeated == q.repeated && maps.Equal(last, q.byToken),
				"step %d: expected %d repeated triggers and %v, found %d and %v", step, repeated, last, q.repeated,
				q.byToken)
		}
		assert.AtLeast(t, 1000, served, "served triggers")
	})
}
