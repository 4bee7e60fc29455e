package transport

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// logExchange logs an exchange at DEBUG, without secrets; status zero means no answer, bytes are those of the body read.
func (d *destination) logExchange(e *exchange, sent http.Header, status int, bytes int64, began time.Time, err error) {
	log := d.config.Logger
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	secrets := d.secrets(sent)
	attributes := []any{"method", e.method, "path", e.otherOrigin + redact(printable(e.line), secrets), "status",
		status,
		"bytes", bytes, "ms", time.Since(began).Milliseconds()}
	if err != nil {
		attributes = append(attributes, "error", redact(err.Error(), secrets))
	}
	log.Debug("request", attributes...)
}

// loggedRequest is a request in a log: its method, and its target without what may be a secret.
func (d *destination) loggedRequest(e *exchange) string {
	return e.method + " " + e.otherOrigin + redact(printable(e.line), d.secrets(nil))
}
