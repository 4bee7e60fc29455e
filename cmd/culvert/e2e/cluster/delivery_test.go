package cluster

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// Workers of a group with exactly-once are killed while they write: every row comes once.
func TestSoakExactlyOnceOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	e2etest.ExactlyOnceOfAGroup(t, p, p.Broker())
}

// A worker that is paused for longer than its session acknowledges nothing more of what another one has by then.
func TestPausedOwnerOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	e2etest.PausedOwnerOfAGroup(t, p, p.Broker())
}

// A sink of several tasks writes every row once, also where a worker is drained and another one killed.
func TestSinkOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	e2etest.SinkOfAGroup(t, p, p.Broker())
}
