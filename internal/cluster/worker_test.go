package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
)

// recordingHerder is a herder that records its assignments by connector.
type recordingHerder struct {
	staticHerder
	assignments map[string]connect.Assignment
	onAssign    func() // called first, if not nil
}

func (r *recordingHerder) Assign(name string, assignment connect.Assignment) error {
	if r.onAssign != nil {
		r.onAssign()
	}
	r.assignments[name] = assignment
	return nil
}

// A worker keeps nothing about deleted connectors, however many there were.
func TestDeletedConnectorsAreForgotten(t *testing.T) {
	t.Parallel()
	herder := &recordingHerder{assignments: map[string]connect.Assignment{}}
	w := NewWorker(WorkerOptions{Herder: herder})
	for offset, name := range []string{"a", "b", "c"} {
		w.ApplySnapshot(config.Snapshot{Connectors: []*config.Connector{{Name: name}},
			ConfigOffsets: map[string]int64{name: int64(offset)}}) // offset 0 is the first record of the topic
		w.reconcile()
		assert.Equal(t, 1, len(w.lastAssigned))
	}
	assert.Equal(t, 3, len(herder.assignments))
}

// A worker owns what it is about to start, even if a later assignment does not contain it.
func TestAssignedButNotStartedIsOwned(t *testing.T) {
	t.Parallel()
	herder := &recordingHerder{assignments: map[string]connect.Assignment{}}
	w := NewWorker(WorkerOptions{Herder: herder})
	target := []ResourceSet{{Connector: KeyOf("a"), Resources: units(0)}}
	w.assigned = true
	w.assignment.Target = target
	herder.onAssign = func() {
		w.mu.Lock()
		w.assignment = Assignment{}
		w.mu.Unlock()
		assert.Equal(t, target, w.owned())
	}
	w.ApplySnapshot(config.Snapshot{Connectors: []*config.Connector{{Name: "a"}},
		ConfigOffsets: map[string]int64{"a": 0}})
	w.reconcile()
	assert.Equal(t, true, herder.assignments["a"].OwnsConnector)
	assert.Equal(t, 0, len(w.owned()))
}

// A plan for settings that the config topic no longer has is not forwarded. A plan for settings that were written again
// is.
func TestOutdatedPlanIsNotForwarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := leaderOfStopped(t, nil)
		w.leading = true
		w.assigned = true
		var sent []config.TaskPlan
		w.options.Logger = slog.New(slog.DiscardHandler)
		w.options.Call = func(_ context.Context, _, _, _ string, body, _ any) error {
			sent = append(sent, body.(config.TaskPlan))
			return nil
		}
		write := func(offset int64, settings map[string]string) {
			r := configtopic.ConnectorRecord("c", settings)
			r.Offset = offset
			w.options.Store.Apply(r)
		}
		plan := config.TaskPlan{Config: map[string]string{"name": "c", "sets": "A"},
			Tasks: []map[string]string{{"set": "A"}}}
		write(5, map[string]string{"sets": "A,B"}) // before the plan of A arrives
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var refused *WriteError
		err := w.PutTaskConfigs(ctx, "c", plan)
		assert.True(t, errors.As(err, &refused) && ctx.Err() != nil, "expected a wait for another plan, found %v", err)
		assert.Error(t, refused.Cause, "connector c: expected task configs of its current settings in the config topic")
		assert.Equal(t, 0, len(sent), "plans that were sent")
		write(7, map[string]string{"sets": "A"})
		require.NoError(t, w.PutTaskConfigs(t.Context(), "c", plan))
		assert.Equal(t, []config.TaskPlan{{Offset: 7, Tasks: plan.Tasks, Config: plan.Config}}, sent)
	})
}
