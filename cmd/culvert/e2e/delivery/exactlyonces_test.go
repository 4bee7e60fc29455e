package delivery

import (
	"syscall"
	"testing"

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
