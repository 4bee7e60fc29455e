package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/logging"
	secrets "github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/shown"
)

func newConsume() *cobra.Command {
	var from topicSource
	var o consumeOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print a topic's records as JSON lines",
		Long: `Print a topic's records as JSON lines: partition by partition, up to the end offsets at the start, without records of
open and aborted transactions. A key or value that is one JSON document stays as it is, other UTF-8 is a string, other
bytes are {"base64":…}. Avro, and JSON with a JSON Schema, become JSON if a schema registry is named, by
--schema-registry or by the converters of the worker's file.

The topic is read from the broker of --bootstrap-servers or of the worker's file (--properties), else from the embedded
broker that runs on the --data folder, else from that folder, which is then locked.`,
		Example: `  culvert consume Orders
  culvert consume Orders --follow --bootstrap-servers kafka:9092
  culvert consume Orders -p worker.properties
  culvert consume Orders -n 1 --values --pretty
  culvert consume Orders --from 1h --schema-registry http://registry:8081
  culvert consume Orders --partition 0 --offset 41 -n 1`,
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			consume := func(w *config.Worker, r *kafka.Reader, log *slog.Logger) error {
				schemas, err := newSchemaReader(ctx, o.registry, w, log)
				if err != nil {
					return err
				}
				return withNearestTopic(ctx, r, args[0], o.print(ctx, r, schemas, args[0], c.OutOrStdout()))
			}
			return from.withReader(ctx, c.ErrOrStderr(), consume)
		},
	}
	from.flags(c)
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "continue with new records until stopped")
	c.Flags().Int64VarP(&o.count, "records", "n", 0, "stop after this many records; 0: no limit")
	c.Flags().StringVar(&o.since, "from", "",
		"`time` of the first record, such as 2026-02-03T04:05:06Z or 2026-02-03, or how long ago, such as 1h30m")
	c.Flags().Int32Var(&o.partition, "partition", -1, "read only this partition")
	c.Flags().Int64Var(&o.offset, "offset", 0, "start at this offset of --partition")
	c.Flags().StringVar(&o.registry, "schema-registry", "", "`URL` of a schema registry; overrides the worker's file")
	c.Flags().BoolVar(&o.values, "values", false, "print only values")
	c.Flags().BoolVar(&o.pretty, "pretty", false, "indent JSON")
	c.MarkFlagsMutuallyExclusive("from", "offset")
	c.Flags().BoolVar(&asJSON, "json", true, "print JSON lines, the only format")
	return c
}

type consumeOptions struct {
	follow    bool
	count     int64  // zero means all records
	since     string // "" means from the first record on
	partition int32  // -1 means all partitions
	offset    int64
	registry  string
	values    bool // only values
	pretty    bool // indented
}

func (o *consumeOptions) readOptions(ctx context.Context, r *kafka.Reader, topic string) (kafka.ReadOptions, error) {
	options := kafka.ReadOptions{Follow: o.follow}
	switch {
	case o.count < 0:
		return options, asUsageError(fmt.Errorf("--records: expected 0 or more, found %d", o.count))
	case o.partition < -1:
		return options, asUsageError(fmt.Errorf("--partition: expected 0 or more, found %d", o.partition))
	case o.offset < 0:
		return options, asUsageError(fmt.Errorf("--offset: expected 0 or more, found %d", o.offset))
	case o.offset > 0 && o.partition < 0:
		return options, asUsageError(errors.New("--offset: expected --partition as well"))
	}
	if o.since != "" {
		start, err := parseTime("--from", o.since, time.Now())
		if err != nil {
			return options, asUsageError(err)
		}
		if options.From, err = r.OffsetsForTime(ctx, topic, start); err != nil {
			return options, asFailure(err)
		}
	}
	if o.partition >= 0 {
		options.To = kafka.Positions{o.partition: math.MaxInt64} // so that no other partition is read
	}
	if o.offset > 0 {
		// From an offset beyond the end nothing would be read, or with --follow records from another offset. The ends
		// are the offsets since a time that no record has.
		ends, err := r.OffsetsForTime(ctx, topic, time.UnixMilli(math.MaxInt64))
		if end, ok := ends[o.partition]; err == nil && ok && end < o.offset {
			err = fmt.Errorf("--offset: partition %d of topic %s ends at offset %d, found %d", o.partition, topic, end,
				o.offset)
		}
		if err != nil {
			return options, asFailure(err)
		}
		options.From = kafka.Positions{o.partition: o.offset}
	}
	return options, nil
}

// parseTime parses a time, or a duration before now.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: expected a time such as 2026-02-03T04:05:06Z or 2026-02-03, or how long "+
		"ago, such as 1h30m, found %q", flag, text)
}

// openBrokers returns the brokers of --bootstrap-servers, else of the worker's file, else of the data folder, whose
// embedded broker it starts unless one runs. The caller calls detach, which stops that broker again.
func openBrokers(ctx context.Context, data, servers string, w *config.Worker,
	log *slog.Logger) (brokers kafka.Config, detach func(), err error) {
	settings := workerSettings(w)
	if servers == "" {
		bootstrap := config.List(settings["bootstrap.servers"])
		_, isEmbedded, err := kafka.EmbeddedListen(bootstrap)
		switch {
		case err != nil:
			return brokers, nil, asUsageError(err)
		case !isEmbedded: // the address of the embedded broker is in the data folder
			servers = strings.Join(bootstrap, ",")
		}
	}
	detach = func() {}
	if servers == "" {
		address, stop, err := embedded.Attach(ctx, data, log)
		if err != nil {
			return brokers, nil, asFailure(fmt.Errorf("no embedded broker's data to read (--data %s): %w", data, err))
		}
		servers = address
		detach = func() { _ = stop() } // an error comes too late to matter: all records were read
	}
	settings["bootstrap.servers"] = servers
	brokers, warnings, err := kafka.Parse(ctx, settings)
	for _, w := range warnings {
		log.Warn(w.Setting + ": " + w.Text)
	}
	if err != nil {
		detach()
		return brokers, nil, asUsageError(err)
	}
	brokers.Logger = log
	if err := brokers.CheckReachable(ctx); err != nil { // a client would retry for minutes
		detach()
		return brokers, nil, asFailure(fmt.Errorf("no broker of bootstrap.servers answers: %w", err))
	}
	return brokers, detach, nil
}

// topicSource has the flags of a command that reads topics, see [openBrokers].
type topicSource struct{ data, servers, file string }

// topicFlags are the names of the flags that [topicSource.flags] declares.
var topicFlags = []string{"data", "bootstrap-servers", "properties"}

func (s *topicSource) flags(c *cobra.Command) {
	dataFlag(c, &s.data)
	c.Flags().StringVar(&s.servers, "bootstrap-servers", "", "Kafka brokers as `host:port`,… instead of --data")
	c.Flags().StringVarP(&s.file, "properties", "p", "", "`file` of the worker, for the connection to its brokers")
}

func workerSettings(w *config.Worker) map[string]string {
	if w == nil {
		return map[string]string{}
	}
	return w.All()
}

// withWorkerFile calls do with the worker of a file, nil without one. Secrets from config providers are redacted.
func withWorkerFile(file string, stderr io.Writer, do func(w *config.Worker, log *slog.Logger) error) error {
	var w *config.Worker
	if file != "" {
		var err error
		if w, err = loadWorker(file, nil); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return secrets.RedactError(do(w, logging.Redacted(log, w.Redact)), w.Redact)
}

func (s *topicSource) withBrokers(ctx context.Context, stderr io.Writer,
	do func(*config.Worker, kafka.Config) error) error {
	return withWorkerFile(s.file, stderr, func(w *config.Worker, log *slog.Logger) error {
		brokers, detach, err := openBrokers(ctx, s.data, s.servers, w, log)
		if err != nil {
			return err
		}
		defer detach()
		return do(w, brokers)
	})
}

func (s *topicSource) withReader(ctx context.Context, stderr io.Writer,
	do func(w *config.Worker, reader *kafka.Reader, log *slog.Logger) error) error {
	return s.withBrokers(ctx, stderr, func(w *config.Worker, brokers kafka.Config) error {
		reader, err := kafka.NewReader(brokers)
		if err != nil {
			return asUsageError(err)
		}
		defer reader.Close()
		return do(w, reader, brokers.Logger)
	})
}

// appendLine appends a record or its value as a line. The writer of a record must not control the terminal: such
// characters are escaped in the JSON.
func (o *consumeOptions) appendLine(line []byte, r *kgo.Record) []byte {
	if o.values {
		line = kafka.AppendDatum(line, r.Value)
	} else {
		line = kafka.AppendLine(line, r)
	}
	return append(shown.JSON(line), '\n')
}

func (o *consumeOptions) print(ctx context.Context, reader *kafka.Reader, schemas *schemaReader, topic string,
	stdout io.Writer) error {
	options, err := o.readOptions(ctx, reader, topic)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stdout, 64<<10)
	var line []byte
	var indented bytes.Buffer
	var records int64
	_, err = reader.Read(ctx, topic, options, func(r *kgo.Record) error {
		r, err := schemas.convert(ctx, r)
		if err != nil {
			return err
		}
		line = o.appendLine(line[:0], r)
		if o.pretty {
			indented.Reset()
			if err := json.Indent(&indented, line, "", "  "); err != nil {
				return err
			}
			line = append(line[:0], indented.Bytes()...)
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		records++
		if records == o.count {
			return kafka.ErrStop
		}
		if o.follow {
			return out.Flush()
		}
		return nil
	})
	err = cmp.Or(err, out.Flush())
	switch {
	case errors.Is(err, syscall.EPIPE), errors.Is(err, os.ErrClosed), ctx.Err() != nil, errors.Is(err, kafka.ErrStop):
		return nil // the reader has enough, or the command was stopped
	}
	return asFailure(err)
}
