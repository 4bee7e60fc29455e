package security

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/internal/guard"
)

// CurrentValues has what changes after a configuration was created: its secrets and its logger. It is safe for
// concurrent use.
type CurrentValues struct {
	parent *CurrentValues // of the original configuration; nil for none

	mu      guard.Mutex
	current func(name string) (string, bool)
	log     *slog.Logger
}

// Derive returns the values of a derived configuration, which fall back to c. c may be nil.
func (c *CurrentValues) Derive() *CurrentValues { return &CurrentValues{parent: c} }

// Follow sets a function that returns the current value of a property by its whole name.
func (c *CurrentValues) Follow(current func(name string) (string, bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = current
}

func (c *CurrentValues) value(name string) (string, bool) {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if name == "" {
		return "", false
	}
	if current != nil {
		if value, ok := current(name); ok {
			return value, true
		}
	}
	if c.parent != nil {
		return c.parent.value(name)
	}
	return "", false
}

func (c *CurrentValues) logTo(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
}

func (c *CurrentValues) logger() *slog.Logger {
	return slog.New(lazyHandler{c, func(h slog.Handler) slog.Handler { return h }})
}

// lazyHandler logs to the logger that is set when a line is written.
type lazyHandler struct {
	values *CurrentValues
	with   func(slog.Handler) slog.Handler
}

func (h lazyHandler) handler() slog.Handler {
	for l := h.values; l != nil; l = l.parent {
		l.mu.Lock()
		log := l.log
		l.mu.Unlock()
		if log != nil {
			return h.with(log.Handler())
		}
	}
	return slog.DiscardHandler
}

// Enabled implements [slog.Handler].
func (h lazyHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.handler().Enabled(ctx, l)
}

func (h lazyHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

func (h lazyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lazyHandler{h.values, func(to slog.Handler) slog.Handler { return h.with(to).WithAttrs(attrs) }}
}

func (h lazyHandler) WithGroup(name string) slog.Handler {
	return lazyHandler{h.values, func(to slog.Handler) slog.Handler { return h.with(to).WithGroup(name) }}
}
