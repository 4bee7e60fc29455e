package transport

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// logExchange logs a request at DEBUG, without secrets. Status zero means no answer; bytes is the length of the body.
func (d *destination) logExchange(e *exchange, sent http.Header, status int, bytes int64, began time.Time, err error) {
	log := d.config.Logger
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	secrets := d.secrets(sent)
	attributes := []any{"method", e.method, "path", e.otherOrigin + redact(printable(e.line), secrets), "status",
		status, "bytes", bytes, "ms", time.Since(began).Milliseconds()}
	if err != nil {
		attributes = append(attributes, "error", redact(err.Error(), secrets))
	}
	log.Debug("request", attributes...)
}
