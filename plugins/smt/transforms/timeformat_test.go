package transforms

import (
	"bytes"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A date text has a length prefix of the right size.
func TestDateTextsHaveLengthPrefix(t *testing.T) {
	for _, literal := range []string{
		"x",
		strings.Repeat("x", 59), // the longest text whose length has one byte
		strings.Repeat("x", 60),
		strings.Repeat("long ", 20),
	} {
		format := "yyyy'" + literal + "'"
		result, err := newTimestampConverter(record.Value, Settings{
			{Name: "target.type", Value: "string"},
			{Name: "format", Value: format},
		})
		require.True(t, err == nil, "%v", err)
		want := connectdata.AppendString([]byte("before"), "1970"+literal)
		got, failure := result.(*timestampConverter).append([]byte("before"), 0, withSchema, 0)
		assert.True(t, failure == nil && bytes.Equal(got, want),
			"%s: expected %q, found %q, %v", format, want, got, failure)
	}
}
