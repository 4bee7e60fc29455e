// Package logging filters log lines by the level of their logger, which can change while the worker runs. A line
// belongs to the logger of its package; loggers have the names that operators of Kafka Connect know.
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

// Root is the logger above all others.
const Root = "root"

// Lowest is below all levels in use: a handler passed to [New] must accept it.
const Lowest = slog.Level(-8)

const off = slog.Level(1 << 20) // above all levels in use

type namedLevel struct {
	name  string
	level slog.Level
}

// levels has Kafka Connect's names. Lines of slog.LevelDebug-4 and below are TRACE.
var levels = []namedLevel{
	{"OFF", off}, {"FATAL", slog.LevelError + 4}, {"ERROR", slog.LevelError}, {"WARN", slog.LevelWarn},
	{"INFO", slog.LevelInfo}, {"DEBUG", slog.LevelDebug}, {"TRACE", slog.LevelDebug - 4}, {"ALL", Lowest},
}

// LevelNames returns the names of levels, the highest first.
func LevelNames() (names []string) {
	for _, l := range levels {
		names = append(names, l.name)
	}
	return names
}

// packageLoggers has the loggers by package path in this module; the longest matching path counts.
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

const otherLogger = "culvert"

// Levels has the levels of all loggers of a program. It is safe for concurrent use.
type Levels struct {
	lowest          atomic.Int64 // the lowest level of all loggers
	loggerByPC      sync.Map     // logger by the program counter of a call
	effectiveLevels atomic.Pointer[map[string]slog.Level]

	mu          sync.Mutex
	root        slog.Level
	configured  map[string]configuredLevel // loggers that were set, and their level
	rootChanged time.Time                  // when root was set, zero if never
}

type configuredLevel struct {
	level slog.Level
	at    time.Time
}

// Level is the level of a logger, as REST returns it.
type Level struct {
	Level    string `json:"level"`         // Kafka Connect's name: ERROR, WARN, INFO, DEBUG, TRACE, OFF, …
	Modified *int64 `json:"last_modified"` // when the level was set, in Unix milliseconds; nil means never
}

// New returns a logger that passes lines of at least level to a handler, which must accept [Lowest].
func New(next slog.Handler, level slog.Level) *slog.Logger {
	l := &Levels{root: level, configured: map[string]configuredLevel{}}
	l.update()
	return slog.New(handler{next, l})
}

// LevelsOf returns the levels of a logger, and the logger that uses them: log itself if [New] created it.
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

// locationKey is the attribute for the source location, with the name that it has in Kafka Connect's connectors.
const locationKey = "ohja.location"

// HandlerOptions returns options for the handler of a logger of [New].
func HandlerOptions() *slog.HandlerOptions { return &slog.HandlerOptions{Level: Lowest} }

// LocatedHandlerOptions adds the function and line number to each line, such as source.(*Task).Run:312.
func LocatedHandlerOptions() *slog.HandlerOptions {
	replace := func(_ []string, a slog.Attr) slog.Attr {
		if s, ok := a.Value.Any().(*slog.Source); ok && a.Key == slog.SourceKey {
			return slog.String(locationKey, s.Function[strings.LastIndexByte(s.Function, '/')+1:]+":"+
				strconv.Itoa(s.Line))
		}
		return a
	}
	return &slog.HandlerOptions{Level: Lowest, AddSource: true, ReplaceAttr: replace}
}

// handler drops lines below the level of their logger.
type handler struct {
	slog.Handler
	levels *Levels
}

// Enabled reports whether any logger has lines of a level.
func (h handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= h.levels.lowest.Load()
}

// Handle passes a line on if the level of its logger permits it.
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

func (l *Levels) levelAt(pc uintptr) slog.Level { return (*l.effectiveLevels.Load())[l.loggerAt(pc)] }

func (l *Levels) loggerAt(pc uintptr) string {
	name, ok := l.loggerByPC.Load(pc)
	if !ok {
		frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		name = loggerOf(frame.Function)
		l.loggerByPC.Store(pc, name)
	}
	return name.(string)
}

// loggerOf returns the logger of a function, such as module/internal/kafka.(*Admin).Close.
func loggerOf(function string) string {
	path, ok := strings.CutPrefix(function, module)
	if !ok {
		return otherLogger
	}
	logger := otherLogger
	longest := 0
	for _, o := range packageLoggers {
		remaining, ok := strings.CutPrefix(path, o.path)
		if ok && len(o.path) > longest && (remaining == "" || remaining[0] == '.' || remaining[0] == '/') {
			logger = o.logger
			longest = len(o.path)
		}
	}
	return logger
}

// update computes the effective levels. l.mu must be held, unless l is new.
func (l *Levels) update() {
	levelByLogger := map[string]slog.Level{}
	lowest := off
	for _, name := range Loggers() {
		level, _ := l.effectiveLevel(name)
		levelByLogger[name] = level
		lowest = min(lowest, level)
	}
	l.effectiveLevels.Store(&levelByLogger)
	l.lowest.Store(int64(lowest))
}

// effectiveLevel returns the level of a logger, its own, else its nearest ancestor's, else root's, and when it was set.
func (l *Levels) effectiveLevel(name string) (slog.Level, time.Time) {
	for ancestor := name; ancestor != ""; {
		if c, ok := l.configured[ancestor]; ok {
			return c.level, c.at
		}
		i := strings.LastIndexByte(ancestor, '.')
		ancestor = ancestor[:max(i, 0)]
	}
	return l.root, l.rootChanged
}

// Loggers returns the sorted loggers of this program.
func Loggers() []string {
	names := []string{otherLogger}
	for _, o := range packageLoggers {
		names = append(names, o.logger)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// All returns the levels of root, of this program's loggers, and of configured ones.
func (l *Levels) All() map[string]Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	levelByLogger := map[string]Level{}
	for _, name := range l.knownNames() {
		levelByLogger[name] = l.describe(name)
	}
	return levelByLogger
}

func (l *Levels) knownNames() []string {
	names := append(Loggers(), Root)
	for name := range l.configured {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (l *Levels) describe(name string) Level {
	level, changedAt := l.effectiveLevel(name)
	if name == Root {
		level = l.root
		changedAt = l.rootChanged
	}
	s := Level{Level: levelName(level)}
	if !changedAt.IsZero() {
		millis := changedAt.UnixMilli()
		s.Modified = &millis
	}
	return s
}

func levelName(level slog.Level) string {
	for _, l := range levels {
		if level >= l.level {
			return l.name
		}
	}
	return levels[len(levels)-1].name
}

func parseLevel(name string) (slog.Level, error) {
	for _, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, nil
		}
	}
	return 0, ErrLevel{name}
}

// canonicalName accepts root in any case, as Kafka Connect does.
func canonicalName(name string) string {
	if strings.EqualFold(name, Root) {
		return Root
	}
	return name
}

// Get returns the level of a logger, false if [Levels.All] does not have it.
func (l *Levels) Get(name string) (Level, bool) {
	name = canonicalName(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.knownNames(), name) {
		return Level{}, false
	}
	return l.describe(name), true
}

// Limits of the loggers that REST may configure, since they stay in memory.
const (
	maxSet  = 1000
	maxName = 1000
)

// ErrLevel is the error for a text that is no name of a level.
type ErrLevel struct{ Level string }

func (e ErrLevel) Error() string { return "invalid log level '" + e.Level + "'." }

// Set sets the level of a logger and all below it. isUsed reports whether any line can belong to them.
func (l *Levels) Set(name, level string) (changedNames []string, isUsed bool, err error) {
	parsed, err := parseLevel(level)
	if err != nil {
		return nil, false, err
	}
	name = canonicalName(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.configured[name]; !ok && (len(l.configured) >= maxSet || len(name) > maxName) {
		return nil, false, fmt.Errorf("expected at most %d loggers with names of %d bytes", maxSet, maxName)
	}
	entry := configuredLevel{parsed, time.Now()}
	names := l.knownNames()
	if !slices.Contains(names, name) {
		names = append(names, name)
		slices.Sort(names)
	}
	// Find the loggers whose level changes.
	changedNames = []string{}
	for _, logger := range names {
		if name != Root && logger != name && !strings.HasPrefix(logger, name+".") {
			continue
		}
		isUsed = isUsed || slices.Contains(Loggers(), logger)
		if l.describe(logger).Level != levelName(entry.level) {
			changedNames = append(changedNames, logger)
		}
	}
	_, changedAt := l.effectiveLevel(name)
	switch {
	case len(changedNames) == 0 && name != Root: // All shows the logger from now on
		l.configured[name] = configuredLevel{entry.level, changedAt}
		return changedNames, isUsed, nil
	case len(changedNames) == 0:
		return changedNames, true, nil
	}
	if name == Root { // all loggers get its level
		clear(l.configured)
		l.root = entry.level
		l.rootChanged = entry.at
		l.update()
		return changedNames, true, nil
	}
	l.configured[name] = entry
	for logger := range l.configured {
		if strings.HasPrefix(logger, name+".") {
			l.configured[logger] = entry
		}
	}
	l.update()
	return changedNames, isUsed, nil
}

// UnusedLogger is the warning for a level without effect.
const UnusedLogger = "a level was set for a logger that this worker does not use"
