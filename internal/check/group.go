package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	groupOverride    = "consumer.override.group.id"
	brokersOverride  = "consumer.override.bootstrap.servers"
	instanceOverride = "consumer.override.group.instance.id"
)

// consumerGroup identifies the consumer group of a sink.
type consumerGroup struct {
	id      string
	brokers string // an override of the sink. Empty means the worker's brokers.
}

func groupOf(connector *resolved.Connector) consumerGroup {
	id := cmp.Or(override(connector, groupOverride), config.ConsumerGroup(connector.Name))
	return consumerGroup{id: id, brokers: override(connector, brokersOverride)}
}

// namesGroup reports whether a sink names its consumer group instead of using the default.
func namesGroup(connector *resolved.Connector) bool { return override(connector, groupOverride) != "" }

func override(connector *resolved.Connector, key string) string {
	entry, _ := connector.Entry(key)
	return setting.Trim(entry.Value.Reveal())
}

// checkSharedGroup finds sinks with the consumer group of this sink, unless this sink keeps it.
func (ch *Checker) checkSharedGroup(connector *resolved.Connector) (problems config.Problems) {
	entry := entryFor(connector, "name")
	expected := "a name whose consumer group no other sink uses"
	if namesGroup(connector) {
		entry = entryFor(connector, groupOverride)
		expected = "a group that no other sink uses"
	}
	for _, other := range ch.Connectors {
		isSink := other.Class.RunError() == nil && other.Class.Is(wit.ComponentSink)
		isShared := isSink && other.Name != connector.Name && groupOf(other) == groupOf(connector)
		if !isShared || ch.keepsGroup(connector, other) {
			continue
		}
		problems = append(problems, problem(entry, fmt.Errorf("expected %s, found the group of connector %s: each of "+
			"them would miss records that the other one has read", expected, other.Name)))
	}
	return problems
}

// keepsGroup reports whether a sink keeps its consumer group, so that only the other sink of the group is rejected: the
// sink that runs with it keeps it, else the sink whose default group it is, else the first one.
func (ch *Checker) keepsGroup(connector, other *resolved.Connector) bool {
	runs := ch.runsInGroup(connector)
	otherRuns := ch.runsInGroup(other)
	position := slices.IndexFunc(ch.Connectors, func(c *resolved.Connector) bool {
		return c.Name == connector.Name && groupOf(c) == groupOf(connector)
	})
	switch {
	case runs || otherRuns:
		return !otherRuns // if both run with it, neither keeps it
	case position < 0:
		return false // it is new in the installation or in the group
	case namesGroup(connector) != namesGroup(other):
		return namesGroup(other) // then this sink has the group by default
	}
	return position < slices.Index(ch.Connectors, other)
}

// runsInGroup reports whether a sink runs with the consumer group of its configuration.
func (ch *Checker) runsInGroup(connector *resolved.Connector) bool {
	return slices.ContainsFunc(ch.Running, func(c *resolved.Connector) bool {
		return c.Name == connector.Name && groupOf(c) == groupOf(connector)
	})
}

// checkGroup finds a sink whose default consumer group, connect-NAME, is the group of the workers.
func (ch *Checker) checkGroup(connector *resolved.Connector) config.Problems {
	group := ch.Worker.Text("group.id")
	if namesGroup(connector) || config.ConsumerGroup(connector.Name) != group {
		return nil
	}
	return config.Problems{problem(entryFor(connector, "name"), fmt.Errorf("Consumer group for sink connector named "+
		"%s conflicts with Connect worker group %s", connector.Name, group))} // Kafka Connect's words
}

// checkInstance finds a group.instance.id for the consumers of several tasks. They would fence each other, because a
// group has one static member of a name.
func (ch *Checker) checkInstance(connector *resolved.Connector) config.Problems {
	instance := ch.Kafka.Consumer.Instance
	source := "the worker's consumer.group.instance.id"
	entry, ok := connector.Entry(instanceOverride)
	if ok {
		instance = setting.Trim(entry.Value.Reveal())
		source = instanceOverride
	} else {
		entry = entryFor(connector, "tasks.max")
	}
	tasks, valid := setting.ParseInt(wit.KindInt, connector.Text("tasks.max"))
	if instance == "" || !valid || tasks <= 1 {
		return nil
	}
	return config.Problems{problem(entry, fmt.Errorf("expected one task, found tasks.max=%d: the consumers of all "+
		"tasks would be the same static member, by %s, and fence each other. Set tasks.max=1 or remove that setting",
		tasks, source))}
}
