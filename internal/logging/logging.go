// Package logging gives lines of the log levels that can be set while the worker runs, by the logger that a line
// belongs to. Loggers have the names that operators of Kafka Connect know: a line belongs to the one of the package
// that writes it.
package logging

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Root is the name of the logger whose level counts where no other does.
const Root = "root"

// Lowest is a level below all that are used: what is given to [New] has to let it through.
const Lowest = slog.Level(-8)

// off lets nothing through.
const off = slog.Level(1 << 20)

type namedLevel struct {
	name  string
	level slog.Level
}

// levels are Kafka Connect's names. A line of slog's level debug-4 and below is TRACE.
var levels = []namedLevel{
	{"OFF", off}, {"FATAL", slog.LevelError + 4}, {"ERROR", slog.LevelError}, {"WARN", slog.LevelWarn},
	{"INFO", slog.LevelInfo}, {"DEBUG", slog.LevelDebug}, {"TRACE", slog.LevelDebug - 4}, {"ALL", Lowest},
}

// LevelNames are Kafka Connect's names of levels, the highest first.
func LevelNames() (names []string) {
	for _, l := range levels {
		names = append(names, l.name)
	}
	return names
}

// packageLoggers are the loggers of packages of this module, by the path below it; the longest that fits counts.
var packageLoggers = []struct{ path, logger string }{
	{"internal/run/source", "org.init.ohja.kafka.connect.odatav2.source"},
	{"internal/run/sink", "org.init.ohja.kafka.connect.odatav2.sink"},
	{"internal/service", "org.init.ohja.kafka.connect.odatav2.http"},
	{"internal/transport", "org.init.ohja.kafka.connect.odatav2.http"},
	{"internal/run/offset", "org.apache.kafka.connect.storage"},
	{"internal/run/transform", "org.apache.kafka.connect.transforms"},
	{"internal/convert", "org.apache.kafka.connect.converters"},
	{"internal/plugin", "org.apache.kafka.connect.runtime.isolation"},
	{"internal/rest", "org.apache.kafka.connect.runtime.rest"},
	{"internal/kafka", "org.apache.kafka.clients"},
	{"host", "org.apache.kafka.connect.runtime"},
	{"internal", "org.apache.kafka.connect.runtime"},
}

const module = "github.com/culvert-project/culvert/"

// otherLogger is the logger of commands and libraries.
const otherLogger = "culvert"

// Levels are those of the loggers of a program. Safe for use by several goroutines.
type Levels struct {
	lowest          atomic.Int64 // of all
	loggerByPC      sync.Map     // logger by the program counter of a call
	effectiveLevels atomic.Pointer[map[string]slog.Level]

	mu          sync.Mutex
	root        slog.Level
	configured  map[string]configuredLevel // loggers that were set, and their level
	rootChanged time.Time                  // when root was
}

type configuredLevel struct {
	level slog.Level
	at    time.Time
}

// Level is what a logger lets through.
type Level struct {
	// Level is Kafka Connect's name: ERROR, WARN, INFO, DEBUG, TRACE, OFF, …
	Level string `json:"level"`
	// Modified is when it was set, in milliseconds; nil: it is as at the start.
	Modified *int64 `json:"last_modified"`
}

// New makes a logger whose lines from a level on go to a handler, which lets through all from [Lowest] on.
func New(to slog.Handler, level slog.Level) *slog.Logger {
	l := &Levels{root: level, configured: map[string]configuredLevel{}}
	l.update()
	return slog.New(handler{to, l})
}

// LevelsOf is the levels of a logger, and the logger that goes by them: that itself where it was made by [New]. Of
// others lines can be left out, not won back.
func LevelsOf(log *slog.Logger) (*Levels, *slog.Logger) {
	if h, ok := log.Handler().(handler); ok {
		return h.levels, log
	}
	level := off
	for _, l := range levels {
		if log.Enabled(context.Background(), l.level) {
			level = min(level, l.level)
		}
	}
	log = New(log.Handler(), level)
	return log.Handler().(handler).levels, log
}

// locationKey is the attribute for where a line is written, by the name that the connectors for Kafka Connect have for
// it among the context of their lines.
const locationKey = "ohja.location"

// Options are those of slog's handlers whose lines a logger of [New] writes. located: each line has the function and
// the line's number where it is written, source.(*Task).Run:312.
func Options(located bool) *slog.HandlerOptions {
	replace := func(_ []string, a slog.Attr) slog.Attr {
		if s, ok := a.Value.Any().(*slog.Source); ok && a.Key == slog.SourceKey {
			return slog.String(locationKey, s.Function[strings.LastIndexByte(s.Function, '/')+1:]+":"+
				strconv.Itoa(s.Line))
		}
		return a
	}
	return &slog.HandlerOptions{Level: Lowest, AddSource: located, ReplaceAttr: replace}
}

// handler leaves out what a line's logger does not let through.
type handler struct {
	slog.Handler
	levels *Levels
}

// Enabled tells whether any logger lets the level through: which one it is, is known with the line.
func (h handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= h.levels.lowest.Load()
}

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < h.levels.levelAt(r.PC) || !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.levels}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.levels}
}

// levelAt is the level of the logger that a line belongs to, by where it is written.
func (l *Levels) levelAt(pc uintptr) slog.Level { return (*l.effectiveLevels.Load())[l.loggerAt(pc)] }

// loggerAt is the one that a line belongs to, by where it is written.
func (l *Levels) loggerAt(pc uintptr) string {
	name, ok := l.loggerByPC.Load(pc)
	if !ok {
		frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		name = loggerOf(frame.Function)
		l.loggerByPC.Store(pc, name)
	}
	return name.(string)
}

// loggerOf is the logger of a function, such as module/internal/kafka.(*Admin).Close.
func loggerOf(function string) string {
	path, ok := strings.CutPrefix(function, module)
	if !ok {
		return otherLogger
	}
	best := otherLogger
	longest := 0
	for _, o := range packageLoggers {
		rest, ok := strings.CutPrefix(path, o.path)
		if ok && len(o.path) > longest && (rest == "" || rest[0] == '.' || rest[0] == '/') {
			best, longest = o.logger, len(o.path)
		}
	}
	return best
}

// update works out what each logger of lines lets through; l.mu is held, or l is nobody else's.
func (l *Levels) update() {
	now := map[string]slog.Level{}
	least := off
	for _, name := range Loggers() {
		level, _ := l.effective(name)
		now[name] = level
		least = min(least, level)
	}
	l.effectiveLevels.Store(&now)
	l.lowest.Store(int64(least))
}

// effective is what counts for a logger: what it was set to, else the nearest above it, else root.
func (l *Levels) effective(name string) (slog.Level, time.Time) {
	for ancestor := name; ancestor != ""; {
		if c, ok := l.configured[ancestor]; ok {
			return c.level, c.at
		}
		i := strings.LastIndexByte(ancestor, '.')
		ancestor = ancestor[:max(i, 0)]
	}
	return l.root, l.rootChanged
}

// Loggers are those that lines of this program have, sorted.
func Loggers() []string {
	names := []string{otherLogger}
	for _, o := range packageLoggers {
		names = append(names, o.logger)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// All are the levels of root, of all loggers of lines, and of those that were set.
func (l *Levels) All() map[string]Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]Level{}
	for _, name := range l.known() {
		all[name] = l.describe(name)
	}
	return all
}

func (l *Levels) known() []string {
	names := append(Loggers(), Root)
	for name := range l.configured {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (l *Levels) describe(name string) Level {
	level, at := l.effective(name)
	if name == Root {
		level, at = l.root, l.rootChanged
	}
	s := Level{Level: levelName(level)}
	if !at.IsZero() {
		millis := at.UnixMilli()
		s.Modified = &millis
	}
	return s
}

func levelName(level slog.Level) string {
	for _, one := range levels {
		if level >= one.level {
			return one.name
		}
	}
	return levels[len(levels)-1].name
}

// parseLevel is the level of a name, in any case; the error is an [ErrLevel].
func parseLevel(name string) (slog.Level, error) {
	for _, one := range levels {
		if strings.EqualFold(one.name, name) {
			return one.level, nil
		}
	}
	return 0, ErrLevel{name}
}

// canonicalName is the name of a logger: root in any case, as Kafka Connect has it.
func canonicalName(name string) string {
	if strings.EqualFold(name, Root) {
		return Root
	}
	return name
}

// Get is the level of one logger; false where there is none of that name.
func (l *Levels) Get(name string) (Level, bool) {
	name = canonicalName(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.known(), name) {
		return Level{}, false
	}
	return l.describe(name), true
}

// maxSet is how many loggers may be set, and maxName how long their names may be: they are kept.
const (
	maxSet  = 1000
	maxName = 1000
)

// ErrLevel is the error of a level that there is not.
type ErrLevel struct{ Level string }

func (e ErrLevel) Error() string { return "invalid log level '" + e.Level + "'." }

// Set has a logger and all below it let through lines from a level on. changed are the names of those that had another
// level, sorted, as with Kafka Connect; lines tells whether any line can belong to the logger or one below it.
func (l *Levels) Set(name, level string) (changedNames []string, isUsed bool, err error) {
	parsed, err := parseLevel(level)
	if err != nil {
		return nil, false, err
	}
	name = canonicalName(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.configured[name]; !known && (len(l.configured) >= maxSet || len(name) > maxName) {
		return nil, false, fmt.Errorf("expected at most %d loggers with names of %d bytes", maxSet, maxName)
	}
	entry := configuredLevel{parsed, time.Now()}
	names := l.known()
	if !slices.Contains(names, name) {
		names = append(names, name)
		slices.Sort(names)
	}
	changedNames = []string{}
	for _, known := range names {
		if name != Root && known != name && !strings.HasPrefix(known, name+".") {
			continue
		}
		isUsed = isUsed || slices.Contains(Loggers(), known)
		if l.describe(known).Level != levelName(entry.level) {
			changedNames = append(changedNames, known)
		}
	}
	_, at := l.effective(name)
	switch {
	case len(changedNames) == 0 && name != Root: // from now on it is one of those that are shown
		l.configured[name] = configuredLevel{entry.level, at}
		return changedNames, isUsed, nil
	case len(changedNames) == 0:
		return changedNames, true, nil
	}
	if name == Root {
		clear(l.configured)
		l.root, l.rootChanged = entry.level, entry.at
		l.update()
		return changedNames, true, nil
	}
	l.configured[name] = entry
	for known := range l.configured {
		if strings.HasPrefix(known, name+".") {
			l.configured[known] = entry
		}
	}
	l.update()
	return changedNames, isUsed, nil
}

// UnusedLogger is said of a level that has no effect.
const UnusedLogger = "a level is set for a logger that no line of this worker belongs to"
