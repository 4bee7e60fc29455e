package security

import (
	"context"
	"log/slog"

	"github.com/culvert-project/culvert/internal/guard"
)

// CurrentValues holds the values that may change later: secrets and the logger. Safe for concurrent use.
type CurrentValues struct {
	parent *CurrentValues // of the original configuration; nil for none

	mu      guard.Mutex
	current func(name string) (string, bool) // see Follow; nil before it is called
	log     *slog.Logger
}

// Derive returns the values of a derived configuration, which fall back to c. c may be nil.
func (c *CurrentValues) Derive() *CurrentValues { return &CurrentValues{parent: c} }

// Follow sets a function that returns the current value of a property by its full name; !ok means unchanged.
func (c *CurrentValues) Follow(current func(name string) (string, bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = current
}

// value returns the current value of a property by its full name; !ok means unchanged.
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
	return slog.New(lazyHandler{values: c, wrap: func(h slog.Handler) slog.Handler { return h }})
}

// lazyHandler logs to the logger that is set when a line is written.
type lazyHandler struct {
	values *CurrentValues
	wrap   func(slog.Handler) slog.Handler // adds attributes and groups
}

func (h lazyHandler) handler() slog.Handler {
	for values := h.values; values != nil; values = values.parent {
		values.mu.Lock()
		log := values.log
		values.mu.Unlock()
		if log != nil {
			return h.wrap(log.Handler())
		}
	}
	return slog.DiscardHandler
}

func (h lazyHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.handler().Enabled(ctx, l)
}

func (h lazyHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

func (h lazyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	wrap := func(inner slog.Handler) slog.Handler { return h.wrap(inner).WithAttrs(attrs) }
	return lazyHandler{values: h.values, wrap: wrap}
}

func (h lazyHandler) WithGroup(name string) slog.Handler {
	wrap := func(inner slog.Handler) slog.Handler { return h.wrap(inner).WithGroup(name) }
	return lazyHandler{values: h.values, wrap: wrap}
}
