package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/cluster"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/secret"
	"github.com/culvert-project/culvert/wit"
)

// Takeover is what workers that form a group would find in its topics. With errors among the Problems they would not
// run all of it.
type Takeover struct {
	Connectors []TakeoverConnector // by their names
	Problems   config.Problems
}

// TakeoverConnector is a connector as the topics of a group have it.
type TakeoverConnector struct {
	Name  string `json:"name"`
	Class string `json:"class"`
	State string `json:"state"` // what it is to do: RUNNING, PAUSED or STOPPED
	Tasks int    `json:"tasks"`
	// Offsets is how many a source has stored, or of how many partitions a sink's group has committed one.
	Offsets int `json:"offsets"`
}

// shared is what Kafka has of a group, for who is no member of it.
type shared struct {
	*Host
	admin  *kafka.Admin
	store  *config.TopicStore // which was read once, and does not write
	now    config.Snapshot
	herder *connect.Herder // of all connectors, which runs none
	found  config.Problems
}

// say notes a problem of a connector, or of a topic.
func (s *shared) say(file string, warning bool, text string) {
	s.found = append(s.found, config.Problem{File: file, Warning: warning, Text: s.in.Worker.Redact(text)})
}

// ofWorker notes a problem with a setting of the worker's file. ok: there is none.
func (s *shared) ofWorker(name string, err error) (ok bool) {
	if err != nil {
		s.found = append(s.found, s.in.Worker.Problem(name, strings.TrimPrefix(err.Error(), name+": ")))
	}
	return err == nil
}

// usable notes what keeps workers from using one of their topics, by the setting that names it.
func (s *shared) usable(ctx context.Context, named string, partitions int32) (ok bool) {
	return s.ofWorker(named, s.admin.CheckInternal(ctx, kafka.Internal{Name: s.in.Worker.Text(named), Setting: named,
		Partitions: partitions}))
}

// asShared has do called when a group's config topic was read. What is wrong with the worker's file is a [SetupError].
func asShared(ctx context.Context, c Config, do func(*shared) error) (err error) {
	h, problems, err := open(ctx, c, false)
	if err != nil {
		return &SetupError{err}
	}
	defer h.Close()
	defer func() { err = secret.Error(err, h.in.Worker.Redact) }()
	if !h.in.Worker.InGroup() {
		problems = append(problems, h.in.Worker.Problem("group.id", "expected a worker of a group: group.id, "+
			"config.storage.topic, status.storage.topic, and bootstrap.servers that are not embedded"))
	}
	if err := problems.Err(); err != nil {
		return &SetupError{err}
	}
	s := &shared{Host: h}
	if s.admin, err = kafka.NewAdmin(h.kafka); err != nil {
		return err
	}
	defer s.admin.Close()
	if !s.usable(ctx, "config.storage.topic", 1) {
		return s.found
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	return cmp.Or(do(s), ctx.Err())
}

// read reads the config topic, as far as no transaction is open.
func (s *shared) read(ctx context.Context) error {
	topic, k := s.in.Worker.ConfigTopic(), s.kafka
	k.Consumer.ReadUncommitted = false
	ends, err := s.admin.EndOffsets(ctx, true, topic)
	if err != nil {
		return err
	}
	reader, err := kafka.NewReader(k)
	if err != nil {
		return err
	}
	defer reader.Close()
	s.store = config.NewTopicStore(topic, s.in.Worker, nil, s.log)
	at, err := reader.Read(ctx, topic, kafka.ReadOptions{Expected: true}, func(r *kgo.Record) error {
		s.store.Apply(config.Record{Key: string(r.Key), Value: r.Value, Offset: r.Offset})
		return nil
	})
	if hidden := ends[topic][0] - at[0]; err == nil && hidden > 0 {
		s.say(topic, true, fmt.Sprintf("an open transaction hides what stands from offset %d on: ask again when the "+
			"brokers have ended it, after transaction.timeout.ms at the latest", at[0]))
	}
	s.store.CaughtUp()
	s.now, _ = s.store.Snapshot()
	s.herder = connect.New(connect.Options{Worker: s.in.Worker, Plugins: s.running.plugins, Registry: s.registry,
		Kafka: k, Logger: s.log}, s.now.Connectors)
	return err
}

// members notes the group's live members, and whether the topic is another group's. ours: workers of ours may run.
func (s *shared) members(ctx context.Context, ours bool) {
	const named = "group.id"
	s.ofWorker(named, s.store.CheckGroup())
	g, err := s.admin.Group(ctx, s.in.Worker.Text(named))
	s.ofWorker(named, err)
	for _, m := range g.Members {
		kind, stop := fmt.Sprintf("a member of the type %q in the state %s", g.Type, g.State), "stop it first"
		switch {
		case cluster.IsCulvertGroup(g) && ours:
			kind, stop = "a worker of Culvert's", "workers that start join it"
		case cluster.IsCulvertGroup(g):
			kind, stop = "a worker of Culvert's", "stop it first, by SIGTERM (one with group.instance.id "+
				"stays until session.timeout.ms is over)"
		case g.Type == "connect" && g.Protocol != "":
			kind = "a worker of Kafka Connect's"
		}
		s.ofWorker(named, fmt.Errorf("%s is live: %s: %s at %s, client %s", kind, stop, m.URL, m.Host, m.ClientID))
		s.found[len(s.found)-1].Warning = ours && cluster.IsCulvertGroup(g)
	}
}

// CheckTakeover reads what Kafka has of a group, and changes nothing: no topic is made, no group joined, no transaction
// begun. The error is a [SetupError], or why the config topic cannot be read.
func CheckTakeover(ctx context.Context, c Config) (t Takeover, err error) {
	err = asShared(ctx, c, func(s *shared) error {
		s.members(ctx, true)
		client, err := kgo.NewClient(s.kafka.ProducerOpts()...)
		if err != nil {
			return err
		}
		defer client.Close()
		s.ofWorker("group.id", cluster.CheckLeaderAccess(ctx, client, s.in.Worker.Text("group.id")))
		s.usable(ctx, "status.storage.topic", 0)
		var stored *offset.Store
		if s.usable(ctx, "offset.storage.topic", 0) {
			settings, _ := offset.ParseConfig(s.in.Worker.All()) // asShared has said what is wrong
			names := slices.Collect(maps.Keys(s.now.ConfigOffsets))
			if stored, err = offset.Open(ctx, s.kafka, settings, names, s.log); err != nil {
				return err
			}
			defer stored.Close()
		}
		checker := s.checker.Among(s.now.Connectors)
		for _, k := range s.now.Connectors {
			one := TakeoverConnector{Name: k.Name, Class: k.Text("connector.class"),
				State: string(targetOf(s.now.Targets[k.Name])), Tasks: len(s.now.Tasks[k.Name].Settings)}
			kind := s.examine(ctx, &checker, k)
			if one.Offsets, err = s.offsets(ctx, k, kind, stored); err != nil {
				s.say(k.File, false, "where it goes on cannot be read: "+err.Error())
			}
			t.Connectors = append(t.Connectors, one)
		}
		t.Problems = s.found
		return nil
	})
	return t, err
}

// offsets is how many a source has stored, or of how many partitions a sink's group has committed one. No topic is
// made, as the store of a connector's own offsets would.
func (s *shared) offsets(ctx context.Context, k *config.Connector, kind wit.ComponentKind,
	stored *offset.Store) (int, error) {
	own := k.Text("offsets.storage.topic")
	switch {
	case kind == wit.ComponentSink:
		committed, err := s.herder.Offsets(ctx, k.Name)
		return len(committed), err
	case own != "" && own != s.in.Worker.Text("offset.storage.topic"):
		found, err := connect.ReadTopicOffsets(ctx, s.kafka, own, k.Name, s.log)
		if errors.Is(err, kafka.ErrUnknownTopic) {
			err = nil // it is made when the connector starts
		}
		return len(found), err
	case stored == nil:
		return 0, nil
	}
	found, err := stored.All(ctx, k.Name)
	return len(found), err
}

// examine notes what keeps a connector from running here, and its secrets that stand in the topic. One of an unknown
// class is taken for a source.
func (s *shared) examine(ctx context.Context, checker *check.Checker, k *config.Connector) wit.ComponentKind {
	found := append(slices.Clone(k.Problems), checker.Check(ctx, k)...)
	_, component, err := check.Find(checker.Plugins, k.Text("connector.class"), k.Text("connector.plugin.version"),
		wit.ComponentSource, wit.ComponentSink)
	if err != nil {
		found = append(found, checker.Stages(ctx, k)...) // which Check has not come to
	}
	for _, p := range found {
		if !p.Warning { // that of a setting without effect keeps nothing from running
			s.found = append(s.found, p)
		}
	}
	if s.now.Incomplete[k.Name] {
		s.say(k.File, true, "compaction took some of its tasks: they are planned once more when it starts")
	}
	password := check.Passwords(checker.Plugins)
	for _, e := range k.Entries {
		hidden := password(e.Key)
		if providers := s.in.Worker.Providers; providers.HasUnknownProvider(e) {
			if p := providers.UnknownProvider(e, hidden); !slices.Contains(s.found, p) { // which Check finds
				s.found = append(s.found, p)
			}
		} else if hidden && !e.Value.Secret() && e.Raw != "" {
			s.found = append(s.found, config.Problem{File: k.File, Setting: e.Key, Warning: true, Text: "a secret in " +
				"clear text, for whoever may read the topic: write a reference such as ${file:PATH:KEY}"})
		}
	}
	return component.Kind
}

// Released is what [ReleaseGroup] has done.
type Released struct {
	// Group is the group whose leader was fenced.
	Group string
	// Fenced is how many transactional ids were fenced, Tasks how many tasks were taken out of Topic, by connectors.
	Fenced, Tasks map[string]int
	Topic         string
	// Problems are those of producers that were not fenced: the topic still is the group's.
	Problems config.Problems
}

// ReleaseGroup gives the topics of a group to Kafka Connect's workers, or to another group: it fences the leader that
// may hang and all transactional producers that tasks had, of which Kafka Connect fences each task's first alone, and
// another group none. Then it commits that no connector has tasks: Kafka Connect's workers would run those of ours,
// which their class may take for others, until each has planned its own; and that the topic is no group's. The group is
// to have no members. The error is a [SetupError], or why nothing was fenced, or why the topic still is the group's.
func ReleaseGroup(ctx context.Context, c Config) (done Released, err error) {
	err = asShared(ctx, c, func(s *shared) error {
		if s.members(ctx, false); s.found.Err() != nil {
			return s.found
		}
		group := s.in.Worker.Text("group.id")
		leader, err := kafka.OpenTransactions(ctx, s.kafka, group+"-configs-leader",
			[]string{cluster.LeaderTransactionalID(group)}, nil)
		if err != nil {
			return err
		}
		defer leader.Close()
		done = Released{Group: group, Fenced: map[string]int{}, Tasks: map[string]int{},
			Topic: s.in.Worker.ConfigTopic()}
		if err := s.read(ctx); err != nil { // once more: the leader that is fenced now may have written since
			return err
		}
		s.fence(ctx, group, done.Fenced)
		s.members(ctx, false) // one may have come meanwhile
		if done.Problems = s.found; done.Problems.Err() != nil {
			return nil
		}
		var all []config.Record
		for _, name := range slices.Sorted(maps.Keys(s.now.Tasks)) {
			if n := len(s.now.Tasks[name].Settings); n > 0 {
				done.Tasks[name] = n
				all = append(all, config.CommitRecord(name, 0))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.store.Annotations(config.GroupAnnotation))) {
			all = append(all, config.GroupRecord(name, false))
		}
		var records []*kgo.Record
		for _, r := range all {
			records = append(records, &kgo.Record{Topic: done.Topic, Key: []byte(r.Key), Value: r.Value})
		}
		if len(records) == 0 {
			return nil
		}
		return leader.Output().Write(ctx, records...)
	})
	return done, err
}

// fence fences all transactional producers that tasks of a group had, and counts them by connectors.
func (s *shared) fence(ctx context.Context, group string, fenced map[string]int) {
	names := s.store.Annotations(config.FencingAnnotation) // they outlive their connectors
	for _, k := range s.now.Connectors {
		names[k.Name] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		counts := s.store.Fencing(name)
		ids := kafka.TransactionalIDs(group, name, counts.Tasks, counts.Producers)
		if len(ids) == 0 {
			continue
		}
		producers, err := s.herder.TransactionalConfig(ctx, name)
		if errors.Is(err, connect.ErrUnknownConnector) {
			producers, err = s.kafka, nil
		}
		if err == nil {
			err = kafka.Fence(ctx, producers, ids)
		}
		if err != nil {
			s.say("connector "+name, false, err.Error())
			continue
		}
		fenced[name] = len(ids)
	}
}
