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

// remoteKafka returns the broker connection of a worker's file, which settings override. An embedded broker is an
// error. Secrets from config providers are redacted in the error and in k's log.
func remoteKafka(ctx context.Context, file string, settings map[string]string,
	log *slog.Logger) (w *config.Worker, k kafka.Config, err error) {
	if w, err = loadWorker(file, settings); err != nil {
		return nil, k, err
	}
	redact := w.Redact // an error return sets w to nil
	defer func() { err = secrets.RedactError(err, redact) }()
	log = logging.Redacted(log, redact)
	k, warnings, err := kafka.Parse(ctx, w.All())
	if err != nil {
		return nil, k, asUsageError(fmt.Errorf("%s: %w", file, err))
	}
	for _, w := range warnings {
		log.Warn(w.Setting+": "+w.Text, "file", file)
	}
	_, isEmbedded, err := kafka.EmbeddedListen(k.Bootstrap)
	if err == nil && isEmbedded {
		err = errors.New("bootstrap.servers: expected HOST:PORT of brokers, found embedded")
	}
	if err != nil {
		return nil, k, asUsageError(fmt.Errorf("%s: %w", file, err))
	}
	k.Logger = log
	k.SetCurrentValues(w.Current)
	return w, k, nil
}
