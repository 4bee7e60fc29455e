package source

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/notify"
	"github.com/culvert-project/culvert/wit"
)

// A listener of one path, for feeds of a task.
type ear struct {
	take   notify.Handler
	closed bool
}

func (e *ear) listen(_ string, take notify.Handler) (string, func(), error) {
	e.take = take
	return "/c/feed0", func() { e.closed = true }, nil
}

// notified runs a task that is subscribed to and has read its first load, and hands it to do.
func notified(t *testing.T, r *reader, do func(t *testing.T, w *world, e *ear)) {
	synctest.Test(t, func(t *testing.T) {
		r.subscribes = true
		w := newWorld(r, rows("a", 3))
		w.o.Once = false
		e := &ear{}
		w.o.Listen = e.listen
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		w.task = NewTask(w.o)
		go func() { ended <- w.task.Run(ctx) }()
		time.Sleep(10 * time.Second) // the load is over
		synctest.Wait()
		if !slices.Equal(r.subscribed, []string{"/c/feed0"}) || e.take == nil {
			t.Fatalf("subscribed with %q", r.subscribed)
		}
		do(t, w, e)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !e.closed {
			t.Error("the path was not given back")
		}
	})
}

// Waiting notifications of one token become one wake, also while one of that token is served: it may have been answered
// before the row changed.
func TestNotificationsOfOneTokenBecomeOneWake(t *testing.T) {
	f := &feed{task: &Task{}, wakes: wakes{came: make(chan struct{}, 1)}}
	for range 2 {
		for range 1000 {
			if _, err := f.wake(&wit.Wake{Token: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		if token, some := f.nextWake(); token != "x" || !some || f.woken() {
			t.Errorf("expected one wake x, found %q (%t), and another that waits: %t", token, some, f.woken())
		}
	}
}

// Each notification is served before anything that is due by the clock. One that was served is known again, and garbage
// is the sender's fault.
func TestNotifications(t *testing.T) {
	r := &reader{exact: true}
	notified(t, r, func(t *testing.T, w *world, e *ear) {
		send := func(token, ident string) error {
			return e.take(t.Context(), wit.Notification{Target: token, Body: []byte(ident)})
		}
		r.causes = nil
		p := w.task.Progress()
		if f := p.Feeds[0]; f.Subscribed.IsZero() || !f.Told.IsZero() || !p.Told.Equal(f.Subscribed) {
			t.Errorf("nothing came; subscribed at %s, told at %s and at %s of all feeds", f.Subscribed, f.Told, p.Told)
		}
		if err := send("x", ""); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !slices.Equal(r.causes, []string{"wake x"}) {
			t.Errorf("expected one wake, found %q", r.causes)
		}
		p = w.task.Progress()
		if at := p.Feeds[0].Told; !at.Equal(time.UnixMilli(time.Now().UnixMilli())) || !p.Told.Equal(at) {
			t.Errorf("told at %s and at %s of all feeds, it is %s", at, p.Told, time.Now())
		}
		r.causes = nil
		for range 3 {
			if err := send("y", "1"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if !slices.Equal(r.causes, []string{"wake y"}) {
			t.Errorf("expected one wake of a notification that comes three times, found %q", r.causes)
		}
		var fault *wit.Fault
		if err := send("", ""); !errors.As(err, &fault) || fault.Kind != wit.FaultData {
			t.Errorf("expected a fault of the data, found %v", err)
		}
	})
}

// A sender who is to wait is answered when the rows are in Kafka, and one that comes at the end is told to send again.
func TestHeldNotifications(t *testing.T) {
	r := &reader{exact: true, holds: true}
	notified(t, r, func(t *testing.T, w *world, e *ear) {
		before := len(w.broker.records())
		for i := range 5 {
			if err := e.take(t.Context(), wit.Notification{Target: "page/0", Body: []byte(strconv.Itoa(i))}); err != nil {
				t.Fatal(err)
			}
			if found := len(w.broker.records()); found != before+3*(i+1) {
				t.Fatalf("the sender was answered with %d records in Kafka, expected %d", found, before+3*(i+1))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := e.take(ctx, wit.Notification{Target: "page/0", Body: []byte("9")})
		if !errors.Is(err, notify.ErrBusy) && !errors.Is(err, context.Canceled) {
			t.Errorf("expected that a sender whose rows are not waited for is not told that they are there, found %v", err)
		}
	})
}

// The subscription is looked at again and again; where it was made anew, what happened meanwhile is asked for.
func TestSubscriptionsAreRenewed(t *testing.T) {
	r := &reader{exact: true, subscription: "1"}
	notified(t, r, func(t *testing.T, w *world, e *ear) {
		r.causes = nil
		time.Sleep(subscribeAgain + time.Second)
		synctest.Wait()
		if len(r.subscribed) != 2 || len(r.causes) > 0 {
			t.Errorf("subscribed %d times, woken by %q", len(r.subscribed), r.causes)
		}
		r.subscription = "2"
		time.Sleep(subscribeAgain)
		synctest.Wait()
		if len(r.subscribed) != 3 || !slices.Equal(r.causes, []string{"wake "}) {
			t.Errorf("subscribed %d times, woken by %q", len(r.subscribed), r.causes)
		}
	})
}

// A subscription that went while the connector was down has what happened meanwhile asked for at the next start; one
// that is there, or is made at the first start, does not.
func TestSubscriptionsThatWereGoneAtTheStart(t *testing.T) {
	for name, c := range map[string]struct{ before, makes, asked bool }{
		"made at first": {false, true, false},
		"found":         {true, false, false},
		"gone":          {true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &reader{exact: true, subscribes: true}
				w := newWorld(r, rows("a", 3))
				if c.before {
					w.ok(t)
				}
				e := &ear{}
				w.o.Once, w.o.Listen = false, e.listen
				r.causes, r.makes = nil, c.makes
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				w.task = NewTask(w.o)
				go func() { ended <- w.task.Run(ctx) }()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if slices.Contains(r.causes, "wake ") != c.asked || len(r.subscribed) != 1 {
					t.Errorf("subscribed %d times, the feed was read by the causes %q", len(r.subscribed), r.causes)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Notifications that wait are bounded, by what they ask for and by their idents.
func TestWaitingNotificationsAreBounded(t *testing.T) {
	for name, one := range map[string]func(i int) *wit.Wake{
		"tokens": func(i int) *wit.Wake { return &wit.Wake{Token: strconv.Itoa(i)} },
		"idents": func(i int) *wit.Wake { return &wit.Wake{Token: "delta", Ident: strconv.Itoa(i)} },
	} {
		f := &feed{task: &Task{}, wakes: wakes{came: make(chan struct{}, 1)}}
		for i := range maxWakes {
			if _, err := f.wake(one(i)); err != nil {
				t.Fatalf("%s: number %d: %v", name, i, err)
			}
		}
		if _, err := f.wake(one(maxWakes)); !errors.Is(err, notify.ErrBusy) {
			t.Errorf("%s: expected that the next one is to be sent again, found %v", name, err)
		}
		if _, err := f.wake(one(0)); err != nil {
			t.Errorf("%s: one that waits already came again: %v", name, err)
		}
	}
}
