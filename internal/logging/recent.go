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

// Line is a log line. Its texts are valid UTF-8 without control characters.
type Line struct {
	Number    int64     `json:"number"`
	Time      time.Time `json:"time"`
	Level     string    `json:"level"`
	Logger    string    `json:"logger"`
	Connector string    `json:"connector,omitempty"`
	Text      string    `json:"text"`
	Message   string    `json:"message"` // Text without the attributes, which may quote values of records
}

// Recent keeps the last lines of a log in memory. It is safe for concurrent use.
//
// Invariants: lines are in the order of their numbers, without gaps, at most recentLines and recentBytes, where each
// line counts recentLine bytes for its fields. The oldest lines are dropped first.
type Recent struct {
	mu    sync.Mutex
	lines []Line
	bytes int
	last  int64 // number of the newest line
}

// NewRecent returns an empty Recent whose numbers begin with the present time in microseconds, so that they ascend
// after a restart, too. The numbers of the zero value begin with 1.
func NewRecent() *Recent { return &Recent{last: time.Now().UnixMicro()} }

const (
	recentLines = 10_000
	recentBytes = 4 << 20
	recentLine  = 128
)

func (l *Line) bytes() int { return recentLine + len(l.Connector) + len(l.Text) + len(l.Message) }

func (r *Recent) add(l Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	l.Number = r.last
	r.lines = append(r.lines, l)
	r.bytes += l.bytes()
	for len(r.lines) > recentLines || r.bytes > recentBytes {
		r.bytes -= r.lines[0].bytes()
		r.lines[0] = Line{} // releases its texts
		r.lines = r.lines[1:]
	}
}

// RecentQuery selects lines. Empty texts match all lines.
type RecentQuery struct {
	// After is the number before the first line. A negative number selects the last lines.
	After int64
	Limit int
	// Level is the lowest level. Logger includes all loggers below it.
	Level     string
	Logger    string
	Connector string
}

// Page returns lines in order, and After for the next page. lost means that lines after After were dropped.
func (r *Recent) Page(query RecentQuery) (lines []Line, last int64, lost bool, err error) {
	lowest := Lowest
	if query.Level != "" {
		if lowest, err = parseLevel(query.Level); err != nil {
			return nil, 0, false, err
		}
	}
	r.mu.Lock()
	selected := append([]Line{}, r.lines...) // a copy, so that writing to the log does not wait for the search
	last = r.last
	r.mu.Unlock()
	first := last - int64(len(selected)) + 1 // the number of the oldest line
	lost = query.After >= 0 && query.After < first-1
	query.Logger = canonicalName(query.Logger)
	if query.Logger == Root {
		query.Logger = ""
	}
	selected = slices.DeleteFunc(selected, func(l Line) bool {
		level, _ := parseLevel(l.Level)
		return l.Number <= query.After || level < lowest || (query.Connector != "" && l.Connector != query.Connector) ||
			(query.Logger != "" && l.Logger != query.Logger && !strings.HasPrefix(l.Logger, query.Logger+"."))
	})
	switch excess := len(selected) - query.Limit; {
	case excess <= 0: // all lines fit into the page
	case query.After < 0: // the last lines
		selected = selected[excess:]
	default: // the first lines; the next page begins after them
		selected = selected[:query.Limit]
		last = query.After
		if query.Limit > 0 {
			last = selected[query.Limit-1].Number
		}
	}
	return selected, last, lost, nil
}

// WithRecent returns a logger of [New] that also adds its lines to recent. [Redacted] must be applied afterwards.
func WithRecent(log *slog.Logger, recent *Recent) *slog.Logger {
	h := log.Handler().(handler)
	return slog.New(handler{recentHandler{Handler: h.Handler, recent: recent, levels: h.levels}, h.levels})
}

// recentHandler adds lines to recent. Its attributes are formatted as in a text handler.
type recentHandler struct {
	slog.Handler
	recent    *Recent
	levels    *Levels
	connector string // the attribute connector
	text      string // all attributes as KEY=VALUE, each with a space before it
	group     string // the groups, each with a dot after it
}

// Handle adds a line to the recent ones, then passes it on.
func (h recentHandler) Handle(ctx context.Context, r slog.Record) error {
	line := h // a copy, to which the attributes of this line are added
	r.Attrs(func(a slog.Attr) bool {
		line.add(line.group, a)
		return true
	})
	h.recent.add(Line{
		Time:      r.Time.UTC(),
		Level:     levelName(r.Level),
		Logger:    h.levels.loggerAt(r.PC),
		Connector: line.connector,
		Text:      shown.Line(r.Message + line.text),
		Message:   shown.Line(r.Message),
	})
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

// add appends an attribute to text, and the members of a group one by one.
func (h *recentHandler) add(group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			h.add(group, member)
		}
		return
	}
	formatted := v.String()
	if v.Kind() == slog.KindAny {
		formatted = fmt.Sprintf("%+v", v.Any()) // the form that [Redacted] looks at
	}
	if group+a.Key == "connector" {
		h.connector = shown.Line(formatted)
	}
	if formatted == "" || strings.ContainsAny(formatted, " =\"\n\r\t") {
		formatted = strconv.Quote(formatted)
	}
	h.text += " " + group + a.Key + "=" + formatted
}
