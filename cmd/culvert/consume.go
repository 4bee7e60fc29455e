package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/shown"
)

func newConsume() *cobra.Command {
	var from topicSource
	var follow, asJSON bool
	c := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print a topic's records as JSON lines",
		Long: `Print a topic's records as JSON lines of topic, partition, offset, timestamp, key, value and headers: partition by partition, up to
the end offsets at the start, without records of open and aborted transactions. A key or value that is one JSON document stands as it
is, other UTF-8 as a string, other bytes as {"base64":…}, null as null.

The topic is read from the broker of --bootstrap-servers or of the worker's file (--properties), which also says how to log on and by
which proxy, else from the one that runs on the --data folder, else from that folder, which is locked for the time.`,
		Example: `  culvert consume Orders
  culvert consume Orders --follow --bootstrap-servers kafka:9092
  culvert consume Orders -p worker.properties
  culvert consume Orders | head -1`,
		Args: one("TOPIC"),
		RunE: func(c *cobra.Command, args []string) error {
			return from.consume(c.Context(), args[0], follow, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	from.flags(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new records until stopped")
	c.Flags().BoolVar(&asJSON, "json", true, "as JSON lines, which is the only form")
	return c
}

// brokersOf are those that a command reads from, and how: by the file of a worker and --bootstrap-servers, else those
// of a data folder. done is to be called in the end.
func brokersOf(ctx context.Context, data, servers, file string, log *slog.Logger) (brokers kafka.Config, done func(),
	err error) {
	settings, err := workerSettings(file)
	if err != nil {
		return brokers, nil, err
	}
	if servers == "" && settings["bootstrap.servers"] != "embedded" {
		servers = settings["bootstrap.servers"]
	}
	done = func() {}
	if servers == "" {
		address, end, err := kafka.AttachBroker(ctx, data, log)
		if err != nil {
			return brokers, nil, failed(fmt.Errorf("no embedded broker's data to read (--data %s): %w", data, err))
		}
		servers, done = address, func() { _ = end() } // what was read is read
	}
	settings["bootstrap.servers"] = servers
	brokers, warnings, err := kafka.Parse(ctx, settings)
	for _, w := range warnings {
		log.Warn(w.Setting + ": " + w.Text)
	}
	if err != nil {
		done()
		return brokers, nil, wrong(err)
	}
	brokers.Logger = log
	if err := brokers.Reach(ctx); err != nil { // at once what a client would try for long
		done()
		return brokers, nil, failed(fmt.Errorf("no broker of bootstrap.servers answers: %w", err))
	}
	return brokers, done, nil
}

// topicSource is where a command reads a topic from, as [brokersOf] has it.
type topicSource struct{ data, servers, file string }

func (s *topicSource) flags(c *cobra.Command) {
	dataFlag(c, &s.data)
	c.Flags().StringVar(&s.servers, "bootstrap-servers", "", "Kafka brokers as `host:port`,… instead of --data")
	c.Flags().StringVarP(&s.file, "properties", "p", "", "`file` of the worker, for how its brokers are reached")
}

// workerSettings are those of a worker's file, none where no file is given.
func workerSettings(file string) (map[string]string, error) {
	if file == "" {
		return map[string]string{}, nil
	}
	w, problems, err := config.LoadWorker(file, os.Environ(), nil)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return nil, wrong(err)
	}
	return w.All(), nil
}

// open makes a reader of topics. done is to be called in the end; the error has the exit code of the command.
func (s *topicSource) open(ctx context.Context, stderr io.Writer) (reader *kafka.Reader, done func(), err error) {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	brokers, detach, err := brokersOf(ctx, s.data, s.servers, s.file, log)
	if err != nil {
		return nil, nil, err
	}
	if reader, err = kafka.NewReader(brokers); err != nil {
		detach()
		return nil, nil, wrong(err)
	}
	return reader, func() { reader.Close(); detach() }, nil
}

func (s *topicSource) consume(ctx context.Context, topic string, follow bool, stdout, stderr io.Writer) (err error) {
	reader, done, err := s.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer done()
	out := bufio.NewWriterSize(stdout, 64<<10)
	var line []byte
	_, err = reader.Read(ctx, topic, kafka.ReadOptions{Follow: follow}, func(r *kgo.Record) error {
		// Whoever wrote the record must not steer the terminal: the same JSON, in escapes where one would obey.
		line = append(shown.JSON(kafka.AppendLine(line[:0], r)), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
		if follow {
			return out.Flush()
		}
		return nil
	})
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	switch {
	case errors.Is(err, syscall.EPIPE), errors.Is(err, os.ErrClosed), ctx.Err() != nil:
		return nil // whoever reads has enough, or it was stopped
	}
	return failed(err)
}
