package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Redacted is a logger whose lines pass strike, which leaves out of texts what must not be shown. Levels of a logger
// that was made by [New] go on to hold.
func Redacted(log *slog.Logger, strike func(string) string) *slog.Logger {
	if h, ok := log.Handler().(handler); ok {
		return slog.New(handler{redactingHandler{h.Handler, strike}, h.levels})
	}
	return slog.New(redactingHandler{log.Handler(), strike})
}

// redactingHandler strikes messages, and attributes that hold text.
type redactingHandler struct {
	slog.Handler
	redact func(string) string
}

// publishedKeys are attributes whose values are names that a connector publishes: in topics, offsets and figures they
// stand for all to see.
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
