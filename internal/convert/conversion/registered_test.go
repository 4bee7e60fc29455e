package conversion

import (
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The number of cached ids of one schema is limited, and the newest one stays cached.
func TestCachedSchemaIDsAreBounded(t *testing.T) {
	ids := TopicIDs{}
	for i := range 2*maxTopicIDs + 1 {
		ids.Keep(strconv.Itoa(i), uint32(i))
		require.True(t, len(ids) <= maxTopicIDs,
			"%d ids of one schema are cached, expected at most %d", len(ids), maxTopicIDs)
	}
	assert.True(t, ids[strconv.Itoa(2*maxTopicIDs)] == 2*maxTopicIDs, "expected the newest id to stay cached")
}
