package logging

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
)

func TestLoggerOf(t *testing.T) {
	for function, want := range map[string]string{
		module + "internal/run/source.(*Task).Run":          "org.init.ohja.kafka.connect.odatav2.source",
		module + "internal/sourcery.Run":                    "org.apache.kafka.connect.runtime",
		module + "internal/transport/btp.(*Tokens).Get":     "org.init.ohja.kafka.connect.odatav2.http",
		module + "internal/connect.(*controller).run.func1": "org.apache.kafka.connect.runtime",
		module + "host.New":                                 "org.apache.kafka.connect.runtime",
		module + "cmd/culvert.run":                          "culvert",
		"net/http.(*Server).logf":                           "culvert",
		"":                                                  "culvert",
	} {
		if got := loggerOf(function); got != want {
			t.Errorf("%s: expected %s, found %s", function, want, got)
		}
	}
}

// The level of a line is that of its own logger, else of the nearest parent, else of root.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: Lowest}), slog.LevelInfo)
	l, same := LevelsOf(log)
	if same != log {
		t.Error("expected the logger that New has created")
	}
	ours := loggerOf(module + "internal/logging.TestLevels")
	says := func(level slog.Level) bool {
		out.Reset()
		log.With("connector", "c").Log(t.Context(), level, "here")
		return out.Len() > 0
	}
	if !says(slog.LevelInfo) || says(slog.LevelDebug) {
		t.Error("expected INFO at the start")
	}
	for _, c := range []struct {
		logger string
		level  string
		debug  bool
		warn   bool
	}{
		{logger: ours, level: "debug", debug: true, warn: true},
		{logger: "org.apache.kafka", level: "ERROR"}, // its parent, with which it changes
		{logger: ours, level: "TRACE", debug: true, warn: true},
		{logger: "org.apache.kafka.clients", level: "OFF", debug: true, warn: true},
		{logger: Root, level: "WARN", warn: true},
		{logger: "org.apache.kafka.connect.runtime.rest", level: "DEBUG", warn: true},
		{logger: "org", level: "OFF"},
		{logger: Root, level: "INFO", warn: true},
	} {
		changed, lines, err := l.Set(c.logger, c.level)
		if err != nil || !slices.Contains(changed, c.logger) || !lines || !slices.IsSorted(changed) {
			t.Fatalf("%v: found %v %v %v", c, changed, lines, err)
		}
		if says(slog.LevelDebug) != c.debug || says(slog.LevelWarn) != c.warn {
			t.Errorf("%v: found debug %t, warn %t", c, says(slog.LevelDebug), says(slog.LevelWarn))
		}
		if got, ok := l.Get(c.logger); !ok || !strings.EqualFold(got.Level, c.level) || got.Modified == nil {
			t.Errorf("%v: found %+v %t", c, got, ok)
		}
	}
	if _, lines, err := l.Set("org.example.one", "INFO"); err != nil || lines {
		t.Errorf("expected that no line has this name, found %t %v", lines, err)
	}
	if changed, _, err := l.Set("org.example", "INFO"); err != nil || len(changed) > 0 {
		t.Errorf("expected that no level is another than it was, found %v %v", changed, err)
	}
	changed, _, _ := l.Set("org.example", "WARN")
	assert.Equal(t, []string{"org.example", "org.example.one"}, changed)
	var wrong ErrLevel
	if _, _, err := l.Set("x", "LOUD"); !errors.As(err, &wrong) {
		t.Errorf("found %v", err)
	}
	if _, ok := l.Get("x"); ok {
		t.Error("expected a rejected level not to be stored")
	}
}

// Levels may change while other goroutines log.
func TestConcurrentLevelChanges(t *testing.T) {
	log := New(slog.DiscardHandler, slog.LevelInfo)
	l, _ := LevelsOf(log)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				log.Debug("x")
				l.All()
				if _, _, err := l.Set("org.apache", "DEBUG"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// With a logger of the embedding program, lines below the set level are left out, and lines that its own handler does
// not write stay out.
func TestLoggerOfEmbeddingProgram(t *testing.T) {
	var out bytes.Buffer
	l, log := LevelsOf(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if got, ok := l.Get("ROOT"); !ok || got.Level != "WARN" {
		t.Errorf("expected the level that it has, found %+v", got)
	}
	_, _, _ = l.Set(Root, "DEBUG")
	log.Debug("a")
	if out.Len() > 0 {
		t.Errorf("found %s", &out)
	}
	_, _, _ = l.Set(Root, "OFF")
	log.Error("b")
	if out.Len() > 0 {
		t.Errorf("found %s", &out)
	}
}

// The number of loggers that may be set by REST is bounded, since they are stored.
func TestSetLoggersAreBounded(t *testing.T) {
	l, _ := LevelsOf(New(slog.DiscardHandler, slog.LevelInfo))
	if _, _, err := l.Set(strings.Repeat("x", maxName+1), "DEBUG"); err == nil {
		t.Error("expected an error for a name that is too long")
	}
	for i := range maxSet {
		if _, _, err := l.Set("own."+strconv.Itoa(i), "DEBUG"); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
	}
	if _, _, err := l.Set("one.more", "DEBUG"); err == nil {
		t.Error("expected an error for too many loggers")
	}
	if _, _, err := l.Set("own.1", "INFO"); err != nil {
		t.Errorf("expected a change of an existing logger, found %v", err)
	}
}
