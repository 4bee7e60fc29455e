package metrics

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/reload"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

// metric describes one metric of subjects of type T. labels follow the labels of its table.
type metric[T any] struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	// values calls emit for each sample, with the values of labels.
	values func(subject T, emit func(value float64, labels ...string))
	desc   *prometheus.Desc // set by newMetrics
}

func gauge[T any](name, help string, value func(T) float64) metric[T] {
	return metric[T]{name: name, help: help, kind: prometheus.GaugeValue,
		values: func(subject T, emit func(float64, ...string)) { emit(value(subject)) }}
}

func counter[T any](name, help string, value func(T) float64) metric[T] {
	m := gauge(name, help, value)
	m.kind = prometheus.CounterValue
	return m
}

func constant[T any](name, help string, value float64) metric[T] {
	return gauge(name, help, func(T) float64 { return value })
}

func labelled[T any](kind prometheus.ValueType, name, help string, labels []string,
	values func(subject T, emit func(value float64, labels ...string))) metric[T] {
	return metric[T]{name: name, help: help, kind: kind, labels: labels, values: values}
}

func outcomes[T any](name, help string, counts func(T) map[string]int64) metric[T] {
	return labelled(prometheus.CounterValue, name, help, []string{"outcome"},
		func(subject T, emit func(float64, ...string)) {
			for outcome, n := range counts(subject) {
				emit(float64(n), outcome)
			}
		})
}

// metricTable lists the metrics of subjects of type T, all with the same labels first.
type metricTable[T any] []metric[T]

// newMetrics sets the descriptions of rows, and returns them as a table. labels come before the labels of each row.
func newMetrics[T any](prefix string, labels []string, rows ...metric[T]) metricTable[T] {
	for i := range rows {
		m := &rows[i]
		m.desc = prometheus.NewDesc(prefix+m.name, m.help, slices.Concat(labels, m.labels), nil)
	}
	return rows
}

func (t metricTable[T]) collect(to chan<- prometheus.Metric, subject T, labels ...string) {
	for i := range t {
		m := &t[i]
		m.values(subject, func(value float64, extra ...string) {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, slices.Concat(labels, extra)...)
		})
	}
}

// unchecked is embedded by collectors without a fixed set of metrics.
type unchecked struct{}

func (unchecked) Describe(chan<- *prometheus.Desc) {}

type tableCollector[T any] struct {
	unchecked
	table   metricTable[T]
	subject T
}

func (t tableCollector[T]) Collect(to chan<- prometheus.Metric) { t.table.collect(to, t.subject) }

// label returns a name as one line: names with invalid UTF-8 or control characters are quoted.
func label(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	}) {
		return name
	}
	return strconv.Quote(name)
}

// Sources provides the values of a worker's metrics. Nil means not open yet; Clients and Redact are required.
type Sources struct {
	Plugins    *plugin.Manager
	Tracer     *tracing.Tracer
	Herder     *connect.Herder
	Reloads    *reload.Reloader
	Rebalances func() cluster.Rebalances
	Clients    prometheus.Gatherer
	Redact     func(text string) string
}

// Metrics gathers the metrics of one worker, and remembers counters between scrapes. The zero value is ready for use.
type Metrics struct{ rates rates }

// Gatherer returns a gatherer of the metrics that GET /metrics shows.
func (m *Metrics) Gatherer(s Sources) prometheus.Gatherer {
	r := prometheus.NewPedanticRegistry()
	var modules []plugin.Info
	var memory plugin.Memory // zero while plugins are loaded
	if s.Plugins != nil {
		modules = s.Plugins.Modules()
		memory = s.Plugins.Memory()
	}
	r.MustRegister(pluginCollector{modules: modules}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		tableCollector[plugin.Memory]{table: memoryMetrics, subject: memory},
		tableCollector[*tracing.Tracer]{table: spanMetrics, subject: s.Tracer})
	if s.Herder != nil {
		r.MustRegister(tableCollector[*connect.Herder]{table: notificationMetrics, subject: s.Herder},
			taskCollector{connectors: s.Herder.Metrics, startups: s.Herder.Startups, group: s.Rebalances,
				clients: s.Clients, rates: &m.rates})
	}
	if s.Reloads != nil {
		r.MustRegister(tableCollector[*reload.Reloader]{table: reloadMetrics, subject: s.Reloads})
	}
	return redactingGatherer{prometheus.Gatherers{r, s.Clients}, s.Redact}
}

var spanMetrics = newMetrics("culvert_tracing_", nil, outcomes("spans_total",
	"Spans by outcome: sent, or lost because the collector rejected them or too many waited.",
	func(t *tracing.Tracer) map[string]int64 {
		sent, lost := t.Sent()
		return map[string]int64{"sent": sent, "lost": lost}
	}))

var notificationMetrics = newMetrics("culvert_", nil, outcomes("notifications_total",
	"Notifications that the listeners received, by outcome.", (*connect.Herder).Notifications))

var reloadMetrics = newMetrics("culvert_", nil,
	outcomes("reloads_total", "Reloads of the connector folder by outcome: applied, refused (at least one "+
		"connector's change), unchanged (requested, but nothing was new).", (*reload.Reloader).Outcomes),
	labelled(prometheus.GaugeValue, "connector_config_refused",
		"1 for each connector whose configuration in the folder is refused: its previous configuration keeps "+
			"running, or it is FAILED.", []string{"connector"},
		func(r *reload.Reloader, emit func(float64, ...string)) {
			for _, name := range r.Rejected() {
				emit(1, label(name))
			}
		}),
	gauge("config_folder_readable", "1 while the folder of connectors can be read, else 0.",
		func(r *reload.Reloader) float64 { return boolValue(r.Readable()) }))

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// redactingGatherer removes secrets from labels, except publishedLabels, and makes each label one line.
type redactingGatherer struct {
	prometheus.Gatherer
	redact func(string) string
}

var publishedLabels = []string{"connector", "feed", "topic"}

func (r redactingGatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := r.Gatherer.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			m.Label = slices.Clone(m.Label) // do not change the collector's labels
			for i, pair := range m.Label {
				value := pair.GetValue()
				if !slices.Contains(publishedLabels, pair.GetName()) {
					value = r.redact(value)
				}
				if value = label(value); value != pair.GetValue() {
					m.Label[i] = &dto.LabelPair{Name: pair.Name, Value: &value}
				}
			}
		}
	}
	return families, err
}
