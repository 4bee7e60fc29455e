package deadletters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/wit"
)

// harness has the queues of connectors, which are sources, with an embedded broker.
type harness struct {
	*Queues
	t      *testing.T
	broker *embedded.Broker

	lock    sync.Mutex
	topicOf map[string]string // by connector
}

// newHarness counts the letters of connectors, each with its topic, and returns a client of their brokers.
func newHarness(t *testing.T, topics map[string]string) (*harness, *kgo.Client) {
	t.Helper()
	broker, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	worker, problems := config.NewWorker("", nil, nil, nil)
	require.NoError(t, problems.Err())
	o := Options{Worker: worker, Kafka: kafka.Defaults(), Logger: new(logtest.Journal).Logger(0)}
	o.Kafka.Bootstrap = []string{broker.Addr()}
	o.Offsets, err = offset.Open(t.Context(), o.Kafka, offset.DefaultConfig(), nil, o.Logger)
	require.NoError(t, err)
	t.Cleanup(o.Offsets.Close)
	h := &harness{t: t, broker: broker, topicOf: maps.Clone(topics)}
	h.Queues = NewQueues(o, h)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return h, kafkatest.Client(t, kgo.SeedBrokers(broker.Addr()), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// put adds a connector, or changes its topic.
func (h *harness) put(connector, topic string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.topicOf[connector] = topic
}

func (h *harness) Topics() map[string]string {
	h.lock.Lock()
	defer h.lock.Unlock()
	topics := maps.Clone(h.topicOf)
	maps.DeleteFunc(topics, func(_, topic string) bool { return topic == "" })
	return topics
}

func (h *harness) Topic(connector string) (topic string, isCounted bool, err error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	topic, ok := h.topicOf[connector]
	if !ok {
		return "", false, fmt.Errorf("%s is unknown", connector)
	}
	return topic, true, nil
}

func (h *harness) OpenTask(_ context.Context, connector string) (*Task, error) {
	if connector == "broken" {
		return nil, errors.New("it has no class")
	}
	return &Task{Kafka: h.o.Kafka, Offsets: h.o.Offsets, OpenSender: h.openSender, Close: func() {}}, nil
}

func (h *harness) openSender(context.Context, bool) (*Sender, error) {
	written, problems := config.NewConnector("c.properties", nil, h.o.Worker.Providers)
	require.NoError(h.t, problems.Err())
	connector := resolved.Resolver{Worker: h.o.Worker}.ResolveAs(written, plugin.NewComponent(&wit.Component{}))
	registry := record.NewRegistry()
	options := func(isKey bool) convert.Options { return convert.Options{IsKey: isKey, Schemas: registry} }
	w := &Writer{Config: connector, Kafka: h.o.Kafka, ConverterOptions: options, Log: h.o.Logger,
		Module: func() plugin.Info { return plugin.Info{} }}
	openSource := func(owner string, _ bool) (source.Options, func(context.Context)) {
		producers := h.o.Kafka
		producers.Extra = append(producers.Extra, kgo.AllowAutoTopicCreation())
		producer, err := kafka.NewProducer(producers, "test")
		require.NoError(h.t, err)
		offsets := h.o.Offsets.NewWriter(owner, nil)
		newOutput := func(string) (source.Output, error) { return kafka.NewOutput(producer, offsets), nil }
		stages := source.Stages{NewOutput: newOutput, NewConverters: w.ForSource().NewConverters}
		return source.Options{Registry: registry, Stages: stages}, func(ctx context.Context) {
			require.NoError(h.t, offsets.Close(ctx))
			require.NoError(h.t, producer.Close(ctx))
		}
	}
	return &Sender{Config: connector, Writer: w, Source: openSource, Close: func() {}}, nil
}

// unknownOpen is the number of open letters of a summary that is unknown.
const unknownOpen = -1

// awaitOpen waits until a connector has the wanted number of open letters, and returns the summary.
func (h *harness) awaitOpen(name string, want int) (s Summary) {
	h.t.Helper()
	var open int
	require.Until(h.t, func() bool {
		h.wake.Ring()
		s = h.Summary(name)
		open = unknownOpen
		if s.Open != nil {
			open = int(*s.Open)
		}
		return open == want
	}, func() string { return fmt.Sprintf("%s: expected %d open letters, found %d", name, want, open) })
	return s
}

func (h *harness) discard(name string, positions ...string) (Result, error) {
	var f Filter
	require.NoError(h.t, f.SelectPositions(positions))
	return h.Discard(kafkatest.Context(h.t), name, f)
}

// pages returns the positions and attempts of all pages of a connector's letters. Of every second page it keeps a part
// and continues after that.
func (h *harness) pages(name string, query Query) (positions []string) {
	h.t.Helper()
	for number := 1; ; number++ {
		var page []ListedLetter
		list, err := h.List(kafkatest.Context(h.t), name, query, func(l ListedLetter) error {
			page = append(page, l)
			return nil
		})
		require.NoError(h.t, err)
		slices.SortFunc(page, func(x, y ListedLetter) int { return x.Index - y.Index })
		query.After = list.Next
		if n := len(page); n > 1 && number%2 == 0 {
			page = page[:n/2]
			query.After = page[len(page)-1].After
		}
		for _, l := range page {
			positions = append(positions, fmt.Sprintf("%v x%d", l.position(), l.Attempts))
		}
		if query.After == "" {
			return positions
		}
	}
}

// topicPages returns the same of a command that reads the topic without a worker.
func (h *harness) topicPages(connector string, query Query) (positions []string) {
	h.t.Helper()
	ctx := kafkatest.Context(h.t)
	reader, err := kafka.NewReader(h.o.Kafka)
	require.NoError(h.t, err)
	defer reader.Close()
	topic, err := ReadTopic(ctx, reader, h.o.Worker.All(), strings.Clone, h.topicOf[connector])
	require.NoError(h.t, err)
	require.NoError(h.t, topic.StatesErr)
	for {
		var page []ListedLetter
		list, err := topic.List(ctx, connector, query, func(l ListedLetter) error {
			page = append(page, l)
			return nil
		})
		require.NoError(h.t, err)
		slices.SortFunc(page, func(x, y ListedLetter) int { return x.Index - y.Index })
		for _, l := range page {
			positions = append(positions, fmt.Sprintf("%v x%d", l.position(), l.Attempts))
		}
		if query.After = list.Next; query.After == "" {
			return positions
		}
	}
}
