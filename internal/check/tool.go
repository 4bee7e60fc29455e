package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/service"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Tool runs commands of a connector's plugin, such as inspect, with the connector's settings and destination. Errors,
// the log and documents never contain values of config providers.
type Tool struct {
	connector *resolved.Connector
	plugin    boundPlugin
	worker    *config.Worker
	lockouts  *lockouts.Store
	logger    *slog.Logger
	noRetries bool              // see DisableRetries
	readOnly  bool              // see SetReadOnly
	client    *transport.Client // nil until the first request
}

// OpenTool finds the plugin of a connector's class and checks the settings by their declarations; an error about them
// is a config.Problems. store has rejected logons; nil means for this process only. The caller closes the tool.
func OpenTool(ctx context.Context, connector *resolved.Connector, store *lockouts.Store,
	logger *slog.Logger) (_ *Tool, err error) {
	w := connector.Worker
	defer func() {
		err = secret.RedactError(err, w.Redact)
		runtime.KeepAlive(connector) // its secrets are redacted while it is reachable
	}()
	logger = logging.Redacted(logger, w.Redact)
	if _, ok := connector.Entry("connector.class"); !ok {
		return nil, config.Problems{missingClass(connector.Plugins, connector)}
	}
	if err := connector.Class.RunError(); err != nil {
		return nil, config.Problems{problem(entryFor(connector, resolved.ClassSetting), err)}
	}
	checker := Checker{Worker: w, Plugins: connector.Plugins}
	problems := checker.newSettingsCheck(connector).problems(ctx)
	problems = append(problems, unknownRoles(connector, problems)...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, p := range problems { // warnings, for example of a password that looks like a variable
		logger.Warn(p.String())
	}
	if module := &connector.Class.Module; !module.Has(wit.InterfaceTools) {
		return nil, fmt.Errorf("plugin %s %s has no commands", module.Name, module.Version)
	}
	bound, err := bind(connector, nil)
	if err != nil {
		return nil, err
	}
	return &Tool{connector: connector, plugin: bound, worker: w, lockouts: store, logger: logger}, nil
}

// Close ends the session with the service and closes the plugin.
func (t *Tool) Close() {
	if t.client != nil {
		t.client.Close()
	}
	t.plugin.Close()
}

// DisableRetries sends every request only once, whatever the connector's settings, and does not wait for an unavailable
// Cloud Connector. Call it before the first request.
func (t *Tool) DisableRetries() { t.noRetries = true }

// SetReadOnly makes commands fail with [ErrNotReadOnly] instead of sending a request that changes data at the service.
func (t *Tool) SetReadOnly() { t.readOnly = true }

// ErrNotReadOnly means that a command of a read-only tool would change data at the service.
var ErrNotReadOnly = errors.New("the command changes data at the service, but only commands that read are allowed here")

// Commands returns the plugin's commands in its order.
func (t *Tool) Commands(ctx context.Context) (commands []wit.Command, err error) {
	err = t.plugin.do(ctx, func(i *plugin.Instance) error {
		commands, err = i.Commands(ctx)
		return err
	})
	if err == nil {
		err = plugin.CheckCommands(commands) // they may differ from the commands that the plugin had when it was loaded
	}
	return commands, err
}

// Options returns the options of a command from values, which have any of the names of an option, and from defaults.
func Options(command wit.Command, values map[string]string) (options []wit.Setting, err error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		hasName := func(option wit.ConfigKey) bool { return slices.Contains(option.Names(), name) }
		if !slices.ContainsFunc(command.Options, hasName) {
			return nil, fmt.Errorf("option %s: %s has no option of this name", name, command.Name)
		}
	}
	for i := range command.Options {
		option := &command.Options[i]
		value := option.DefaultValue
		for _, name := range option.Names() {
			if input, ok := values[name]; ok {
				if message := config.CheckValue(option, input, true); message != "" {
					return nil, fmt.Errorf("option %s: %s", name, message)
				}
				value = &input
			}
		}
		if value != nil {
			options = append(options, wit.Setting{Name: option.Name, Value: *value})
		} else if setting.IsRequired(option) {
			return nil, fmt.Errorf("option %s is required: %s", option.Name, option.Documentation)
		}
	}
	return options, nil
}

// Run runs a command and returns its JSON document or its schemas. All commands of the tool send their requests to the
// connector's destination in one session.
func (t *Tool) Run(ctx context.Context, command string, options []wit.Setting) (result wit.CommandResult, err error) {
	defer func() { err = secret.RedactError(err, t.worker.Redact) }()
	if err := t.open(ctx); err != nil {
		return result, err
	}
	var fetcher transport.Fetcher = t.client
	if t.readOnly {
		fetcher = readOnlyFetcher{fetcher}
	}
	run := func(i *plugin.Instance, state []byte, answers []wit.Response) (*wit.RequestBatch, error) {
		result, err = i.Run(ctx, command, options, t.plugin.settings, state, answers)
		return result.Pending, err
	}
	err = t.plugin.callWithFetch(ctx, fetcher, run)
	if err == nil && result.Document == nil && result.Schemas == nil {
		err = errors.New("the plugin returned nothing")
	}
	if err = service.Explain(t.client, err); err != nil {
		return wit.CommandResult{}, fmt.Errorf("%s: %w", command, err)
	}
	if result.Document != nil {
		*result.Document = secret.RedactJSON(*result.Document, t.worker.Redact)
	}
	return result, nil
}

// readOnlyFetcher rejects requests that change data.
type readOnlyFetcher struct{ transport.Fetcher }

// Fetch implements [transport.Fetcher].
func (r readOnlyFetcher) Fetch(ctx context.Context, batch wit.RequestBatch) ([]wit.Response, error) {
	changesData := func(r wit.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
	if slices.ContainsFunc(batch.Requests, changesData) {
		return nil, ErrNotReadOnly
	}
	return r.Fetcher.Fetch(ctx, batch)
}

// Document runs a command that returns a document.
func (t *Tool) Document(ctx context.Context, command string, options []wit.Setting) (string, error) {
	result, err := t.Run(ctx, command, options)
	if err != nil {
		return "", err
	}
	if result.Document == nil {
		return "", fmt.Errorf("%s: expected a document, found schemas", command)
	}
	return *result.Document, nil
}

func (t *Tool) open(ctx context.Context) error {
	if t.client != nil {
		return nil
	}
	s, err := t.service()
	if err != nil {
		return err
	}
	t.client, err = s.Open(ctx)
	return err
}

func (t *Tool) service() (*service.Service, error) {
	s, err := service.New(t.connector, t.lockouts, t.logger)
	if err == nil && t.noRetries {
		s.NoRetries()
	}
	return s, err
}

// Target returns the name of the connector's BTP destination, "" without one.
func (t *Tool) Target() string {
	return t.connector.Roles().Text(role.Destination)
}

// Setting returns the connector's name for the setting of a role.
func (t *Tool) Setting(role string) string {
	return t.connector.Roles().Setting(role)
}

// Destination returns a copy of the connector's connection settings. If the connector names a BTP destination, it sends
// a request to the destination service.
func (t *Tool) Destination(ctx context.Context) (transport.Config, error) {
	s, err := t.service()
	if err != nil {
		return transport.Config{}, err
	}
	return s.Destination(ctx)
}

// CheckOnline is [Checker.Check] for the connector; it waits up to wait for the service.
func (t *Tool) CheckOnline(ctx context.Context, k kafka.Config, wait time.Duration) config.Problems {
	checker := Checker{Worker: t.worker, Plugins: t.connector.Plugins, Kafka: k, Registry: record.NewRegistry(),
		Lockouts: t.lockouts, Logger: t.logger, Wait: wait, Logon: true}
	return checker.Check(ctx, t.connector)
}

// Counters returns the counts of the tool's requests so far.
func (t *Tool) Counters() transport.Counters {
	if t.client == nil {
		return transport.Counters{}
	}
	return t.client.Counters()
}

// Topic is a topic of a connector.
type Topic struct {
	Setting string // the setting that names the topic
	Name    string
	Read    bool // the connector reads it. Otherwise the connector writes to it.
}

// Topics returns the topics in the settings of a connector, including the dead letter topic. It omits topics of a
// source whose transforms choose others.
func (t *Tool) Topics() (topics []Topic) {
	const reads, writes = true, false
	add := func(read bool, entry config.Entry, names ...string) {
		for _, name := range names {
			if !slices.ContainsFunc(topics, func(o Topic) bool { return o.Name == name && o.Read == read }) {
				topics = append(topics, Topic{Setting: entry.Key, Name: name, Read: read})
			}
		}
	}
	connector := t.connector
	if list, ok := connector.Entry("topics"); ok {
		add(reads, list, config.List(list.Value.Reveal())...)
	} else if _, hasRegex := connector.Entry("topics.regex"); !hasRegex && connector.Class.Is(wit.ComponentSink) {
		for _, entry := range connector.SinkTopics() {
			add(reads, entry, resolved.TopicOf(entry))
		}
	}
	for entry, spec := range connector.Declared() {
		isTopic := spec.Role() == role.SourceTopic && resolved.TopicOf(entry) != ""
		if isTopic && !connector.Effect().ChangesTopic {
			add(writes, entry, resolved.TopicOf(entry))
		}
	}
	if entry, ok := connector.Entry("errors.deadletterqueue.topic.name"); ok && resolved.TopicOf(entry) != "" {
		add(writes, entry, resolved.TopicOf(entry))
	}
	return topics
}

// Kafka returns the configuration of the connector's clients.
func (t *Tool) Kafka(ctx context.Context, worker kafka.Config) (kafka.Config, error) {
	c, _, err := worker.Override(ctx, t.connector.ResolvedSettings())
	return c, err
}

// PingRegistries is [PingRegistries] for the connector.
func (t *Tool) PingRegistries(ctx context.Context, report func(setting, urls string, err error)) {
	PingRegistries(ctx, t.connector, t.logger, report)
}
