package connect

import (
	"fmt"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// Each case has everything that a later condition needs, too: the first condition that applies counts.
func TestFirstConditionThatApplies(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	window := limits.Wait{Reasons: []string{"maintenance window"}}
	for _, c := range []struct {
		want  Condition
		facts evidence
	}{
		{"failed", evidence{hasFailed: true, target: Paused, state: Unassigned}},
		{"paused", evidence{hasFailed: true, restarts: true, target: Paused, state: Unassigned}},
		{"stopped", evidence{target: Stopped, state: Unassigned, isAway: true}},
		{"unassigned", evidence{state: Unassigned, isAway: true, lastRefused: now}},
		{"away", evidence{hasFailed: true, restarts: true, lastRefused: now}},
		{"away", evidence{isAway: true, lastRefused: now, hasStarted: true}},
		{"refusing", evidence{lastRefused: ago(RefusingTime - 1)}},
		{"starting", evidence{lastRefused: ago(-time.Hour)}}, // the clock was set back
		{"starting", evidence{lastRefused: ago(RefusingTime), readingSince: ago(time.Hour)}},
		{"loading", evidence{hasStarted: true, readingSince: ago(LoadingTime), waits: window, isCaughtUp: true}},
		{"waiting", evidence{hasStarted: true, readingSince: ago(LoadingTime - 1), waits: window, isCaughtUp: true}},
		{"idle", evidence{hasStarted: true, waits: limits.Wait{Reasons: window.Reasons, ByRate: true}, isCaughtUp: true}},
		{"running", evidence{hasStarted: true}},
	} {
		assert.Equal(t, c.want, c.facts.condition(now), fmt.Sprintf("%+v", c.facts))
	}
}

func TestOrdersOfConditions(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 12, len(Conditions))
	assert.Equal(t, true, ConditionUnknown.Urgency() < ConditionRefusing.Urgency() &&
		ConditionIdle.Urgency() < ConditionPaused.Urgency() && Condition("new").Urgency() > ConditionStopped.Urgency())
	assert.Equal(t, true, ConditionFailed.Precedence() < ConditionPaused.Precedence() &&
		ConditionStopped.Precedence() < ConditionUnknown.Precedence())
}

func TestActivityOfSeveralParts(t *testing.T) {
	t.Parallel()
	at := func(unix int64) *time.Time { at := time.Unix(unix, 0); return &at }
	n := func(n int64) *int64 { return &n }
	u := func(n uint64) *uint64 { return &n }
	text := func(text string) *string { return &text }
	rate := func(n float64) *float64 { return &n }
	all := Activity{}
	all.Add(Activity{Sets: []string{"b"}, Topics: []string{"t"}, Rows: rate(1), LastActive: at(5), CaughtUp: at(4),
		Complete: text("key"), Load: &Load{Read: 10, Total: u(20), SecondsLeft: n(3)}, Lag: n(10),
		Minutes: []*int64{n(1), nil}})
	all.Add(Activity{Sets: []string{"a"}, Topics: []string{"t"}, Rows: rate(2), LastActive: at(6), CaughtUp: at(3),
		Complete: text("count"), Load: &Load{Read: 1, Total: u(2), SecondsLeft: n(9)}, Lag: n(1), Refused: n(2),
		RefusedHour: n(2), Minutes: []*int64{n(2), n(5)}})
	all.Add(Activity{Refused: n(1)}) // the connector itself has no sets
	assert.Equal(t, Activity{Sets: []string{"a", "b"}, Topics: []string{"t"}, Rows: rate(3), LastActive: at(6), CaughtUp: at(3),
		Complete: text("count"), Load: &Load{Read: 11, Total: u(22), SecondsLeft: n(9)}, Lag: n(11), Refused: n(3),
		RefusedHour: n(2), Minutes: []*int64{n(3), n(5)}}, all)
	all.Add(Activity{Sets: []string{"never"}, Load: &Load{Read: 5}, Complete: text("unproven")})
	assert.Equal(t, (*time.Time)(nil), all.CaughtUp, "a set that was never caught up")
	assert.Equal(t, &Load{Read: 16}, all.Load, "a total that is unknown")
	assert.Equal(t, "unproven", *all.Complete)
}
