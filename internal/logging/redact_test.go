package logging_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/logging"
)

type valuer struct{ text string }

func (v valuer) LogValue() slog.Value { return slog.StringValue(v.text) }

// No part of a line contains a secret, except names that a connector publishes. Levels still apply.
func TestLogLinesAreRedacted(t *testing.T) {
	const canary = "c4n4ry"
	var b bytes.Buffer
	redact := func(text string) string { return strings.ReplaceAll(text, canary, "-") }
	log := logging.Redacted(logging.New(slog.NewJSONHandler(&b, nil), slog.LevelInfo), redact)
	log.Debug("is not shown")
	log.With("with", canary).WithGroup("g").With("in", []string{canary}).Info("m "+canary, "a", canary,
		"error", errors.New("e "+canary), "list", []string{canary}, "map", map[string]string{canary: canary},
		"valuer", valuer{canary}, slog.Group("group", "b", canary, "topic", "t"), "number", 3, "topic", "to "+canary)
	if line := b.String(); strings.Count(line, canary) != 1 || !strings.Contains(line, `"topic":"to c4n4ry"`) ||
		!strings.Contains(line, `"msg":"m -","with":"-"`) || !strings.Contains(line, `"number":3`) ||
		!strings.Contains(line, `"error":"e -"`) || strings.Count(line, "\n") != 1 {
		t.Errorf("expected one redacted line with the published topic, found %s", line)
	}
	if levels, same := logging.LevelsOf(log); same != log || levels.All()[logging.Root].Level != "INFO" {
		t.Errorf("expected the same logger with root at INFO, found %v", levels.All())
	}
}
