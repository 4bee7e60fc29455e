package kafka

import (
	"context"
	"log/slog"
	"sync"
)

// shared is what a configuration and all that were made of it have in common, and learn late.
type shared struct {
	mu      sync.Mutex
	current func(name string) (string, bool)
	log     *slog.Logger
}

func (s *shared) follow(current func(name string) (string, bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = current
}

// now is the value that a property has now; !ok: the one that was given.
func (s *shared) now(name string) (string, bool) {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current == nil || name == "" {
		return "", false
	}
	return current(name)
}

// hear has log told what stores and proxies have to say.
func (s *shared) hear(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = log
}

// logger is for what is made before the configuration has a logger.
func (s *shared) logger() *slog.Logger {
	return slog.New(lateHandler{s, func(h slog.Handler) slog.Handler { return h }})
}

type lateHandler struct {
	s    *shared
	with func(slog.Handler) slog.Handler
}

func (h lateHandler) now() slog.Handler {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.log == nil {
		return slog.DiscardHandler
	}
	return h.with(h.s.log.Handler())
}

func (h lateHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.now().Enabled(ctx, l) }

func (h lateHandler) Handle(ctx context.Context, r slog.Record) error { return h.now().Handle(ctx, r) }

func (h lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lateHandler{h.s, func(to slog.Handler) slog.Handler { return h.with(to).WithAttrs(attrs) }}
}

func (h lateHandler) WithGroup(name string) slog.Handler {
	return lateHandler{h.s, func(to slog.Handler) slog.Handler { return h.with(to).WithGroup(name) }}
}
