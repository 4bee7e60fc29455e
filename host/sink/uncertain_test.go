package sink

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/host/transport"
)

// P19: the task that gets the partitions of one that failed does not send what that one left uncertain.
func TestUncertainIsNotSentByAnotherTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.InFlight, x.o.Uncertain = 1, &Uncertain{}
		x.group.put("orders", 3, "a=1", "b=2", "c=3")
		x.service.answer = func(_ int, body string) (uint16, error) {
			if body == "b=2" {
				return 0, &transport.NoAnswer{Method: "POST", Target: "/Set", Cause: errors.New("connection reset")}
			}
			return 201, nil
		}
		_, err := x.run(t)
		wantError(t, err, `offset 1, key "b"`, "may have been written")
		_, err = x.run(t) // the group starts at what was committed
		wantError(t, err, `topic orders, partition 3, offset 1, key "b"`, "by a task that failed, and is not sent again", "POST /Set may have arrived")
		if seen := x.service.seen(); !slices.Equal(seen, []string{"a=1", "b=2"}) {
			t.Errorf("expected nothing to be sent by the second task, found %v", seen)
		}
	})
}
