package plugins

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/wit"
)

// A source that loops in decode is dropped into the folder in the middle of a load: the running connector tries it,
// returns to the version before, and no record is lost or repeated. The metrics of plugins change while they work.
func TestVersionThatLoopsIsRolledBack(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.CopyPlugins(t)
	const rows, page = 300, 10
	g, _, address := e2etest.StartGated(t, odatatest.Options{Rows: rows, PageSize: page}, "/Orders", 10*rows)
	listen := porttest.Address(t)
	c := p.Start("run", "--set", "listeners=http://"+listen, "--set", "plugin.odata-source.limits.call.ms=400",
		"--plugins", dir, "--data", p.Data, p.File("orders.properties",
			append(e2etest.Source("orders", address, "Orders"), e2etest.NoReadTimeout)...))
	g.Allow(1)
	c.Eventually("the second page", g.IsHolding)
	metrics := e2etest.Scrape(t, listen)
	e2etest.ReplaceFile(t, dir, "odata-source.wasm", guesttest.Looping(t,
		guesttest.Bytes(t, "../../../../plugins/odata-source", "main.version=0.2.0"),
		wit.ExportName(wit.InterfaceSource, "decode")))
	c.AwaitStderr(`msg="plugin loaded" plugin=odata-source version=0.2.0`)
	c.AwaitStderr("a newer version of the plugin is open and will replace the current one")
	const swap = "plugin=odata-source from=0.1.0 to=0.2.0"
	isSwapped := func() bool { return strings.Contains(c.Stderr.String(), swap) }
	for pages := 0; pages < 20 && !isSwapped(); pages++ { // at the end of a page, soon
		g.Allow(1)
		c.Eventually("the new version, or the next page", func() bool { return isSwapped() || g.IsHolding() })
	}
	c.AwaitStderr(swap)
	// The new version fails three times with a page, then the old version decodes it.
	g.Allow(5)
	assert.Contains(t, c.AwaitStderr(`msg="plugin version rolled back; the previous version takes over" plugin=odata-source `+
		"version=0.2.0"),
		"3 calls broke soon after it was activated for connector orders, last decode by call.ms")
	c.AwaitStderr("plugin=odata-source from=0.2.0 to=0.1.0")
	g.Allow(rows)
	c.AwaitRecords(p, "Orders", rows)

	task := statusOf(t, listen, "orders").Tasks[0]
	const want = "odata-source 0.1.0 runs: version 0.2.0 was rolled back: 3 calls broke soon after"
	require.True(t, task.State == connect.Running && task.Version == "0.1.0" && len(task.Plugins) == 1 &&
		strings.HasPrefix(task.Plugins[0], want), "expected 0.1.0 RUNNING and %q, found %+v", want, task)
	checkMetricsOfRollback(t, metrics, e2etest.Scrape(t, listen))
	c.MustStop()
	p.CheckOrders(rows, func(int) bool { return false })
}

// checkMetricsOfRollback checks the metrics of a plugin from before a version that loops was tried, and from after it.
func checkMetricsOfRollback(t *testing.T, before, after map[string]float64) {
	t.Helper()
	const good, bad = `version="0.1.0"`, `version="0.2.0"`
	for _, name := range []string{"calls_total", "call_seconds_total", "bytes_in_total", "bytes_out_total"} {
		a := pluginMetric(t, before, name, good)
		b := pluginMetric(t, after, name, good)
		assert.True(t, a > 0 && b > a, "%s: expected a value that rises, found %v and %v", name, a, b)
	}
	for name, least := range map[string]float64{
		"memory_high_water_bytes":  1 << 20,
		"longest_call_seconds":     1e-6,
		"instances_started_total":  1,
		"ticks_total":              0,
		"faults_total":             0,
		"traps_total":              0,
		"stopped_total":            0,
		"instances_recycled_total": 0,
	} {
		assert.AtLeast(t, least, pluginMetric(t, after, name, good), name)
	}
	for _, limit := range []string{"call.ms", "memory.bytes", "result.bytes", "log.lines.per.second", "stack"} {
		v := pluginMetric(t, after, "aborted_calls_total", good, `limit="`+limit+`"`)
		assert.Equal(t, 0, v, limit, "broken calls of the good version")
	}
	assert.Equal(t, true, pluginMetric(t, before, "instances", good) >= 1, "instances in mid-load")
	assert.Equal(t, 3.0, pluginMetric(t, after, "aborted_calls_total", bad, `limit="call.ms"`), "broken calls")
	assert.Equal(t, 1.0, pluginMetric(t, after, "info", `state="active"`), "active versions")
}

// pluginMetric returns a metric of a version of the source, whatever the hash of its file.
func pluginMetric(t *testing.T, metrics map[string]float64, name string, labels ...string) (value float64) {
	t.Helper()
	exists := false
	for series, v := range metrics {
		isSame := strings.HasPrefix(series, "culvert_plugin_"+name+"{") &&
			strings.Contains(series, `plugin="odata-source"`)
		for _, label := range labels {
			isSame = isSame && strings.Contains(series, label)
		}
		if isSame {
			value += v
			exists = true
		}
	}
	assert.True(t, exists, "expected the metric %s %s, found none", name, labels)
	return value
}
