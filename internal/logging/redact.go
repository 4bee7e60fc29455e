package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Redacted returns a logger that redacts the texts of its lines. Levels of a logger of [New] still apply.
func Redacted(log *slog.Logger, redact func(string) string) *slog.Logger {
	if h, ok := log.Handler().(handler); ok {
		return slog.New(handler{redactingHandler{h.Handler, redact}, h.levels})
	}
	return slog.New(redactingHandler{log.Handler(), redact})
}

type redactingHandler struct {
	slog.Handler
	redact func(string) string
}

// publishedKeys are attributes with names that a connector publishes anyway, in topics, offsets and metrics.
var publishedKeys = []string{"connector", "feed", "topic", "topics"}

// Handle redacts the message and the attributes of a line, then passes it on.
func (h redactingHandler) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, r.Level, h.redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, line)
}

func (h redactingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactingHandler{h.Handler.WithAttrs(h.attrs(attrs)), h.redact}
}

func (h redactingHandler) WithGroup(name string) slog.Handler {
	return redactingHandler{h.Handler.WithGroup(name), h.redact}
}

func (h redactingHandler) attrs(attrs []slog.Attr) []slog.Attr {
	redacted := slices.Clone(attrs)
	for i := range redacted {
		redacted[i] = h.attr(redacted[i])
	}
	return redacted
}

func (h redactingHandler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch {
	case slices.Contains(publishedKeys, a.Key):
		return a
	case v.Kind() == slog.KindString:
		a.Value = slog.StringValue(h.redact(v.String()))
	case v.Kind() == slog.KindGroup:
		a.Value = slog.GroupValue(h.attrs(v.Group())...)
	case v.Kind() == slog.KindAny:
		if formatted := fmt.Sprintf("%+v", v.Any()); h.redact(formatted) != formatted {
			a.Value = slog.StringValue(h.redact(formatted))
		}
	}
	return a
}
