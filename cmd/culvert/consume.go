package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
)

func newConsume() *cobra.Command {
	var data, servers string
	var follow, asJSON bool
	c := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print a topic's records as JSON lines",
		Long: `Print a topic's records as JSON lines of topic, partition, offset, timestamp, key, value and headers: partition by partition, up to
the end offsets at the start, without records of open and aborted transactions. A key or value that is one JSON document stands as it
is, other UTF-8 as a string, other bytes as {"base64":…}, null as null.

The topic is read from the broker of --bootstrap-servers, else from the one that runs on the --data folder, else from that folder,
which is locked for the time.`,
		Example: `  culvert consume Orders
  culvert consume Orders --follow --bootstrap-servers kafka:9092
  culvert consume Orders | head -1`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return consume(c.Context(), args[0], data, servers, follow, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&servers, "bootstrap-servers", "", "Kafka brokers as `host:port`,… instead of --data")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new records until stopped")
	c.Flags().BoolVar(&asJSON, "json", true, "as JSON lines, which is the only form")
	return c
}

func consume(ctx context.Context, topic, data, servers string, follow bool, stdout, stderr io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if servers == "" {
		address, done, err := kafka.AttachBroker(ctx, data, log)
		if err != nil {
			return failed(fmt.Errorf("no embedded broker's data to read (--data %s): %w", data, err))
		}
		defer done()
		servers = address
	}
	config, warnings, err := kafka.Parse(map[string]string{"bootstrap.servers": servers})
	for _, w := range warnings {
		log.Warn(w)
	}
	if err != nil {
		return wrong(err)
	}
	if err := reachable(ctx, config.Bootstrap); err != nil {
		return failed(err)
	}
	reader, err := kafka.NewReader(config)
	if err != nil {
		return wrong(err)
	}
	defer reader.Close()
	out := bufio.NewWriterSize(stdout, 64<<10)
	var line []byte
	_, err = reader.Read(ctx, topic, kafka.ReadOptions{Follow: follow}, func(r *kgo.Record) error {
		line = append(kafka.AppendLine(line[:0], r), '\n')
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

// reachable tells at once what a client would try for long: that nobody listens there.
func reachable(ctx context.Context, servers []string) error {
	var all error
	for _, s := range servers {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s)
		if err == nil {
			conn.Close()
			return nil
		}
		all = errors.Join(all, err)
	}
	return fmt.Errorf("no broker of bootstrap.servers answers: %w", all)
}
