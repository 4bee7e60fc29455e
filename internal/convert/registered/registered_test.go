package registered

import (
	"strconv"
	"testing"
)

// The number of cached ids of one schema is limited, and the newest one stays cached.
func TestCachedSchemaIDsAreBounded(t *testing.T) {
	ids := TopicIDs{}
	for i := range 2*maxTopicIDs + 1 {
		ids.Keep(strconv.Itoa(i), uint32(i))
		if len(ids) > maxTopicIDs {
			t.Fatalf("%d ids of one schema are cached, expected at most %d", len(ids), maxTopicIDs)
		}
	}
	if ids[strconv.Itoa(2*maxTopicIDs)] != 2*maxTopicIDs {
		t.Error("expected the newest id to stay cached")
	}
}
