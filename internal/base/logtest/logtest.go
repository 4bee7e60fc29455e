// Package logtest holds a log that tests read while others write it.
package logtest

import (
	"bytes"
	"log/slog"
	"sync"
)

// Journal is such a log. The zero value is empty and ready; methods may be called by several goroutines.
type Journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the log.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// String is what the log holds so far.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// Logger writes messages of a level and above.
func (j *Journal) Logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: level}))
}
