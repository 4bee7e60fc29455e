package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The error for a record that brokers reject because of its timestamp contains the timestamp and the clock. No other
// error does.
func TestRejectedTimestampIsReported(t *testing.T) {
	r := &kgo.Record{Timestamp: time.UnixMilli(1795497388118)}
	other := errors.New("other")
	assert.Equal(t, "other", withClockHint(r, other).Error())
	err := withClockHint(r, kerr.InvalidTimestamp)
	assert.Contains(t, err.Error(), "INVALID_TIMESTAMP", "time is 2026-11-24T05:16:28Z", "message.timestamp.after.max.ms")
	assert.Equal(t, true, errors.Is(err, kerr.InvalidTimestamp))
}
