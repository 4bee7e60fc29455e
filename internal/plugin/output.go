package plugin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
)

// Bounds of one log line, and of what one call writes to stdout and stderr.
const (
	maxLineBytes   = 8 << 10
	maxOutputBytes = 16 << 10
)

// LevelTrace is the log level of a guest's trace lines.
const LevelTrace = slog.LevelDebug - 4

var levels = [...]slog.Level{LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

// output receives an instance's log lines, and its stdout and stderr, which are buffered until the call ends, since
// the text of a panic belongs to the trap.
type output struct {
	logger *slog.Logger
	text   []byte
	cut    int
	lines  *bucket
	flood  int
	// warnings counts warnings and errors of this call, dropped ones included.
	warnings int
	// watch ends the call when its time is up: one write can have millions of parts.
	watch func()
}

type bucket struct {
	perSecond float64

	mu      sync.Mutex
	left    float64
	filled  time.Time
	dropped int
}

func newBucket(perSecond int64) *bucket {
	return &bucket{perSecond: float64(perSecond), left: float64(perSecond), filled: time.Now()}
}

// take takes one token. dropped counts the lines refused since the last report.
func (b *bucket) take() (dropped int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.left = min(b.perSecond, b.left+now.Sub(b.filled).Seconds()*b.perSecond)
	b.filled = now
	if b.left < 1 {
		b.dropped++
		return 0, false
	}
	b.left--
	dropped, b.dropped = b.dropped, 0
	return dropped, true
}

func (o *output) reset() { o.text, o.cut, o.flood, o.warnings = o.text[:0], 0, 0, 0 }

// Write receives stdout and stderr.
func (o *output) Write(p []byte) (int, error) {
	if o.watch != nil {
		o.watch()
	}
	n := min(len(p), maxOutputBytes-len(o.text))
	o.text = append(o.text, p[:n]...)
	o.cut += len(p) - n
	return len(p), nil
}

func (o *output) log(level wit.Level, text []byte) (flooded bool) {
	if level >= wit.LevelWarn {
		o.warnings++
	}
	return o.logLine(level, text)
}

// logLine logs a line within the rate. flooded: a hundred times the rate was dropped in one call, which ends it.
func (o *output) logLine(level wit.Level, text []byte) (flooded bool) {
	dropped, ok := o.lines.take()
	if !ok {
		o.flood++
		return float64(o.flood) >= 100*o.lines.perSecond
	}
	if dropped > 0 {
		o.logger.Warn("log lines of a plugin were dropped", "lines", dropped, "allowed.per.second", o.lines.perSecond)
	}
	at := levels[level]
	if !o.logger.Enabled(context.Background(), at) {
		return false
	}
	message := shown.LineUpTo(string(text[:min(len(text), maxLineBytes)]), maxLineBytes)
	if len(text) > maxLineBytes {
		message += fmt.Sprintf(" ... (%d bytes more)", len(text)-maxLineBytes)
	}
	o.logger.Log(context.Background(), at, message)
	return false
}

func (o *output) flush() {
	if len(o.text) == 0 {
		return
	}
	for line := range bytes.Lines(o.text) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			o.logLine(wit.LevelInfo, line)
		}
	}
	if o.cut > 0 {
		o.logLine(wit.LevelWarn, fmt.Appendf(nil, "... %d bytes of output more", o.cut))
	}
	o.text = o.text[:0]
}

// flood is the reason of a [*Trap] for a call that logged too much.
type flood struct{ abi.Violation }

// Unwrap returns the violation.
func (f *flood) Unwrap() error { return &f.Violation }
