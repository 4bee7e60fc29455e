package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/security"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// openAdmin opens the administrator of a source, by the worker's admin.… and the connector's admin.override.…
func (c *connector) openAdmin() (err error) {
	if c.isSink() {
		return nil // its dead letters will need one
	}
	k, key := c.sharedBy("admin.override.")
	c.run.admin, err = k.SharedAdmin(key, "connector-adminclient")
	return err
}

// ensureTopic creates a topic that is missing: as the connector's topic.creation.… say, else with the broker's
// defaults. With topic.creation.enable=false it is left to the broker. A topic that takes no records is refused,
// whoever chose it. How large its batches may be is asked before its first record. While no broker can be reached it
// waits, as records do.
func (c *connector) ensureTopic(ctx context.Context, topic string) error {
	if err := c.o.reserved.Check(topic); err != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: err.Error()}
	}
	if err := kafka.CheckTopic(topic); err != nil {
		return err
	}
	made, err := newTopic(c.config, topic)
	if err != nil {
		return &wit.Error{Kind: wit.ErrorConfig, Message: err.Error()}
	}
	producers, _ := c.producers()
	for {
		var err error
		if c.o.Worker.Boolean("topic.creation.enable") {
			_, err = c.run.admin.EnsureTopics(ctx, made)
		}
		if err == nil {
			err = producers.LearnTopic(ctx, c.run.admin, topic)
		}
		if err == nil || !security.Away(err) || pause.For(ctx, time.Second) != nil {
			return err
		}
	}
}

// newTopic is what a topic is to be: of the first group of topic.creation.groups that takes it, else as
// topic.creation.default.… say.
func newTopic(c *config.Connector, name string) (kafka.Topic, error) {
	for _, group := range config.List(c.Text("topic.creation.groups")) {
		prefix := "topic.creation." + group + "."
		in, err := matchesAny(c, prefix+"include", name)
		out := false
		if in {
			out, err = matchesAny(c, prefix+"exclude", name)
		}
		if err != nil {
			return kafka.Topic{}, err
		}
		if in && !out {
			return topicOf(c, prefix, name), nil
		}
	}
	return topicOf(c, "topic.creation.default.", name), nil
}

// matchesAny tells whether one of the expressions of a setting takes a topic.
func matchesAny(c *config.Connector, setting, name string) (bool, error) {
	for _, p := range config.List(c.Text(setting)) {
		re, err := pattern.Compile(p)
		if err != nil {
			continue // the connector did not start with it
		}
		if takes, err := config.MatchesTopic(re, name); err != nil {
			return false, fmt.Errorf("%s: %w", setting, err)
		} else if takes {
			return true, nil
		}
	}
	return false, nil
}

func topicOf(c *config.Connector, prefix, name string) kafka.Topic {
	t := kafka.Topic{Name: name, Configs: map[string]string{}}
	for key, value := range c.Prefixed(prefix) {
		value = setting.Trim(value)
		switch key {
		case "include", "exclude":
		case "partitions":
			n, _ := setting.ParseInt(wit.KindInt, value)
			t.Partitions = int32(n)
		case "replication.factor":
			n, _ := setting.ParseInt(wit.KindShort, value)
			t.Replication = int16(n)
		default:
			t.Configs[key] = value
		}
	}
	return t
}
