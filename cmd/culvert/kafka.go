package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/logging"
	secrets "github.com/culvert-project/culvert/internal/secret"
)

// remoteKafka reads from a worker's file, and settings that go before it, how its brokers are reached. An embedded
// broker is none that there is a way to. Neither the error nor what k logs shows what config providers gave the file.
func remoteKafka(ctx context.Context, file string, settings map[string]string, log *slog.Logger) (w *config.Worker,
	k kafka.Config, err error) {
	if w, err = loadWorker(file, settings); err != nil {
		return nil, k, err
	}
	strike := w.Redact
	defer func() { err = secrets.Error(err, strike) }()
	log = logging.Struck(log, strike)
	k, warnings, err := kafka.Parse(ctx, w.All())
	if err != nil {
		return nil, k, wrong(fmt.Errorf("%s: %w", file, err))
	}
	for _, w := range warnings {
		log.Warn(w.Setting+": "+w.Text, "file", file)
	}
	_, embedded, err := kafka.EmbeddedListen(k.Bootstrap)
	if err == nil && embedded {
		err = errors.New("bootstrap.servers: expected HOST:PORT of brokers, found embedded")
	}
	if err != nil {
		return nil, k, wrong(fmt.Errorf("%s: %w", file, err))
	}
	k.Logger = log
	k.SetCurrentValues(w.Current)
	return w, k, nil
}
