package examples

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// figure matches the name of a worker's metric. Labels and functions have none of these prefixes.
var figure = regexp.MustCompile(`\b(?:kafka_connect|culvert)_[a-z0-9_]+\b`)

// The reference has all metrics of the dashboard and the alerts.
func TestMonitoredMetricsExist(t *testing.T) {
	reference, err := os.ReadFile("../cmd/culvert/reference/metrics.md")
	ok(t, err)
	for _, file := range []string{"grafana-dashboard.json", "alerts.yaml", "README.md"} {
		text, err := os.ReadFile("monitoring/" + file)
		ok(t, err)
		names := figure.FindAllString(string(text), -1)
		if len(names) < 5 && file != "README.md" {
			t.Errorf("%s: expected figures, found %q", file, names)
		}
		for _, name := range names {
			if !strings.Contains(string(reference), "| `"+name+"` |") {
				t.Errorf("%s: expected the metric %s in the reference", file, name)
			}
		}
		switch file {
		case "grafana-dashboard.json":
			err = json.Unmarshal(text, new(map[string]any))
		case "alerts.yaml":
			err = yaml.Unmarshal(text, new(map[string]any))
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
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
	ok(t, err)
	var relabel struct {
		Rules []struct {
			Source      []string `yaml:"source_labels"`
			Regex       string
			Target      string `yaml:"target_label"`
			Replacement string
		} `yaml:"metric_relabel_configs"`
	}
	ok(t, yaml.Unmarshal(text, &relabel))
	reference, err := os.ReadFile("../cmd/culvert/reference/metrics.md")
	ok(t, err)
	all := []series{{name: "process_cpu_seconds_total"}}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:gauge|counter) \\| ([^|]*) \\|")
	for _, row := range rows.FindAllStringSubmatch(string(reference), -1) {
		one := series{name: row[1]}
		for label := range strings.SplitSeq(row[2], ", ") {
			one.labels = append(one.labels, strings.Trim(label, "`"))
		}
		for _, rule := range relabel.Rules {
			from := one.name
			if len(rule.Source) > 1 && slices.Contains(one.labels, rule.Source[1]) {
				from += ";VALUE"
			} else if len(rule.Source) > 1 {
				from += ";"
			}
			pattern := regexp.MustCompile("^(?:" + rule.Regex + ")$")
			switch at := pattern.FindStringSubmatchIndex(from); {
			case at == nil: // the rule does not match
			case rule.Target == "__name__":
				one.name = string(pattern.ExpandString(nil, rule.Replacement, from, at))
			default:
				one.labels = append(one.labels, rule.Target)
			}
		}
		all = append(all, one)
	}
	asked, err := os.ReadFile("../testdata/dashboards.txt")
	ok(t, err)
	for line := range strings.Lines(string(asked)) {
		line, why, _ := strings.Cut(strings.TrimSpace(line), " - ")
		words := strings.Fields(line)
		if !strings.HasPrefix(line, "confluent ") {
			continue
		}
		there := slices.ContainsFunc(all, func(s series) bool {
			return s.name == words[1] && !slices.ContainsFunc(words[2:], func(label string) bool {
				return !slices.Contains(s.labels, label)
			})
		})
		if there == (why != "") {
			t.Errorf("%s: expected a figure with these labels, or the reason why not: found %t, reason %q", line, there,
				why)
		}
	}
}
