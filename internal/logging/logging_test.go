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
	"github.com/culvert-project/culvert/internal/base/require"
)

// A function belongs to the logger of the longest matching package path.
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
		assert.Equal(t, want, loggerOf(function), function)
	}
}

// The level of a logger is its own, else that of its nearest parent, else root's. Set also changes the loggers below.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: Lowest}), slog.LevelInfo)
	l, same := LevelsOf(log)
	assert.True(t, same == log, "expected the logger that New has created")
	ownLogger := loggerOf(module + "internal/logging.TestLevels")
	isLogged := func(level slog.Level) bool {
		out.Reset()
		log.With("connector", "c").Log(t.Context(), level, "here")
		return out.Len() > 0
	}
	assert.True(t, isLogged(slog.LevelInfo) && !isLogged(slog.LevelDebug), "expected INFO at the start")
	for _, c := range []struct {
		logger string
		level  string
		debug  bool // whether a line at DEBUG of ownLogger is logged
		warn   bool // whether a line at WARN is
	}{
		{logger: ownLogger, level: "debug", debug: true, warn: true},
		{logger: "org.apache.kafka", level: "ERROR"}, // its parent, with which it changes
		{logger: ownLogger, level: "TRACE", debug: true, warn: true},
		{logger: "org.apache.kafka.clients", level: "OFF", debug: true, warn: true},
		{logger: Root, level: "WARN", warn: true},
		{logger: "org.apache.kafka.connect.runtime.rest", level: "DEBUG", warn: true},
		{logger: "org", level: "OFF"},
		{logger: Root, level: "INFO", warn: true},
	} {
		changed, isUsed, err := l.Set(c.logger, c.level)
		require.True(t, err == nil && slices.Contains(changed, c.logger) && isUsed && slices.IsSorted(changed),
			"%+v: expected sorted names with this logger, found %v, used %t, %v", c, changed, isUsed, err)
		if isLogged(slog.LevelDebug) != c.debug || isLogged(slog.LevelWarn) != c.warn {
			t.Errorf("%+v: found debug %t, warn %t", c, isLogged(slog.LevelDebug), isLogged(slog.LevelWarn))
		}
		if got, ok := l.Get(c.logger); !ok || !strings.EqualFold(got.Level, c.level) || got.Modified == nil {
			t.Errorf("%+v: expected the level that was set, found %+v, %t", c, got, ok)
		}
	}
	_, isUsed, err := l.Set("org.example.one", "INFO")
	assert.True(t, err == nil && !isUsed, "expected an unused logger, found used %t, %v", isUsed, err)
	if changed, _, err := l.Set("org.example", "INFO"); err != nil || len(changed) > 0 {
		t.Errorf("expected no change of a level, found %v, %v", changed, err)
	}
	changed, _, _ := l.Set("org.example", "WARN")
	assert.Equal(t, []string{"org.example", "org.example.one"}, changed)
	var levelErr ErrLevel
	_, _, err = l.Set("x", "LOUD")
	assert.True(t, errors.As(err, &levelErr), "expected an ErrLevel for LOUD, found %v", err)
	_, ok := l.Get("x")
	assert.True(t, !ok, "expected a rejected level not to be stored")
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
				_, _, err := l.Set("org.apache", "DEBUG")
				assert.NoError(t, err)
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
	got, ok := l.Get("ROOT")
	assert.True(t, ok && got.Level == "WARN", "expected the level of the handler, WARN, found %+v", got)
	_, _, _ = l.Set(Root, "DEBUG")
	log.Debug("a")
	assert.Equal(t, "", out.String(), "a line below the handler's own level")
	_, _, _ = l.Set(Root, "OFF")
	log.Error("b")
	assert.Equal(t, "", out.String(), "a line below the set level")
}

// The number of loggers that may be set by REST is bounded, since they are stored.
func TestSetLoggersAreBounded(t *testing.T) {
	l, _ := LevelsOf(New(slog.DiscardHandler, slog.LevelInfo))
	_, _, err := l.Set(strings.Repeat("x", maxName+1), "DEBUG")
	assert.True(t, err != nil, "expected an error for a name that is too long")
	for i := range maxSet {
		_, _, err := l.Set("own."+strconv.Itoa(i), "DEBUG")
		require.NoError(t, err, "number", i)
	}
	_, _, err = l.Set("one.more", "DEBUG")
	assert.True(t, err != nil, "expected an error for too many loggers")
	_, _, err = l.Set("own.1", "INFO")
	assert.NoError(t, err, "a change of an existing logger")
}
