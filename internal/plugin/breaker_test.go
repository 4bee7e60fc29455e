package plugin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
)

// The behaviours of prepare in the module that fickle returns.
const (
	prepareLoops = false
	prepareWorks = true
)

// fickle returns a transform plugin whose prepare loops or works.
func fickle(t testing.TB, version string, works bool) []byte {
	t.Helper()
	m := guesttest.StaticModule(wit.Description{Name: "fickle", Version: version,
		Components: []wit.Component{{Name: "Fickle", Kind: wit.ComponentTransformation}}}, "", wit.InterfaceTransform)
	body := endlessLoop()
	if works {
		body = []byte{0x41, 0x08} // points to zeros: an empty result
	}
	m.Exports[m.Index(prepareExport)].Body = body
	return m.Bytes()
}

// bindFickle binds the connector orders to a version of fickle, whose file is fickle.wasm in the folder.
func bindFickle(t *testing.T, version string,
	works bool) (m *plugin.Manager, binding *plugin.Binding, log *logtest.Journal, folder string) {
	t.Helper()
	folder = t.TempDir()
	log = &logtest.Journal{}
	put(t, folder, "fickle.wasm", fickle(t, version, works))
	m = manager(t, plugin.Options{Logger: log.Logger(plugin.LevelTrace),
		Settings: map[string]string{"plugin.fickle.limits.call.ms": "5"}}, folder)
	binding = boundTo(t, m, "orders", wit.ComponentTransformation, "Fickle")
	return m, binding, log, folder
}

// prepareOn calls prepare on a fresh or idle instance.
func prepareOn(t *testing.T, binding *plugin.Binding) error {
	return binding.Current().Do(t.Context(), func(i *plugin.Instance) error {
		_, err := i.Prepare(t.Context(), nil)
		return err
	})
}

// callsUntilSuccess calls prepare until a version works, and returns the number of failed calls.
func callsUntilSuccess(t *testing.T, binding *plugin.Binding) (tries int) {
	t.Helper()
	for err := prepareOn(t, binding); err != nil; err = prepareOn(t, binding) {
		tries++
		require.True(t, binding.ShouldRetry(err), "try %d: expected to try again after %v", tries, err)
		if c := binding.Candidate(); c != nil {
			binding.Promote(c)
		}
	}
	return tries
}

// A start that ends while it waits for a processor is no try: the next one decides.
func TestStartWithoutProcessorIsNoTry(t *testing.T) {
	m, binding, _, _ := bindFickle(t, "1.0.0", prepareWorks)
	plugin.StopLongAgo(binding, "_initialize")
	free := plugin.OccupyProcessors(m)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := binding.Current().Do(ctx, func(*plugin.Instance) error { return nil })
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	free()
	require.NoError(t, prepareOn(t, binding))
}

// A version that always traps is stopped for its connector only; another file starts from zero.
func TestBrokenVersionIsStopped(t *testing.T) {
	m, binding, log, folder := bindFickle(t, "1.0.0", prepareLoops)
	var trap *plugin.Trap
	for n := range plugin.BreaksToOpen {
		if err := prepareOn(t, binding); !errors.As(err, &trap) || trap.Limit != "call.ms" {
			t.Fatalf("call %d: expected an exceeded limit, found %v", n+1, err)
		}
	}
	err := prepareOn(t, binding)
	var stopped *plugin.StoppedError
	require.True(t, errors.As(err, &stopped) && stopped.Times == plugin.BreaksToOpen && stopped.Cause == "call.ms" &&
		stopped.Hash == binding.Status().Hash, "expected the version to be stopped, found %v", err)
	message := "plugin fickle 1.0.0 (" + stopped.Hash[:12] +
		", connector orders) is stopped: its prepare broke 20 times in succession, last by call.ms"
	assert.Error(t, err, message)
	assert.Contains(t, log.String(), message)
	// The whole version is stopped, not one function; restarting the task does not allow it restarted.
	restarted := boundTo(t, m, "orders", wit.ComponentTransformation, "Fickle")
	err = restarted.Current().Do(t.Context(), func(i *plugin.Instance) error {
		_, err := i.Describe(t.Context())
		return err
	})
	assert.True(t, errors.As(err, &stopped), "describe: expected the version to be stopped, found %v", err)
	other := boundTo(t, m, "items", wit.ComponentTransformation, "Fickle")
	if err := prepareOn(t, other); !errors.As(err, &trap) || errors.As(err, &stopped) {
		t.Errorf("another connector: expected a call, found %v", err)
	}
	got := binding.Current().Module().Metrics
	assert.True(t, got.Stopped == 1 && got.Aborted["call.ms"] == int64(plugin.BreaksToOpen)+1,
		"expected one stopped version and %d calls out of time, found %+v", plugin.BreaksToOpen+1, got)
	put(t, folder, "fickle.wasm", fickle(t, "1.0.1", prepareWorks))
	require.NoError(t, m.Reload(t.Context()))
	binding.Promote(binding.Candidate())
	assert.NoError(t, prepareOn(t, binding), "the next file")
}

// A function whose pause has ended waits for another function whose pause has not, and is then tried.
func TestTwoStoppedFunctionsAreRetried(t *testing.T) {
	for range 20 { // the order in which they are checked is random
		synctest.Test(t, func(t *testing.T) {
			breaker := plugin.NewBreaker()
			stop := func(function string) {
				for range plugin.BreaksToOpen {
					breaker.Bad(function, time.Now())
				}
			}
			stop("apply")
			time.Sleep(40 * time.Second)
			stop("test")
			for range 3 {
				assert.True(t, breaker.Check("apply", time.Now()) != nil, "apply: expected it to be stopped by test")
			}
			time.Sleep(31 * time.Second)
			err := breaker.Check("apply", time.Now())
			assert.True(t, err == nil, "expected apply to be retried, found %v", err)
		})
	}
}

// A stopped version pauses for 30 breaker; then one call decides, and after a failure the pause doubles.
func TestStoppedVersionIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := plugin.NewBreaker()
		isAllowed := func(function string) bool { return breaker.Check(function, time.Now()) == nil }
		for range plugin.BreaksToOpen {
			require.True(t, isAllowed("apply"), "stopped too early")
			breaker.Bad("apply", time.Now())
		}
		assert.True(t, !isAllowed("apply") && !isAllowed("describe"), "expected every function to be stopped")
		for range 7 { // calls of other instances that were running
			breaker.Bad("apply", time.Now())
		}
		time.Sleep(30 * time.Second)
		assert.True(t, isAllowed("describe") && isAllowed("apply") && !isAllowed("apply"),
			"expected one call of the failed function, and any of the others")
		breaker.Good("describe")
		breaker.Bad("apply", time.Now())
		time.Sleep(59 * time.Second)
		assert.True(t, !isAllowed("apply"), "expected a pause of 60 s after the second failure")
		time.Sleep(time.Second)
		require.True(t, isAllowed("apply"), "expected another try")
		breaker.Inconclusive("apply")
		assert.True(t, isAllowed("apply"), "expected to try again after a canceled call")
		breaker.Good("apply")
		for n := range 3 * plugin.BreaksToOpen {
			breaker.Bad("apply", time.Now())
			if n%plugin.BreaksToOpen == plugin.BreaksToOpen/2 {
				breaker.Good("apply")
			}
			if n%7 == 6 {
				time.Sleep(11 * time.Minute) // old failures do not count
			}
			require.True(t, isAllowed("apply"),
				"trap %d: stopped despite successful calls and long pauses in between", n)
		}
	})
}

// A version that traps soon after its activation is replaced by the previous one and not used again.
func TestBrokenVersionIsRolledBack(t *testing.T) {
	for name, file := range map[string]string{
		"in the place of the old file": "fickle.wasm",
		"next to the old file":         "newer.wasm",
	} {
		t.Run(name, func(t *testing.T) {
			m, binding, log, folder := bindFickle(t, "1.0.0", prepareWorks)
			put(t, folder, file, fickle(t, "1.1.0", prepareLoops))
			require.NoError(t, m.Reload(t.Context()))
			binding.Promote(binding.Candidate())
			assert.Equal(t, 3, callsUntilSuccess(t, binding), "broken calls before the rollback")
			reason := "version 1.1.0 was rolled back: 3 calls broke soon after it was activated for connector " +
				"orders, last prepare by call.ms"
			got := binding.Status()
			assert.True(t, got.Version == "1.0.0" && got.Rejected == reason && got.Candidate == "" && !got.Removed,
				"expected 1.0.0 and the reason %q, found %+v", reason, got)
			assert.True(t, strings.Contains(log.String(), "plugin version rolled back"),
				"expected a line in the log, found %v", log.String())
			// New connectors get the old version, and the list contains the reason.
			if found, err := m.Find(wit.ComponentTransformation, "Fickle", ""); err != nil || found.Version != "1.0.0" {
				t.Errorf("a new connector: %s %v", found.Version, err)
			}
			_, err := m.Find(wit.ComponentTransformation, "Fickle", "1.1.0")
			assert.Error(t, err, reason)
			listed := false
			for _, info := range m.Modules() {
				listed = listed || (info.Version == "1.1.0" && info.Err != nil && strings.Contains(info.Err.Error(),
					reason) && !info.Active)
			}
			if !listed {
				t.Errorf("expected 1.1.0 with the reason, found %+v", m.Modules())
			}
			// The same bytes under another name are not used either; the next version is.
			put(t, folder, "copy.wasm", fickle(t, "1.1.0", prepareLoops))
			if err := m.Reload(t.Context()); err != nil || binding.Candidate() != nil {
				t.Errorf("the same file again: %v %v", binding.Candidate(), err)
			}
			// An operator may select the rejected version; it is rolled back again.
			rejected := slices.IndexFunc(m.Modules(), func(i plugin.Info) bool { return i.Version == "1.1.0" })
			hash := m.Modules()[rejected].Hash
			if err := m.Swap(t.Context(), "wrong", hash); !errors.Is(err, plugin.ErrUnknownVersion) ||
				binding.Candidate() != nil {
				t.Errorf("selected for another plugin: %v, %v", binding.Candidate(), err)
			}
			if err := m.Swap(t.Context(), "fickle", hash); err != nil || binding.Candidate() == nil ||
				binding.Candidate().Module().Version != "1.1.0" {
				t.Fatalf("the rejected version is selected: %v, %v", binding.Candidate(), err)
			}
			binding.Promote(binding.Candidate())
			callsUntilSuccess(t, binding)
			assert.Equal(t, "1.0.0", binding.Status().Version, "1.0.0 again")
			put(t, folder, file, fickle(t, "1.2.0", prepareWorks))
			err = m.Reload(t.Context())
			require.True(t, err == nil && binding.Candidate() != nil, "a fixed version: %v", err)
			binding.Promote(binding.Candidate())
			if got := binding.Status(); got.Version != "1.2.0" || got.Rejected != "" {
				t.Errorf("expected 1.2.0 and no rejected version, found %+v", got)
			}
			// A rollback selects the previous version, but not the rejected one.
			err = m.Rollback("fickle")
			c := binding.Candidate()
			if file == "newer.wasm" {
				assert.Error(t, err, "none of its files has a previous version")
				assert.True(t, c == nil, "expected no rollback, found the candidate %v", c)
			} else if err != nil || c == nil || c.Module().Version != "1.0.0" {
				t.Errorf("expected a rollback to 1.0.0, found %v, %v", c, err)
			}
		})
	}
}

// Without an earlier version, failed calls are not repeated.
func TestRollbackWithoutEarlierVersion(t *testing.T) {
	_, binding, _, _ := bindFickle(t, "1.0.0", prepareLoops)
	for range 5 {
		err := prepareOn(t, binding)
		require.True(t, err != nil && !binding.ShouldRetry(err), "expected no retry after %v", err)
	}
}
