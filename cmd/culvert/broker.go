package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/kafka/embedded"
)

func newBroker() *cobra.Command {
	var data, listen string
	c := &cobra.Command{
		Use:   "broker",
		Short: "Run the embedded Kafka broker on its own",
		Long: `Run the embedded Kafka broker on its own, until it is stopped, for trials, development and tests. It keeps acknowledged
records even if it is killed. Its address is printed, and is in broker.json of the data folder, where culvert run and
culvert consume find it.`,
		Example: "  culvert broker\n  culvert broker --listen 127.0.0.1:19092 --data /tmp/broker",
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			b, err := embedded.Open(embedded.Options{Dir: data, Listen: listen, Logger: log})
			if err != nil {
				return asUsageError(err)
			}
			fmt.Fprintln(c.OutOrStdout(), b.Addr())
			fmt.Fprintf(c.ErrOrStderr(), "embedded broker on %s, data in %s: for trying out, not for production\n",
				b.Addr(), data)
			<-c.Context().Done()
			return asFailure(b.Close())
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&listen, "listen", "", "`address` to listen on (default 127.0.0.1:9092, or the next free port)")
	return c
}
