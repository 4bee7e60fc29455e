package kafka

import (
	"context"
	"log/slog"
	"strings"

	"github.com/culvert-project/culvert/host/guard"
)

// shared is what a configuration and all that were made of it have in common, and learn late.
type shared struct {
	of *shared // the configuration that this one was made of; nil: none

	mu      guard.Mutex
	current func(name string) (string, bool)
	log     *slog.Logger
	// clusters are the root's, by bootstrap.servers.
	clusters map[string]*cluster
	// producing are the root's clients that feeds share, by their settings; opening guards it and is held while one is
	// opened.
	opening   guard.Mutex
	producing map[string]*producing
	// administering are those that administrators share, under the same lock.
	administering map[string]*administering
}

// cluster is what all clients know of the brokers that they start from.
type cluster struct {
	outages outages
	limits  limits
}

// cluster is that of some brokers to start from.
func (s *shared) cluster(bootstrap []string) *cluster {
	s = s.root()
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.Join(bootstrap, ",")
	if s.clusters == nil {
		s.clusters = map[string]*cluster{}
	}
	if s.clusters[key] == nil {
		s.clusters[key] = &cluster{}
	}
	return s.clusters[key]
}

func (s *shared) root() *shared {
	for s.of != nil {
		s = s.of
	}
	return s
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
	if name == "" {
		return "", false
	}
	if current != nil {
		if value, ok := current(name); ok {
			return value, true
		}
	}
	if s.of != nil {
		return s.of.now(name)
	}
	return "", false
}

// logTo sets the logger of key stores and proxies, which are made before the configuration has one.
func (s *shared) logTo(log *slog.Logger) {
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
	for s := h.s; s != nil; s = s.of {
		s.mu.Lock()
		log := s.log
		s.mu.Unlock()
		if log != nil {
			return h.with(log.Handler())
		}
	}
	return slog.DiscardHandler
}

func (h lateHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.now().Enabled(ctx, l) }

func (h lateHandler) Handle(ctx context.Context, r slog.Record) error { return h.now().Handle(ctx, r) }

func (h lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lateHandler{h.s, func(to slog.Handler) slog.Handler { return h.with(to).WithAttrs(attrs) }}
}

func (h lateHandler) WithGroup(name string) slog.Handler {
	return lateHandler{h.s, func(to slog.Handler) slog.Handler { return h.with(to).WithGroup(name) }}
}
