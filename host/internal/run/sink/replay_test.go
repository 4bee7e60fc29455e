package sink

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/base/require"
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

// Records that are held are not written before they may be, and do not keep the task from stopping.
func TestRecordsThatAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1", "b=2")
		free := make(chan struct{})
		x.o.Hold = func(ctx context.Context, records []*kgo.Record) error {
			select {
			case <-free:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		stopped, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		require.NoError(t, NewTask(x.o).Run(stopped))
		if seen := x.service.seen(); len(seen) > 0 || x.committed("t", 0) != 0 {
			t.Errorf("expected nothing to be written, found %v", seen)
		}
		close(free)
		x.ok(t)
		if seen := x.service.seen(); len(seen) != 2 || x.committed("t", 0) != 2 {
			t.Errorf("expected both records, found %v", seen)
		}
	})
}
