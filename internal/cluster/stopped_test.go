package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// assignmentsJSON is the response of a worker that has tasks of connector c.
const assignmentsJSON = "" +
	`[{"Connector":"d","Tasks":[9]},{"Connector":"c","Version":1,"Tasks":[0,3]},{"Connector":"c","Version":2}]`

// staticHerder is a herder with a fixed assignment.
type staticHerder struct {
	Herder
	owned  []connect.Ownership
	status connect.Status
}

func (h *staticHerder) Owned() []connect.Ownership { return h.owned }

func (h *staticHerder) Status(string) (connect.Status, error) { return h.status, nil }

// noLog accepts no writes.
type noLog struct{}

func (noLog) Write(context.Context, bool, ...configtopic.Record) (int64, error) {
	return 0, errors.New("expected nothing to be written")
}

// leaderOfStopped returns a worker that leads a group of two, with connector c stopped. callOther returns the response
// of the other worker.
func leaderOfStopped(t *testing.T, callOther func() ([]byte, error)) *Worker {
	t.Helper()
	worker, _ := config.NewWorker("", []config.Entry{config.NewEntry("bootstrap.servers", "a:1", "", 0)}, nil, nil)
	store := configtopic.NewStore("configs", worker, nil, slog.New(slog.DiscardHandler))
	store.SetWriter(noLog{})
	for n, r := range []configtopic.Record{configtopic.ConnectorRecord("c", map[string]string{"name": "c"}),
		configtopic.TargetRecord("c", config.TargetStopped)} {
		r.Offset = int64(n)
		store.Apply(r)
	}
	store.CaughtUp()
	w := NewWorker(WorkerOptions{URL: "http://w1:1", Topics: Topics{Store: store}, Herder: &staticHerder{},
		Logger: slog.New(slog.DiscardHandler),
		Call: func(ctx context.Context, to, call, connector string, body, answer any) error {
			assert.Equal(t, `http://w2:1 POST /culvert/internal/holds <nil>`,
				fmt.Sprint(to, " ", call, connector, " ", body))
			_, ok := ctx.Deadline()
			assert.True(t, ok, "expected the request to have a deadline")
			response, err := callOther()
			if err == nil {
				err = json.Unmarshal(response, answer)
			}
			return err
		}})
	w.leader.generation = 1
	w.leader.members = []Member{{ID: "1", Metadata: Metadata{URL: "http://w1:1"}},
		{ID: "2", Metadata: Metadata{URL: "http://w2:1"}}}
	return w
}

// An action on a stopped connector waits for tasks that end slowly on another worker. No worker is assigned tasks of
// the connector in the meantime.
func TestWhenStoppedWaitsForOtherWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := leaderOfStopped(t, func() ([]byte, error) {
			switch since := time.Since(start); {
			case since < 2*time.Second:
				return nil, errors.New("paused")
			case since < 7*time.Second:
				return []byte(assignmentsJSON), nil
			}
			return []byte(`[{"Connector":"d","Tasks":[9]},{"Connector":"c"}]`), nil
		})
		var elapsed time.Duration
		require.NoError(t, w.WhenStopped(t.Context(), "c", func() error {
			elapsed = time.Since(start)
			assert.Equal(t, map[string]int{"c": 1}, w.leader.stoppedOnly)
			w.options.Store.Apply(configtopic.TargetRecord("c", config.TargetStarted))
			err := w.leader.putTaskConfigs(t.Context(), "c", config.TaskPlan{Offset: 0, Tasks: []map[string]string{{}}})
			var failed *WriteError
			assert.True(t, errors.As(err, &failed) &&
				failed.Cause.Error() == "connector c: expected no tasks while its offsets are changed",
				"expected tasks to be rejected for now, found %v", err)
			return nil
		}))
		assert.True(t, elapsed >= 7*time.Second && elapsed <= 8*time.Second,
			"expected the action to run when the tasks have ended, after 7 s, found %v", elapsed)
		assert.Equal(t, map[string]int{}, w.leader.stoppedOnly)
		assert.Equal(t, true, errors.Is(w.WhenStopped(t.Context(), "c", nil),
			connect.ErrNotStopped)) // by now the connector runs
	})
}

// The action is rejected, with the worker that blocks it, if the tasks do not end in time. A worker that is not the
// leader rejects it too.
func TestWhenStoppedTimesOut(t *testing.T) {
	t.Parallel()
	for want, callOther := range map[string]func() ([]byte, error){
		"its tasks [0 3] have not ended on worker w2:1": func() ([]byte, error) {
			return []byte(assignmentsJSON), nil
		},
		"it is not known whether its tasks have ended on worker w2:1: silence": func() ([]byte, error) {
			return nil, errors.New("silence")
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := leaderOfStopped(t, callOther).WhenStopped(t.Context(), "c", nil)
			assert.Equal(t, "connector c is stopped, but "+want+"; try again later", fmt.Sprint(err))
			if elapsed := time.Since(start); elapsed < stopTimeout || elapsed > stopTimeout+time.Second {
				t.Errorf("expected a duration of %v, found %v", stopTimeout, elapsed)
			}
		})
	}
	follower := leaderOfStopped(t, nil)
	follower.leader.generation = 0
	assert.Equal(t, true, errors.Is(follower.WhenStopped(t.Context(), "c", nil), ErrNotLeader))
}

// The leader ends what a deleted connector has opened if the workers that had it are lost, whether or not the group
// knows that already. If one of them is alive and ends its tasks, that worker does it.
func TestLeaderCleansUpForLostOwners(t *testing.T) {
	t.Parallel()
	ownerOfC := Member{ID: "2", Metadata: Metadata{URL: "http://w2:1", Owned: []ResourceSet{{KeyOf("c"), 1, units(1)}}}}
	for name, c := range map[string]struct {
		owner    Member
		vanishes bool
		rejoins  bool // it is removed, and joins as another member before its tasks have ended
		want     bool
		after    time.Duration // minimum; the maximum is 1 s more
	}{
		"owned by nobody":     {owner: Member{ID: "1", Metadata: Metadata{URL: "http://w1:1"}}, want: true},
		"its owner ends it":   {owner: ownerOfC, after: 6 * time.Second},
		"its owner is killed": {owner: ownerOfC, vanishes: true, want: true, after: 9 * time.Second},
		"its owner is back":   {owner: ownerOfC, rejoins: true, want: true, after: 6 * time.Second},
		"its owner is this worker": {
			owner: Member{ID: "1", Metadata: Metadata{URL: "http://w1:1", Owned: ownerOfC.Owned}}, want: true,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			w := leaderOfStopped(t, func() ([]byte, error) {
				switch since := time.Since(start); {
				case c.vanishes:
					return nil, errors.New("connection refused")
				case since < 6*time.Second:
					return []byte(assignmentsJSON), nil
				}
				return []byte(`[]`), nil
			})
			w.leader.members[1] = c.owner
			if c.owner.ID == "1" {
				w.leader.members = w.leader.members[1:]
			}
			orphaned := w.OwnersLost("c")
			if c.rejoins {
				w.leader.members[1].ID = "3"
			}
			if c.vanishes {
				time.AfterFunc(9*time.Second, func() {
					w.leader.mu.Lock()
					defer w.leader.mu.Unlock()
					w.leader.members = w.leader.members[:1]
				})
			}
			assert.Equal(t, c.want, orphaned(t.Context()), name)
			if elapsed := time.Since(start); elapsed < c.after || elapsed >= c.after+time.Second {
				t.Errorf("%s: expected the cleanup after %v, found %v", name, c.after, elapsed)
			}
		})
	}
	follower := leaderOfStopped(t, nil)
	follower.leader.generation = 0
	assert.Equal(t, true, follower.OwnersLost("c") == nil)
}

// If a connector has failed on this worker, its tasks show the connector's reason, which is newer than their own. A
// task that has not ended yet shows its own state.
func TestTasksOfAFailedConnector(t *testing.T) {
	t.Parallel()
	for state, want := range map[connect.State]string{connect.Unassigned: "FAILED: no secret",
		connect.Failed: "FAILED: no secret", connect.Running: "RUNNING: old reason"} {
		herder := &staticHerder{owned: []connect.Ownership{{Connector: "c", Tasks: []int{1}}}, status: connect.Status{
			Connector: connect.ConnectorStatus{State: connect.Failed, Trace: "no secret"},
			Tasks:     []connect.TaskStatus{{ID: 0}, {ID: 1, State: state, Trace: "old reason"}}}}
		w := NewWorker(WorkerOptions{Herder: herder, Logger: slog.New(slog.DiscardHandler)})
		statuses := w.statuses("c", herder.owned, 1)
		if got := fmt.Sprint(statuses[1].State, ": ", statuses[1].Trace); got != want || len(statuses) != 1 {
			t.Errorf("%s: expected %s of task 1 alone, found %s of %d", state, want, got, len(statuses))
		}
	}
}
