package delivery

import (
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Killed again and again, a worker with exactly-once delivers every row once; stopped, too.
func TestSoakExactlyOnceKilled(t *testing.T) {
	t.Parallel()
	p, rounds := e2etest.NewPlace(t), ExactRounds(6)
	NewExactly(t, p.Broker(), p, "killed", rounds).Run(rounds, syscall.SIGKILL)
}

func TestExactlyOnceStopped(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	NewExactly(t, p.Broker(), p, "stopped", 3).Run(3, syscall.SIGTERM)
}

func TestZombieWorkerCommitsNothing(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	NewExactly(t, p.Broker(), p, "zombie", 4).Zombie()
}

// A foreign producer that takes the transactional id of a running task over keeps it: the task fails and names the id,
// and does not take it back by itself. A worker that is started then does, and every row comes once.
func TestForeignProducerInMidRun(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	e := NewExactly(t, p.Broker(), p, "foreign", 4)
	w := e.Reads()
	foreign := e2etest.Client(t, e.Servers, kgo.TransactionalID("exact-foreign-0"))
	begin := func() {
		t.Helper()
		e2etest.NoError(t, foreign.BeginTransaction())
		e2etest.NoError(t, foreign.ProduceSync(t.Context(), &kgo.Record{Topic: "theirs", Value: []byte("x")}).FirstErr())
	}
	e2etest.MakeTopics(t, foreign, "theirs")
	begin()
	close(e.Held.GoOn)
	w.Awaits(`msg="task FAILED" connector=foreign`)
	w.Awaits("transactional id exact-foreign-0: another producer uses it")
	before := e.S.Ledger()
	w.Eventually("changes, by the connector whose id nobody took", func() bool {
		return e.S.Ledger().Deltas > before.Deltas+2
	})
	for range 2 {
		if err := foreign.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Errorf("expected the foreign producer to keep the id, found %v", err)
		}
		begin()
	}
	w.Kill()
	e.Finish("a foreign producer in the middle of a run")
	if err := foreign.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("expected the foreign producer to be fenced by the worker that was started behind it")
	}
}
