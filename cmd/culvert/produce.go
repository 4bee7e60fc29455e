package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/shown"
)

const (
	// maxProducedBatch and maxProducedBytes bound the records that are sent together.
	maxProducedBatch = 1000
	maxProducedBytes = 16 << 20
	// maxLine bounds a line, and maxWaitingLines the lines that were read and not sent.
	maxLine         = 16 << 20
	maxWaitingLines = 16
)

type recordLines struct {
	topic     string
	separator string // between a key and a value; "" means no keys
	asJSON    bool   // each line is a record as culvert consume prints it
	create    bool   // create a missing topic
}

func newProduce() *cobra.Command {
	var to topicSource
	var lines recordLines
	c := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write the lines of stdin as records to a topic",
		Long: `Write the lines of stdin as records to a topic, by default each line as a value without a key. With --json, each line is
a record in the format of culvert consume: its key, value, headers and timestamp are used. A JSON string is written
without its quotes, null writes a tombstone, {"base64":…} writes bytes; so a copy of a topic may differ where a key or
value was one of these as JSON. The broker is found as by culvert consume. Exit code: 0 all records are acknowledged, 1
a line is wrong or a record was refused; earlier records may have been written.`,
		Example: `  echo '{"OrderID":1,"Status":"new"}' | culvert produce Orders
  culvert produce Orders --key-separator : < orders.txt
  culvert produce Orders --create --json < records.jsonl`,
		RunE: func(c *cobra.Command, args []string) error {
			lines.topic = args[0]
			return to.withBrokers(c.Context(), c.ErrOrStderr(), func(_ *config.Worker, brokers kafka.Config) error {
				if err := lines.prepareTopic(c.Context(), brokers); err != nil {
					return err
				}
				n, err := lines.send(c.Context(), brokers, c.InOrStdin())
				if err != nil {
					return asFailure(fmt.Errorf("%w (%s sent to %s before)", err, number(n, "record"),
						shown.Line(lines.topic)))
				}
				verb := "were"
				if n == 1 {
					verb = "was"
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), number(n, "record"), verb, "sent to", lines.topic)
				return asFailure(err)
			})
		},
	}
	to.flags(c)
	c.Flags().StringVar(&lines.separator, "key-separator", "", "`text` between the key and the value of a line")
	c.Flags().BoolVar(&lines.asJSON, "json", false, "read records as culvert consume prints them")
	c.Flags().BoolVar(&lines.create, "create", false, "create the topic if it is missing")
	c.MarkFlagsMutuallyExclusive("key-separator", "json")
	return c
}

func (l *recordLines) prepareTopic(ctx context.Context, brokers kafka.Config) error {
	if l.create {
		admin, err := kafka.NewAdmin(brokers)
		if err != nil {
			return asUsageError(err)
		}
		defer admin.Close()
		_, err = admin.EnsureTopics(ctx, kafka.Topic{Name: l.topic})
		return asFailure(err)
	}
	reader, err := kafka.NewReader(brokers)
	if err != nil {
		return asUsageError(err)
	}
	defer reader.Close()
	_, err = reader.OffsetsForTime(ctx, l.topic, time.UnixMilli(0))
	if err = withNearestTopic(ctx, reader, l.topic, err); errors.Is(err, kafka.ErrUnknownTopic) {
		err = fmt.Errorf("%w; --create creates it", err)
	}
	return asFailure(err)
}

// send sends the records of all lines, until ctx ends, and returns the number of acknowledged ones. Lines that arrive
// together are sent together.
func (l *recordLines) send(ctx context.Context, brokers kafka.Config, in io.Reader) (sent int, err error) {
	producer, err := kafka.NewProducer(brokers, "culvert-produce")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, producer.Close(ctx)) }()
	lines, readErr := readLines(ctx, in)
	batch := producer.NewBatch()
	size := 0
	hasMore := true
	for lineNumber := 1; hasMore && err == nil; lineNumber++ {
		var line []byte
		select {
		case line, hasMore = <-lines:
		case <-ctx.Done():
			hasMore = false
		}
		if hasMore {
			err = l.add(batch, line)
			size += len(line)
			if err != nil {
				err = fmt.Errorf("line %d: %w", lineNumber, err)
			} else if len(lines) > 0 && batch.Len() < maxProducedBatch && size < maxProducedBytes {
				continue
			}
		}
		// Send the lines so far: no other line waits, the batch is full, this line is wrong, or the input ends.
		acknowledged := make(chan error, 1)
		producer.Produce(ctx, batch, func(n int, err error) { sent += n; acknowledged <- err })
		if produceErr := <-acknowledged; produceErr != nil {
			return sent, produceErr
		}
		batch = producer.NewBatch()
		size = 0
	}
	if err == nil && ctx.Err() == nil {
		err = <-readErr
	}
	return sent, err
}

// readLines starts a goroutine that sends the lines of in without line breaks, then closes lines and sends to readErr
// the error of in, nil at its end. If ctx ends, it stops without closing lines.
func readLines(ctx context.Context, in io.Reader) (lines chan []byte, readErr chan error) {
	lines = make(chan []byte, maxWaitingLines)
	readErr = make(chan error, 1)
	input := bufio.NewScanner(in)
	input.Buffer(nil, maxLine)
	go func() {
		defer guard.Recover(slog.Default(), "reading lines", nil)
		for input.Scan() {
			select {
			case lines <- bytes.Clone(input.Bytes()):
			case <-ctx.Done():
				return
			}
		}
		close(lines)
		err := input.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("expected lines of at most %d MiB, found a longer one", maxLine>>20)
		}
		readErr <- err
	}()
	return lines, readErr
}

// add adds the record of a line to a batch. With asJSON empty lines are skipped.
func (l *recordLines) add(batch *kafka.Batch, line []byte) error {
	if l.asJSON && len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	record, err := l.record(line)
	if err == nil {
		record.Partition = -1
		*batch.Add() = *record
	}
	return err
}

func (l *recordLines) record(line []byte) (*kgo.Record, error) {
	if l.asJSON {
		return kafka.ParseLine(l.topic, line)
	}
	if l.separator == "" {
		return &kgo.Record{Topic: l.topic, Value: line}, nil
	}
	key, value, ok := bytes.Cut(line, []byte(l.separator))
	if !ok {
		return nil, fmt.Errorf("expected a key, %s and a value, found %s", shown.Line(l.separator),
			shown.LineUpTo(string(line), maxShownLine))
	}
	return &kgo.Record{Topic: l.topic, Key: key, Value: value}, nil
}

const maxShownLine = 100
