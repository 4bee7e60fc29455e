package examples

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// metricName matches the name of a worker's metric. Labels and functions do not have these prefixes.
var metricName = regexp.MustCompile(`\b(?:kafka_connect|culvert)_[a-z0-9_]+\b`)

// The reference has all metrics of the dashboard and the alerts.
func TestMonitoredMetricsExist(t *testing.T) {
	reference, err := os.ReadFile("../cmd/culvert/reference/metrics.md")
	require.NoError(t, err)
	for _, file := range []string{"grafana-dashboard.json", "alerts.yaml", "README.md"} {
		text, err := os.ReadFile("monitoring/" + file)
		require.NoError(t, err)
		names := metricName.FindAllString(string(text), -1)
		assert.True(t, len(names) >= 5 || file == "README.md", "%s: expected at least 5 metrics, found %q", file, names)
		for _, name := range names {
			assert.True(t, strings.Contains(string(reference), "| `"+name+"` |"),
				"%s: expected the metric %s in the reference", file, name)
		}
		switch file {
		case "grafana-dashboard.json":
			err = json.Unmarshal(text, new(map[string]any))
		case "alerts.yaml":
			err = yaml.Unmarshal(text, new(map[string]any))
		}
		assert.NoError(t, err, file)
	}
}

// series is a metric of the reference with its label names.
type series struct {
	name   string
	labels []string
}

// The metrics and labels that Confluent's dashboards query exist after Prometheus has renamed a worker's metrics by
// confluent.yaml.
func TestConfluentDashboardsFindTheirMetrics(t *testing.T) {
	text, err := os.ReadFile("monitoring/confluent.yaml")
	require.NoError(t, err)
	var relabel struct {
		Rules []struct {
			Source      []string `yaml:"source_labels"`
			Regex       string
			Target      string `yaml:"target_label"`
			Replacement string
		} `yaml:"metric_relabel_configs"`
	}
	require.NoError(t, yaml.Unmarshal(text, &relabel))
	reference, err := os.ReadFile("../cmd/culvert/reference/metrics.md")
	require.NoError(t, err)
	metrics := []series{{name: "process_cpu_seconds_total"}}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:gauge|counter) \\| ([^|]*) \\|")
	for _, row := range rows.FindAllStringSubmatch(string(reference), -1) {
		metric := series{name: row[1]}
		for label := range strings.SplitSeq(row[2], ", ") {
			metric.labels = append(metric.labels, strings.Trim(label, "`"))
		}
		for _, rule := range relabel.Rules {
			value := metric.name
			if len(rule.Source) > 1 && slices.Contains(metric.labels, rule.Source[1]) {
				value += ";VALUE"
			} else if len(rule.Source) > 1 {
				value += ";"
			}
			pattern := regexp.MustCompile("^(?:" + rule.Regex + ")$")
			switch match := pattern.FindStringSubmatchIndex(value); {
			case match == nil: // the rule does not match
			case rule.Target == "__name__":
				metric.name = string(pattern.ExpandString(nil, rule.Replacement, value, match))
			default:
				metric.labels = append(metric.labels, rule.Target)
			}
		}
		metrics = append(metrics, metric)
	}
	queries, err := os.ReadFile("../testdata/dashboards.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(queries)) {
		line, reason, _ := strings.Cut(strings.TrimSpace(line), " - ")
		words := strings.Fields(line)
		if !strings.HasPrefix(line, "confluent ") {
			continue
		}
		exists := slices.ContainsFunc(metrics, func(s series) bool {
			return s.name == words[1] && !slices.ContainsFunc(words[2:], func(label string) bool {
				return !slices.Contains(s.labels, label)
			})
		})
		assert.True(t, exists != (reason != ""),
			"%s: expected a metric with these labels, or the reason why there is none, found %t, reason %q", line,
			exists, reason)
	}
}
