package logging

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"runtime"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A JSON line contains its source location, next to its own attributes and the logger's.
func TestJSONLinesHaveSourceLocation(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.NewJSONHandler(&out, LocatedHandlerOptions()), slog.LevelInfo).With("connector", "orders")
	log.Warn("here", "task", 1)
	_, _, line, _ := runtime.Caller(0)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &fields))
	want := "logging.TestJSONLinesHaveSourceLocation:" + strconv.Itoa(line-1)
	assert.True(t, fields[locationKey] == want && fields["msg"] == "here" && fields["level"] == "WARN" &&
		fields["connector"] == "orders" && fields["task"] == 1.0,
		"expected a warning of task 1 of orders at %s, found %s", want, &out)
}
