package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Redacted returns a logger that redacts the texts of its lines. Levels of a logger of [New] still apply.
func Redacted(log *slog.Logger, strike func(string) string) *slog.Logger {
	if h, ok := log.Handler().(handler); ok {
		return slog.New(handler{redactingHandler{h.Handler, strike}, h.levels})
	}
	return slog.New(redactingHandler{log.Handler(), strike})
}

// redactingHandler redacts messages and attributes with text.
type redactingHandler struct {
	slog.Handler
	redact func(string) string
}

// publishedKeys are attributes with names that a connector publishes anyway, in topics, offsets and metrics.
var publishedKeys = []string{"connector", "feed", "topic", "topics"}

func (s redactingHandler) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, r.Level, s.redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(s.attr(a))
		return true
	})
	return s.Handler.Handle(ctx, line)
}

func (s redactingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactingHandler{s.Handler.WithAttrs(s.attrs(attrs)), s.redact}
}

func (s redactingHandler) WithGroup(name string) slog.Handler {
	return redactingHandler{s.Handler.WithGroup(name), s.redact}
}

func (s redactingHandler) attrs(attrs []slog.Attr) []slog.Attr {
	all := slices.Clone(attrs)
	for i := range all {
		all[i] = s.attr(all[i])
	}
	return all
}

func (s redactingHandler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch {
	case slices.Contains(publishedKeys, a.Key):
		return a
	case v.Kind() == slog.KindString:
		a.Value = slog.StringValue(s.redact(v.String()))
	case v.Kind() == slog.KindGroup:
		a.Value = slog.GroupValue(s.attrs(v.Group())...)
	case v.Kind() == slog.KindAny:
		if text := fmt.Sprintf("%+v", v.Any()); s.redact(text) != text {
			a.Value = slog.StringValue(s.redact(text))
		}
	}
	return a
}
