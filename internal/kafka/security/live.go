package security

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/internal/guard"
)

// Live holds what changes after a configuration was created: its secrets and its logger. It is safe for concurrent
// use.
type Live struct {
	of *Live // that of the configuration that this one was made of; nil: none

	mu      guard.Mutex
	current func(name string) (string, bool)
	log     *slog.Logger
}

// Next returns a Live for a derived configuration, which falls back to l. l may be nil.
func (l *Live) Next() *Live { return &Live{of: l} }

// Follow sets a function that returns the current value of a property by its whole name.
func (l *Live) Follow(current func(name string) (string, bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = current
}

func (l *Live) now(name string) (string, bool) {
	l.mu.Lock()
	current := l.current
	l.mu.Unlock()
	if name == "" {
		return "", false
	}
	if current != nil {
		if value, ok := current(name); ok {
			return value, true
		}
	}
	if l.of != nil {
		return l.of.now(name)
	}
	return "", false
}

func (l *Live) logTo(log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
}

func (l *Live) logger() *slog.Logger {
	return slog.New(lateHandler{l, func(h slog.Handler) slog.Handler { return h }})
}

type lateHandler struct {
	of   *Live
	with func(slog.Handler) slog.Handler
}

func (h lateHandler) now() slog.Handler {
	for l := h.of; l != nil; l = l.of {
		l.mu.Lock()
		log := l.log
		l.mu.Unlock()
		if log != nil {
			return h.with(log.Handler())
		}
	}
	return slog.DiscardHandler
}

func (h lateHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.now().Enabled(ctx, l) }

func (h lateHandler) Handle(ctx context.Context, r slog.Record) error { return h.now().Handle(ctx, r) }

func (h lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lateHandler{h.of, func(to slog.Handler) slog.Handler { return h.with(to).WithAttrs(attrs) }}
}

func (h lateHandler) WithGroup(name string) slog.Handler {
	return lateHandler{h.of, func(to slog.Handler) slog.Handler { return h.with(to).WithGroup(name) }}
}
