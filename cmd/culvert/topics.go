package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/shown"
)

type listedTopic struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	// Records is computed from offsets. Nil means that the topic's brokers do not answer.
	Records *int64 `json:"records"`
}

func newTopics() *cobra.Command {
	var from topicSource
	var o output
	c := &cobra.Command{
		Use:   "topics",
		Short: "List topics with their partitions and records",
		Long: `List topics with their partitions and records, without internal topics of Kafka. The number of records is the
end offset minus the first offset, so it includes compacted records and transaction markers. The broker is found as by
culvert consume.`,
		Example: "  culvert topics\n  culvert topics -p worker.properties --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return from.withBrokers(c.Context(), c.ErrOrStderr(), func(_ *config.Worker, brokers kafka.Config) error {
				list, err := listTopics(c.Context(), brokers)
				if err != nil {
					return asFailure(err)
				}
				return o.print(c.OutOrStdout(), list, func(out io.Writer) error {
					var rows [][]string
					for _, t := range list {
						records := "?"
						if t.Records != nil {
							records = strconv.FormatInt(*t.Records, 10)
						}
						rows = append(rows, []string{t.Topic, strconv.Itoa(t.Partitions), records})
					}
					return printColumns(out, "TOPIC PARTITIONS RECORDS", rows)
				})
			})
		},
	}
	from.flags(c)
	o.flag(c, "as JSON")
	return c
}

func listTopics(ctx context.Context, brokers kafka.Config) ([]listedTopic, error) {
	admin, err := kafka.NewAdmin(brokers)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	partitions, err := admin.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(partitions))
	ranges := admin.Ranges(ctx, names...)
	list := []listedTopic{}
	for _, name := range names {
		topic := listedTopic{Topic: name, Partitions: partitions[name]}
		if readable, ok := ranges[name]; ok {
			var n int64
			for partition, end := range readable.To {
				n += end - readable.From[partition]
			}
			topic.Records = &n
		}
		list = append(list, topic)
	}
	return list, nil
}

func withNearestTopic(ctx context.Context, reader *kafka.Reader, topic string, err error) error {
	if !errors.Is(err, kafka.ErrUnknownTopic) {
		return err
	}
	if near := reader.NearestTopic(ctx, topic); near != "" {
		err = asFailure(fmt.Errorf("%w; the nearest one is %s", err, shown.Line(near)))
	}
	return err
}
