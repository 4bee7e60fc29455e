package host

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/culvert-project/culvert/wit"
)

// The sets of names of `metrics.names`. Both are those of Prometheus' JMX exporter for Kafka Connect, under two sets of
// rules: Strimzi's (examples/metrics/kafka-connect-metrics.yaml) and Confluent's (jmx-monitoring-stacks,
// shared-assets/jmx-exporter/kafka_connect.yml).
const (
	strimziNames   = "strimzi"
	confluentNames = "confluent"
)

// namedFigures gathers figures, in which Kafka Connect's have Strimzi's names, under the names of the sets.
type namedFigures struct {
	prometheus.Gatherer
	sets []string
}

// Gather has what is no figure of Kafka Connect's as it is.
func (n namedFigures) Gather() ([]*dto.MetricFamily, error) {
	families, err := n.Gatherer.Gather()
	var named []*dto.MetricFamily
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "kafka_") || slices.Contains(n.sets, strimziNames) {
			named = append(named, f)
		}
		if slices.Contains(n.sets, confluentNames) {
			named = append(named, confluent(f)...)
		}
	}
	slices.SortFunc(named, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return named, err
}

// confluentGroups are beginnings of Strimzi's names, longer ones first, with those of Confluent's, which are JMX's
// groups as they are.
var confluentGroups = []struct{ strimzi, confluent string }{
	{"kafka_connect_worker_rebalance_", "kafka_connect_connect_worker_rebalance_metrics_"},
	{"kafka_connect_worker_", "kafka_connect_connect_worker_metrics_"},
	{"kafka_connect_coordinator_", "kafka_connect_connect_coordinator_metrics_"},
	{"kafka_connect_connector_task_", "kafka_connect_connector_task_metrics_"},
	{"kafka_connect_source_task_", "kafka_connect_source_task_metrics_"},
	{"kafka_connect_sink_task_", "kafka_connect_sink_task_metrics_"},
	{"kafka_connect_task_error_", "kafka_connect_task_error_metrics_"},
	{"kafka_connect_client_", "kafka_connect_connect_metrics_"},
}

// withoutTotal are those that releases of the exporter from 1.0 on show without _total, as Confluent's dashboards for
// them ask.
var withoutTotal = []string{"kafka_connect_connect_worker_rebalance_metrics_completed_rebalances_total",
	"kafka_connect_connect_metrics_failed_authentication_total"}

// confluent is a figure under Confluent's names, nothing for one that its rules have no name for.
func confluent(f *dto.MetricFamily) (named []*dto.MetricFamily) {
	under := func(name string, metrics []*dto.Metric) {
		named = append(named, &dto.MetricFamily{Name: &name, Help: f.Help, Type: f.Type, Metric: metrics})
	}
	switch name := f.GetName(); name {
	case "kafka_connect_app_info":
		under("kafka_connect_app", f.Metric) // as withoutTotal
	case "kafka_connect_connector_info":
		under("kafka_connect_connector_metrics", textByText(f.Metric))
	case "kafka_connect_connector_task_status": // a text, which Confluent's rules have no value for
	default:
		for _, group := range confluentGroups {
			attribute, ok := strings.CutPrefix(name, group.strimzi)
			if !ok {
				continue
			}
			metrics := f.Metric
			if group.strimzi == "kafka_connect_worker_" {
				metrics = aggregated(metrics)
			}
			full := group.confluent + attribute
			under(full, metrics)
			if slices.Contains(withoutTotal, full) {
				under(strings.TrimSuffix(full, "_total"), metrics)
			}
			break
		}
	}
	return named
}

// textByText are metrics with several texts as labels in addition to the connector's name, one for each of the texts.
func textByText(metrics []*dto.Metric) (single []*dto.Metric) {
	for _, m := range metrics {
		at := slices.IndexFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == "connector" })
		for i, l := range m.Label {
			if i != at {
				single = append(single, &dto.Metric{Label: sorted(m.Label[at], l), Gauge: m.Gauge})
			}
		}
	}
	return single
}

// aggregated are metrics of which those of the whole worker have the connector that Confluent's rules give them.
func aggregated(metrics []*dto.Metric) []*dto.Metric {
	all := &dto.LabelPair{Name: wit.Ptr("connector"), Value: wit.Ptr("aggregate")}
	out := make([]*dto.Metric, len(metrics))
	for i, m := range metrics {
		if out[i] = m; len(m.Label) == 0 {
			out[i] = &dto.Metric{Label: sorted(all), Gauge: m.Gauge, Counter: m.Counter}
		}
	}
	return out
}

func sorted(labels ...*dto.LabelPair) []*dto.LabelPair {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return labels
}
