package watch

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Changes are reported when they stop, and at intervals if they do not.
func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDebouncer(Settle)
		defer d.timer.Stop()
		// hasFired reports whether the timer fired since the last call.
		hasFired := func() bool {
			synctest.Wait()
			select {
			case <-d.timer.C:
				d.reset()
				return true
			default:
				return false
			}
		}
		time.Sleep(time.Hour)
		assert.True(t, !hasFired(), "expected no report without an event")
		for range 3 {
			d.observe()
			time.Sleep(Settle / 2)
			assert.True(t, !hasFired(), "expected no report between the events")
		}
		time.Sleep(Settle)
		assert.True(t, hasFired(), "expected a report after the last event")
		const events = 200
		reports := 0
		for range events {
			d.observe()
			time.Sleep(Settle / 2)
			if hasFired() {
				reports++
			}
		}
		const maxReports = events / 2 / delayFactor // two events in each settle period
		assert.True(t, reports >= maxReports-1 && reports <= maxReports,
			"with continuous events: expected %d reports or one less, found %d", maxReports, reports)
		time.Sleep(Settle)
		assert.True(t, hasFired(), "expected a report after the last of the continuous events")
		time.Sleep(time.Hour)
		assert.True(t, !hasFired(), "expected one report, found two")
	})
}

// A file that is being written is distinguished from one that was moved to the folder.
func TestWritten(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(Options{Settle: time.Hour})
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Add(dir))
	path := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(path, []byte("a"), 0o600))
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f.Written(path) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("expected to see the file written")
		}
	}
	assert.True(t, !f.Written(filepath.Join(dir, "b")), "expected another file not to be written")
}
