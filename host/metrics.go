package host

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
)

// pluginFigures makes what a worker knows of its plugins visible. Counters are those of a version since it was loaded:
// they begin anew with a restart, as Prometheus expects.
type pluginFigures struct{ modules func() []plugin.Info }

// figure is one of a plugin version's.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*plugin.Metrics) float64
}

// versionLabels tell versions apart: a file can change under the same version.
var versionLabels = []string{"plugin", "version", "hash"}

func describedFigure(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("culvert_plugin_"+name, help,
		append(versionLabels[:len(versionLabels):len(versionLabels)], more...), nil)
}

func counter(name, help string, value func(*plugin.Metrics) float64) figure {
	return figure{describedFigure(name, help), prometheus.CounterValue, value}
}

func gauge(name, help string, value func(*plugin.Metrics) float64) figure {
	return figure{describedFigure(name, help), prometheus.GaugeValue, value}
}

var figures = []figure{
	counter("calls_total", "Calls of a plugin's functions.",
		func(m *plugin.Metrics) float64 { return float64(m.Calls) }),
	counter("call_seconds_total", "Time spent in calls, the copying of arguments and results included.",
		func(m *plugin.Metrics) float64 { return m.Seconds }),
	gauge("longest_call_seconds", "The longest call so far.",
		func(m *plugin.Metrics) float64 { return m.LongestSeconds }),
	counter("ticks_total", "How often a guest at work came by, about once in 0.2 ms.",
		func(m *plugin.Metrics) float64 { return float64(m.Ticks) }),
	counter("bytes_in_total", "Bytes handed to a plugin as arguments.",
		func(m *plugin.Metrics) float64 { return float64(m.BytesIn) }),
	counter("bytes_out_total", "Bytes taken from a plugin as results.",
		func(m *plugin.Metrics) float64 { return float64(m.BytesOut) }),
	counter("faults_total", "Calls that a plugin answered with a fault.",
		func(m *plugin.Metrics) float64 { return float64(m.Faults) }),
	counter("traps_total", "Calls that ended badly and cost their instance, those that broke a limit included.",
		func(m *plugin.Metrics) float64 { return float64(m.Traps) }),
	counter("stopped_total", "How often a version was stopped for a connector because it broke too often.",
		func(m *plugin.Metrics) float64 { return float64(m.Stopped) }),
	gauge("memory_high_water_bytes", "The most memory that one instance had.",
		func(m *plugin.Metrics) float64 { return float64(m.MemoryBytes) }),
	gauge("instances", "Instances that are there now.",
		func(m *plugin.Metrics) float64 { return float64(m.Instances) }),
	counter("instances_started_total", "Instances that were made.",
		func(m *plugin.Metrics) float64 { return float64(m.Started) }),
	counter("instances_recycled_total", "Instances that were replaced because of their age or size.",
		func(m *plugin.Metrics) float64 { return float64(m.Recycled) }),
}

var (
	abortedFigure = describedFigure("aborted_calls_total", "Calls that broke a limit, by its name in the settings.",
		"limit")
	infoFigure = describedFigure("info", "A version of a plugin: active (new connectors get it), retired (only "+
		"old ones run it), or refused.", "file", "state")
)

// Describe lists all figures.
func (pluginFigures) Describe(to chan<- *prometheus.Desc) {
	for _, f := range figures {
		to <- f.desc
	}
	to <- abortedFigure
	to <- infoFigure
}

// Collect sends the figures of all versions. The same bytes in two files are one version.
func (p pluginFigures) Collect(to chan<- prometheus.Metric) {
	type version struct{ plugin, version, hash string }
	sums := map[version]*plugin.Metrics{}
	seen := map[string]bool{}
	for _, info := range p.modules() {
		v := version{info.Name, info.Version, info.Hash}
		state := stateOf(info)
		if at := info.Hash + state + info.Path; !seen[at] {
			seen[at] = true
			to <- prometheus.MustNewConstMetric(infoFigure, prometheus.GaugeValue, 1, v.plugin, v.version, v.hash,
				label(info.Path), state)
		}
		if info.Name == "" {
			continue // refused without having been asked for its name
		}
		if sums[v] == nil {
			sums[v] = &plugin.Metrics{Aborted: map[string]int64{}}
		}
		if state == "refused" && sums[v].Calls > 0 {
			continue // rolled back, and run by somebody still
		}
		add(sums[v], &info.Metrics)
	}
	for v, m := range sums {
		for _, f := range figures {
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(m), v.plugin, v.version, v.hash)
		}
		for _, limit := range plugin.Fences() {
			to <- prometheus.MustNewConstMetric(abortedFigure, prometheus.CounterValue, float64(m.Aborted[limit]),
				v.plugin, v.version, v.hash, limit)
		}
	}
}

// label is a file's name as text: other bytes are written as in Go.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}

// add adds up what two files of the same bytes have done.
func add(sum, m *plugin.Metrics) {
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

// Metrics is what GET /metrics shows.
func (w worker) Metrics() prometheus.Gatherer {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(pluginFigures{w.host.modules}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	memory := func(name, help string, value func(plugin.Memory) int64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "culvert_plugins_" + name, Help: help},
			func() float64 { return float64(value(w.host.guestMemory())) }))
	}
	memory("memory_bytes", "Memory that is counted for all instances of plugins.",
		func(m plugin.Memory) int64 { return m.Used })
	memory("memory_limit_bytes", "What it may come to.", func(m plugin.Memory) int64 { return m.Bound })
	memory("memory_waiting", "Calls that wait until there is room for an instance.",
		func(m plugin.Memory) int64 { return m.Waiting })
	w.host.mu.Lock()
	reloads, tracer := w.host.reloads, w.host.tracer
	w.host.mu.Unlock()
	r.MustRegister(spanFigures{tracer})
	if herder := w.herder(); herder != nil {
		r.MustRegister(notificationFigures{herder.Notifications},
			taskFigures{herder.Figures, herder.Startups, w.host.kafka.Figures, &w.host.rates})
	}
	if reloads != nil {
		r.MustRegister(reloadFigures{reloads})
	}
	return struckFigures{namedFigures{prometheus.Gatherers{r, w.host.kafka.Figures},
		config.List(w.host.in.Worker.Text("metrics.names"))}, w.Strike}
}

// struckFigures are figures without what config providers gave, but names that a connector publishes.
type struckFigures struct {
	prometheus.Gatherer
	strike func(string) string
}

// published are labels whose values are such names.
var published = []string{"connector", "feed", "topic"}

// Gather strikes the values of labels.
func (s struckFigures) Gather() ([]*dto.MetricFamily, error) {
	families, err := s.Gatherer.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			m.Label = slices.Clone(m.Label) // those of a figure are its own
			for i, l := range m.Label {
				if value := s.strike(l.GetValue()); value != l.GetValue() && !slices.Contains(published, l.GetName()) {
					m.Label[i] = &dto.LabelPair{Name: l.Name, Value: &value}
				}
			}
		}
	}
	return families, err
}

// notificationFigures are how many notifications came, by what became of them.
type notificationFigures struct{ counts func() map[string]int64 }

var notificationFigure = prometheus.NewDesc("culvert_notifications_total",
	"Notifications that came to the listeners, by what became of them.", []string{"outcome"}, nil)

func (notificationFigures) Describe(to chan<- *prometheus.Desc) { to <- notificationFigure }

func (n notificationFigures) Collect(to chan<- prometheus.Metric) {
	for outcome, count := range n.counts() {
		to <- prometheus.MustNewConstMetric(notificationFigure, prometheus.CounterValue, float64(count), outcome)
	}
}
