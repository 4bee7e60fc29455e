package cluster

import (
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
)

// Three workers share connectors out among themselves, and go on when one of them leaves, is killed, or comes back.
func TestWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.WorkersOfAGroup(t, p, p.Broker())
}

// A wrong password on three workers is one failure at the service, and what goes on with the right one is all of them.
func TestOneLogonOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.OneLogonOfAGroup(t, p, p.Broker())
}

// A worker that is drained hands over before it is stopped; the last one goes on.
func TestDrainOfAWorker(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.DrainOfAWorker(t, p, p.Broker())
}

// A restart of a worker with a group.instance.id moves nothing.
func TestStaticWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	e2e.StaticWorkersOfAGroup(t, p, p.Broker())
}
