package logging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Lines are kept as they are logged: by the levels of the loggers, redacted, and without control characters, whatever
// the handler writes.
func TestRecentLines(t *testing.T) {
	const canary = "c4n4ry"
	for name, newHandler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{Level: Lowest})
		},
		"JSON": func(b *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{Level: Lowest})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			var recent Recent
			log := New(newHandler(&out), slog.LevelInfo)
			levels, _ := LevelsOf(log)
			log = Redacted(WithRecent(log, &recent),
				func(s string) string { return strings.ReplaceAll(s, canary, "*") })
			_, same := LevelsOf(log)
			require.True(t, same == log, "expected the same logger with its levels")
			log.Debug("is not shown")
			orders := log.With("connector", "orders", "secret", canary)
			orders.WithGroup("g").Warn("m "+canary, "a", 1, "error", errors.New(canary+" = \x1b[2J"),
				slog.Group("h", "b", ""))
			_, _, _ = levels.Set(Root, "DEBUG")
			log.Debug("two\nlines\x00", "list", []string{canary})
			lines, last, lost, err := recent.Page(RecentQuery{After: -1, Limit: 10})
			require.NoError(t, err)
			require.True(t, len(lines) == 2 && last == 2 && !lost && strings.Count(out.String(), "\n") == 2,
				"expected 2 lines, found %+v, last %d, lost %t\n%s", lines, last, lost, &out)
			ownLogger := loggerOf(module + "internal/logging.TestRecentLines")
			for i, want := range []Line{
				{
					Number: 1, Time: lines[0].Time, Level: "WARN", Logger: ownLogger, Connector: "orders",
					Message: "m *",
					Text:    `m * connector=orders secret=* g.a=1 g.error="* = \x1b[2J" g.h.b=""`,
				},
				{
					Number: 2, Time: lines[1].Time, Level: "DEBUG", Logger: ownLogger,
					Message: "two lines\ufffd",
					Text:    "two lines\ufffd list=[*]",
				},
			} {
				assert.Equal(t, want, lines[i])
			}
		})
	}
}

// A page has the last matching lines, or the matching lines after a number, and reports lost lines.
func TestRecentPages(t *testing.T) {
	var recent Recent
	for i := range recentLines + 5 {
		l := Line{Level: "INFO", Logger: "org.a", Connector: "even", Text: "x"}
		if i%2 == 0 { // numbers are odd
			l = Line{Level: "ERROR", Logger: "org.ab.c", Connector: "odd", Text: "x"}
		}
		recent.add(l)
	}
	const end = recentLines + 5
	for name, c := range map[string]struct {
		q            RecentQuery
		first        int64 // number of the first line of the page
		n            int64 // lines of the page
		last         int64
		lost         bool
		step         int64 // between the numbers of two lines
		isLevelError bool
	}{
		"the last":            {q: RecentQuery{After: -1, Limit: 2}, first: end - 1, n: 2, last: end, step: 1},
		"after a line":        {q: RecentQuery{After: 100, Limit: 3}, first: 101, n: 3, last: 103, step: 1},
		"lost":                {q: RecentQuery{After: 4, Limit: 1}, first: 6, n: 1, last: 6, lost: true, step: 1},
		"nothing lost":        {q: RecentQuery{After: 5, Limit: 1}, first: 6, n: 1, last: 6, step: 1},
		"from number 0":       {q: RecentQuery{After: 0, Limit: 1}, first: 6, n: 1, last: 6, lost: true, step: 1},
		"after the last line": {q: RecentQuery{After: end, Limit: 1}, last: end},
		"after lines to come": {q: RecentQuery{After: math.MaxInt64, Limit: 1}, last: end},
		"no lines":            {q: RecentQuery{After: 100}, last: 100},
		"no last lines":       {q: RecentQuery{After: -1}, last: end},
		"level":               {q: RecentQuery{After: 5, Limit: 2, Level: "warn"}, first: 7, n: 2, last: 9, step: 2},
		"the last errors": {q: RecentQuery{After: -1, Limit: 2, Level: "ERROR"}, first: end - 2, n: 2, last: end,
			step: 2},
		"unknown level":     {q: RecentQuery{After: -1, Limit: 2, Level: "LOUD"}, isLevelError: true},
		"logger":            {q: RecentQuery{After: 5, Limit: 2, Logger: "org.a"}, first: 6, n: 2, last: 8, step: 2},
		"a logger above":    {q: RecentQuery{After: 5, Limit: 2, Logger: "org"}, first: 6, n: 2, last: 7, step: 1},
		"the root":          {q: RecentQuery{After: 5, Limit: 2, Logger: "ROOT"}, first: 6, n: 2, last: 7, step: 1},
		"connector":         {q: RecentQuery{After: 5, Limit: 2, Connector: "odd"}, first: 7, n: 2, last: 9, step: 2},
		"unknown connector": {q: RecentQuery{After: 5, Limit: 2, Connector: "od"}, last: end},
		"below the limit":   {q: RecentQuery{After: end - 1, Limit: 5}, first: end, n: 1, last: end, step: 1},
	} {
		lines, last, lost, err := recent.Page(c.q)
		var levelErr ErrLevel
		if errors.As(err, &levelErr) != c.isLevelError || last != c.last || lost != c.lost || int64(len(lines)) != c.n {
			t.Errorf("%s: expected %+v, found %d lines, last %d, lost %t, %v", name, c, len(lines), last, lost, err)
			continue
		}
		for i, l := range lines {
			want := c.first + int64(i)*c.step
			assert.True(t, l.Number == want, "%s: line %d: expected number %d, found %d", name, i, want, l.Number)
		}
	}
}

// After a restart, the numbers of lines continue, and a page after a line of the previous run has all lines.
func TestNumbersAscendAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := func(r *Recent, after int64) (texts string, last int64, lost bool) {
			lines, last, lost, err := r.Page(RecentQuery{After: after, Limit: 10})
			require.NoError(t, err)
			for _, l := range lines {
				texts += l.Text
			}
			return texts, last, lost
		}
		first := NewRecent()
		if _, last, lost := page(first, -1); lost {
			t.Errorf("nothing is lost in an empty log, found last %d", last)
		}
		for range 1000 {
			first.add(Line{Text: "x"})
		}
		_, old, _ := page(first, -1)
		time.Sleep(time.Second)
		second := NewRecent()
		second.add(Line{Text: "a"})
		second.add(Line{Text: "b"})
		texts, last, lost := page(second, old)
		assert.Equal(t, "ab", texts)
		assert.Equal(t, true, lost && last > old)
		texts, _, lost = page(second, last-1)
		assert.Equal(t, "b", texts)
		assert.Equal(t, false, lost)
	})
}

// Fewer lines are kept if they are long, and lines of concurrent goroutines are numbered without gaps.
func TestRecentIsBounded(t *testing.T) {
	var recent Recent
	log := WithRecent(New(slog.NewTextHandler(io.Discard, nil), slog.LevelInfo), &recent)
	var loops sync.WaitGroup
	for range 4 {
		loops.Go(func() {
			for i := range 400 {
				log.Info(fmt.Sprint(i), "long", strings.Repeat("ä", 2500))
				if i%100 == 0 {
					_, _, _, _ = recent.Page(RecentQuery{After: -1, Limit: 10})
				}
			}
		})
	}
	loops.Wait()
	recent.mu.Lock()
	defer recent.mu.Unlock()
	sum := 0
	for i, l := range recent.lines {
		sum += l.bytes()
		require.True(t, l.Number == recent.last-int64(len(recent.lines)-1-i),
			"line %d has number %d, the last one %d", i, l.Number, recent.last)
	}
	assert.True(t, sum == recent.bytes && sum <= recentBytes && sum >= recentBytes/2 && recent.last == 1600,
		"expected 1600 lines and about %d bytes, found number %d, %d lines of %d bytes, counted %d", recentBytes,
		recent.last, len(recent.lines), sum, recent.bytes)
}
