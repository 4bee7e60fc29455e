package delivery

import (
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// UnreachedWorkerOfAGroup has a worker advertise a port at which nobody listens: the leader names it, with its URL.
// `culvert status` then exits with 1, since the states of that worker's connectors are not known.
func UnreachedWorkerOfAGroup(t *testing.T, p *e2etest.Place, servers string) {
	g := NewGroup(t, p, servers, 1)
	g.place()
	g.lines = []string{"rest.advertised.host.name=127.0.0.1", "rest.advertised.port=1"}
	g.Join(1)
	const why = "expected worker 127.0.0.1:1 to answer at http://127.0.0.1:1"
	g.workers[0].Until(200, "GET", "/culvert/cluster", "", why, "connection refused")
	g.workers[0].Awaits(why)
	g.Run("status", "--url", "http://"+g.ids[0]).Exits(1).Prints(why).Says("states of connectors are not known")
	g.workers[1].MustStop()
	g.workers[0].Until(200, "GET", "/culvert/cluster", "", `"problems":[]`)
}
