package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
)

// Cases of Kafka Connect's IncrementalCooperativeAssignorTest, by their names there: 2 connectors of 4 tasks, or more,
// at worker1, and what becomes of them. What each worker has is in rising order: connectors, then tasks.
func TestAssignorOfKafkaConnect(t *testing.T) {
	t.Parallel()
	const delay = 5 * time.Minute
	for name, test := range map[string]func(t *testing.T, g *group){
		"testTaskAssignmentWhenWorkerJoins": func(t *testing.T, g *group) {
			g.then(t, "[2] [8]", 0)
			g.join("worker2")
			g.then(t, "[0 1] [0 4]", 0)
			g.then(t, "[1 1] [4 4]", 0)
			g.then(t, "[1 1] [4 4]", 0)
		},
		// Differs: Connect puts the second revocation off by 40 ms, the third by 1.6 s. Here none is put off, as plans that
		// follow each other take nothing away that the one before has placed.
		"testAssignmentsWhenWorkersJoinAfterRevocations": func(t *testing.T, g *group) {
			g.create("connector3", 4)
			g.then(t, "[3] [12]", 0)
			g.join("worker2")
			g.then(t, "[0 2] [0 6]", 0)
			g.join("worker3")
			g.then(t, "[0 1 1] [3 3 4]", 0)
			g.join("worker4")
			g.then(t, "[0 1 1 1] [2 3 3 3]", 0)
			g.join("worker5")
			g.then(t, "[0 0 1 1 1] [1 2 2 3 3]", 0)
			g.join("worker6")
			g.then(t, "[0 0 0 1 1 1] [1 1 2 2 2 2]", 0)
			g.then(t, "[0 0 0 1 1 1] [2 2 2 2 2 2]", 0)
		},
		"testImmediateRevocationsWhenMaxDelayIs0": func(t *testing.T, g *group) {
			g.in.Delay = 0
			g.create("connector3", 4)
			g.then(t, "[3] [12]", 0)
			g.join("worker2")
			g.then(t, "[0 2] [0 6]", 0)
			g.join("worker3")
			g.then(t, "[0 1 1] [3 3 4]", 0)
			g.then(t, "[1 1 1] [4 4 4]", 0)
		},
		"testTaskAssignmentWhenWorkerLeavesPermanently": func(t *testing.T, g *group) {
			g.join("worker2")
			g.then(t, "[1 1] [4 4]", 0)
			g.leave("worker2")
			g.then(t, "[1] [4]", delay)
			g.pass(delay / 2)
			g.then(t, "[1] [4]", delay/2)
			g.pass(delay / 2)
			g.then(t, "[2] [8]", 0)
		},
		// Differs: with Connect a worker that is back waits for the end of the delay, since it has no name.
		"testTaskAssignmentWhenWorkerBounces": func(t *testing.T, g *group) {
			g.join("worker2")
			g.then(t, "[1 1] [4 4]", 0)
			had := fmt.Sprint(g.has("worker2"))
			g.leave("worker2")
			g.then(t, "[1] [4]", delay)
			g.pass(delay / 2)
			g.join("worker2'") // the same name, another id
			g.then(t, "[1 1] [4 4]", 0)
			assert.Equal(t, had, fmt.Sprint(g.has("worker2'")))
		},
		"testTaskAssignmentWhenLeaderLeavesPermanently": func(t *testing.T, g *group) {
			g.join("worker2", "worker3")
			g.then(t, "[0 1 1] [2 3 3]", 0)
			g.leave("worker1")
			g.in.Before = Memory{}
			g.then(t, "[1 1] [4 4]", 0)
			g.then(t, "[1 1] [4 4]", 0)
		},
		"testTaskAssignmentWhenLeaderBounces": func(t *testing.T, g *group) {
			g.join("worker2", "worker3")
			g.then(t, "[0 1 1] [2 3 3]", 0)
			g.leave("worker1")
			g.in.Before = Memory{}
			g.then(t, "[1 1] [4 4]", 0)
			g.join("worker1'")
			g.then(t, "[0 1 1] [0 3 3]", 0)
			g.then(t, "[0 1 1] [2 3 3]", 0)
		},
		"testTaskAssignmentWhenFirstAssignmentAttemptFails": func(t *testing.T, g *group) {
			g.join("worker2")
			g.in.Before = Place(g.in).Memory // and nobody hears of the plan
			g.then(t, "[1 1] [4 4]", 0)
		},
		// Differs: Connect puts the second attempt off by 40 ms.
		"testTaskAssignmentWhenSubsequentAssignmentAttemptFails": func(t *testing.T, g *group) {
			g.join("worker2")
			g.then(t, "[1 1] [4 4]", 0)
			g.join("worker3")
			g.in.Before = Place(g.in).Memory
			g.then(t, "[0 1 1] [0 3 3]", 0)
			g.then(t, "[0 1 1] [2 3 3]", 0)
		},
		// Differs for the same reason.
		"testTaskAssignmentWhenSubsequentAssignmentAttemptFailsOutsideTheAssignor": func(t *testing.T, g *group) {
			g.join("worker2")
			g.then(t, "[1 1] [4 4]", 0)
			g.join("worker3")
			Place(g.in)
			g.in.Before = Memory{}
			g.then(t, "[0 1 1] [0 3 3]", 0)
			g.then(t, "[0 1 1] [2 3 3]", 0)
		},
		"testTaskAssignmentWhenConnectorsAreDeleted": func(t *testing.T, g *group) {
			g.create("connector3", 4)
			g.join("worker2")
			g.then(t, "[1 2] [6 6]", 0)
			g.delete("connector3")
			g.then(t, "[1 1] [4 4]", 0)
		},
		"testAssignConnectorsWhenBalanced": func(t *testing.T, g *group) {
			g.in.Connectors = nil
			g.join("worker2", "worker3")
			for i := range 6 {
				g.create(fmt.Sprint("c", i), 0)
			}
			g.then(t, "[2 2 2] [0 0 0]", 0)
			for i := range 5 {
				g.create(fmt.Sprint("d", i), 0)
			}
			g.then(t, "[3 4 4] [0 0 0]", 0)
		},
		"testAssignTasksWhenBalanced": func(t *testing.T, g *group) {
			g.in.Connectors = nil
			g.join("worker2", "worker3")
			g.create("c", 6)
			g.then(t, "[0 0 1] [2 2 2]", 0)
			g.create("d", 5)
			g.then(t, "[0 1 1] [3 4 4]", 0)
		},
		"testAssignConnectorsWhenImbalanced": func(t *testing.T, g *group) {
			g.in.Connectors = nil
			g.join("worker2", "worker3", "worker4")
			for i, n := range []int{2, 3, 4} {
				for k := range n {
					g.create(fmt.Sprint("c", i, k), 1)
					g.hold(g.in.Members[i].ID, fmt.Sprint("c", i, k), 0, 1)
				}
			}
			for i := range 15 {
				g.create(fmt.Sprint("d", i), 1)
			}
			g.then(t, "[6 6 6 6] [6 6 6 6]", 0)
		},
		// Differs as testTaskAssignmentWhenWorkerBounces does.
		"testLostAssignmentHandlingWhenWorkerBounces": func(t *testing.T, g *group) {
			had := g.three(t)
			g.leave("worker2")
			g.then(t, "[2 2] [4 4]", delay)
			g.pass(delay / 2)
			g.join("worker2'")
			g.then(t, "[2 2 2] [4 4 4]", 0)
			assert.Equal(t, had, fmt.Sprint(g.has("worker2'")))
		},
		"testLostAssignmentHandlingWhenWorkerLeavesPermanently": func(t *testing.T, g *group) {
			g.three(t)
			g.leave("worker2")
			g.then(t, "[2 2] [4 4]", delay)
			g.pass(delay / 2)
			g.then(t, "[2 2] [4 4]", delay/2)
			g.pass(delay / 2)
			g.then(t, "[3 3] [6 6]", 0)
		},
		// Differs: what is lost is dealt out when the worker that had it is back, as far as balance lets it have all.
		"testLostAssignmentHandlingWithMoreThanOneCandidates": func(t *testing.T, g *group) {
			had := g.three(t)
			g.leave("worker2")
			g.join("worker4")
			g.then(t, "[0 2 2] [0 4 4]", delay)
			g.pass(delay / 2)
			g.join("worker2'")
			g.then(t, "[1 1 2 2] [2 2 3 3]", 0)
			for _, unit := range g.has("worker2'") {
				assert.Contains(t, had, unit)
			}
			g.then(t, "[1 1 2 2] [3 3 3 3]", 0)
		},
		"testLostAssignmentHandlingWhenWorkerBouncesBackButFinallyLeaves": func(t *testing.T, g *group) {
			g.three(t)
			g.leave("worker2")
			g.then(t, "[2 2] [4 4]", delay)
			g.pass(delay / 2)
			g.join("worker2'")
			g.in.Before = Place(g.in).Memory // it is gone before it hears of the plan
			g.leave("worker2'")
			g.then(t, "[2 2] [4 4]", delay/2)
			g.pass(delay / 2)
			g.then(t, "[3 3] [6 6]", 0)
		},
		"testLostAssignmentHandlingWhenScheduledDelayIsDisabled": func(t *testing.T, g *group) {
			g.in.Delay = 0
			g.three(t)
			g.leave("worker2")
			g.then(t, "[3 3] [6 6]", 0)
		},
		"testScheduledDelayIsDisabled": func(t *testing.T, g *group) {
			g.in.Delay = 0
			g.join("worker2")
			g.then(t, "[1 1] [4 4]", 0)
			g.leave("worker2")
			g.then(t, "[2] [8]", 0)
		},
		"testTaskAssignmentWhenTasksDuplicatedInWorkerAssignment": func(t *testing.T, g *group) {
			g.then(t, "[2] [8]", 0)
			g.join("worker2")
			g.hold("worker2", "connector1", 0, 1, 2, 3, 4)
			g.member("worker2").Generation = g.round
			g.then(t, "[0 1] [0 4]", 0)
			g.then(t, "[1 1] [4 4]", 0)
			g.then(t, "[1 1] [4 4]", 0)
		},
		"testDuplicatedAssignmentHandleWhenTheDuplicatedAssignmentsDeleted": func(t *testing.T, g *group) {
			g.then(t, "[2] [8]", 0)
			g.join("worker2")
			g.hold("worker2", "connector1", 0, 1, 2, 3, 4)
			g.delete("connector1")
			g.then(t, "[0 1] [0 2]", 0)
			g.then(t, "[0 1] [2 2]", 0)
			g.then(t, "[0 1] [2 2]", 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGroup(connector("connector1", 1, 4), connector("connector2", 2, 4))
			g.in.Delay = delay
			g.join("worker1")
			test(t, g)
		})
	}
}

// then is a plan that all apply, with what it comes to and how long until the leader plans by itself.
func (g *group) then(t *testing.T, counts string, waits time.Duration) {
	t.Helper()
	g.rebalance()
	assert.Equal(t, counts, g.counts())
	assert.Equal(t, waits, g.waits())
	assert.Equal(t, 0, len(g.out.Unplaced))
}

func (g *group) pass(d time.Duration) { g.in.Now = g.in.Now.Add(d) }

func (g *group) create(name string, tasks int) *Connector {
	g.in.Connectors = append(g.in.Connectors, connector(name, int64(100+10*len(g.in.Connectors)), tasks))
	return g.connector(name)
}

func (g *group) delete(name string) {
	for i, c := range g.in.Connectors {
		if c.Name == name {
			g.in.Connectors = append(g.in.Connectors[:i:i], g.in.Connectors[i+1:]...)
		}
	}
}

func (g *group) hold(id, name string, list ...int) {
	m := g.member(id)
	m.Holds = union(m.Holds, []Held{{KeyOf(name), g.connector(name).Version, units(list...)}})
}

// three has 3 workers run 2 connectors and 4 tasks each. It returns what worker2 has.
func (g *group) three(t *testing.T) string {
	t.Helper()
	g.in.Connectors = nil
	for i := range 6 {
		g.create(fmt.Sprint("c", i), 2)
	}
	g.join("worker2", "worker3")
	g.then(t, "[2 2 2] [4 4 4]", 0)
	return fmt.Sprint(g.has("worker2"))
}
