//go:build real

package sink

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// Apache Kafka drops the offset of a deleted topic: all records of the new one are written, and none is in doubt.
func TestRealTopicThatIsCreatedAgain(t *testing.T) {
	t.Parallel()
	const former, rows = 50, 120
	servers := e2etest.StartKafka(t)
	r := newRecreatedTopic(t, e2etest.NewPlace(t), servers)
	r.create(1, former)
	r.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), r.worker, r.back)
	stored := r.delete()
	require.True(t, stored.At == former, "expected the offset %d, found %d", former, stored.At)
	require.Until(t, func() bool { return r.offset().Topic == "" },
		func() string { return "the brokers still have the offset of the deleted topic" })
	r.create(1001, rows)
	r.MustRunOnceWith(e2etest.Plugins(t, "odata-sink"), r.worker, r.back).WantStderrTimes(0, "is not about this log")
	e2etest.CheckCreatedOnce(t, r.service.Ledger(), former+rows)
}

// If the offset is restored, it is kept.
func TestRealTopicThatIsCreatedAgainWithOffsets(t *testing.T) {
	t.Parallel()
	newRecreatedTopic(t, e2etest.NewPlace(t), e2etest.StartKafka(t)).checkCopiedOffset()
}
