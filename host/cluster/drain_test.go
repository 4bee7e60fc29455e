package cluster

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
)

// Plans that ask for another one at once, for as long as somebody's share is late, are put off: by 100 ms, and by more
// and more up to a second.
func TestPlansAtOnceArePutOff(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	var soon time.Duration
	var waits []time.Duration
	for range 6 {
		var at time.Time
		at, soon = putOff(now, now, soon)
		waits = append(waits, at.Sub(now))
		now = at
	}
	ms := time.Millisecond
	assert.Equal(t, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second}, waits)
	for name, next := range map[string]time.Time{"never": {}, "later": now.Add(firstWait)} {
		at, after := putOff(next, now, soon)
		assert.Equal(t, next, at, name)
		assert.Equal(t, time.Duration(0), after, name)
	}
	at, _ := putOff(now.Add(-time.Hour), now, 0)
	assert.Equal(t, now.Add(firstWait), at, "long ago")
}

// A member is alone where all others are about to leave.
func TestMembersThatAreAlone(t *testing.T) {
	t.Parallel()
	g := newGroup()
	g.join("m1", "m2", "m3")
	assert.Equal(t, false, alone(g.in.Members, "m1"))
	g.member("m2").Leaving, g.member("m3").Leaving = true, true
	assert.Equal(t, true, alone(g.in.Members, "m1"))
	assert.Equal(t, false, alone(g.in.Members, "m2"))
	g.leave("m2")
	g.leave("m3")
	assert.Equal(t, true, alone(g.in.Members, "m1"))
}

// What a worker has in mind only changes as the comment at its type says.
func TestStay(t *testing.T) {
	t.Parallel()
	w := NewWorker(WorkerOptions{})
	for _, c := range []struct {
		to   stay
		from []stay
		goes bool
	}{{drains, []stay{stays}, true}, {drains, []stay{stays}, false}, {rests, []stay{stays}, false},
		{leaves, []stay{stays, drains}, true}, {stays, []stay{drains}, false}} {
		assert.Equal(t, c.goes, w.become(c.to, c.from...), c)
	}
	assert.Equal(t, []bool{false, true, true, false},
		[]bool{stays.leaving(), drains.leaving(), leaves.leaving(), rests.leaving()})
}

// Rebalances are counted from when a member's metadata is given out, tries again included.
func TestRebalancesAreMeasured(t *testing.T) {
	t.Parallel()
	var none *Worker
	r := none.Rebalances()
	if r.Completed != 0 || r.Running || r.Took.Avg == r.Took.Avg || r.Since < 1e300 {
		t.Errorf("expected no rebalance, found %+v", r)
	}
	var l laps
	l.ended() // of which nothing has begun
	l.begins()
	l.begins()
	assert.Equal(t, true, l.now().Running)
	l.ended()
	r = l.now()
	if r.Completed != 1 || r.Running || !(r.Took.Max >= 0 && r.Took.Max < 60_000) || r.Since > 60_000 {
		t.Errorf("expected one rebalance, found %+v", r)
	}
}
