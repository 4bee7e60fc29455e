package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/internal/plugin"
)

var memoryMetrics = newMetrics("culvert_plugins_", nil,
	gauge("memory_bytes", "Memory of all instances of plugins.",
		func(m plugin.Memory) float64 { return float64(m.Used) }),
	gauge("memory_limit_bytes", "Limit of that memory.", func(m plugin.Memory) float64 { return float64(m.Bound) }),
	gauge("memory_waiting", "Calls that wait for memory or a processor for an instance.",
		func(m plugin.Memory) float64 { return float64(m.Waiting) }))

// versionLabels include the hash because a file can change under the same version.
var versionLabels = []string{"plugin", "version", "hash"}

var versionMetrics = newMetrics("culvert_plugin_", versionLabels,
	counter("calls_total", "Calls of a plugin's functions.",
		func(m *plugin.Metrics) float64 { return float64(m.Calls) }),
	counter("call_seconds_total", "Time spent in calls, the copying of arguments and results included.",
		func(m *plugin.Metrics) float64 { return m.Seconds }),
	gauge("longest_call_seconds", "The longest call so far.",
		func(m *plugin.Metrics) float64 { return m.LongestSeconds }),
	counter("ticks_total", "Metering ticks of running plugins, about one in 0.2 ms.",
		func(m *plugin.Metrics) float64 { return float64(m.Ticks) }),
	counter("bytes_in_total", "Bytes passed to a plugin as arguments.",
		func(m *plugin.Metrics) float64 { return float64(m.BytesIn) }),
	counter("bytes_out_total", "Bytes returned by a plugin as results.",
		func(m *plugin.Metrics) float64 { return float64(m.BytesOut) }),
	counter("faults_total", "Calls that a plugin answered with an error.",
		func(m *plugin.Metrics) float64 { return float64(m.Faults) }),
	counter("traps_total", "Calls that ended their instance by a trap, including calls that exceeded a limit.",
		func(m *plugin.Metrics) float64 { return float64(m.Traps) }),
	counter("stopped_total", "How often a version was stopped for a connector because it trapped too often.",
		func(m *plugin.Metrics) float64 { return float64(m.Stopped) }),
	gauge("memory_high_water_bytes", "The most memory that one instance had.",
		func(m *plugin.Metrics) float64 { return float64(m.MemoryBytes) }),
	gauge("instances", "Current instances.", func(m *plugin.Metrics) float64 { return float64(m.Instances) }),
	counter("instances_started_total", "Instances that were created.",
		func(m *plugin.Metrics) float64 { return float64(m.Started) }),
	counter("instances_recycled_total", "Instances that were replaced because of their age or size.",
		func(m *plugin.Metrics) float64 { return float64(m.Recycled) }),
	labelled(prometheus.CounterValue, "aborted_calls_total", "Calls that exceeded a limit, by the limit's setting.",
		[]string{"limit"}, func(m *plugin.Metrics, emit func(float64, ...string)) {
			for _, limit := range plugin.CallLimits() {
				emit(float64(m.Aborted[limit]), limit)
			}
		}))

// fileMetrics describe plugin files, of which a rejected one may have no name.
var fileMetrics = newMetrics("culvert_plugin_", versionLabels,
	labelled(prometheus.GaugeValue, "info", "A version of a "+
		"plugin: active (new connectors get it), retired (only old ones run it), or refused.",
		[]string{"file", "state"},
		func(i *plugin.Info, emit func(float64, ...string)) { emit(1, label(i.Path), i.State()) }))

type pluginCollector struct {
	unchecked
	modules []plugin.Info
}

// Collect implements [prometheus.Collector]. The same bytes in two files are one version.
func (p pluginCollector) Collect(to chan<- prometheus.Metric) {
	type version struct{ plugin, version, hash string }
	sums := map[version]*plugin.Metrics{}
	seen := map[string]bool{}
	for _, info := range p.modules {
		v := version{info.Name, info.Version, info.Hash}
		state := info.State()
		if key := info.Hash + state + info.Path; !seen[key] {
			seen[key] = true
			fileMetrics.collect(to, &info, v.plugin, v.version, v.hash)
		}
		if info.Name == "" {
			continue
		}
		if sums[v] == nil {
			sums[v] = &plugin.Metrics{Aborted: map[string]int64{}}
		}
		if state == "refused" && sums[v].Calls > 0 {
			continue // rolled back, and still run by a connector: another entry has its calls
		}
		addMetrics(sums[v], &info.Metrics)
	}
	for v, m := range sums {
		versionMetrics.collect(to, m, v.plugin, v.version, v.hash)
	}
}

func addMetrics(sum, m *plugin.Metrics) {
	sum.Calls += m.Calls
	sum.Seconds += m.Seconds
	sum.LongestSeconds = max(sum.LongestSeconds, m.LongestSeconds)
	sum.Ticks += m.Ticks
	sum.BytesIn += m.BytesIn
	sum.BytesOut += m.BytesOut
	sum.Faults += m.Faults
	sum.Traps += m.Traps
	sum.Stopped += m.Stopped
	sum.MemoryBytes = max(sum.MemoryBytes, m.MemoryBytes)
	sum.Instances += m.Instances
	sum.Started += m.Started
	sum.Recycled += m.Recycled
	for limit, n := range m.Aborted {
		sum.Aborted[limit] += n
	}
}
