package setup

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/secret"
)

// Installation is a worker with its connectors, as far as they are known before Kafka is reached.
type Installation struct {
	Config Config
	*config.Installation
	Log      *slog.Logger
	Levels   *logging.Levels
	Recent   *logging.Recent
	Registry *record.Registry
	Kafka    kafka.Config
	Memory   *memory.Budget
	Embedded bool
	Checker  *check.Checker // complete when the plugins are open
	Plugins  *plugin.Manager
	toCheck  atomic.Int64 // connectors that Examine has yet to check
}

// Purpose is the reason for which an installation is opened.
type Purpose uint8

const (
	ToCheck Purpose = iota
	ToRun
)

// Open reads a configuration and opens its plugins, for commands that run no connectors. The problems concern the
// worker; each connector has its own. The caller closes the installation.
func Open(ctx context.Context, c Config) (*Installation, config.Problems, error) {
	in, problems, err := Read(c)
	if err != nil {
		return nil, nil, err
	}
	problems = in.ReadSettings(ctx, problems, ToCheck)
	neededOnly := c.Once && !in.Worker.IsSet("listeners")
	if err := in.OpenPlugins(ctx, nil, neededOnly); err != nil {
		return nil, nil, secret.RedactError(err, in.Worker.Redact)
	}
	return in, problems, nil
}

// Read reads the files of a configuration. From then on the log is redacted.
func Read(c Config) (*Installation, config.Problems, error) {
	c.Complete()
	var levels *logging.Levels
	levels, c.Logger = logging.LevelsOf(c.Logger)
	in, problems, err := config.Load(c.Files, c.Environ, c.Settings)
	if err != nil {
		return nil, nil, err
	}
	recent := logging.NewRecent()
	c.Logger = logging.Redacted(logging.WithRecent(c.Logger, recent), in.Worker.Redact)
	return &Installation{
		Config:       c,
		Installation: in,
		Log:          c.Logger,
		Levels:       levels,
		Recent:       recent,
		Registry:     record.NewRegistry(),
		Checker:      &check.Checker{},
	}, problems, nil
}

// Close closes the plugins.
func (in *Installation) Close() error {
	if in.Plugins == nil {
		return nil
	}
	return in.Plugins.Close()
}

// OpenPlugins opens the plugins, the needed ones first, see [plugin.Options], and completes the checker.
func (in *Installation) OpenPlugins(ctx context.Context, needed []plugin.Requirement, neededOnly bool) (err error) {
	in.Plugins, err = openPlugins(ctx, in.Config, in.Worker, in.Registry, in.Memory, needed, neededOnly)
	if err != nil {
		return err
	}
	*in.Checker = check.Checker{
		Worker:   in.Worker,
		Plugins:  in.Plugins,
		Kafka:    in.Kafka,
		Embedded: in.Embedded,
		Registry: in.Registry,
		Plans:    &check.Plans{},
		Logger:   in.Log,
	}
	in.Checker.Connectors = in.Checker.Resolver().ResolveAll(in.Connectors)
	return nil
}

// ReadSettings parses the worker's settings and returns all of their problems. ToRun also sets logger levels, and logs
// the version of the program.
func (in *Installation) ReadSettings(ctx context.Context, problems config.Problems, purpose Purpose) config.Problems {
	add := func(err error) { // two parsers may report the same problem, for example of a key store that both use
		if p := in.Worker.Locate(err); !slices.Contains(problems, p) {
			problems = append(problems, p)
		}
	}
	valid := in.Worker.ValidSettings(problems)
	if purpose == ToRun {
		if err := in.setLevels(valid); err != nil {
			add(err)
		}
		in.Log.Info("Culvert starts", "version", buildinfo.Product(),
			"compatible_with", "Kafka Connect "+buildinfo.KafkaConnect)
	}
	var err error
	var warnings config.Problems
	if in.Kafka, warnings, err = kafka.Parse(ctx, valid); err != nil {
		add(err)
	}
	in.Memory = newBudget()
	in.Kafka.Memory = in.Memory.Fetched()
	in.Kafka.Metrics = kafka.NewMetrics()
	in.Kafka.SetCurrentValues(in.Worker.Current)
	if _, ok := valid["security.protocol"]; ok { // it decides which settings have an effect
		for _, w := range warnings {
			add(w)
		}
	}
	_, offsetProblems := offset.ParseConfig(valid)
	for _, p := range offsetProblems {
		add(p)
	}
	if _, err := kafka.OverridePolicy(in.Worker.Text(kafka.OverridePolicySetting),
		in.Worker.Text(kafka.OverrideAllowlistSetting)); err != nil {
		add(err)
	}
	if _, in.Embedded, err = kafka.EmbeddedListen(in.Kafka.Bootstrap); err != nil {
		add(err)
	}
	if err := RESTOptions(in.Worker).Check(); err != nil {
		add(err)
	}
	if _, err := tracingOptions(in.Worker, in.Config.Environ); err != nil {
		add(err)
	}
	if slices.Contains(in.Worker.List("metrics.names"), "confluent") {
		add(config.Problem{
			Setting: "metrics.names",
			Warning: true,
			Text: "/metrics has only Strimzi's names; for Confluent's dashboards put the metric_relabel_configs of " +
				"examples/monitoring/confluent.yaml into Prometheus' scrape job",
		})
	}
	if classes := in.Worker.Text("rest.extension.classes"); classes != "" {
		add(rest.ErrExtensions(classes))
	}
	problems = append(problems, check.WorkerConverters(in.Worker)...)
	in.Kafka.Logger = in.Log
	_, missing := in.Worker.PluginFolders()
	return append(problems, missing...)
}

// setLevels sets logger levels, of a parent before its children, because it also sets theirs.
func (in *Installation) setLevels(settings map[string]string) error {
	levels := map[string]string{}
	for key, level := range settings {
		if name, ok := strings.CutPrefix(key, config.LoggerLevelPrefix); ok {
			levels[name] = level
		}
	}
	compareLoggers := func(a, b string) int {
		isRootA := strings.EqualFold(a, logging.Root)
		isRootB := strings.EqualFold(b, logging.Root)
		switch {
		case isRootA == isRootB:
			return strings.Compare(a, b)
		case isRootA:
			return -1
		}
		return 1
	}
	for _, name := range slices.SortedFunc(maps.Keys(levels), compareLoggers) {
		_, isUsed, err := in.Levels.Set(name, levels[name])
		if err != nil {
			return config.Problem{Setting: config.LoggerLevelPrefix + name, Text: err.Error()}
		}
		if !isUsed {
			in.Log.Warn(logging.UnusedLogger, "logger", name, "level", levels[name], "loggers", logging.Loggers())
		}
	}
	return nil
}

// Examine adds the problems that find returns to the connectors. ToRun skips connectors that will not run, ToCheck only
// those without any settings.
func (in *Installation) Examine(purpose Purpose, find func(*resolved.Connector) config.Problems) {
	in.toCheck.Store(int64(len(in.Checker.Connectors)))
	for i, connector := range in.Checker.Connectors {
		if connector.Problems.Err() == nil || (purpose == ToCheck && len(connector.Entries) > 0) {
			problems := append(slices.Clone(connector.Problems), find(connector)...)
			in.Connectors[i].Problems = problems
			in.Checker.Connectors[i] = connector.WithProblems(problems)
		}
		in.toCheck.Add(-1)
	}
}

// Progress returns how far the compiling of plugins and the check of connectors are. It is "" if neither runs.
func (in *Installation) Progress() string {
	message := ""
	connectors := len(in.Connectors)
	if unchecked := int(in.toCheck.Load()); unchecked > 0 {
		message = fmt.Sprintf("Connectors are being checked: %d of %d. ", connectors-unchecked, connectors)
	}
	if compiling := in.Config.compilation.String(); compiling != "" {
		message += "Plugins are being compiled, once: " + compiling + ". "
	}
	return strings.TrimSpace(message)
}

// ExamineOffline is Examine with the checks that send no request.
func (in *Installation) ExamineOffline(ctx context.Context, purpose Purpose) {
	in.Examine(purpose, func(connector *resolved.Connector) config.Problems { return in.Checker.Check(ctx, connector) })
}
