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
