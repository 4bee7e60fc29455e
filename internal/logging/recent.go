package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/shown"
)

// Line is a line of the log. Its texts are valid, and have no control characters.
type Line struct {
	// Number is one more than that of the line before, beginning with 1.
	Number int64     `json:"number"`
	Time   time.Time `json:"time"`
	// Level is Kafka Connect's name.
	Level  string `json:"level"`
	Logger string `json:"logger"`
	// Connector is the value of the line's attribute of this name, "" for none.
	Connector string `json:"connector,omitempty"`
	// Text is the message with the attributes, as msg NAME=VALUE.
	Text string `json:"text"`
}

// Recent is the last lines of a log, in memory. Safe for use by several goroutines.
//
// Invariants: lines are in the order of their numbers, without gaps; they are at most recentLines and have at most
// recentBytes, of which each line's fields take recentLine. The oldest ones go first.
type Recent struct {
	mu    sync.Mutex
	lines []Line
	bytes int
	last  int64
}

const (
	recentLines = 10_000
	recentBytes = 4 << 20
	recentLine  = 128
)

func (l *Line) bytes() int { return recentLine + len(l.Connector) + len(l.Text) }

// add takes the next line in.
func (r *Recent) add(l Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	l.Number = r.last
	r.lines, r.bytes = append(r.lines, l), r.bytes+l.bytes()
	for len(r.lines) > recentLines || r.bytes > recentBytes {
		r.bytes -= r.lines[0].bytes()
		r.lines[0] = Line{} // its texts are free before the slice moves on
		r.lines = r.lines[1:]
	}
}

// RecentQuery chooses lines.
type RecentQuery struct {
	// After is the number before the first one; negative: the last lines are meant.
	After int64
	// Limit is how many lines there are at most.
	Limit int
	// Level is the lowest, "" for any; Logger is one with all below it, "" for all; Connector is that of the lines, ""
	// for all.
	Level, Logger, Connector string
}

// Page returns lines in their order, and the After of those that follow. lost: lines that followed After are not known
// any more. The error is an [ErrLevel].
func (r *Recent) Page(query RecentQuery) (lines []Line, last int64, lost bool, err error) {
	lowest := Lowest
	if query.Level != "" {
		if lowest, err = parseLevel(query.Level); err != nil {
			return nil, 0, false, err
		}
	}
	r.mu.Lock()
	all := append([]Line{}, r.lines...) // so that no line of the log waits for a search
	last = r.last
	r.mu.Unlock()
	first := last - int64(len(all)) + 1 // the oldest known
	lost = query.After >= 0 && query.After+1 < first
	below := query.Logger + "."
	if query.Logger = canonicalName(query.Logger); query.Logger == Root {
		query.Logger = ""
	}
	all = slices.DeleteFunc(all, func(l Line) bool {
		level, _ := parseLevel(l.Level)
		return l.Number <= query.After || level < lowest || query.Connector != "" && l.Connector != query.Connector ||
			query.Logger != "" && l.Logger != query.Logger && !strings.HasPrefix(l.Logger, below)
	})
	switch more := len(all) - query.Limit; {
	case more <= 0:
	case query.After < 0:
		all = all[more:]
	default:
		all = all[:query.Limit]
		last = all[query.Limit-1].Number
	}
	return all, last, lost, nil
}

// WithRecent is a logger that was made by [New] and whose lines recent takes in, too, as the handler gets them: what is
// put around it by [Redacted] afterwards comes before.
func WithRecent(log *slog.Logger, recent *Recent) *slog.Logger {
	h := log.Handler().(handler)
	return slog.New(handler{recentHandler{Handler: h.Handler, recent: recent, levels: h.levels}, h.levels})
}

// recentHandler hands lines on, and to recent.
type recentHandler struct {
	slog.Handler
	recent *Recent
	levels *Levels
	// connector and text are of the attributes that lines begin with; group is that of the next ones, with its dot.
	connector, text, group string
}

func (h recentHandler) Handle(ctx context.Context, r slog.Record) error {
	line := h // its copy, with the line's own attributes
	r.Attrs(func(a slog.Attr) bool {
		line.add(line.group, a)
		return true
	})
	h.recent.add(Line{Time: r.Time.UTC(), Level: levelName(r.Level), Logger: h.levels.loggerAt(r.PC),
		Connector: line.connector,
		Text:      shown.Line(r.Message + line.text)})
	return h.Handler.Handle(ctx, r)
}

func (h recentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		h.add(h.group, a)
	}
	return h
}

func (h recentHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	h.group += name + "."
	return h
}

// add puts an attribute to the text.
func (h *recentHandler) add(group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, one := range v.Group() {
			h.add(group, one)
		}
		return
	}
	text := v.String()
	if v.Kind() == slog.KindAny {
		text = fmt.Sprintf("%+v", v.Any()) // the form that [Redacted] looks at
	}
	if group+a.Key == "connector" {
		h.connector = shown.Line(text)
	}
	if text == "" || strings.ContainsAny(text, " =\"\n\r\t") {
		text = strconv.Quote(text)
	}
	h.text += " " + group + a.Key + "=" + text
}
