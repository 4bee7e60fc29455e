package requests

import (
	"encoding/hex"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

// The RequestID is FNV-1a of set, topic, partition, offset, part and time. Later versions must compute the same.
func TestIdentity(t *testing.T) {
	for _, test := range []struct {
		path      string
		topic     string
		hashed    string
		creation  string
		origin    wit.RecordID
		timestamp int64
	}{
		{"/s/A", "t", "/s/A\x00t\x000\x000\x000\x000", "1970-01-01T00:00:00", wit.RecordID{}, 0},
		{"/s/A", "t", "/s/A\x00t\x003\x001234567890123\x002\x001700000000999", "2023-11-14T22:13:20",
			wit.RecordID{Partition: 3, Offset: 1234567890123, Part: 2}, 1_700_000_000_999},
		{"/s/A", "t", "/s/A\x00t\x000\x007\x000\x001700000000001", "2023-11-14T22:13:20",
			wit.RecordID{Offset: 7}, 1_700_000_000_001},
		{"/s/B", "t", "/s/B\x00t\x000\x007\x000\x00-1", "1970-01-01T00:00:00", wit.RecordID{Offset: 7}, -1},
		{"/s/B", "größe", "/s/B\x00größe\x000\x007\x000\x00253402300800000", "10000-01-01T00:00:00",
			wit.RecordID{Offset: 7}, 253_402_300_800_000},
	} {
		hash := fnv.New128a()
		hash.Write([]byte(test.hashed))
		headers := []wit.Header{{Name: "RequestID", Value: strings.ToUpper(hex.EncodeToString(hash.Sum(nil)))},
			{Name: "RepeatabilityCreation", Value: test.creation}}
		encoder := rowEncoder{set: &entityset.EntitySet{Path: test.path}, sourceRow: sourceRow{recordTopic: test.topic,
			recordID: test.origin, row: &wit.Row{Timestamp: test.timestamp}}}
		assert.Equal(t, headers, encoder.appendIdentity(nil), test.hashed)
	}
}

func TestHints(t *testing.T) {
	for _, hint := range []Hint{{}, {Step: "insert"}, {OwnChangeset: true, Step: "update", HasETag: true,
		ETag: `W/"a alone b"`},
		{NoBatch: true}, {NoIfMatch: true, NotFoundStatus: 404, StoppedBatches: 2, Step: "insert"},
		{MaxBatchSize: 12, OwnChangeset: true}, {HasETag: true}, {Step: wit.HintUncertain}} {
		assert.Equal(t, hint, parseHint(hint.Text()), hint.Text())
	}
}
