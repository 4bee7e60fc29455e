package task

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// version is a plugin version whose calls get its name.
type version struct {
	name  string
	opens atomic.Int32
	open  func(n int) error
}

func (v *version) Acquire(context.Context) (string, error)      { return v.name, nil }
func (v *version) AcquireFresh(context.Context) (string, error) { return v.name, nil }
func (v *version) Release(string)                               {}
func (v *version) Version() string                              { return v.name }

type bound struct {
	current   *version
	candidate *version
	rejected  string
}

func (b *bound) Current() PluginVersion[string] { return b.current }
func (b *bound) Candidate() PluginVersion[string] {
	if b.candidate == nil {
		return nil
	}
	return b.candidate
}
func (b *bound) Promote(PluginVersion[string]) { b.current, b.candidate = b.candidate, nil }
func (b *bound) Reject(_ PluginVersion[string], reason string) {
	b.candidate = nil
	b.rejected = reason
}
func (b *bound) ShouldRetry(error) bool { return false }

type state struct{ code PluginVersion[string] }

func started(t *testing.T, b *bound, fits error) *Plugin[string, *state] {
	p := newPlugin(b, fits)
	o, err := p.Start(t.Context())
	require.NoError(t, err)
	p.Use(o)
	return p
}

func newPlugin(b *bound, fits error) *Plugin[string, *state] {
	return NewPlugin[string, *state](b, nil, slog.New(slog.DiscardHandler), Opener[string, *state]{
		New:       func(c PluginVersion[string]) *state { return &state{c} },
		VersionOf: func(o *state) PluginVersion[string] { return o.code },
		CallOpen: func(
			_ context.Context, call string, o *state, _ []byte, _ []wit.Response) (*wit.RequestBatch, error) {
			v := o.code.(*version)
			n := v.opens.Add(1)
			if v.open != nil {
				return nil, v.open(int(n))
			}
			return nil, nil
		},
		CheckCompatible: func(context.Context, *state) error { return fits },
	})
}

// A service that is not found is an error of the configuration until it was opened once. Then it may be restarting,
// also for later attempts of the task. Other errors keep their kind.
func TestServiceThatWasOpenedBeforeIsAway(t *testing.T) {
	for _, test := range []struct {
		kind wit.ErrorKind
		want wit.ErrorKind
	}{
		{wit.ErrorNotFound, wit.ErrorTransient},
		{wit.ErrorUnsupported, wit.ErrorUnsupported},
		{wit.ErrorConfig, wit.ErrorConfig},
	} {
		var failure error = &wit.Error{Kind: test.kind, Message: "HTTP 404"}
		b := &bound{current: &version{name: "1", open: func(int) error { return failure }}}
		kindOf := func(_ *state, err error) wit.ErrorKind {
			var f *wit.Error
			if !errors.As(err, &f) {
				t.Fatalf("expected an error of the plugin, found %v", err)
			}
			assert.Contains(t, err.Error(), "HTTP 404")
			return f.Kind
		}
		p := newPlugin(b, nil)
		later := newPlugin(b, nil)
		later.Answered = p.Answered
		assert.Equal(t, test.kind, kindOf(p.Start(t.Context())), "first attempt")
		before := failure
		failure = nil
		o, err := p.Start(t.Context())
		require.NoError(t, err)
		failure = before
		assert.Equal(t, test.want, kindOf(p.Reopen(t.Context(), o)), "opened again")
		assert.Equal(t, test.want, kindOf(later.Start(t.Context())), "next attempt")
	}
}

// A newer version is used if it opens and is compatible. After a transient error it is tried again later.
func TestUpgrade(t *testing.T) {
	fault := func(kind wit.ErrorKind) error { return &wit.Error{Kind: kind, Message: "no"} }
	for name, c := range map[string]struct {
		open  func(n int) error
		fits  error
		after time.Duration // until it is used; zero means never
		calls int
	}{
		"fits":             {nil, nil, time.Second, 1},
		"does not fit":     {nil, errors.New("no"), 0, 1},
		"cannot be opened": {func(int) error { return fault(wit.ErrorData) }, nil, 0, 1},
		"cannot be opened for a moment": {func(n int) error {
			return map[bool]error{true: fault(wit.ErrorTransient)}[n < 3]
		}, nil, 61 * time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bound{current: &version{name: "1"}, candidate: &version{name: "2", open: c.open}}
				next := b.candidate
				p := started(t, b, c.fits)
				var total time.Duration
				for began := time.Now(); total == 0 && time.Since(began) < 2*time.Minute; time.Sleep(time.Second) {
					_, err := p.Upgrade(t.Context())
					require.NoError(t, err)
					if p.Version() == "2" {
						total = time.Since(began) + time.Second
					}
				}
				if opens := int(next.opens.Load()); total != c.after || opens != c.calls ||
					(b.rejected == "") != (c.after > 0) || p.UpgradePending() {
					t.Errorf("used after %v, opened %d times, rejected: %q", total, opens, b.rejected)
				}
			})
		})
	}
}

// A task follows the version of other tasks, and reopening does not return to an old one.
func TestFollowAndReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bound{current: &version{name: "1"}}
		p := started(t, b, nil)
		old := p.Opened()
		b.current = &version{name: "2"}
		if o, err := p.Upgrade(t.Context()); err != nil || o.code != PluginVersion[string](b.current) ||
			p.Version() != "2" {
			t.Errorf("runs %s, %v", p.Version(), err)
		}
		if o, err := p.Reopen(t.Context(), old); err != nil || o.code != old.code || p.Version() != "2" {
			t.Errorf("reopened: %s, runs %s, %v", o.code.Version(), p.Version(), err)
		}
		began := time.Now()
		for range 3 {
			if o, err := p.Reopen(t.Context(), p.Opened()); err != nil || o != p.Opened() {
				t.Error(err)
			}
		}
		assert.Equal(t, 700*time.Millisecond, time.Since(began), "pauses of 100, 200 and 400 ms")
	})
}

// The work continues with the old version while a newer one is opened once, also if another task promotes it.
func TestUpgradeIfOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opens := make(chan struct{})
		next := &version{name: "2"}
		next.open = func(int) error {
			<-opens
			return nil
		}
		b := &bound{current: &version{name: "1"}, candidate: next}
		p := started(t, b, nil)
		other := started(t, b, nil)
		adopt := func(p *Plugin[string, *state], want string) {
			t.Helper()
			began := time.Now()
			o, err := p.UpgradeIfOpened(t.Context())
			if err != nil || o.code.Version() != want || time.Since(began) > upgradeWait {
				t.Errorf("expected version %s, found %v, %v after %v", want, o, err, time.Since(began))
			}
		}
		for range 3 {
			adopt(p, "1")
			adopt(other, "1")
		}
		close(opens)
		synctest.Wait()
		adopt(p, "2")
		adopt(other, "2")
		assert.Equal(t, 2, next.opens.Load(), "opened once for each task")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		next := &version{name: "2"}
		next.open = func(n int) error {
			if n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		b := &bound{current: &version{name: "1"}, candidate: next}
		p := started(t, b, nil)
		if o, err := p.UpgradeIfOpened(ctx); err != nil || o.code.Version() != "1" {
			t.Errorf("expected version 1, found %v, %v", o, err)
		}
		end()
		p.Close()
		for range 2 {
			if _, err := p.UpgradeIfOpened(t.Context()); err != nil {
				t.Error(err)
			}
		}
		assert.Equal(t, "2", p.Version())
		assert.Equal(t, "", b.rejected)
	})
}

// TestWatch checks that WatchVersions opens newer versions in the background and rejects those that fail.
func TestWatch(t *testing.T) {
	for name, c := range map[string]struct {
		open     error
		rejected bool
	}{
		"opens":            {},
		"cannot be opened": {open: &wit.Error{Kind: wit.ErrorData, Message: "no"}, rejected: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancel(t.Context())
				next := &version{name: "2", open: func(int) error { return c.open }}
				b := &bound{current: &version{name: "1"}, candidate: next}
				p := started(t, b, nil)
				p.WatchVersions(ctx)
				time.Sleep(3 * watchInterval)
				synctest.Wait()
				if next.opens.Load() != 1 || p.Version() != "1" || (b.rejected != "") != c.rejected {
					t.Errorf("opened %d times, runs %s, rejected: %q", next.opens.Load(), p.Version(), b.rejected)
				}
				end()
				p.Close()
			})
		})
	}
}
