package sink

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/runtest"
	"github.com/culvert-project/culvert/host/internal/run/task"
)

// TestReplayThatCannotBeginKeepsWhatIsKnown: a replay whose plugin cannot be opened stores nothing, so letters that an
// earlier replay left in doubt stay in doubt.
func TestReplayThatCannotBeginKeepsWhatIsKnown(t *testing.T) {
	x := newWorld(&writer{})
	x.o.Send = []string{"no name"} // which the task refuses before it reads
	err := Deliver(t.Context(), x.o, Replay{Turn: &group{},
		Letters: []task.DeadLetter{{Sent: true, Record: &kgo.Record{Topic: "t", Offset: 7, Timestamp: time.UnixMilli(7)}}},
		Store: func(_ context.Context, settled, sent []bool) error {
			t.Errorf("stored settled %v, sent %v", settled, sent)
			return errors.New("nothing is to be stored")
		}})
	runtest.Fails(t, err, sendSetting)
}
