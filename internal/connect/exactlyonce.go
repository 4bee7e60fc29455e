package connect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// concurrentProducers is the number of transactional producers of a task, which feeds use concurrently.
const concurrentProducers = 4

func (run *connectorRun) isExactlyOnce() bool {
	return !run.isSink() && run.options.Worker.ExactlyOnce()
}

func (run *connectorRun) requiresExactlyOnce() bool {
	return strings.EqualFold(run.config.Text("exactly.once.support"), "required")
}

// producerConfig returns the configuration of the connector's producers and the key under which they are shared.
func (run *connectorRun) producerConfig() (kafkaConfig kafka.Config, key string) {
	kafkaConfig, key = run.clientConfig("producer.override.")
	if !run.options.Worker.Boolean("topic.creation.enable") { // the broker may create topics
		kafkaConfig.Extra = append(slices.Clone(kafkaConfig.Extra), kgo.AllowAutoTopicCreation())
	}
	return kafkaConfig, key
}

// producersFor returns the number of transactional producers of each task: 0, 1 for offsets only, or one for each
// concurrent feed. Offsets need one if the tasks have claims in a group: a paused worker could overwrite the offsets of
// the task's new owner, and the service does not send the acknowledged rows again.
func (run *connectorRun) producersFor(claims []string) int {
	switch {
	case run.isExactlyOnce():
		return concurrentProducers
	case run.options.Group.InGroup() && !run.isSink() && len(claims) > 0:
		return 1
	}
	return 0
}

// transactionalClaims returns claims that prevent two connectors with the same IDs from fencing each other.
func (run *connectorRun) transactionalClaims(plan wit.PlanResult) (claims []string) {
	producers := run.producersFor(plan.Claims)
	if producers == 0 {
		return nil
	}
	group := run.options.Worker.Text("group.id")
	for _, id := range kafka.TransactionalIDs(group, run.config.Name, len(plan.Tasks), producers) {
		claims = append(claims, "the transactional id "+id)
	}
	return claims
}

// fence blocks until the producers of earlier tasks are fenced and their transactions are aborted.
func (run *connectorRun) fence(ctx context.Context, tasks int) error {
	counts := config.FencingCounts{Tasks: tasks, Producers: run.clients.producersPerTask}
	return run.options.Group.Fence(ctx, run.config.Name, run.assignment().version(), counts, run.transactionalConfig())
}

// transactionalConfig returns the configuration of the cluster with the transactions: of the records with exactly-once,
// otherwise only of the offsets.
func (run *connectorRun) transactionalConfig() kafka.Config {
	if _, isOwn := run.offsetsTopic(); !isOwn && !run.isExactlyOnce() {
		return run.options.Kafka
	}
	producers, _ := run.producerConfig()
	return producers
}

// TransactionalConfig returns the configuration of clients that fence the connector's transactional producers.
func (h *Herder) TransactionalConfig(ctx context.Context, name string) (kafka.Config, error) {
	ctl, err := h.find(name)
	if err != nil {
		return kafka.Config{}, err
	}
	run := ctl.newDetachedRun()
	if err := run.configureKafka(ctx); err != nil {
		return kafka.Config{}, err
	}
	return run.transactionalConfig(), nil
}

// offsetsTopic returns the name of the connector's offsets topic. "" means the name of the worker's offsets topic.
// isOwn reports whether it is another topic than the worker's, or in another cluster.
func (run *connectorRun) offsetsTopic() (topic string, isOwn bool) {
	topic = run.config.Text("offsets.storage.topic")
	producers, _ := run.producerConfig()
	isOtherCluster := len(producers.Producer.Bootstrap) > 0 &&
		!slices.Equal(producers.Producer.Bootstrap, run.options.Kafka.Bootstrap)
	if topic == "" {
		return "", isOtherCluster && run.isExactlyOnce() // a transaction is in one cluster
	}
	return topic, isOtherCluster || topic != run.options.Worker.Text("offset.storage.topic")
}

// openOffsets sets the store of offsets, the worker's or an own one. The caller calls closeOffsets.
func (run *connectorRun) openOffsets(ctx context.Context) (err error) {
	run.clients.offsets = run.options.Offsets
	if run.isSink() { // its own offsets are in its consumer group
		return nil
	}
	topic, isOwn := run.offsetsTopic()
	if !isOwn {
		return nil
	}
	settings, problems := offset.ParseConfig(run.options.Worker.All())
	if err := problems.Err(); err != nil {
		return err
	}
	if topic != "" {
		settings.Topic = topic
	}
	producers, _ := run.producerConfig()
	store, err := offset.OpenForConnector(ctx, producers.ForProducers(), settings, run.config.Name, run.options.Offsets,
		run.log)
	if err != nil {
		return fmt.Errorf("offsets.storage.topic: %w", err)
	}
	run.clients.offsets = store
	return nil
}

// closeOffsets closes the store unless it is the worker's.
func (run *connectorRun) closeOffsets() {
	if run.clients.offsets != nil && run.clients.offsets != run.options.Offsets {
		run.clients.offsets.Close()
	}
	run.clients.offsets = nil
}
