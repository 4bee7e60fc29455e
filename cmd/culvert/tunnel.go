package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka/security"
	secrets "github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/internal/tunnel"
)

func newTunnel() *cobra.Command {
	var in installation
	var file, listen string
	c := &cobra.Command{
		Use:   "tunnel -p WORKER-FILE",
		Short: "Let any Kafka client of this machine use a remote cluster",
		Long: `Let any Kafka client of this machine use a remote cluster as if it were local: proxy, TLS and logon are those of a
worker's file. Clients connect in plain text to the address of --listen, which represents bootstrap.servers; each
broker gets a port of its own after it. Without sasl.* in the file, a client's own SASL passes.

Each listener is one line on stdout: ADDRESS bootstrap SERVERS, ADDRESS broker ID HOST:PORT. Anyone who can reach these
ports uses the cluster with the rights of the file: keep to 127.0.0.1.`,
		Example: `  culvert tunnel -p worker.properties
  culvert tunnel -p worker.properties --listen 127.0.0.1:19092
  kafka-console-consumer.sh --bootstrap-server 127.0.0.1:9092 --topic Orders`,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := in.logger(c.ErrOrStderr())
			if err != nil {
				return err
			}
			if file == "" {
				return asUsageError(fmt.Errorf("expected -p WORKER-FILE, with bootstrap.servers and kafka.proxy.*"))
			}
			w, k, err := remoteKafka(c.Context(), file, nil, log)
			if err != nil {
				return err
			}
			if err := rejectOwnAddress(w, k.Bootstrap, listen); err != nil {
				return asUsageError(secrets.RedactError(fmt.Errorf("%s: %w", file, err), w.Redact))
			}
			t, err := tunnel.Open(c.Context(), tunnel.Options{Listen: listen, Bootstrap: k.Bootstrap, SASL: k.SASL(),
				Logger: k.Logger,
				Dial: func(ctx context.Context, address string) (net.Conn, error) {
					return k.Dial(ctx, "tcp", address)
				},
				DialTimeout: time.Minute, // longer than a proxy waits for a broker
				Announce: func(line string) {
					address, target, _ := strings.Cut(line, " ")
					fmt.Fprintln(c.OutOrStdout(), address, w.Redact(target))
				}})
			if err != nil {
				return asFailure(secrets.RedactError(err, w.Redact))
			}
			t.Wait()
			return nil
		},
	}
	in.logFlags(c, "info")
	c.Flags().StringVarP(&file, "properties", "p", "", "`file` of a worker")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9092",
		"`address` for bootstrap.servers; brokers get the following ports")
	return c
}

// rejectOwnAddress rejects brokers at the tunnel's own address, to which it would connect endlessly. Behind a proxy the
// same address is another machine's.
func rejectOwnAddress(w *config.Worker, bootstrap []string, listen string) error {
	settings, _, err := security.RouteSettings(w.All())
	if err != nil || (settings.Type != "" && settings.Type != route.None) || len(settings.AddressMap) > 0 {
		return err
	}
	listenAddress, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil || listenAddress.Port == 0 {
		return nil // Open returns the error
	}
	for _, address := range bootstrap {
		broker, err := net.ResolveTCPAddr("tcp", address)
		if err == nil && broker.Port == listenAddress.Port && (broker.IP.Equal(listenAddress.IP) ||
			((listenAddress.IP == nil || listenAddress.IP.IsUnspecified()) && broker.IP.IsLoopback())) {
			return fmt.Errorf("bootstrap.servers: expected brokers elsewhere, found %s, which is the tunnel's own "+
				"address: give another one with --listen", address)
		}
	}
	return nil
}
