package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var update = flag.Bool("update", false, "write the pages of the reference again")

// The reference pages match the declarations, and every declaration is documented.
func TestReference(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"worker":        workerPage(t),
		"kafka-clients": clientsPage(),
		"commands":      commandsPage(t),
		"rest":          routesPage(t),
		"metrics":       metricsPage(t),
	}
	maps.Copy(pages, pluginPages(t))
	maps.Copy(pages, converterPages(t))
	for name, want := range pages {
		file := filepath.Join("reference", name+".md")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s differs from the declarations (%v): go test ./cmd/culvert -run TestReference -update "+
				"writes it", file, err)
		}
	}
	// TestTableOfBounds in package host writes the page of bounds from the host's constants.
	files, err := filepath.Glob("reference/*.md")
	if err != nil || len(files) != len(pages)+1 || !slices.Contains(files, filepath.Join("reference", "bounds.md")) {
		t.Errorf("expected %d pages and bounds.md, found %v, %v", len(pages), files, err)
	}
}

// The command prints the files' contents.
func TestReferenceCommand(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	list := p.Run("reference")
	want, err := os.ReadFile("reference/source.md")
	require.NoError(t, err)
	got := p.Run("reference", "source")
	assert.True(t, got.Code == exitDone && got.Stdout == string(want),
		"expected the %d bytes of the page, found exit code %d, %d bytes", len(want), got.Code, len(got.Stdout))
	for _, name := range referenceNames() {
		assert.True(t, strings.Contains(list.Stdout, name+" "), "expected %s in the list, found\n%s", name, list.Stdout)
	}
	want, err = os.ReadFile("guides/source.md")
	require.NoError(t, err)
	got = p.Run("reference", "guide/source")
	assert.True(t, got.Code == exitDone && got.Stdout == string(want),
		"expected the %d bytes of the guide, found exit code %d, %d bytes", len(want), got.Code, len(got.Stdout))
	if got := p.Run("reference", "sauce"); got.Code != exitWrong || !strings.Contains(got.Stderr,
		`"sauce": the nearest one is source (`) {
		t.Errorf("expected exit code %d with the nearest name, found %d, %s", exitWrong, got.Code, got.Stderr)
	}
}

// writeRow writes a row of a table.
func writeRow(b *strings.Builder, values ...string) {
	for i, v := range values {
		values[i] = strings.ReplaceAll(strings.Join(strings.Fields(v), " "), "|", `\|`)
	}
	fmt.Fprintf(b, "| %s |\n", strings.Join(values, " | "))
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// writeSettings writes a table of declarations.
func writeSettings(b *strings.Builder, prefix string, specs []wit.ConfigKey) {
	writeRow(b, "setting", "value", "default", "meaning")
	writeRow(b, "---", "---", "---", "---")
	for _, s := range specs {
		value := ""
		if s.DefaultValue != nil {
			value = *s.DefaultValue
		}
		writeRow(b, code(prefix+s.Name), check.DescribeKind(&s), code(value), s.Documentation)
	}
}

func workerPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Settings of a worker\n\nThey are set in a worker's file, by `--set`, or in the environment, " +
		"see the [guide](../guides/worker.md)\n" +
		"to workers. The settings of its Kafka clients are on the page [kafka-clients](kafka-clients.md).\n\n")
	specs := config.WorkerSettings()
	writeSettings(&b, "", specs)
	checkDocumented(t, "worker", specs)
	b.WriteString("\n## Limits of plugins\n\nFor each plugin, by its name, and for all of its versions.\n\n")
	writeSettings(&b, "plugin.NAME.limits.", plugin.LimitSettings())
	b.WriteString("\n## What plugins see and replace\n\n")
	writeSettings(&b, "plugin.NAME.", []wit.ConfigKey{plugin.RevealSetting, plugin.ReplaceSetting})
	return b.String()
}

// checkDocumented fails for settings without documentation.
func checkDocumented(t *testing.T, where string, specs []wit.ConfigKey) {
	for _, s := range specs {
		assert.True(t, s.Documentation != "", "%s: expected documentation of %s, found none", where, s.Name)
	}
}

func clientsPage() string {
	var b strings.Builder
	b.WriteString("# Properties of Kafka's clients\n\nAs in Kafka Connect they are set in a worker's file, for all " +
		"its clients or with the prefix `producer.`, `consumer.`\n" +
		"or `admin.` for one kind, and in a connector's file with `producer.override.`, " +
		"`consumer.override.` or `admin.override.`.\n" +
		"Their meaning and defaults are Kafka's. Properties without effect are accepted, with a note in the log: the " +
		"client\n" +
		"does automatically what they are for.\n\n")
	writeRow(&b, "property", "clients", "effect")
	writeRow(&b, "---", "---", "---")
	for _, p := range kafka.ClientProperties() {
		effect := "as in Kafka"
		switch {
		case p.Unsupported != "":
			effect = "refused: " + p.Unsupported
		case p.Ignored:
			effect = "none"
		case p.Name == "fetch.max.decompressed.bytes":
			effect = "not in Kafka: the most bytes that one compressed batch may have without compression, " +
				"`134217728` by default"
		}
		writeRow(&b, code(p.Name), strings.Join(p.Clients, ", "), effect)
	}
	return b.String()
}

func commandsPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nThe commands at the end of this page, such as `culvert ping`, are from the built-in " +
		"OData plugins.\n" +
		"`culvert COMMAND --help` shows the same text; for other plugins it needs `-p FILE`.\n")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" || sub.GroupID == toolGroup {
				continue
			}
			if sub.Short == "" {
				t.Errorf("expected help for %s, found none", sub.CommandPath())
			}
			describeCommand(&b, sub, sub.CommandPath())
			walk(sub)
		}
	}
	root := newRoot(t.Context(), nil)
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		c.InitDefaultHelpFlag()
	}
	walk(root)
	for _, c := range commandsOfPlugin(t) {
		describeCommand(&b, c, strings.TrimSuffix(c.Use, " -p FILE"))
	}
	return b.String()
}

// describeCommand writes a command's --help. path is the full command name.
func describeCommand(b *strings.Builder, c *cobra.Command, path string) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", path, strings.TrimRight(cmp.Or(c.Long, c.Short+"."), "\n"))
	if c.Runnable() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.TrimRight(c.Example, "\n"))
	}
	flags := c.NonInheritedFlags()
	if !flags.HasAvailableFlags() {
		return
	}
	b.WriteString("\n")
	writeRow(b, "flag", "default", "meaning")
	writeRow(b, "---", "---", "---")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		value := f.DefValue
		if value == "false" || value == "[]" {
			value = ""
		}
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		writeRow(b, code(strings.TrimSpace(short+"--"+f.Name+" "+name)), code(value), usage)
	})
}

// commandsOfPlugin returns the commands that the built-in source declares. The sink has one of them, ping.
func commandsOfPlugin(t *testing.T) (commands []*cobra.Command) {
	t.Helper()
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{e2etest.Plugins(t)}, CacheDir: guesttest.Code(t),
		Registry: record.NewRegistry()})
	require.NoError(t, err)
	defer m.Close()
	b, err := m.Bind("reference", wit.ComponentSource, "ODataSource", "")
	require.NoError(t, err)
	defer b.Close()
	if err := b.Current().Do(t.Context(), func(i *plugin.Instance) error {
		declared, err := i.Commands(t.Context())
		for _, c := range declared {
			commands = append(commands, newToolCommand(nil, c))
		}
		return err
	}); err != nil || len(commands) < 5 {
		t.Fatalf("expected at least 5 commands, found %d, %v", len(commands), err)
	}
	return commands
}

func routesPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# REST\n\nKafka Connect's REST API, with its codes and bodies, and Culvert's own routes " +
		"below `/culvert/`.\n\n")
	writeRow(&b, "request", "meaning")
	writeRow(&b, "---", "---")
	for _, r := range rest.Routes() {
		assert.True(t, r.Summary != "", "REST: expected a description of %s %s, found none", r.Method, r.Path)
		writeRow(&b, code(r.Method+" "+r.Path), r.Summary)
	}
	return b.String()
}

// metricsPage returns the page of a worker's metrics.
func metricsPage(t *testing.T) string {
	var b strings.Builder
	var firstScrape time.Time
	e2etest.WorkerMetrics(t, func(body string) bool {
		b.Reset()
		b.WriteString("# Metrics\n\n`GET /metrics` returns them in the Prometheus format, " +
			"together with metrics of the process " +
			"(`process_…`)\nand of Go (`go_…`), which depend on the system and the Go version.\n\n")
		writeRow(&b, "metric", "type", "labels", "meaning")
		writeRow(&b, "---", "---", "---", "---")
		b.WriteString(metricsTable(body))
		b.WriteString(clientMetricsTable())
		b.WriteString(connectMetricsTable(t, body))
		checkDashboardMetrics(t, body)
		// Some metrics appear later than others, on a slow machine much later.
		if firstScrape.IsZero() {
			firstScrape = time.Now()
		}
		page, err := os.ReadFile(filepath.Join("reference", "metrics.md"))
		return *update || (err == nil && string(page) == b.String()) || time.Since(firstScrape) > time.Minute
	})
	return b.String()
}

// metricDescription matches Prometheus' description of a metric.
var metricDescription = regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)"`)

// clientMetricsTable returns the table of the Kafka clients' metrics.
func clientMetricsTable() string {
	descriptions := make(chan *prometheus.Desc, 1000)
	kafka.NewMetrics().Describe(descriptions)
	close(descriptions)
	help := map[string]string{}
	for d := range descriptions {
		if m := metricDescription.FindStringSubmatch(d.String()); m != nil {
			help[m[1]] = m[2]
		}
	}
	var b strings.Builder
	b.WriteString("\n## Kafka clients\n\nMetrics of the worker's Kafka clients, from franz-go's kprom. There is one " +
		"time " +
		"series for each\nrole (producer, consumer, admin) and broker (`role`, `node_id`), however many connectors " +
		"run. A series\nappears with its first event.\n\n")
	writeRow(&b, "metric", "meaning")
	writeRow(&b, "---", "---")
	for _, name := range slices.Sorted(maps.Keys(help)) {
		writeRow(&b, "`"+name+"`", help[name])
	}
	return b.String()
}

// connectMetricsTable returns the table of Kafka Connect's metrics, each with Culvert's equivalent in a scrape or the
// reason why there is no equivalent. A metric with neither or with both fails the test.
func connectMetricsTable(t *testing.T, scrape string) string {
	list, err := os.ReadFile("../../testdata/connect-metrics.txt")
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("\n## Kafka Connect's names\n\nThe JMX metrics of a Kafka Connect worker and their names in " +
		"/metrics, which " +
		"Prometheus' JMX exporter\ncreates.\n\n")
	writeRow(&b, "Kafka Connect", "Culvert", "reason if missing")
	writeRow(&b, "---", "---", "---")
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		line, reason, _ := strings.Cut(line, " - ")
		line, culvertName, _ := strings.Cut(line, " = ")
		group, attribute, _ := strings.Cut(line, " ")
		name := strings.TrimSuffix(strings.TrimPrefix(group, "connect-"), "-metrics") + "_" + attribute
		name = cmp.Or(culvertName, "kafka_connect_"+strings.ReplaceAll(name, "-", "_"))
		switch isServed := strings.Contains(scrape, "\n"+name+"{") || strings.Contains(scrape, "\n"+name+" "); {
		case isServed == (reason != ""):
			t.Errorf("%s %s: expected %s in /metrics, or the reason why not: found %t, reason %q", group, attribute,
				name, isServed, reason)
		case isServed:
			name = "`" + name + "`"
		default:
			name = ""
		}
		writeRow(&b, "`"+group+"` "+attribute, name, reason)
	}
	return b.String()
}

// checkDashboardMetrics checks that a scrape has the metrics and labels that Strimzi's dashboards for Kafka Connect
// query. For Confluent's dashboards see examples/monitoring_test.go.
func checkDashboardMetrics(t *testing.T, scrape string) {
	list, err := os.ReadFile("../../testdata/dashboards.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(list)) {
		line, reason, _ := strings.Cut(strings.TrimSpace(line), " - ")
		words := strings.Fields(line)
		if !strings.HasPrefix(line, "strimzi ") {
			continue
		}
		isServed := false
		for series := range strings.Lines(scrape) {
			suffix, ok := strings.CutPrefix(series, words[1])
			isServed = isServed || (ok && strings.HasPrefix(suffix, "{") == (len(suffix) > 0 && suffix[0] != ' ') &&
				!slices.ContainsFunc(words[2:], func(label string) bool {
					return !regexp.MustCompile(`[{,]` + label + `="[^"]`).MatchString(suffix)
				}))
		}
		assert.True(t, isServed != (reason != ""),
			"%s: expected a series with these labels in /metrics, or the reason why not: found %t, reason %q", line,
			isServed, reason)
	}
}

// metricsTable returns the table of a scrape's descriptions.
func metricsTable(scrape string) string {
	help := map[string]string{}
	labels := map[string]string{}
	var lines []string
	for line := range strings.Lines(scrape) {
		line = strings.TrimSpace(line)
		_, metric, _ := strings.Cut(line, " ")
		_, metric, _ = strings.Cut(metric, " ")
		switch {
		case strings.HasPrefix(metric, "go_"), strings.HasPrefix(metric, "process_"),
			strings.HasPrefix(metric, "culvert_kafka_"): // they appear with their first event
		case strings.HasPrefix(line, "# HELP "):
			name, description, _ := strings.Cut(line[len("# HELP "):], " ")
			help[name] = description
		case strings.HasPrefix(line, "# TYPE "):
			name, kind, _ := strings.Cut(line[len("# TYPE "):], " ")
			lines = append(lines, name+" "+kind)
		default:
			name, values, ok := strings.Cut(line, "{")
			if !ok {
				continue
			}
			var names []string
			for part := range strings.SplitSeq(values[:strings.LastIndexByte(values, '}')], `",`) {
				label, _, _ := strings.Cut(part, "=")
				names = append(names, code(label))
			}
			labels[name] = strings.Join(names, ", ")
		}
	}
	slices.Sort(lines)
	var b strings.Builder
	for _, line := range lines {
		name, kind, _ := strings.Cut(line, " ")
		writeRow(&b, code(name), kind, labels[name], help[name])
	}
	return b.String()
}

// converterPages returns the pages of converters, named after their classes without the package.
func converterPages(t *testing.T) map[string]string {
	pages := map[string]string{}
	for _, d := range convert.Declarations() {
		name := d.Class[strings.LastIndexByte(d.Class, '.')+1:]
		var b strings.Builder
		fmt.Fprintf(&b, "# Settings of %s\n\n`key.converter` or `value.converter` is `%s`, or `%s`.\n%s\n\n", name,
			d.Class, name, d.Documentation)
		if declared := d.UserSettings(); len(declared) > 0 {
			b.WriteString("Settings have the prefix `key.converter.` or `value.converter.`.\n\n")
			writeSettings(&b, "", declared)
			checkDocumented(t, name, declared)
		} else {
			b.WriteString("It has no settings.\n")
		}
		pages[name] = b.String()
	}
	return pages
}

// pluginPages returns the pages of the built-in plugins: source, sink, and one page for all transforms and predicates.
func pluginPages(t *testing.T) map[string]string {
	dir := e2etest.Plugins(t, "odata-sink", "smt")
	m, err := plugin.New(t.Context(), plugin.Options{Folders: []string{dir}, CacheDir: guesttest.Code(t),
		Registry: record.NewRegistry()})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	var transforms strings.Builder
	transforms.WriteString("# Transforms and predicates\n\nSettings have the prefix `transforms.ALIAS.` " +
		"and `predicates.ALIAS.`.\n")
	pages := map[string]string{}
	first := map[wit.ComponentKind][]wit.ConfigKey{} // the settings of the first class of a kind
	for _, module := range m.Modules() {
		require.NoError(t, module.Err)
		for _, c := range module.Components {
			checkDocumented(t, c.Name, c.Settings)
			switch c.Kind {
			case wit.ComponentSource, wit.ComponentSink:
				checkPositions(t, slices.Concat(config.CommonSettings(c.Kind), c.Settings))
				var b strings.Builder
				if first[c.Kind] != nil { // another class of the kind
					b.WriteString(pages[c.Kind.String()])
					fmt.Fprintf(&b, "\n## `connector.class=%s`, or %s\n\n%s\n\nIts settings are those above, but for "+
						"these:\n\n", c.Name, code(strings.Join(c.Aliases, "`, `")), c.Documentation)
					writeSettings(&b, "", slices.DeleteFunc(slices.Clone(c.Settings), func(s wit.ConfigKey) bool {
						return slices.ContainsFunc(first[c.Kind], func(f wit.ConfigKey) bool {
							return f.Name == s.Name && f.Documentation == s.Documentation
						})
					}))
					pages[c.Kind.String()] = b.String()
					continue
				}
				first[c.Kind] = c.Settings
				fmt.Fprintf(&b, "# Settings of the OData %s\n\n`connector.class=%s`, or %s.\n%s\n\n", c.Kind, c.Name,
					code(strings.Join(c.Aliases, "`, `")), c.Documentation)
				b.WriteString("## Settings of all " + c.Kind.String() + "s\n\n")
				writeSettings(&b, "", config.CommonSettings(c.Kind))
				b.WriteString("\n## Settings of the OData " + c.Kind.String() + "\n\n")
				writeSettings(&b, "", c.Settings)
				pages[c.Kind.String()] = b.String()
			default:
				fmt.Fprintf(&transforms, "\n## %s\n\n%s\n", c.Name, c.Documentation)
				if len(c.Settings) > 0 {
					transforms.WriteString("\n")
					writeSettings(&transforms, "", c.Settings)
				}
			}
		}
	}
	pages["transforms"] = transforms.String()
	require.True(t, len(pages) == 3,
		"expected a source, a sink and transforms, found %v", slices.Sorted(maps.Keys(pages)))
	return pages
}

// checkPositions checks that each setting has a group and a unique position in it, for forms. Kafka Connect itself
// gives topics, topics.regex and tasks.max one position.
func checkPositions(t *testing.T, specs []wit.ConfigKey) {
	t.Helper()
	settingAt := map[string]string{}
	for _, spec := range specs {
		position := ""
		for _, r := range spec.Rules {
			if r.Order != nil && *r.Order > 0 && setting.GroupOf(&spec) != "" {
				position = fmt.Sprint(setting.GroupOf(&spec), *r.Order)
			}
		}
		assert.True(t, position != "", "%s: expected a group and an order in it", spec.Name)
		if other := settingAt[position]; other != "" && !strings.HasPrefix(spec.Name, "topics") {
			t.Errorf("%s: expected a position of its own, found the one of %s", spec.Name, other)
		}
		settingAt[position] = spec.Name
	}
}
