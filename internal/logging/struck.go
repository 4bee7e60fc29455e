package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Struck is a logger whose lines pass strike, which leaves out of texts what must not be shown. Levels of a logger that
// was made by [New] go on to hold.
func Struck(log *slog.Logger, strike func(string) string) *slog.Logger {
	if h, ok := log.Handler().(handler); ok {
		return slog.New(handler{struck{h.Handler, strike}, h.levels})
	}
	return slog.New(struck{log.Handler(), strike})
}

// struck strikes messages, and attributes that hold text.
type struck struct {
	slog.Handler
	strike func(string) string
}

// names are attributes whose values are names that a connector publishes: in topics, offsets and figures they stand for
// all to see.
var names = []string{"connector", "feed", "topic", "topics"}

func (s struck) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, r.Level, s.strike(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(s.attr(a))
		return true
	})
	return s.Handler.Handle(ctx, line)
}

func (s struck) WithAttrs(attrs []slog.Attr) slog.Handler {
	return struck{s.Handler.WithAttrs(s.attrs(attrs)), s.strike}
}

func (s struck) WithGroup(name string) slog.Handler {
	return struck{s.Handler.WithGroup(name), s.strike}
}

func (s struck) attrs(attrs []slog.Attr) []slog.Attr {
	all := slices.Clone(attrs)
	for i := range all {
		all[i] = s.attr(all[i])
	}
	return all
}

func (s struck) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch {
	case slices.Contains(names, a.Key):
		return a
	case v.Kind() == slog.KindString:
		a.Value = slog.StringValue(s.strike(v.String()))
	case v.Kind() == slog.KindGroup:
		a.Value = slog.GroupValue(s.attrs(v.Group())...)
	case v.Kind() == slog.KindAny:
		if text := fmt.Sprintf("%+v", v.Any()); s.strike(text) != text {
			a.Value = slog.StringValue(s.strike(text))
		}
	}
	return a
}
