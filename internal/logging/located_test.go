package logging

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"runtime"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// A JSON line contains its source location, next to its own attributes and the logger's.
func TestJSONLinesHaveSourceLocation(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.NewJSONHandler(&out, LocatedHandlerOptions()), slog.LevelInfo).With("connector", "orders")
	log.Warn("here", "task", 1)
	_, _, line, _ := runtime.Caller(0)
	var found map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &found))
	if want := "logging.TestJSONLinesHaveSourceLocation:" + strconv.Itoa(line-1); found[locationKey] != want ||
		found["msg"] != "here" ||
		found["level"] != "WARN" || found["connector"] != "orders" || found["task"] != 1.0 {
		t.Errorf("expected it at %s, found %s", want, &out)
	}
}
