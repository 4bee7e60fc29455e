package connect

import (
	"fmt"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	core "github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/wit"
)

// Each case has everything that a later condition needs, too: the first condition that applies counts.
func TestFirstConditionThatApplies(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	window := limits.Wait{Reasons: []string{"maintenance window"}}
	rateLimit := limits.Wait{Reasons: []string{"rate"}, ByRate: true}
	for _, test := range []struct {
		want Condition
		evidence
	}{
		{want: "failed", evidence: evidence{hasFailed: true, target: Paused, state: Unassigned}},
		{want: "paused", evidence: evidence{hasFailed: true, willRestart: true, target: Paused, state: Unassigned}},
		{want: "stopped", evidence: evidence{target: Stopped, state: Unassigned, isAway: true}},
		{want: "unassigned", evidence: evidence{state: Unassigned, isAway: true, lastRefused: now}},
		{want: "away", evidence: evidence{hasFailed: true, willRestart: true, lastRefused: now}},
		{want: "away", evidence: evidence{isAway: true, lastRefused: now, hasStarted: true}},
		{want: "refusing", evidence: evidence{lastRefused: ago(core.RefusingTime - 1)}},
		{want: "starting", evidence: evidence{lastRefused: ago(-time.Hour)}}, // the clock was set back
		{want: "starting", evidence: evidence{lastRefused: ago(core.RefusingTime), readingSince: ago(time.Hour)}},
		{
			want:     "loading",
			evidence: evidence{hasStarted: true, readingSince: ago(LoadingTime), waits: window, isCaughtUp: true},
		},
		{
			want:     "waiting",
			evidence: evidence{hasStarted: true, readingSince: ago(LoadingTime - 1), waits: window, isCaughtUp: true},
		},
		{want: "idle", evidence: evidence{hasStarted: true, waits: rateLimit, isCaughtUp: true}},
		{want: "running", evidence: evidence{hasStarted: true}},
	} {
		assert.Equal(t, test.want, test.condition(now), fmt.Sprintf("%+v", test.evidence))
	}
}

// Unknown words come last, and a target state precedes all conditions except a failure.
func TestOrdersOfConditions(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 12, len(Conditions))
	for _, order := range []struct {
		rank       func(Condition) int
		conditions []Condition
	}{
		{rank: Condition.Urgency, conditions: []Condition{ConditionUnknown, ConditionRefusing, ConditionIdle,
			ConditionPaused, ConditionStopped, "new"}},
		{rank: Condition.Precedence, conditions: []Condition{ConditionFailed, ConditionPaused, ConditionUnknown}},
		{rank: Condition.Precedence, conditions: []Condition{ConditionFailed, ConditionStopped, ConditionUnknown}},
	} {
		for i, condition := range order.conditions[1:] {
			previous := order.conditions[i]
			assert.True(t, order.rank(previous) < order.rank(condition), "expected %s before %s", previous, condition)
		}
	}
}

// Counts are added; the time of the sets, the proof and the rest of the load are the worst of all parts.
func TestActivityOfSeveralParts(t *testing.T) {
	t.Parallel()
	unix := func(seconds int64) *time.Time { return wit.Ptr(time.Unix(seconds, 0)) }
	minutes := func(rows ...int64) (minutes []*int64) {
		for _, n := range rows {
			minutes = append(minutes, &n)
		}
		return minutes
	}
	var sum Activity
	sum.Add(Activity{
		Sets:       []string{"b"},
		Topics:     []string{"t"},
		Rows:       wit.Ptr(1.0),
		Minutes:    []*int64{wit.Ptr(int64(1)), nil},
		LastActive: unix(5),
		CaughtUp:   unix(4),
		NextRead:   unix(9),
		Lag:        wit.Ptr(int64(10)),
		Load:       &Load{Read: 10, Total: wit.Ptr(uint64(20)), SecondsLeft: wit.Ptr(int64(3))},
		Complete:   wit.Ptr("key"),
	})
	sum.Add(Activity{
		Sets:        []string{"a"},
		Topics:      []string{"t"},
		Rows:        wit.Ptr(2.0),
		Minutes:     minutes(2, 5),
		LastActive:  unix(6),
		CaughtUp:    unix(3),
		NextRead:    unix(8),
		Lag:         wit.Ptr(int64(1)),
		Load:        &Load{Read: 1, Total: wit.Ptr(uint64(2)), SecondsLeft: wit.Ptr(int64(9))},
		Complete:    wit.Ptr("count"),
		Refused:     wit.Ptr(int64(2)),
		RefusedHour: wit.Ptr(int64(2)),
	})
	sum.Add(Activity{Refused: wit.Ptr(int64(1))}) // the connector itself has no sets
	assert.Equal(t, Activity{
		Sets:        []string{"a", "b"},
		Topics:      []string{"t"},
		Rows:        wit.Ptr(3.0),
		Minutes:     minutes(3, 5),
		LastActive:  unix(6),
		CaughtUp:    unix(3),
		NextRead:    unix(8),
		Lag:         wit.Ptr(int64(11)),
		Load:        &Load{Read: 11, Total: wit.Ptr(uint64(22)), SecondsLeft: wit.Ptr(int64(9))},
		Complete:    wit.Ptr("count"),
		Refused:     wit.Ptr(int64(3)),
		RefusedHour: wit.Ptr(int64(2)),
	}, sum)
	sum.Add(Activity{Sets: []string{"never"}, Load: &Load{Read: 5}, Complete: wit.Ptr("unproven")})
	assert.Equal(t, (*time.Time)(nil), sum.CaughtUp, "a set that was never caught up")
	assert.Equal(t, &Load{Read: 16}, sum.Load, "a total that is unknown")
	assert.Equal(t, unix(8).UTC(), *feedActivity(&FeedProgress{NextRun: wit.Ptr(time.Unix(8, 5))}).NextRead)
	assert.Equal(t, "unproven", *sum.Complete)
}
