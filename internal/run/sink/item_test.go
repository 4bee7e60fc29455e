package sink

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The error of a record begins with the reason; the record's key may have quotes and colons.
func TestReasonFirst(t *testing.T) {
	t.Parallel()
	for key, shownKey := range map[string]string{"k": `"k"`, `k": "`: `"k\": \""`, "": `""`} {
		err := &recordError{item: &item{record: &kgo.Record{Topic: "a.b", Key: []byte(key)}, partition: &partition{},
			offset: 7}, moreRecords: 2, stage: "write", err: errors.New("400: no")}
		assert.Equal(t, "write: 400: no (topic a.b, partition 0, offset 7, key "+shownKey+" and 2 more)",
			ReasonFirst(err.Error()))
	}
	assert.Equal(t, "topic a, partition 0: no", ReasonFirst("topic a, partition 0: no"))
}
