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

// LevelTrace is the log level of a guest's trace lines: slog's levels are four apart.
const LevelTrace = slog.LevelDebug - 4

var levels = [...]slog.Level{LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

// output receives an instance's log lines, and its stdout and stderr, which are buffered until the call ends, since the
// text of a panic belongs to the trap.
type output struct {
	logger        *slog.Logger
	text          []byte    // the buffered stdout and stderr
	omittedBytes  int       // written beyond maxOutputBytes
	lines         *bucket   // limits the lines of the log
	droppedInCall int       // lines of the log
	warnings      int       // counts warnings and errors of this call, dropped ones included
	captured      *[]string // receives the lines instead of the log; nil means that they are logged
	checkTime     func()    // ends the call when its time is up: one write can have millions of parts
}

// bucket is a token bucket for log lines.
type bucket struct {
	perSecond float64

	mu       sync.Mutex
	tokens   float64
	filledAt time.Time
	dropped  int
}

func newBucket(perSecond int64) *bucket {
	return &bucket{perSecond: float64(perSecond), tokens: float64(perSecond), filledAt: time.Now()}
}

// takeToken takes one token, or counts a dropped line if no token is left (ok is false). dropped is the number of lines
// dropped since the last token; it is returned once.
func (b *bucket) takeToken() (dropped int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.perSecond, b.tokens+now.Sub(b.filledAt).Seconds()*b.perSecond)
	b.filledAt = now
	if b.tokens < 1 {
		b.dropped++
		return 0, false
	}
	b.tokens--
	dropped = b.dropped
	b.dropped = 0
	return dropped, true
}

func (o *output) reset() {
	o.text = o.text[:0]
	o.omittedBytes = 0
	o.droppedInCall = 0
	o.warnings = 0
}

// Write receives stdout and stderr.
func (o *output) Write(p []byte) (int, error) {
	if o.checkTime != nil {
		o.checkTime()
	}
	n := min(len(p), maxOutputBytes-len(o.text))
	o.text = append(o.text, p[:n]...)
	o.omittedBytes += len(p) - n
	return len(p), nil
}

// log logs or captures a line. If flooded is true, the call must end, see [floodFactor].
func (o *output) log(level wit.Level, line []byte) (flooded bool) {
	if level >= wit.LevelWarn {
		o.warnings++
	}
	if o.captured == nil {
		return o.logLine(level, line)
	}
	if level >= wit.LevelInfo && len(*o.captured) < maxCapturedLines {
		*o.captured = append(*o.captured, oneLine(line))
	}
	return false
}

const maxCapturedLines = 100 // more are dropped

func oneLine(text []byte) string {
	line := shown.LineUpTo(string(text[:min(len(text), maxLineBytes)]), maxLineBytes)
	if len(text) > maxLineBytes {
		line += fmt.Sprintf(" ... (%d bytes more)", len(text)-maxLineBytes)
	}
	return line
}

// floodFactor times the allowed lines of a second may be dropped in one call; then the call is ended.
const floodFactor = 100

// logLine logs a line within the rate. If flooded is true, the call must end, see [floodFactor].
func (o *output) logLine(level wit.Level, line []byte) (flooded bool) {
	dropped, ok := o.lines.takeToken()
	if !ok {
		o.droppedInCall++
		return float64(o.droppedInCall) >= floodFactor*o.lines.perSecond
	}
	if dropped > 0 {
		o.logger.Warn("log lines of a plugin were dropped", "lines", dropped, "allowed.per.second", o.lines.perSecond)
	}
	if logLevel := levels[level]; o.logger.Enabled(context.Background(), logLevel) {
		o.logger.Log(context.Background(), logLevel, oneLine(line))
	}
	return false
}

// flush logs the buffered stdout and stderr of a call that did not trap.
func (o *output) flush() {
	if len(o.text) == 0 {
		return
	}
	for line := range bytes.Lines(o.text) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			o.logLine(wit.LevelInfo, line)
		}
	}
	if o.omittedBytes > 0 {
		o.logLine(wit.LevelWarn, fmt.Appendf(nil, "... %d more bytes of output", o.omittedBytes))
	}
	o.text = o.text[:0]
}

// logLimitError is the reason of a [*Trap] for a call that logged too much.
type logLimitError struct{ abi.Violation }

func (l *logLimitError) Unwrap() error { return &l.Violation }
