// Package logtest records logs for tests.
package logtest

import (
	"bytes"
	"log/slog"
	"sync"
)

// Journal is a log that can be read while it is written. The zero value is ready. Safe for concurrent use.
type Journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// String returns the log so far.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// Logger returns a logger that writes messages of a level and above.
func (j *Journal) Logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: level}))
}
