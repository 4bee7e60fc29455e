package logging

import (
	"context"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// locationKey is the attribute for where a line is written, by the name that the connectors for Kafka Connect have for
// it among the context of their lines.
const locationKey = "ohja.location"

// Located has lines tell where they are written: the function and the line's number, source.(*Task).Run:312.
func Located(to slog.Handler) slog.Handler { return located{to, new(sync.Map)} }

type located struct {
	slog.Handler
	places *sync.Map // text by the program counter of a call
}

func (h located) Handle(ctx context.Context, r slog.Record) error {
	if r.PC != 0 {
		text, ok := h.places.Load(r.PC)
		if !ok {
			text = locationOf(r.PC)
			h.places.Store(r.PC, text)
		}
		r = r.Clone()
		r.AddAttrs(slog.String(locationKey, text.(string)))
	}
	return h.Handler.Handle(ctx, r)
}

func (h located) WithAttrs(attrs []slog.Attr) slog.Handler {
	return located{h.Handler.WithAttrs(attrs), h.places}
}

func (h located) WithGroup(name string) slog.Handler {
	return located{h.Handler.WithGroup(name), h.places}
}

func locationOf(pc uintptr) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return frame.Function[strings.LastIndexByte(frame.Function, '/')+1:] + ":" + strconv.Itoa(frame.Line)
}
