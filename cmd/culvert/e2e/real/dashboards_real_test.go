//go:build real

package real

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// dashboardQueries returns the queries of a Grafana dashboard, for all connectors and a period of five minutes.
func dashboardQueries(t *testing.T, file string) (queries []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &dashboard))
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, strings.NewReplacer("$connector", ".*", "$__rate_interval",
				"5m").Replace(target.Expr))
		}
	}
	return queries
}

// TestRealDashboards runs each query of Culvert's dashboard in Prometheus' own engine, and queries like Strimzi's:
// joins, and sums by connector. Each finds something in a worker's metrics.
func TestRealDashboards(t *testing.T) {
	t.Parallel()
	queries := dashboardQueries(t, "../../../../examples/monitoring/grafana-dashboard.json")
	require.True(t, len(queries) >= 10, "expected the queries of the dashboard, found %q", queries)
	queries = append(queries,
		`sum(kafka_connect_connector_status * on(connector) group_left(connector_class) `+
			`kafka_connect_connector_connector_class * on(connector) group_left(connector_version) `+
			`kafka_connect_connector_connector_version * on(connector) group_left(connector_type) `+
			`kafka_connect_connector_connector_type) by (connector, status, connector_class, connector_type)`,
		`sum(kafka_connect_task_error_total_record_failures * on(connector, task) group_left(status) `+
			`kafka_connect_connector_task_status) by (connector, status, task)`,
		`sum(rate(kafka_producer_outgoing_byte_total[5m]))`, `sum(kafka_consumer_connection_count)`)
	scrape := e2etest.WorkerMetrics(t, func(string) bool { return true })
	in, err := json.Marshal(map[string]any{"scrape": scrape, "queries": queries})
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), "go", "run", ".")
	c.Dir = "../../../../testdata/peers/promql"
	c.Stdin = bytes.NewReader(in)
	c.Stderr = os.Stderr
	out, err := c.Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.True(t, len(lines) == len(queries),
		"expected an answer to each of %d queries, found %q", len(queries), lines)
	for i, query := range queries {
		if lines[i] == "0" || !slices.Contains([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, lines[i][:1]) {
			t.Errorf("%s: expected series, found %s", query, lines[i])
		}
	}
}
