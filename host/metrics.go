package host

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/culvert-project/culvert/host/plugin"
)

// metric is a row of the tables of what GET /metrics shows about a T: its name, its help, its labels in addition to
// those of the table, and where its values come from. Counters are those of a subject since it was made: they begin
// again with a restart, as Prometheus expects.
type metric[T any] struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	// values hands on each value, with those of the labels.
	values func(of T, value func(v float64, labels ...string))
	desc   *prometheus.Desc
}

// gauge is a metric with one value.
func gauge[T any](name, help string, value func(T) float64) metric[T] {
	return metric[T]{name: name, help: help, kind: prometheus.GaugeValue,
		values: func(of T, send func(float64, ...string)) { send(value(of)) }}
}

// counter is a metric with one value, which only grows.
func counter[T any](name, help string, value func(T) float64) metric[T] {
	m := gauge(name, help, value)
	m.kind = prometheus.CounterValue
	return m
}

// always is a gauge that has one value for ever.
func always[T any](name, help string, value float64) metric[T] {
	return gauge(name, help, func(T) float64 { return value })
}

// labelled is a metric with several values, or with texts for labels.
func labelled[T any](kind prometheus.ValueType, name, help string, labels []string,
	values func(of T, value func(v float64, labels ...string))) metric[T] {
	return metric[T]{name: name, help: help, kind: kind, labels: labels, values: values}
}

// outcomes is a counter by what things came to.
func outcomes[T any](name, help string, counts func(T) map[string]int64) metric[T] {
	return labelled(prometheus.CounterValue, name, help, []string{"outcome"},
		func(of T, value func(float64, ...string)) {
			for outcome, n := range counts(of) {
				value(float64(n), outcome)
			}
		})
}

// metricTable is what is shown about each T, all of it with the same labels.
type metricTable[T any] []metric[T]

func newMetrics[T any](prefix string, labels []string, rows ...metric[T]) metricTable[T] {
	for i := range rows {
		m := &rows[i]
		m.desc = prometheus.NewDesc(prefix+m.name, m.help, slices.Concat(labels, m.labels), nil)
	}
	return rows
}

// collect sends what is shown about one T; labels are the values of those of the table.
func (t metricTable[T]) collect(to chan<- prometheus.Metric, of T, labels ...string) {
	for i := range t {
		m := &t[i]
		m.values(of, func(v float64, more ...string) {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, v, append(labels[:len(labels):len(labels)], more...)...)
		})
	}
}

// undescribed is what collectors do that say by what they collect what there is.
type undescribed struct{}

// Describe says nothing in advance.
func (undescribed) Describe(chan<- *prometheus.Desc) {}

// about collects a table about one T.
type about[T any] struct {
	undescribed
	table metricTable[T]
	of    T
}

// Collect sends the figures.
func (a about[T]) Collect(to chan<- prometheus.Metric) { a.table.collect(to, a.of) }

// label is a name as text in one line: other bytes, and characters that control what reads it, are written as in Go.
func label(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	}) {
		return name
	}
	return strconv.Quote(name)
}

// Metrics is what GET /metrics shows.
func (w worker) Metrics() prometheus.Gatherer {
	h := w.host
	r := prometheus.NewPedanticRegistry()
	now := h.now()
	var modules []plugin.Info
	var memory plugin.Memory // nothing while plugins are loaded
	if now.plugins != nil {
		modules, memory = now.plugins.Modules(), now.plugins.Memory()
	}
	r.MustRegister(pluginFigures{modules: modules}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		about[plugin.Memory]{table: memoryMetrics, of: memory},
		about[spans]{table: spanMetrics, of: now.tracer})
	if herder := now.herder; herder != nil {
		r.MustRegister(about[notifications]{table: notificationMetrics, of: herder},
			taskFigures{connectors: herder.Metrics, startups: herder.Startups, group: h.rebalances,
				clients: h.kafka.Figures, rates: &h.rates})
	}
	if reloads := now.followed(); reloads != nil {
		r.MustRegister(about[*reloader]{table: reloadMetrics, of: reloads})
	}
	return struckFigures{prometheus.Gatherers{r, h.kafka.Figures}, h.in.Worker.Redact}
}

// spans are counted by a tracer, nil for none.
type spans interface{ Sent() (sent, lost int64) }

var spanMetrics = newMetrics("culvert_tracing_", nil, outcomes("spans_total", "Spans by what became of them: sent, or "+
	"lost since the collector did not take them or too many waited.",
	func(t spans) map[string]int64 {
		sent, lost := t.Sent()
		return map[string]int64{"sent": sent, "lost": lost}
	}))

// notifications are counted by the herder.
type notifications interface{ Notifications() map[string]int64 }

var notificationMetrics = newMetrics("culvert_", nil, outcomes("notifications_total",
	"Notifications that came to the listeners, by what became of them.", notifications.Notifications))

var reloadMetrics = newMetrics("culvert_", nil,
	outcomes("reloads_total", "Reloads of the folder of connectors, by what they came to: applied, refused (at "+
		"least one "+
		"connector's change was), unchanged (asked for, and nothing was new).",
		func(r *reloader) map[string]int64 { return r.outcomes() }),
	labelled(prometheus.GaugeValue, "connector_config_refused",
		"1 for each connector whose configuration in the folder "+
			"is refused: what ran before it goes on, or it is FAILED.", []string{"connector"},
		func(r *reloader, value func(float64, ...string)) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for name := range r.refused {
				value(1, label(name))
			}
		}),
	gauge("config_folder_readable", "1 while the folder of connectors can be read, else 0.",
		func(r *reloader) float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return oneIf(r.problems.Err() == nil)
		}))

// oneIf is 1 for what is so, else 0.
func oneIf(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

// struckFigures are figures without what config providers gave, but names that a connector publishes.
type struckFigures struct {
	prometheus.Gatherer
	strike func(string) string
}

// published are labels whose values are such names.
var published = []string{"connector", "feed", "topic"}

// Gather strikes the values of labels, and has none of them control what reads it.
func (s struckFigures) Gather() ([]*dto.MetricFamily, error) {
	families, err := s.Gatherer.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			m.Label = slices.Clone(m.Label) // those of a figure are its own
			for i, l := range m.Label {
				value := l.GetValue()
				if !slices.Contains(published, l.GetName()) {
					value = s.strike(value)
				}
				if value = label(value); value != l.GetValue() {
					m.Label[i] = &dto.LabelPair{Name: l.Name, Value: &value}
				}
			}
		}
	}
	return families, err
}
