package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func (run *connectorRun) openTopicAdmin() (err error) {
	if run.isSink() {
		return nil // a sink needs one for dead letters only, see deadletters.Writer.EnsureTopic
	}
	kafkaConfig, key := run.clientConfig("admin.override.")
	run.clients.admin, err = kafkaConfig.SharedAdmin(key, "connector-adminclient")
	return err
}

// ensureTopic creates a missing topic as configured by topic.creation.*; with topic.creation.enable=false the broker
// may create it. It rejects reserved topics, loads the topic's limits, and waits while no broker can be reached.
func (run *connectorRun) ensureTopic(ctx context.Context, topic string) error {
	if err := run.options.reserved.Check(topic); err != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: err.Error()}
	}
	if err := kafka.CheckTopic(topic); err != nil {
		return err
	}
	topicConfig, err := newTopic(run.config, topic)
	if err != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: err.Error()}
	}
	producers, _ := run.producerConfig()
	for {
		var err error
		if run.options.Worker.Boolean("topic.creation.enable") {
			_, err = run.clients.admin.EnsureTopics(ctx, topicConfig)
		}
		if err == nil {
			err = producers.LoadTopicLimits(ctx, run.clients.admin, topic)
		}
		if err == nil || !security.IsUnreachable(err) || pause.For(ctx, time.Second) != nil {
			return err
		}
	}
}

// newTopic returns the settings of the first group of topic.creation.groups that includes a topic, or the defaults.
func newTopic(connector *resolved.Connector, name string) (kafka.Topic, error) {
	for _, group := range config.List(connector.Text("topic.creation.groups")) {
		prefix := "topic.creation." + group + "."
		isIncluded, err := matchesTopic(connector, prefix+"include", name)
		isExcluded := false
		if isIncluded {
			isExcluded, err = matchesTopic(connector, prefix+"exclude", name)
		}
		if err != nil {
			return kafka.Topic{}, err
		}
		if isIncluded && !isExcluded {
			return parseTopic(connector, prefix, name), nil
		}
	}
	return parseTopic(connector, "topic.creation.default.", name), nil
}

func matchesTopic(connector *resolved.Connector, settingName, name string) (bool, error) {
	for _, regex := range config.List(connector.Text(settingName)) {
		compiled, err := pattern.Compile(regex)
		if err != nil {
			continue // the start of the connector has rejected it
		}
		matches, err := resolved.MatchesTopic(compiled, name)
		if err != nil {
			return false, fmt.Errorf("%s: %w", settingName, err)
		}
		if matches {
			return true, nil
		}
	}
	return false, nil
}

func parseTopic(connector *resolved.Connector, prefix, name string) kafka.Topic {
	topic := kafka.Topic{Name: name, Configs: map[string]string{}}
	for key, value := range connector.Prefixed(prefix) {
		value = setting.Trim(value)
		switch key {
		case "include", "exclude":
			// they select the topics of a group
		case "partitions":
			n, _ := setting.ParseInt(wit.KindInt, value)
			topic.Partitions = int32(n)
		case "replication.factor":
			n, _ := setting.ParseInt(wit.KindShort, value)
			topic.Replication = int16(n)
		default:
			topic.Configs[key] = value
		}
	}
	return topic
}
