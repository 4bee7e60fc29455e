package plugin

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Every function of the contract has a time limit; functions with batches have a second one.
func TestEveryFunctionHasTimeLimit(t *testing.T) {
	quick := map[string]bool{"decode": true, "apply": true, "test": true, "encode": true, "handle-response": true}
	quickFunctions := 0
	for _, iface := range []string{wit.InterfacePlugin, wit.InterfaceTools, wit.InterfaceSource,
		wit.InterfaceNotifications, wit.InterfaceRetirement, wit.InterfaceProgress, wit.InterfaceSink,
		wit.InterfaceTransform} {
		for _, f := range canon.Functions(iface) {
			want := 10 * time.Second
			if quick[f.Name] {
				want = time.Second
				quickFunctions++
			}
			assert.Equal(t, want, (Limits{}).withDefaults().callTime(f.Name), iface, f.Name)
			assert.Equal(t, 7*time.Millisecond, (Limits{CallMs: 7}).withDefaults().callTime(f.Name), iface, f.Name,
				"configured limits")
		}
	}
	assert.Equal(t, len(quick), quickFunctions, "functions with batches")
	want := Limits{MemoryBytes: 128 << 20, ResultBytes: 64 << 20, LogLinesPerSecond: 100, Instances: 8, Calls: 100_000,
		RecycleBytes: 64 << 20}
	assert.Equal(t, want, (Limits{}).withDefaults(), "the defaults")
	if m := meter.Defaults(); m.ModuleBytes != 64<<20 || m.FunctionBytes != 1<<20 || m.Functions != 100_000 {
		t.Errorf("expected 64 MiB of module, 1 MiB and 100,000 functions, found %+v", m)
	}
}

// Invalid limits are reported like other settings.
func TestInvalidLimits(t *testing.T) {
	for key, c := range map[string]struct{ value, want string }{
		"plugin.a.limits.call.ms": {
			value: "soon",
			want:  "Invalid value soon for configuration plugin.a.limits.call.ms: Not a number of type LONG",
		},
		"plugin.a.b.limits.calls": {
			value: "0",
			want:  "Invalid value 0 for configuration plugin.a.b.limits.calls: Value must be at least 1",
		},
		"plugin.a.limits.memory.byte": {
			value: "1",
			want:  "unknown setting; the nearest known one is plugin.a.limits.memory.bytes",
		},
		"plugin.a.limits.memory": {
			value: "1",
			want: "unknown setting; limits are memory.bytes, result.bytes, " +
				"log.lines.per.second, call.ms, instances, calls, recycle.bytes",
		},
		"plugin.a.limits.result.bytes":  {want: "Invalid value "},
		"plugin.a.limits.instances":     {value: "-1", want: "Invalid value -1 "},
		"plugin.a.limit.calls":          {value: "1", want: "expected plugin.NAME.limits.LIMIT"},
		"plugin.a.limits.recycle.bytes": {value: " 7 "},
	} {
		byPlugin, err := limitsOf(Limits{}, map[string]string{key: c.value})
		assert.True(t, (c.want != "" || (err == nil && byPlugin["a"].RecycleBytes == 7)) &&
			(c.want == "" || (err != nil && strings.HasPrefix(err.Error(), key+": "+c.want))),
			"%s: expected %q, found %v, %v", key, c.want, byPlugin, err)
	}
}

// A plugin with long calls does not extend the time in which any file must describe itself.
func TestWidestLimits(t *testing.T) {
	hour := Limits{CallMs: time.Hour.Milliseconds()}
	for name, c := range map[string]struct {
		loader loader
		want   time.Duration
	}{
		"nothing set": {loader: loader{}, want: 10 * time.Second},
		"one plugin's, longer": {
			loader: loader{namedLimits: map[string]Limits{"a": {CallMs: 30_000}, "b": {CallMs: 5}}},
			want:   30 * time.Second,
		},
		"one plugin's, long": {loader: loader{namedLimits: map[string]Limits{"a": hour}}, want: time.Minute},
		"everybody's":        {loader: loader{limits: hour}, want: time.Minute},
	} {
		assert.Equal(t, c.want, c.loader.widestLimits().callTime("describe"), name)
	}
}

func TestNotice(t *testing.T) {
	for name, c := range map[string]struct {
		compiles []time.Duration
		want     []time.Duration
	}{
		"nothing": {}, "quick": {compiles: []time.Duration{100 * time.Millisecond}},
		"long": {compiles: []time.Duration{time.Second, 3 * time.Second}, want: []time.Duration{0, 4 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reports []time.Duration
				n := &compileNotice{report: func(elapsed time.Duration) { reports = append(reports, elapsed) }}
				for _, duration := range c.compiles {
					n.start()
					time.Sleep(duration)
				}
				n.stop()
				n.start() // in the background, so no call waits
				time.Sleep(time.Minute)
				assert.Equal(t, c.want, reports)
			})
		})
	}
	var none *compileNotice
	none.start()
}

func TestRowsOfALoadAreBounded(t *testing.T) {
	t.Parallel()
	maxRows := uint64(1) << 53
	tooMany := uint64(1)<<53 + 1
	assert.Equal(t, nil, checkProgress(&wit.LoadProgress{Read: maxRows, Total: &maxRows}))
	for want, progress := range map[string]*wit.LoadProgress{
		"at most 9007199254740992 rows read":       {Read: tooMany},
		"a total of at most 9007199254740992 rows": {Total: &tooMany},
		"one to sixteen letters a–z for complete":  {Complete: wit.Ptr("KEY")},
	} {
		err := checkProgress(progress)
		assert.Error(t, err, want)
	}
}
