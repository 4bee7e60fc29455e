package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/culvert-project/culvert/host/cluster"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

func TestMetricNames(t *testing.T) {
	connectors := []connect.Figures{{Name: "orders", Type: "source", Class: "C", Version: "1", State: connect.Running,
		Tasks: []connect.TaskFigures{{Task: 0, State: connect.Running, Progress: new(connect.Progress)}}}}
	for _, c := range []struct {
		sets        []string
		there, gone []string
	}{
		{[]string{strimziNames}, []string{"kafka_connect_worker_task_count ", "culvert_source_pages_total orders 0"},
			[]string{"kafka_connect_connect_", "kafka_connect_source_task_metrics_"}},
		{[]string{confluentNames}, []string{
			"kafka_connect_connect_worker_metrics_task_count aggregate",
			"kafka_connect_connect_worker_metrics_connector_running_task_count orders",
			"kafka_connect_connector_metrics orders source", "kafka_connect_connector_metrics orders running",
			"kafka_connect_source_task_metrics_source_record_poll_rate orders 0",
			"kafka_connect_task_error_metrics_total_retries orders 0",
			"kafka_connect_connect_worker_rebalance_metrics_completed_rebalances ",
			"kafka_connect_connect_worker_rebalance_metrics_completed_rebalances_total ",
			"kafka_connect_connect_metrics_connection_count culvert", "kafka_connect_app culvert",
			"culvert_source_pages_total orders 0"},
			[]string{"kafka_connect_worker_", "kafka_connect_connector_status"}},
	} {
		r := prometheus.NewPedanticRegistry()
		none := func() (connectors, tasks connect.Startups) { return connectors, tasks }
		r.MustRegister(taskFigures{connectors: func() []connect.Figures { return connectors }, startups: none,
			group:   func() cluster.Rebalances { return (*cluster.Worker)(nil).Rebalances() },
			clients: prometheus.NewRegistry(), rates: &rates{}})
		families, err := namedFigures{r, c.sets}.Gather()
		require.NoError(t, err)
		var found []string
		for _, f := range families {
			for _, m := range f.Metric {
				var labels []string
				for _, l := range m.Label {
					labels = append(labels, l.GetValue())
				}
				found = append(found, f.GetName()+" "+strings.Join(labels, " "))
			}
		}
		has := func(name string) bool {
			return strings.Contains("\n"+strings.Join(found, "\n"), "\n"+name)
		}
		for _, name := range c.there {
			if !has(name) {
				t.Errorf("%v: expected %q, found %s", c.sets, name, cmp.Diff(nil, found))
			}
		}
		for _, name := range c.gone {
			if has(name) {
				t.Errorf("%v: expected none that begins with %s", c.sets, name)
			}
		}
	}
}
