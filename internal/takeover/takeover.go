package takeover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/setup"
	"github.com/culvert-project/culvert/wit"
)

// Report is what workers that form a group would find in its topics.
type Report struct {
	Connectors []Connector     // sorted by name
	Problems   config.Problems // errors prevent connectors from running
}

// Connector is a connector in the topics of a group.
type Connector struct {
	Name  string `json:"name"`
	Class string `json:"class"`
	State string `json:"state"` // target state: RUNNING, PAUSED or STOPPED
	Tasks int    `json:"tasks"`
	// Offsets counts a source's stored offsets, or the partitions with a committed offset of a sink's group.
	Offsets int `json:"offsets"`
}

// groupReader reads the topics of a group without joining it.
type groupReader struct {
	*setup.Installation
	admin    *kafka.Admin
	store    *configtopic.Store // only read
	snapshot config.Snapshot
	resolved []*resolved.Connector // of snapshot
	herder   *connect.Herder       // of all connectors, which it does not run
	problems config.Problems
}

func (g *groupReader) addError(file, text string) {
	g.problems = append(g.problems, config.Problem{File: file, Text: g.Worker.Redact(text)})
}

func (g *groupReader) addWarning(file, text string) {
	g.problems = append(g.problems, config.Problem{File: file, Warning: true, Text: g.Worker.Redact(text)})
}

// addSettingProblem adds an error of a setting of the worker; ok means that there is no error.
func (g *groupReader) addSettingProblem(name string, err error) (ok bool) {
	if err != nil {
		g.problems = append(g.problems, g.Worker.Problem(name, strings.TrimPrefix(err.Error(), name+": ")))
	}
	return err == nil
}

// checkTopic adds the problem of the internal topic that a setting names. Zero partitions means any number.
func (g *groupReader) checkTopic(ctx context.Context, setting string, partitions int32) (ok bool) {
	return g.addSettingProblem(setting, g.admin.CheckInternalTopic(ctx,
		kafka.InternalTopic{Name: g.Worker.Text(setting), Setting: setting, Partitions: partitions}))
}

// withGroup calls use after reading a group's config topic. An error of the worker's file is a [setup.Error].
func withGroup(ctx context.Context, c setup.Config, use func(*groupReader) error) (err error) {
	installation, problems, err := setup.Open(ctx, c)
	if err != nil {
		return &setup.Error{Cause: err}
	}
	defer installation.Close()
	defer func() { err = secret.RedactError(err, installation.Worker.Redact) }()
	if !installation.Worker.InGroup() {
		problems = append(problems, installation.Worker.Problem("group.id", "expected a worker of a group: group.id, "+
			"config.storage.topic, status.storage.topic, and bootstrap.servers that are not embedded"))
	}
	if err := problems.Err(); err != nil {
		return &setup.Error{Cause: err}
	}
	reader := &groupReader{Installation: installation}
	if reader.admin, err = kafka.NewAdmin(installation.Kafka); err != nil {
		return err
	}
	defer reader.admin.Close()
	if !reader.checkTopic(ctx, "config.storage.topic", 1) {
		return reader.problems
	}
	if err := reader.read(ctx); err != nil {
		return err
	}
	return cmp.Or(use(reader), ctx.Err())
}

// read reads the config topic up to the first open transaction, and replaces store, snapshot and herder.
func (g *groupReader) read(ctx context.Context) error {
	topic := g.Worker.ConfigTopic()
	kafkaConfig := g.Kafka
	kafkaConfig.Consumer.ReadUncommitted = false
	ends, err := g.admin.EndOffsets(ctx, true, topic)
	if err != nil {
		return err
	}
	reader, err := kafka.NewReader(kafkaConfig)
	if err != nil {
		return err
	}
	defer reader.Close()
	g.store = configtopic.NewStore(topic, g.Worker, nil, g.Log)
	positions, err := reader.Read(ctx, topic, kafka.ReadOptions{Expected: true}, func(r *kgo.Record) error {
		g.store.Apply(configtopic.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
		return nil
	})
	if hiddenRecords := ends[topic][0] - positions[0]; err == nil && hiddenRecords > 0 {
		g.addWarning(topic, fmt.Sprintf(
			"an open transaction hides the records from offset %d on: try again when the brokers have ended it, "+
				"after transaction.timeout.ms at the latest", positions[0]))
	}
	g.store.CaughtUp()
	g.snapshot, _ = g.store.Snapshot()
	g.resolved = g.Checker.Resolver().ResolveAll(g.snapshot.Connectors)
	g.herder = connect.New(connect.Options{Worker: g.Worker, Plugins: g.Plugins, Registry: g.Registry,
		Kafka: kafkaConfig, Logger: g.Log}, g.resolved)
	return err
}

// memberPolicy decides whether live Culvert workers are warnings or, as all other members, errors.
type memberPolicy uint8

const (
	mustBeEmpty memberPolicy = iota
	culvertMayRun
)

// checkMembers adds a problem for each live member of the group, and one if the topic belongs to another group.
func (g *groupReader) checkMembers(ctx context.Context, policy memberPolicy) {
	const setting = "group.id"
	g.addSettingProblem(setting, g.store.CheckGroup())
	group, err := g.admin.Group(ctx, g.Worker.Text(setting))
	g.addSettingProblem(setting, err)
	isOurs := cluster.IsCulvertGroup(group)
	for _, member := range group.Members {
		kind := fmt.Sprintf("a member of the type %q in the state %s", group.Type, group.State)
		stop := "stop it first"
		switch {
		case isOurs && policy == culvertMayRun:
			kind = "a Culvert worker"
			stop = "workers that start join it"
		case isOurs:
			kind = "a Culvert worker"
			stop = "stop it first, by SIGTERM (one with group.instance.id stays until session.timeout.ms is over)"
		case group.Type == "connect" && group.Protocol != "":
			kind = "a Kafka Connect worker"
		}
		g.addSettingProblem(setting, fmt.Errorf("%s is live: %s: %s at %s, client %s", kind, stop, member.URL,
			member.Host, member.ClientID))
		g.problems[len(g.problems)-1].Warning = isOurs && policy == culvertMayRun
	}
}

// Check reports what workers of a group would find in its topics. It changes nothing: it creates no topic, joins no
// group and begins no transaction. The error is a [setup.Error], or the reason why the config topic cannot be read.
func Check(ctx context.Context, c setup.Config) (report Report, err error) {
	err = withGroup(ctx, c, func(reader *groupReader) error {
		reader.checkMembers(ctx, culvertMayRun)
		client, err := kgo.NewClient(reader.Kafka.ProducerOpts()...)
		if err != nil {
			return err
		}
		defer client.Close()
		reader.addSettingProblem("group.id", cluster.CheckLeaderAccess(ctx, client, reader.Worker.Text("group.id")))
		reader.checkTopic(ctx, "status.storage.topic", 0)
		var stored *offset.Store
		if reader.checkTopic(ctx, "offset.storage.topic", 0) {
			settings, _ := offset.ParseConfig(reader.Worker.All()) // withGroup has reported its problems
			names := slices.Collect(maps.Keys(reader.snapshot.ConfigOffsets))
			if stored, err = offset.Open(ctx, reader.Kafka, settings, names, reader.Log); err != nil {
				return err
			}
			defer stored.Close()
		}
		checker := reader.Checker.WithConnectors(reader.resolved)
		for _, connector := range reader.resolved {
			entry := Connector{Name: connector.Name, Class: connector.Text("connector.class"),
				State: string(connect.ParseTarget(reader.snapshot.Targets[connector.Name])),
				Tasks: len(reader.snapshot.Tasks[connector.Name].Settings)}
			reader.addProblemsOf(ctx, &checker, connector)
			if entry.Offsets, err = reader.countOffsets(ctx, connector, stored); err != nil {
				reader.addError(connector.File, "its offsets cannot be read: "+err.Error())
			}
			report.Connectors = append(report.Connectors, entry)
		}
		report.Problems = reader.problems
		return nil
	})
	return report, err
}

// countOffsets counts a source's stored offsets, or a sink's committed ones. It creates no topic.
func (g *groupReader) countOffsets(ctx context.Context, connector *resolved.Connector,
	stored *offset.Store) (int, error) {
	ownTopic := connector.Text("offsets.storage.topic")
	switch {
	case connector.Class.Is(wit.ComponentSink):
		committed, err := g.herder.Offsets(ctx, connector.Name)
		return len(committed), err
	case ownTopic != "" && ownTopic != g.Worker.Text("offset.storage.topic"):
		offsets, err := connect.ReadTopicOffsets(ctx, g.Kafka, ownTopic, connector.Name, g.Log)
		if errors.Is(err, kafka.ErrUnknownTopic) {
			err = nil // the connector creates it at its start
		}
		return len(offsets), err
	case stored == nil:
		return 0, nil
	}
	offsets, err := stored.All(ctx, connector.Name)
	return len(offsets), err
}

// addProblemsOf adds the problems of a connector, and a warning for each secret in clear text.
func (g *groupReader) addProblemsOf(ctx context.Context, checker *check.Checker, connector *resolved.Connector) {
	problems := append(slices.Clone(connector.Problems), checker.Check(ctx, connector)...)
	if connector.Class.Err != nil {
		problems = append(problems, checker.CheckStages(ctx, connector)...) // Check did not reach them
	}
	for _, p := range problems {
		if !p.Warning { // a warning does not prevent a run
			g.problems = append(g.problems, p)
		}
	}
	if g.snapshot.Incomplete[connector.Name] {
		g.addWarning(connector.File,
			"compaction deleted some of its tasks: they are planned again when the connector starts")
	}
	isPassword := resolved.Passwords(checker.Plugins)
	for _, e := range connector.Entries {
		isHidden := isPassword(e.Key)
		if providers := g.Worker.Providers; providers.HasUnknownProvider(e) {
			if p := providers.UnknownProvider(e, isHidden); !slices.Contains(g.problems, p) { // which Check reports
				g.problems = append(g.problems, p)
			}
		} else if isHidden && !e.Value.IsSecret() && e.Raw != "" {
			g.problems = append(g.problems, config.Problem{File: connector.File, Setting: e.Key, Warning: true,
				Text: "a secret in clear text, which all readers of the topic can see: write a reference such as " +
					"${file:PATH:KEY}"})
		}
	}
}

// Released is the result of [Release].
type Released struct {
	Group  string
	Fenced map[string]int // fenced transactional IDs, by connector
	Tasks  map[string]int // removed tasks, by connector
	Topic  string
	// Problems names producers that could not be fenced: the topic still belongs to the group.
	Problems config.Problems
}

// Release gives the topics of a group to Kafka Connect's workers or to another group. It fences the leader and all
// transactional producers of tasks; Kafka Connect would fence only the first of each task. Then it commits that no
// connector has tasks, because Kafka Connect's workers would run ours, and that the topic belongs to no group. The
// group must have no members. The error is a [setup.Error], or the reason why nothing was fenced, or why the topic
// still belongs to the group.
func Release(ctx context.Context, c setup.Config) (released Released, err error) {
	err = withGroup(ctx, c, func(reader *groupReader) error {
		reader.checkMembers(ctx, mustBeEmpty)
		if reader.problems.Err() != nil {
			return reader.problems
		}
		group := reader.Worker.Text("group.id")
		leader, err := kafka.OpenTransactions(ctx, reader.Kafka, group+"-configs-leader",
			[]string{cluster.LeaderTransactionalID(group)}, nil)
		if err != nil {
			return err
		}
		defer leader.Close()
		released = Released{Group: group, Fenced: map[string]int{}, Tasks: map[string]int{},
			Topic: reader.Worker.ConfigTopic()}
		if err := reader.read(ctx); err != nil { // again, because the leader may have written before it was fenced
			return err
		}
		reader.fenceProducers(ctx, group, released.Fenced)
		reader.checkMembers(ctx, mustBeEmpty) // a worker may have joined
		released.Problems = reader.problems
		if released.Problems.Err() != nil {
			return nil
		}
		var changes []configtopic.Record
		for _, name := range slices.Sorted(maps.Keys(reader.snapshot.Tasks)) {
			if n := len(reader.snapshot.Tasks[name].Settings); n > 0 {
				released.Tasks[name] = n
				changes = append(changes, configtopic.CommitRecord(name, 0))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(reader.store.Annotations(configtopic.GroupAnnotation))) {
			changes = append(changes, configtopic.GroupRecord(name, false))
		}
		var records []*kgo.Record
		for _, r := range changes {
			records = append(records, &kgo.Record{Topic: released.Topic, Key: []byte(r.Key), Value: r.Value})
		}
		if len(records) == 0 {
			return nil
		}
		return leader.Output().Write(ctx, records...)
	})
	return released, err
}

// fenceProducers fences the transactional producers of all connectors, also of deleted ones. It adds their number to
// fenced, and errors as problems.
func (g *groupReader) fenceProducers(ctx context.Context, group string, fenced map[string]int) {
	names := g.store.Annotations(configtopic.FencingAnnotation) // also of deleted connectors
	for _, connector := range g.snapshot.Connectors {
		names[connector.Name] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		counts := g.store.Fencing(name)
		ids := kafka.TransactionalIDs(group, name, counts.Tasks, counts.Producers)
		if len(ids) == 0 {
			continue
		}
		producers, err := g.herder.TransactionalConfig(ctx, name)
		if errors.Is(err, connect.ErrUnknownConnector) {
			producers = g.Kafka
			err = nil
		}
		if err == nil {
			err = kafka.Fence(ctx, producers, ids)
		}
		if err != nil {
			g.addError("connector "+name, err.Error())
			continue
		}
		fenced[name] = len(ids)
	}
}
