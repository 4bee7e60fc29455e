package sink

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// A plugin that wants a row again, again and again, does not keep the service busy: each time it waits longer, and not
// for ever.
func TestAgainWithoutProgressIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(&writer{})
		x.group.put("t", 0, "a=1")
		var at []time.Time
		x.service.answer = func(int, string) (uint16, error) {
			at = append(at, time.Now())
			return 409, nil
		}
		x.fails(t, "write it again for the 17th time")
		if len(at) != maxAgain+1 {
			t.Fatalf("expected %d requests, found %d", maxAgain+1, len(at))
		}
		for n := range at[1:] {
			pause := at[n+1].Sub(at[n])
			if n == 0 && pause != 0 { // the first hint is progress
				t.Errorf("expected no pause before a row is written alone, found %v", pause)
			}
			if n > 0 && (pause < 100*time.Millisecond || n > 1 && n < 5 && pause <= at[n].Sub(at[n-1])) {
				t.Errorf("try %d: found a pause of %v after one of %v", n+2, pause, at[n].Sub(at[n-1]))
			}
		}
	})
}

// A plugin that says of each answer that it has to be opened again asks for documents at a growing distance.
func TestReopeningIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{}
		x := newWorld(w)
		x.o.InFlight = 1
		const records = 12
		for i := range records {
			x.group.put("t", 0, fmt.Sprintf("a%d=1", i))
			w.settleErrs = append(w.settleErrs, &wit.Fault{Kind: wit.FaultStale, Message: "old"}, nil)
		}
		start := time.Now()
		x.ok(t)
		if took := time.Since(start); took < 10*time.Second || w.opens != records+1 {
			t.Errorf("opened %d times in %v", w.opens, took)
		}
	})
}
