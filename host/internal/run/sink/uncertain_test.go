package sink

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/host/internal/base/assert"
)

// P19: the task that gets the partitions of one that failed does not send what that one left uncertain.
func TestUncertainIsNotSentByAnotherTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.o.InFlight, x.o.Uncertain = 1, &Uncertain{}
		x.group.put("orders", 3, "a=1", "b=2", "c=3")
		x.service.answer = byBody(map[string]uint16{"b=2": 0})
		task := x.fails(t, `offset 1, key "b"`, "may have been written")
		assert.Equal(t, 1, task.Progress().Uncertain, "records in doubt")
		// The group starts at what was committed.
		x.fails(t, `topic orders, partition 3, offset 1, key "b"`,
			"by a task that failed, and is not sent again", "POST /Set may have arrived")
		assert.Equal(t, []string{"a=1", "b=2"}, x.service.seen(), "nothing is sent by the second task")
	})
}

// A decision is used up when its record is sent: a task that loses its partition before leaves it to the next one. What
// was decided stays used up while the record is not settled, also where it was not in doubt for a while.
func TestDecisionsGoWithTheirPartition(t *testing.T) {
	var u Uncertain
	at := recordID{"t", 0, 5}
	why := errors.New("no answer")
	place := at.topicPartition()
	for range 2 { // two tasks, one after another
		if !u.decide(at, why, 1, 0) || len(u.used(place, 0)) != 0 {
			t.Fatalf("expected the record to be sent, and nothing to be used up, found %v", u.used(place, 0))
		}
	}
	for range 2 { // tried twice
		u.use(at)
	}
	if n := len(u.used(place, 0)); n != 1 {
		t.Fatalf("expected one decision to be used up, found %d", n)
	}
	u.put(at, why) // no answer again
	if u.decide(at, why, 1, 1) {
		t.Error("expected the decision to count once")
	}
	u.resolve(at) // a check finds that it was not written
	if all, _ := u.names(); len(all) != 0 || len(u.of(place, 0)) != 0 || len(u.used(place, 0)) != 1 {
		t.Errorf("expected nothing in doubt and one decision used up, found %q, %v", all, u.used(place, 0))
	}
	var next Uncertain // another process, after a kill while it was sent
	next.remember(at, 1)
	if next.decide(at, errKilled, 1, 1) {
		t.Error("expected the decision to count once after a kill, too")
	}
	if next.settled(at); len(next.used(place, 0)) != 0 {
		t.Error("expected a settled record to be forgotten")
	}
}
