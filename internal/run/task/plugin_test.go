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

// version is a plugin version whose instances are its name.
type version struct {
	name  string
	opens atomic.Int32
	open  func(n int) error // the result of opening it for the nth time; nil means success
}

func (v *version) Acquire(context.Context) (string, error)      { return v.name, nil }
func (v *version) AcquireFresh(context.Context) (string, error) { return v.name, nil }
func (v *version) Release(string)                               {}
func (v *version) Version() string                              { return v.name }

type fakeVersions struct {
	current   *version
	candidate *version
	rejected  string
}

func (f *fakeVersions) Current() PluginVersion[string] { return f.current }
func (f *fakeVersions) Candidate() PluginVersion[string] {
	if f.candidate == nil {
		return nil
	}
	return f.candidate
}
func (f *fakeVersions) Promote(PluginVersion[string]) {
	f.current = f.candidate
	f.candidate = nil
}
func (f *fakeVersions) Reject(_ PluginVersion[string], reason string) {
	f.candidate = nil
	f.rejected = reason
}
func (f *fakeVersions) ShouldRetry(error) bool { return false }

type openedVersion struct{ code PluginVersion[string] }

// startPlugin returns a plugin with an opened version.
func startPlugin(t *testing.T, b *fakeVersions, compatibleErr error) *Plugin[string, *openedVersion] {
	p := newPlugin(b, compatibleErr)
	o, err := p.Start(t.Context())
	require.NoError(t, err)
	p.Use(o)
	return p
}

// newPlugin returns a plugin without an opened version. compatibleErr is the result of CheckCompatible.
func newPlugin(b *fakeVersions, compatibleErr error) *Plugin[string, *openedVersion] {
	return NewPlugin[string, *openedVersion](b, nil, slog.New(slog.DiscardHandler), Opener[string, *openedVersion]{
		New:       func(c PluginVersion[string]) *openedVersion { return &openedVersion{code: c} },
		VersionOf: func(o *openedVersion) PluginVersion[string] { return o.code },
		CallOpen: func(
			_ context.Context, call string, o *openedVersion, _ []byte, _ []wit.Response) (*wit.RequestBatch, error) {
			v := o.code.(*version)
			n := v.opens.Add(1)
			if v.open != nil {
				return nil, v.open(int(n))
			}
			return nil, nil
		},
		CheckCompatible: func(context.Context, *openedVersion) error { return compatibleErr },
	})
}

// A service that is not found is an error of the configuration until it was opened once. Then it may be restarting,
// also for later attempts of the task. Other errors keep their kind.
func TestServiceThatWasOpenedBeforeIsAway(t *testing.T) {
	for _, test := range []struct {
		kind wit.ErrorKind
		want wit.ErrorKind
	}{
		{kind: wit.ErrorNotFound, want: wit.ErrorTransient},
		{kind: wit.ErrorUnsupported, want: wit.ErrorUnsupported},
		{kind: wit.ErrorConfig, want: wit.ErrorConfig},
	} {
		var failure error = &wit.Error{Kind: test.kind, Message: "HTTP 404"}
		b := &fakeVersions{current: &version{name: "1", open: func(int) error { return failure }}}
		kindOf := func(_ *openedVersion, err error) wit.ErrorKind {
			var f *wit.Error
			require.True(t, errors.As(err, &f), "expected an error of the plugin, found %v", err)
			assert.Contains(t, err.Error(), "HTTP 404")
			return f.Kind
		}
		p := newPlugin(b, nil)
		nextAttempt := newPlugin(b, nil)
		nextAttempt.Answered = p.Answered
		assert.Equal(t, test.kind, kindOf(p.Start(t.Context())), "first attempt")
		serviceErr := failure
		failure = nil
		o, err := p.Start(t.Context())
		require.NoError(t, err)
		failure = serviceErr
		assert.Equal(t, test.want, kindOf(p.Reopen(t.Context(), o, nil)), "opened again")
		assert.Equal(t, test.want, kindOf(nextAttempt.Start(t.Context())), "next attempt")
	}
}

// A newer version is used if it opens and is compatible. After a transient error it is tried again later.
func TestUpgrade(t *testing.T) {
	fault := func(kind wit.ErrorKind) error { return &wit.Error{Kind: kind, Message: "no"} }
	for name, c := range map[string]struct {
		open          func(n int) error
		compatibleErr error
		usedAfter     time.Duration // until it is used; zero means never
		opens         int
	}{
		"fits":             {usedAfter: time.Second, opens: 1},
		"does not fit":     {compatibleErr: errors.New("no"), opens: 1},
		"cannot be opened": {open: func(int) error { return fault(wit.ErrorData) }, opens: 1},
		"cannot be opened for a moment": {
			open: func(n int) error {
				if n < 3 {
					return fault(wit.ErrorTransient)
				}
				return nil
			},
			usedAfter: 2*evaluateRetry + time.Second,
			opens:     3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &fakeVersions{current: &version{name: "1"}, candidate: &version{name: "2", open: c.open}}
				candidate := b.candidate
				p := startPlugin(t, b, c.compatibleErr)
				var total time.Duration
				for start := time.Now(); total == 0 && time.Since(start) < 2*time.Minute; time.Sleep(time.Second) {
					_, err := p.Upgrade(t.Context())
					require.NoError(t, err)
					if p.Version() == "2" {
						total = time.Since(start) + time.Second
					}
				}
				opens := int(candidate.opens.Load())
				assert.True(t, total == c.usedAfter && opens == c.opens && (b.rejected == "") == (c.usedAfter > 0) &&
					!p.UpgradePending(), "expected use after %v and %d opens, found %v and %d, rejected: %q",
					c.usedAfter, c.opens, total, opens, b.rejected)
			})
		})
	}
}

// A task follows the version of other tasks, and reopening does not return to an old one.
func TestFollowAndReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeVersions{current: &version{name: "1"}}
		p := startPlugin(t, b, nil)
		old := p.Opened()
		b.current = &version{name: "2"}
		if o, err := p.Upgrade(t.Context()); err != nil || o.code != PluginVersion[string](b.current) ||
			p.Version() != "2" {
			t.Errorf("expected version 2, found %s, %v", p.Version(), err)
		}
		if o, err := p.Reopen(t.Context(), old, nil); err != nil || o.code != old.code || p.Version() != "2" {
			t.Errorf("expected version 1 reopened and 2 in use, found %s and %s, %v", o.code.Version(), p.Version(),
				err)
		}
		start := time.Now()
		for range 3 {
			if o, err := p.Reopen(t.Context(), p.Opened(), nil); err != nil || o != p.Opened() {
				t.Errorf("expected the reopened version in use, found another, %v", err)
			}
		}
		assert.Equal(t, 700*time.Millisecond, time.Since(start), "pauses of 100, 200 and 400 ms")
	})
}

// The work continues with the old version while a newer one is opened once, also if another task promotes it.
func TestUpgradeIfOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mayOpen := make(chan struct{})
		candidate := &version{name: "2"}
		candidate.open = func(int) error {
			<-mayOpen
			return nil
		}
		b := &fakeVersions{current: &version{name: "1"}, candidate: candidate}
		p := startPlugin(t, b, nil)
		other := startPlugin(t, b, nil)
		checkUpgrade := func(p *Plugin[string, *openedVersion], want string) {
			t.Helper()
			start := time.Now()
			o, err := p.UpgradeIfOpened(t.Context())
			assert.True(t, err == nil && o.code.Version() == want && time.Since(start) <= upgradeWait,
				"expected version %s, found %v, %v after %v", want, o, err, time.Since(start))
		}
		for range 3 {
			checkUpgrade(p, "1")
			checkUpgrade(other, "1")
		}
		close(mayOpen)
		synctest.Wait()
		checkUpgrade(p, "2")
		checkUpgrade(other, "2")
		assert.Equal(t, 2, candidate.opens.Load(), "opened once for each task")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		candidate := &version{name: "2"}
		candidate.open = func(n int) error {
			if n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		b := &fakeVersions{current: &version{name: "1"}, candidate: candidate}
		p := startPlugin(t, b, nil)
		o, err := p.UpgradeIfOpened(ctx)
		assert.True(t, err == nil && o.code.Version() == "1", "expected version 1, found %v, %v", o, err)
		cancel()
		p.Close()
		for range 2 {
			_, err := p.UpgradeIfOpened(t.Context())
			assert.NoError(t, err)
		}
		assert.Equal(t, "2", p.Version())
		assert.Equal(t, "", b.rejected)
	})
}

// Newer versions are opened in the background, without being used, and those that cannot be opened are rejected.
func TestWatch(t *testing.T) {
	for name, c := range map[string]struct {
		openErr      error
		wantRejected bool
	}{
		"opens":            {},
		"cannot be opened": {openErr: &wit.Error{Kind: wit.ErrorData, Message: "no"}, wantRejected: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				candidate := &version{name: "2", open: func(int) error { return c.openErr }}
				b := &fakeVersions{current: &version{name: "1"}, candidate: candidate}
				p := startPlugin(t, b, nil)
				p.WatchVersions(ctx)
				time.Sleep(3 * watchInterval)
				synctest.Wait()
				if candidate.opens.Load() != 1 || p.Version() != "1" || (b.rejected != "") != c.wantRejected {
					t.Errorf("expected version 1 in use and one open, found %s and %d, rejected: %q", p.Version(),
						candidate.opens.Load(), b.rejected)
				}
				cancel()
				p.Close()
			})
		})
	}
}
