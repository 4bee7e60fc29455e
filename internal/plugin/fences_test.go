package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

const rogue = "./testdata/guests/rogue"

// rogueGuest binds a guest that breaks rules.
func rogueGuest(t *testing.T, options plugin.Options) (*plugin.Binding, *record.Registry) {
	t.Helper()
	options.Registry = record.NewRegistry()
	_, binding := guest(t, options, rogue)
	return binding, options.Registry
}

// misbehave applies a batch with a guest that breaks one rule.
func misbehave(t *testing.T, binding *plugin.Binding, reg *record.Registry, mode string) (err error) {
	t.Helper()
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		prepared, prepareErr := i.Prepare(ctx, []wit.Stage{{Component: mode}})
		require.True(t, prepareErr == nil, "%v %v", mode, prepareErr)
		in := batch(t, reg, 3, 6)
		_, err = i.Apply(ctx, prepared, in)
		assert.True(t, err == nil || (len(in.Rows) == 3 && len(in.Data) == 21 && len(in.Topics) == 1),
			"%s: expected an unchanged batch of 3 rows, 21 bytes and 1 topic, found %+v", mode, in)
	})
	return err
}

func TestRogueResults(t *testing.T) {
	var log logtest.Journal
	binding, reg := rogueGuest(t, plugin.Options{Logger: log.Logger(plugin.LevelTrace)})
	require.NoError(t, misbehave(t, binding, reg, "nothing"))
	for mode, want := range map[string]string{
		"result-outside":     "exceed the memory",
		"result-unaligned":   "expected a pointer aligned to 4",
		"case":               "expected ok (0) or an error (1), found case 7",
		"fault-kind":         "expected one of 12 cases of wit.ErrorKind, found number 99",
		"fault-text":         "is not UTF-8",
		"fault-option":       "expected one of 2 cases of *string, found number 2",
		"rows-outside":       "list of 3 elements at 0xfffffff0 exceeds the memory",
		"rows-unaligned":     "list of 3 elements: expected a pointer aligned to 8",
		"3gb":                "a result of 3221225712 bytes: at most 67108864 are allowed",
		"rows-3gb":           "at most 67108864 are allowed",
		"rows-wrap":          "at most 67108864 are allowed",
		"rows-overlap":       "bytes in total: at most 67108864 are allowed",
		"topics-outside":     "list of 1048576 elements",
		"topic-utf8":         `expected a name in UTF-8, found "x\xffy"`,
		"faults-outside":     "run past the memory",
		"consumed-none":      "consumed: expected 1 to 3 rows, found 0",
		"consumed-more":      "consumed: expected 1 to 3 rows, found 4",
		"form":               "row 0, value: expected an encoding from 0 to 4, found 9",
		"raw-value":          "row 0, value: encoding 4 is not allowed here",
		"structured-headers": "row 0, headers: encoding 2 is not allowed here",
		"datum":              "row 0, value: 2 bytes at 4294967295 exceed the data (213 bytes)",
		"schema":             "refers to schema 0x80000005, which it has not declared",
		"host-schema":        "refers to schema 4000, which it did not receive",
		"no-schema":          "refers to schema 0, which it did not receive",
		"topic":              "expected a topic below 1, found 1",
		"timestamp":          "row 0: expected a timestamp of -1 or above, found -2",
		"partition":          "expected a partition of -1 or above, found -2",
		"origin":             "expected a row-index from 0 to 2, found 3",
		"order":              "row 1: expected a row-index from 2 to 2",
		"headers":            "a block of headers of 2 bytes",
		"dynamic":            "a schemaless value of 2 bytes",
		"log-level":          "log: expected a level from 0 to 4, found 9",
		"log-outside":        "log: 4294901760 bytes",
		"realloc-unaligned":  "cabi_realloc: expected a pointer that is a multiple of",
		"realloc-outside":    "exceed the memory",
		"panic":              "wasm error: unreachable: panic: boom",
		"exit":               "the guest exited with code 3",
		"deadlock":           "all goroutines are asleep",
	} {
		t.Run(mode, func(t *testing.T) {
			trap := assertTrap(t, misbehave(t, binding, reg, mode), want, "(connector orders)", "apply")
			assert.True(t, trap == nil || !strings.Contains(trap.Error(), "post-return"),
				"post-return was called after a rejected result")
			if trap != nil && (trap.Plugin != "rogue" || trap.Version != "1.0.0" || trap.Connector != "orders" ||
				trap.Function != "apply") {
				t.Errorf("expected plugin rogue 1.0.0, connector orders and function apply, found %+v", trap)
			}
		})
		// A successful call in between keeps the version from being stopped.
		require.NoError(t, misbehave(t, binding, reg, "nothing"))
	}
	assertFault(t, misbehave(t, binding, reg, "fault"), wit.ErrorConflict, "x")
	// Afterwards the pool still works.
	assert.NoError(t, misbehave(t, binding, reg, "log-binary"))
	assert.Contains(t, log.String(), "x\uFFFDy", "plugin=rogue", "version=1.0.0", "connector=orders")
}

func TestPredicateMustReturnResultPerRow(t *testing.T) {
	binding, reg := rogueGuest(t, plugin.Options{})
	useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
		_, _, err := i.Test(ctx, nil, batch(t, reg, 3, 6))
		assertTrap(t, err, "matches: expected 3, one for each row, found 4")
	})
}

func TestMemoryLimit(t *testing.T) {
	binding, reg := rogueGuest(t,
		plugin.Options{Settings: map[string]string{"plugin.rogue.limits.memory.bytes": "50331648"}})
	for _, mode := range []string{"grow", "recurse"} {
		// The message of Go's runtime depends on where it reaches the limit.
		assertTrap(t, misbehave(t, binding, reg, mode),
			"of the allowed 50331648 bytes (plugin.rogue.limits.memory.bytes)")
	}
	if got := binding.Current().Module().Metrics.MemoryBytes; got > 50331648 || got < 40<<20 {
		t.Errorf("expected a memory between 40 MiB and the limit of 50331648 bytes, found %d", got)
	}
	assert.NoError(t, misbehave(t, binding, reg, "nothing"))
}

// An instance is replaced when its memory has grown, and after a number of calls; each batch takes two, prepare and
// apply.
func TestGrownInstanceIsReplaced(t *testing.T) {
	binding, reg := rogueGuest(t, plugin.Options{Limits: plugin.Limits{RecycleBytes: 1}})
	for range 3 {
		require.NoError(t, misbehave(t, binding, reg, "swell"))
	}
	got := binding.Current().Module().Metrics
	assert.True(t, got.Recycled == 3 && got.Instances == 0, "expected 3 replaced instances, found %+v", got)
	binding, reg = rogueGuest(t, plugin.Options{Limits: plugin.Limits{Calls: 4}})
	for range 4 {
		require.NoError(t, misbehave(t, binding, reg, "nothing"))
	}
	if got := binding.Current().Module().Metrics; got.Recycled != 2 || got.Instances != 0 {
		t.Errorf("expected 2 replaced instances after 8 calls, found %+v", got)
	}
}

// A guest may consume a batch row by row, but not return the largest result for each row.
func TestBatchResultIsBounded(t *testing.T) {
	binding, reg := rogueGuest(t,
		plugin.Options{Settings: map[string]string{"plugin.rogue.limits.result.bytes": "1500"}})
	for rows, want := range map[int]string{
		4:  "",
		10: "the results for one batch have 6860 bytes: at most 6000 are allowed",
	} {
		useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
			in := batch(t, reg, rows, 6)
			size := len(in.Data)
			_, err := i.Apply(ctx, []byte("row-by-row"), in)
			assert.True(t, want != "" || err == nil, "%v", err)
			if want != "" {
				trap := assertTrap(t, err, want, "plugin.rogue.limits.result.bytes")
				assert.True(t, (trap == nil || trap.Limit == "result.bytes") && len(in.Data) == size &&
					len(in.Rows) == rows, "found %+v, and %d bytes of %d", trap, len(in.Data), size)
			}
		})
	}
}

// A result may have 10,000 topics, which is also the limit for the whole batch.
func TestTopicsAreBounded(t *testing.T) {
	binding, reg := rogueGuest(t, plugin.Options{})
	for _, c := range []struct {
		mode   string
		topics []string
		want   string
	}{
		{mode: "topics-many", topics: []string{"in"}, want: "expected at most 10000 topics, found 10001"},
		{mode: "topics-most", topics: []string{"t0000000"}},
		{mode: "topics-most", topics: []string{"in"}, want: "expected at most 10000 topics in a batch, found more"},
	} {
		useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
			in := batch(t, reg, 3, 6)
			in.Topics = c.topics
			_, err := i.Apply(ctx, []byte(c.mode), in)
			switch {
			case c.want == "" && (err != nil || len(in.Topics) != plugin.MaxTopics):
				t.Errorf("%s: %d topics, %v", c.mode, len(in.Topics), err)
			case c.want != "":
				assertTrap(t, err, c.want)
				assert.True(t, len(in.Topics) == 1, "%s: the batch has %d topics", c.mode, len(in.Topics))
			}
		})
	}
}

// Limits of unknown plugins are reported.
func TestLimitsOfUnknownPluginAreReported(t *testing.T) {
	var log logtest.Journal
	folder := folderWith(t, "p.wasm", guesttest.Static(wit.Description{Name: "present", Version: "1"}, "",
		wit.InterfaceTransform))
	manager(t, plugin.Options{Logger: log.Logger(plugin.LevelTrace), Settings: map[string]string{
		"plugin.present.limits.call.ms": "5000",
		"plugin.presnet.limits.call.ms": "50",
	}}, folder)
	got := log.String()
	assert.True(t, strings.Contains(got, "plugin=presnet settings=plugin.presnet.limits.*") &&
		!strings.Contains(got, "plugin.present.limits"), "expected a warning about presnet only, found %s", got)
}

func TestLogRateLimit(t *testing.T) {
	var log logtest.Journal
	const rate = 10 // lines per second
	binding, reg := rogueGuest(t, plugin.Options{Logger: log.Logger(plugin.LevelTrace), Settings: map[string]string{
		"plugin.rogue.limits.log.lines.per.second": fmt.Sprint(rate)}})
	// refilled returns the lines that the elapsed time allows in addition; on a busy machine that is noticeable.
	since := time.Now()
	refilled := func() int { return int(time.Since(since).Seconds() * rate) }
	require.NoError(t, misbehave(t, binding, reg, "chatter"))
	got := strings.Count(log.String(), "plugin=rogue version=1.0.0 connector=orders")
	assert.True(t, got >= rate && got <= 2*rate+refilled(), "expected about 10 lines of 300, found %d", got)
	assertTrap(t, misbehave(t, binding, reg, "flood"),
		"log lines beyond the allowed 10 a second in one call (plugin.rogue.limits.log.lines.per.second)")
	// The rate applies to the connector: its instances share it.
	loggedBytes := len(log.String())
	since = time.Now()
	require.NoError(t, misbehave(t, binding, reg, "output"))
	more := strings.Count(log.String()[loggedBytes:], "some output")
	assert.True(t, more <= 3+refilled(), "a fresh instance logged %d lines after the rate limit", more)
	binding, reg = rogueGuest(t, plugin.Options{Logger: log.Logger(plugin.LevelTrace)})
	require.NoError(t, misbehave(t, binding, reg, "output"))
	assert.True(t, strings.Contains(log.String(), `msg="some output"`), "expected the guest's output in the log")
}

// assertTrap checks that an error is a trap whose message contains the texts, and returns it.
func assertTrap(t *testing.T, err error, want ...string) *plugin.Trap {
	t.Helper()
	var trap *plugin.Trap
	if !errors.As(err, &trap) {
		t.Errorf("expected a trap, found %v", err)
		return nil
	}
	assert.Contains(t, trap.Error(), append(want, "plugin "+trap.Plugin+" "+trap.Version)...)
	return trap
}
